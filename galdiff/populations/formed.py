"""Stars of a galaxy of a population by age and metallicity, and a random history of its halo."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from galdiff.core.record import quantity, record
from galdiff.core.rolling import node_hats
from galdiff.halo import diffmah
from galdiff.light_records import StellarHistory
from galdiff.populations.diffmahpop import DiffmahPopulation, ObservedHalo, drawn_family, halo_noise
from galdiff.populations.growth import GalaxyPlace
from galdiff.sfh.fractions import AgeFractions
from galdiff.sfh.metallicity import MetallicityLaw


@record
class FormedStars:
    """Stars of a galaxy when it is seen."""

    history: StellarHistory = quantity("", "mass formed by age")
    lgmet: Float[Array, "point"] = quantity("dex", "log10 of the metal mass fraction of the stars of each age")
    mass: Float[Array, "met point"] = quantity("Msun", "mass formed by metallicity and age")


class StarsByAge(nnx.Module):
    """Gives the stars of a history their metals, by age: what tables of light by age are multiplied with.

    Args of the constructor:
      metallicity: of stars at birth; ages: at which star formation is read.
      lgmet: log10 of the metallicities of the library [dex], increasing.
    """

    def __init__(self, *, metallicity: MetallicityLaw, ages: AgeFractions, lgmet: Sequence[float]) -> None:
        self.law = metallicity
        self.ages = ages
        self.lgmet = tuple(float(z) for z in lgmet)

    def __call__(
        self, sfr: Float[Array, "point"], time: Float[Array, ""], lgmet: Float[Array, "point"] | None = None
    ) -> FormedStars:
        """Stars of one galaxy.

        Args:
          sfr: star formation rate at the ages [Msun/yr]; time: when it is seen [Gyr].
          lgmet: log10 Z at birth [dex], where it is known; by the law, of which the scatter counts, if None.
        """
        history = self.ages.history(sfr, time)
        mean = self.law.lgmet(history) if lgmet is None else lgmet
        mets = node_hats(mean, self.law.spread(), np.asarray(self.lgmet))
        return FormedStars(history=history, lgmet=mean, mass=mets * history.mass)


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
