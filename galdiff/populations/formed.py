"""Stars of a galaxy of a population: from its halo and the parameters of star formation to the nodes of a library."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from galdiff.core.record import quantity, record
from galdiff.halo import diffmah
from galdiff.imf.returns import return_fraction
from galdiff.imf.shape import Imf
from galdiff.light_records import PopulationWeights, StellarHistory
from galdiff.populations.diffmahpop import DiffmahPopulation, ObservedHalo, drawn_family, halo_noise
from galdiff.populations.diffstarpop import GalaxyPlace
from galdiff.records import SSPGrid
from galdiff.sfh.diffstar import DiffstarParams, diffstar_sfr
from galdiff.sfh.metallicity import MetallicityLaw
from galdiff.sfh.model import MASS_MIN
from galdiff.sfh.panels import panels_of
from galdiff.sfh.weights import Enrich
from galdiff.units import YR_PER_GYR

RECENT = 0.1  # Gyr over which the star formation rate is a mean


@record
class FormedStars:
    """Stars of a galaxy when it is seen."""

    history: StellarHistory = quantity("", "mass formed by age")
    populations: PopulationWeights = quantity("", "the same at the nodes of the library")
    log10_mstar: Float[Array, ""] = quantity("dex(Msun)", "log10 of the mass of stars and remnants")
    log10_sfr: Float[Array, ""] = quantity("dex(Msun/yr)", "log10 of the star formation rate, mean over 100 Myr")


class FormAndEnrich(nnx.Module):
    """Forms the stars of a galaxy and lays them on the nodes of a library.

    Args of the constructor:
      metallicity: of stars at birth; library: whose nodes stars are laid on; imf: of its stars.
      widest: longest panel of age [Gyr]; 0.4 instead of 0.1 moves colours by some mmag.
    """

    def __init__(self, *, metallicity: MetallicityLaw, library: SSPGrid, imf: Imf, widest: float = 0.1) -> None:
        self.ages = panels_of(library, widest=widest)
        self.enrich = Enrich(law=metallicity, ages=self.ages, library=library)
        lg_age = np.asarray(library.ssp_lg_age_gyr, float)
        self.left = tuple(float(x) for x in 1 - np.asarray(return_fraction(imf, 10**lg_age)))

    def __call__(
        self,
        p: DiffstarParams,
        log10_mass: Float[Array, "point"],
        time: Float[Array, ""],
        baryon_fraction: Float[Array, ""],
    ) -> FormedStars:
        """Stars of one galaxy.

        Args:
          p: parameters of its star formation; log10_mass: of its halo at the birth of stars of each age [dex(Msun)].
          time: when it is seen [Gyr]; baryon_fraction: gas over halo mass [1].
        """
        points = self.ages.points_before(time)
        sfr = diffstar_sfr(p, time - points.age, log10_mass, baryon_fraction=baryon_fraction)
        mass = jnp.maximum(sfr * points.width * YR_PER_GYR, MASS_MIN)
        history = StellarHistory(age=points.age, mass=mass, time=time)
        populations = self.enrich(history)
        recent = points.age < RECENT
        rate = (mass * recent).sum() / (points.width * recent).sum() / YR_PER_GYR
        return FormedStars(
            history=history,
            populations=populations,
            log10_mstar=jnp.log10(populations.mass.sum(0) @ jnp.asarray(self.left, mass.dtype)),
            log10_sfr=jnp.log10(rate),
        )


def drawn_halo(
    haloes: DiffmahPopulation, seen: ObservedHalo, log10_mhost: Float[Array, ""], keys: PRNGKeyArray
) -> tuple[diffmah.DiffmahParams, GalaxyPlace]:
    """A random history of a halo, and what the star formation in it follows.

    Args:
      haloes: the population; seen: the halo; log10_mhost: of its host, its own for a central [dex(Msun)].
      keys: two keys of random numbers.
    """
    halo = drawn_family(haloes(seen, halo_noise(keys[0])), jax.random.uniform(keys[1]))
    t_peak = jnp.asarray(halo.t_peak)
    place = GalaxyPlace(
        log10_m0=diffmah.log10_mass(halo, seen.t_today, seen.t_today),
        t_peak=t_peak,
        satellite=seen.satellite,
        log10_mu=seen.satellite * (seen.log10_m - log10_mhost),
        log10_mhost=log10_mhost,
        since_infall=jnp.maximum(seen.time - t_peak, 0.0),
    )
    return halo, place
