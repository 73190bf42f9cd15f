"""Light of ionised gas in a population: continuum in the spectra of the library, lines beside them, for each node.

Both are linear in the mass formed at a node, so that those of a galaxy are small matrix products. Lines are put into
passbands at the redshift of the galaxy itself: between tables at two redshifts a line may cross the edge of a band.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.core.stage import Stage
from galdiff.core.variables import physical, table
from galdiff.errors import InputError
from galdiff.light_records import NebularLight, PopulationWeights
from galdiff.photometry.passband import Passband
from galdiff.photometry.tables import line_means
from galdiff.populations.dust_population import GalaxyScreens, passing
from galdiff.records import SSPGrid
from galdiff.sps.ionising_light import IonisingLight


@record
class SeenLines:
    """Lines of one galaxy, and what they add to its passbands."""

    bare: Float[Array, "line"] = quantity("Lsun", "luminosity before dust")
    lum: Float[Array, "line"] = quantity("Lsun", "luminosity behind dust")
    seen: Float[Array, "band"] = quantity("Lsun Angstrom", "added to the mean of f wave^2, observed")
    rest: Float[Array, "band"] = quantity("Lsun Angstrom", "the same in the rest frame")


class GasLines(nnx.Module):
    """Lines of a galaxy from the mass formed at the nodes of a library.

    Args of the constructor:
      wave: vacuum wavelength of the lines (line,) [Angstrom]; lum: luminosity per mass formed (node, line) [Lsun/Msun].
      names: of the lines; shown: those which a catalogue has columns of.
      passbands: of the magnitudes.
      dust: attenuation of the gas over that of stars in birth clouds at the same wavelength [1].
    """

    def __init__(
        self,
        *,
        wave: Float[np.ndarray, "line"],
        lum: Float[np.ndarray, "node line"],
        names: Sequence[str],
        shown: Sequence[str],
        passbands: Sequence[Passband],
        dust: float,
    ) -> None:
        if odd := [name for name in shown if name not in names]:
            raise InputError(f"lines hold '{odd[0]}'; choose among {', '.join(names)}")
        self.nodes = tuple(int(node) for node in np.flatnonzero(lum.any(1)))  # of stars that ionise
        self.wave = table(wave, jnp.result_type(float))
        self.lum = table(lum[list(self.nodes)], jnp.result_type(float))
        self.shown = tuple(shown)
        self.columns = tuple(names.index(name) for name in shown)
        self.passbands = tuple(passbands)
        self.dust = physical(dust, lo=0.05, hi=10.0, unit="1")

    def of_nodes(self, n_nodes: int) -> Float[np.ndarray, "node line"]:
        """Luminosity of all nodes of the library per mass formed [Lsun/Msun]."""
        made = np.zeros((n_nodes, len(self.wave.get_value())))
        made[list(self.nodes)] = np.asarray(self.lum.get_value())
        return made

    def __call__(self, mass: Float[Array, "node"], redshift: Float[Array, ""], dust: GalaxyScreens) -> SeenLines:
        """Lines of a galaxy.

        Args:
          mass: formed at all nodes [Msun]; redshift: of the galaxy [1].
          dust: of the galaxy; gas is inside the birth clouds.
        """
        return self.behind(mass[np.array(self.nodes, int)] @ self.lum.get_value(), redshift, dust)

    def behind(self, bare: Float[Array, "line"], redshift: Float[Array, ""], dust: GalaxyScreens) -> SeenLines:
        """The same from the luminosities before dust [Lsun]."""
        wave = self.wave.get_value()
        lum = bare * passing(dust, wave, dust.a_v_young * self.dust.bounded)
        seen, rest = (line_means(self.passbands, wave, lum, z) for z in (redshift, 0.0))
        return SeenLines(bare=bare, lum=lum, seen=seen, rest=rest)


def with_gas(
    library: SSPGrid, nebular: Stage, *, lines: Sequence[str], passbands: Sequence[Passband], dust: float
) -> tuple[SSPGrid, GasLines]:
    """A library whose spectra hold the continuum of gas and lack the light that it takes, and the lines of that gas.

    Args:
      library: of stars; nebular: gas around them, any stage that makes `NebularLight`.
      lines: names that a catalogue has columns of; passbands: of its magnitudes.
      dust: attenuation of the gas over that of stars in birth clouds [1].

    Raises:
      InputError: a line that is not there, or a library without ionising light.
    """
    kept: dict[str, Any] = {"passbands": passbands, "dust": dust}
    n_nodes = int(np.prod(np.shape(library.ssp_flux)[:2]))
    if "ionising" not in nebular.reads():
        return library, GasLines(wave=np.zeros(0), lum=np.zeros((n_nodes, 0)), names=(), shown=(), **kept)
    try:
        ionising = IonisingLight()(library)
    except InputError as error:
        raise InputError(f"{error}; without emission of gas: nebular=none") from error
    graph, state = nnx.split(nebular)
    lg_age = jnp.asarray(library.ssp_lg_age_gyr, float)

    @jax.jit
    def of(state: nnx.State, mass: Float[Array, "node met age"]) -> NebularLight:
        stage = nnx.merge(graph, state)
        return jax.vmap(lambda one: stage(PopulationWeights(mass=one, lg_age=lg_age), ionising, library))(mass)

    made = of(state, jnp.eye(n_nodes).reshape(n_nodes, *np.shape(library.ssp_flux)[:2]))
    flux = np.asarray(library.ssp_flux) * np.asarray(made.passes[0])
    flux = flux + np.asarray(made.continuum).reshape(flux.shape)
    gas = GasLines(
        wave=np.asarray(made.line_wave[0]), lum=np.asarray(made.line_lum), names=made.line_names, shown=lines, **kept
    )
    return dataclasses.replace(library, ssp_flux=jnp.asarray(flux)), gas
