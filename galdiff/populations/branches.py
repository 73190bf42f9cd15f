"""Colours of a population with gradients: each galaxy on the main sequence and quenched, by the chance of each.

A draw of one of the two has no gradient in the quenched share; the weighted pair has. Haloes and random numbers are
drawn once, so that magnitudes are smooth functions of the parameters of star formation and dust.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from galdiff.core.record import quantity, record
from galdiff.cosmology import Cosmology, age, luminosity_distance
from galdiff.halo import diffmah
from galdiff.populations.diffmahpop import DiffmahPopulation, ObservedHalo
from galdiff.populations.diffstarpop import DiffstarPopulation, SfhNoise, sfh_noise
from galdiff.populations.dust_population import DustPopulation, FormedGalaxy, dimmed_magnitudes
from galdiff.populations.formed import StarsByAge, drawn_halo
from galdiff.populations.growth import GalaxyPlace
from galdiff.populations.point_tables import PointTables
from galdiff.sfh.diffstar import DiffstarParams, diffstar_sfr
from galdiff.sfh.fractions import AgeFractions
from galdiff.sfh.metallicity import MetallicityLaw


@record
class GrownHaloes:
    """Haloes at one redshift with all that does not depend on star formation; each field with a leading axis galaxy."""

    log10_mass: Float[Array, "galaxy point"] = quantity("dex(Msun)", "mass at the birth of stars of each age")
    place: GalaxyPlace = quantity("", "what star formation follows")
    noise: SfhNoise = quantity("", "random numbers of star formation")


@record
class SeenAt:
    """Where and how galaxies at one redshift are seen."""

    time: Float[Array, ""] = quantity("Gyr", "cosmic time")
    redshift: Float[Array, ""] = quantity("", "redshift")
    modulus: Float[Array, ""] = quantity("mag", "5 log10 of the luminosity distance in Mpc")
    light: PointTables = quantity("", "of stars by age and metallicity, at this time and redshift")
    centre: Float[Array, "part"] = quantity("Angstrom", "rest wavelengths of the parts of bands")
    baryon_fraction: Float[Array, ""] = quantity("", "gas over halo mass")


@record
class BranchedGalaxy:
    """A galaxy on the main sequence and the same one quenched."""

    weight: Float[Array, "2"] = quantity("", "chance of the main sequence, and to be quenched")
    mag: Float[Array, "2 band"] = quantity("mag(AB)", "apparent magnitude")
    log10_mstar: Float[Array, "2"] = quantity("dex(Msun)", "log10 of the mass of stars and remnants")
    log10_ssfr: Float[Array, "2"] = quantity("dex(1/yr)", "log10 of the star formation rate over it, mean over 100 Myr")


class BranchedLight(nnx.Module):
    """Light of both branches of a galaxy.

    Args of the constructor:
      galaxies, dust: the populations, whose parameters have gradients; metallicity: of stars at birth.
      ages: at which star formation is read, those of the tables of `SeenAt`.
      lgmet: log10 of the metallicities of the library [dex]; parts: number of parts of each passband.
    """

    def __init__(
        self,
        *,
        galaxies: DiffstarPopulation,
        dust: DustPopulation,
        metallicity: MetallicityLaw,
        ages: AgeFractions,
        lgmet: Sequence[float],
        parts: tuple[int, ...],
    ) -> None:
        self.galaxies = galaxies
        self.dust = dust
        self.stars = StarsByAge(metallicity=metallicity, ages=ages, lgmet=lgmet)
        self.parts = tuple(parts)

    def __call__(self, halo: GrownHaloes, seen: SeenAt) -> BranchedGalaxy:
        """Both branches of one galaxy, whose halo has no leading axis; vmap for more."""
        found = self.galaxies(halo.place, halo.noise)
        pair = jax.tree.map(lambda a, b: jnp.stack([a, b]), found.main_sequence, found.quenched)
        mag, log10_mstar, log10_ssfr = jax.vmap(lambda p: self.shine(p, halo.log10_mass, seen))(pair)
        weight = jnp.stack([1 - found.quenched_share, found.quenched_share])
        return BranchedGalaxy(weight=weight, mag=mag, log10_mstar=log10_mstar, log10_ssfr=log10_ssfr)

    def shine(
        self, p: DiffstarParams, log10_mass: Float[Array, "point"], seen: SeenAt
    ) -> tuple[Float[Array, "band"], Float[Array, ""], Float[Array, ""]]:
        """Magnitudes [mag], log10 of stellar mass [dex(Msun)] and of specific star formation rate [dex(1/yr)]."""
        rate = diffstar_sfr(
            p, seen.time - self.stars.ages.ages(seen.time), log10_mass, baryon_fraction=seen.baryon_fraction
        )
        stars = self.stars(rate, seen.time)
        log10_mstar = jnp.log10(stars.history.mass @ seen.light.left)
        log10_ssfr = jnp.log10(stars.history.mass @ seen.light.recent) - log10_mstar
        dust = self.dust(FormedGalaxy(log10_mstar=log10_mstar, log10_ssfr=log10_ssfr, redshift=seen.redshift))
        fluxes = (stars.mass.reshape(-1) @ seen.light.flux).reshape(2, -1)
        return dimmed_magnitudes(fluxes, seen.centre, dust, self.parts) + seen.modulus, log10_mstar, log10_ssfr


def grow_centrals(
    haloes: DiffmahPopulation,
    ages: Float[Array, "point"],
    log10_m: Float[Array, "galaxy"],
    redshift: float,
    cosmology: Cosmology,
    key: PRNGKeyArray,
) -> GrownHaloes:
    """Random histories of central haloes seen at one redshift [1].

    Args:
      haloes: the population; ages: at which star formation is read [Gyr].
      log10_m: masses when seen [dex(Msun)]; cosmology: the universe; key: of the random numbers.
    """
    time, today = age(cosmology, redshift), age(cosmology, 0.0)

    def grow(mass: Array, key: PRNGKeyArray) -> GrownHaloes:
        keys = jax.random.split(key, 3)
        seen = ObservedHalo(log10_m=mass, time=time, t_today=today, satellite=jnp.zeros_like(mass))
        halo, place = drawn_halo(haloes, seen, mass, keys[:2])
        growth = diffmah.log10_mass(halo, time - ages, today)
        return GrownHaloes(log10_mass=growth, place=place, noise=sfh_noise(keys[2]))

    return jax.vmap(grow)(log10_m, jax.random.split(key, log10_m.shape[0]))


def distance_modulus(cosmology: Cosmology, redshift: float) -> Float[Array, ""]:
    """5 log10 of the luminosity distance in Mpc [mag] at a redshift [1], shape ()."""
    return 5 * jnp.log10(luminosity_distance(cosmology, redshift))
