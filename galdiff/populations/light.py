"""From a halo of a catalogue to the light of its galaxy, for one member: to vmap over a chunk."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from galdiff import units
from galdiff.core.powers import exp10
from galdiff.core.record import quantity, record
from galdiff.cosmology import Cosmology, age, kpc_per_arcsec, luminosity_distance
from galdiff.halo import diffmah
from galdiff.populations import relations
from galdiff.populations.diffmahpop import DiffmahPopulation, ObservedHalo
from galdiff.populations.dust_population import LEAST_SSFR, DustPopulation, FormedGalaxy, dimmed_magnitudes
from galdiff.populations.formed import StarsByAge, drawn_halo
from galdiff.populations.gas import GasLines
from galdiff.populations.growth import GrownMember, StarFormation
from galdiff.populations.published import published
from galdiff.populations.shells import Shell

TEN_PC = 5 * np.log10(units.TEN_PC_MPC)  # mag


@record
class Member:
    """One galaxy of the catalogue before it has any light."""

    number: Array = quantity("", "in the catalogue; its random numbers follow from it")
    log10_m: Float[Array, ""] = quantity("dex(Msun)", "log10 of the halo mass")
    redshift: Float[Array, ""] = quantity("", "redshift")
    satellite: Float[Array, ""] = quantity("", "1 for a satellite, 0 for a central")
    log10_mhost: Float[Array, ""] = quantity("dex(Msun)", "log10 of the mass of the host")


@record
class MockGalaxy:
    """What is true of a galaxy of the catalogue."""

    log10_mstar: Float[Array, ""] = quantity("dex(Msun)", "log10 of the mass of stars and remnants")
    log10_mformed: Float[Array, ""] = quantity("dex(Msun)", "log10 of the mass of all stars that ever formed")
    log10_sfr: Float[Array, ""] = quantity("dex(Msun/yr)", "log10 of the star formation rate, mean over 100 Myr")
    mean_age: Float[Array, ""] = quantity("Gyr", "mean age of the stars by mass formed")
    log10_z: Float[Array, ""] = quantity("dex", "log10 of their mean metal mass fraction by mass formed")
    quenched_share: Float[Array, ""] = quantity("", "chance of the galaxy to be quenched")
    quenched: Float[Array, ""] = quantity("", "1 where it is")
    t_peak: Float[Array, ""] = quantity("Gyr", "when the halo stopped growing")
    merged: Float[Array, ""] = quantity("", "1 for a satellite that has merged with its central")
    a_v: Float[Array, ""] = quantity("mag", "attenuation of old stars")
    a_v_young: Float[Array, ""] = quantity("mag", "attenuation of stars in birth clouds")
    dust_slope: Float[Array, ""] = quantity("", "slope of the attenuation curve")
    disc: Float[Array, ""] = quantity("", "1 where a disc dominates, 0 where a bulge does")
    r50: Float[Array, ""] = quantity("kpc", "half-light radius")
    r50_arcsec: Float[Array, ""] = quantity("arcsec", "half-light radius on the sky; 0 at redshift 0")
    mag: Float[Array, "band"] = quantity("mag(AB)", "apparent magnitude")
    mag_rest: Float[Array, "band"] = quantity("mag(AB)", "absolute magnitude in the rest frame")
    line_bare: Float[Array, "line"] = quantity("Lsun", "luminosity before dust")
    line_lum: Float[Array, "line"] = quantity("Lsun", "luminosity behind dust")
    line_flux: Float[Array, "line"] = quantity("1e-20 erg/s/cm2", "flux behind dust")


class MockLight(nnx.Module):
    """Grows the halo of a member, and makes the light of the stars that formed in it.

    Args of the constructor:
      haloes: the population; stars: metals of stars by age; dust: of galaxies.
      parts: number of parts of each passband.
      gas: lines of the gas that the stars ionise, of `galdiff.populations.gas.with_gas`.
    """

    def __init__(
        self,
        *,
        haloes: DiffmahPopulation,
        stars: StarsByAge,
        dust: DustPopulation,
        parts: tuple[int, ...],
        gas: GasLines,
    ) -> None:
        self.haloes = haloes
        self.stars = stars
        self.dust = dust
        self.parts = tuple(parts)
        self.gas = gas

    def grow(self, member: Member, key: PRNGKeyArray, cosmology: Cosmology) -> tuple[GrownMember, PRNGKeyArray]:
        """The halo of one member, and four keys for what follows; `key` is that of the catalogue."""
        keys = jax.random.split(jax.random.fold_in(key, member.number), 7)
        time, today = age(cosmology, member.redshift), age(cosmology, jnp.zeros_like(member.redshift))
        seen = ObservedHalo(log10_m=member.log10_m, time=time, t_today=today, satellite=member.satellite)
        halo, place = drawn_halo(self.haloes, seen, member.log10_mhost, keys[:2])
        gone = relations.merged_share(published("merging"), member.log10_m, member.log10_mhost, time, place.t_peak)
        grown = GrownMember(
            halo=halo,
            place=place,
            log10_mass=diffmah.log10_mass(halo, time - self.stars.ages.ages(time), today),
            time=time,
            merged=member.satellite * (jax.random.uniform(keys[6]) < gone),
        )
        return grown, keys[2:6]

    def __call__(
        self,
        member: Member,
        grown: GrownMember,
        formed: StarFormation,
        keys: PRNGKeyArray,
        shell: Shell,
        cosmology: Cosmology,
    ) -> MockGalaxy:
        """The galaxy of one member: its stars, dust, size, magnitudes and lines; two keys."""
        stars, redshift = self.stars(formed.sfr, grown.time, formed.lgmet), member.redshift
        history, light = stars.history, shell.at(stars, redshift)
        log10_mstar, log10_sfr = jnp.log10(light.left), jnp.log10(light.recent)
        log10_ssfr = log10_sfr - log10_mstar
        dust = self.dust(FormedGalaxy(log10_mstar=log10_mstar, log10_ssfr=log10_ssfr, redshift=redshift))
        distance = jnp.maximum(luminosity_distance(cosmology, redshift), units.TEN_PC_MPC)
        disc = jax.random.uniform(keys[0]) < relations.disc_share(log10_mstar, jnp.maximum(log10_ssfr, LEAST_SSFR))
        size = jnp.where(
            disc, relations.log10_disc_size(log10_mstar, redshift), relations.log10_bulge_size(log10_mstar, redshift)
        )
        r50 = jnp.clip(10 ** (size + relations.SIZE_SCATTER * jax.random.normal(keys[1])), *relations.SIZES)
        scale = kpc_per_arcsec(cosmology, redshift)
        lines, shown = self.gas.behind(light.lines, redshift, dust), np.array(self.gas.columns, int)
        return MockGalaxy(
            log10_mstar=log10_mstar,
            log10_mformed=jnp.log10(history.mass.sum()),
            log10_sfr=log10_sfr,
            mean_age=(history.mass @ history.age) / history.mass.sum(),
            log10_z=jnp.log10((history.mass @ exp10(stars.lgmet)) / history.mass.sum()),
            quenched_share=formed.quenched_share,
            quenched=formed.quenched,
            t_peak=grown.place.t_peak,
            merged=grown.merged,
            a_v=dust.a_v,
            a_v_young=dust.a_v_young,
            dust_slope=dust.slope,
            disc=1.0 * disc,
            r50=r50,
            r50_arcsec=jnp.where(scale > 0, r50 / jnp.where(scale > 0, scale, 1.0), 0.0),
            mag=dimmed_magnitudes(light.seen, shell.centre / (1 + redshift), dust, self.parts, lines.seen)
            + 5 * jnp.log10(distance),
            mag_rest=dimmed_magnitudes(light.rest, shell.centre, dust, self.parts, lines.rest) + TEN_PC,
            line_bare=lines.bare[shown],
            line_lum=lines.lum[shown],
            line_flux=lines.lum[shown] * (units.FLUX_OF_ONE_LSUN_AT_ONE_MPC / distance**2),
        )
