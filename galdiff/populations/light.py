"""From a halo of a catalogue to the light of its galaxy: one program for a member, to vmap over a chunk."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from galdiff import units
from galdiff.core.record import quantity, record
from galdiff.cosmology import Cosmology, age, kpc_per_arcsec, luminosity_distance
from galdiff.halo import diffmah
from galdiff.imf.shape import Imf
from galdiff.populations import relations
from galdiff.populations.diffmahpop import DiffmahPopulation, ObservedHalo
from galdiff.populations.diffstarpop import DiffstarPopulation, drawn_branch, sfh_noise
from galdiff.populations.dust_population import (
    LEAST_SSFR,
    DustPopulation,
    FormedGalaxy,
    dimmed_magnitudes,
    young_and_old,
)
from galdiff.populations.formed import FormAndEnrich, FormedStars, drawn_halo
from galdiff.populations.gas import GasLines
from galdiff.populations.published import published
from galdiff.populations.shells import Shell
from galdiff.records import SSPGrid
from galdiff.sfh.metallicity import MetallicityLaw

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
    """Makes the galaxy of a member.

    Args of the constructor:
      haloes, galaxies: the populations; metallicity: of stars at birth; dust: of galaxies.
      library: whose nodes stars are laid on; imf: of its stars; parts: number of parts of each passband.
      gas: lines of the gas that the stars ionise, of `galdiff.populations.gas.with_gas`.
    """

    def __init__(
        self,
        *,
        haloes: DiffmahPopulation,
        galaxies: DiffstarPopulation,
        metallicity: MetallicityLaw,
        dust: DustPopulation,
        library: SSPGrid,
        imf: Imf,
        parts: tuple[int, ...],
        gas: GasLines,
    ) -> None:
        self.haloes = haloes
        self.galaxies = galaxies
        self.stars = FormAndEnrich(metallicity=metallicity, library=library, imf=imf)
        self.dust = dust
        self.parts = tuple(parts)
        self.gas = gas

    def __call__(self, member: Member, key: PRNGKeyArray, shell: Shell, cosmology: Cosmology) -> MockGalaxy:
        """The galaxy of one member; `key` is that of the catalogue."""
        keys = jax.random.split(jax.random.fold_in(key, member.number), 7)
        time, today = age(cosmology, member.redshift), age(cosmology, jnp.zeros_like(member.redshift))
        seen = ObservedHalo(log10_m=member.log10_m, time=time, t_today=today, satellite=member.satellite)
        halo, place = drawn_halo(self.haloes, seen, member.log10_mhost, keys[:2])
        branches, u = self.galaxies(place, sfh_noise(keys[2])), jax.random.uniform(keys[3])
        gone = relations.merged_share(published("merging"), member.log10_m, member.log10_mhost, time, halo.t_peak)
        born = time - self.stars.ages.points_before(time).age
        growth = diffmah.log10_mass(halo, born, today)
        fb = jnp.asarray(cosmology.omega_b / cosmology.omega_m)
        stars = self.stars(drawn_branch(branches, u), growth, time, fb)
        mass = stars.history.mass
        truth = {
            "quenched_share": branches.quenched_share,
            "quenched": 1.0 * (u < branches.quenched_share),
            "t_peak": place.t_peak,
            "merged": member.satellite * (jax.random.uniform(keys[6]) < gone),
            "log10_sfr": stars.log10_sfr,
            "mean_age": (mass @ stars.history.age) / mass.sum(),
            "log10_z": jnp.log10((mass @ 10 ** self.stars.enrich.law.lgmet(stars.history)) / mass.sum()),
        }
        return self.shine(stars, truth, member.redshift, keys[4:6], shell, cosmology)

    def shine(
        self,
        stars: FormedStars,
        truth: dict[str, Array],
        redshift: Float[Array, ""],
        keys: PRNGKeyArray,
        shell: Shell,
        cosmology: Cosmology,
    ) -> MockGalaxy:
        """Dust, size and magnitudes of stars at the nodes of the library, at a redshift [1], shape ()."""
        formed, log10_mstar = stars.populations.mass.sum(), stars.log10_mstar
        log10_ssfr = stars.log10_sfr - log10_mstar
        dust = self.dust(FormedGalaxy(log10_mstar=log10_mstar, log10_ssfr=log10_ssfr, redshift=redshift))
        parts = young_and_old(stars.populations)
        width = shell.ends[1] - shell.ends[0]
        there = (jnp.log1p(redshift) - shell.ends[0]) / jnp.where(width > 0, width, 1.0)
        seen = (1 - there) * (parts @ shell.near) + there * (parts @ shell.far)
        distance = jnp.maximum(luminosity_distance(cosmology, redshift), units.TEN_PC_MPC)
        disc = jax.random.uniform(keys[0]) < relations.disc_share(log10_mstar, jnp.maximum(log10_ssfr, LEAST_SSFR))
        size = jnp.where(
            disc, relations.log10_disc_size(log10_mstar, redshift), relations.log10_bulge_size(log10_mstar, redshift)
        )
        r50 = jnp.clip(10 ** (size + relations.SIZE_SCATTER * jax.random.normal(keys[1])), *relations.SIZES)
        scale = kpc_per_arcsec(cosmology, redshift)
        lines, shown = self.gas(parts.sum(0), redshift, dust), np.array(self.gas.columns, int)
        return MockGalaxy(
            log10_mstar=log10_mstar,
            log10_mformed=jnp.log10(formed),
            a_v=dust.a_v,
            a_v_young=dust.a_v_young,
            dust_slope=dust.slope,
            disc=1.0 * disc,
            r50=r50,
            r50_arcsec=jnp.where(scale > 0, r50 / jnp.where(scale > 0, scale, 1.0), 0.0),
            mag=dimmed_magnitudes(seen, shell.centre / (1 + redshift), dust, self.parts, lines.seen)
            + 5 * jnp.log10(distance),
            mag_rest=dimmed_magnitudes(parts @ shell.rest, shell.centre, dust, self.parts, lines.rest) + TEN_PC,
            line_bare=lines.bare[shown],
            line_lum=lines.lum[shown],
            line_flux=lines.lum[shown] * (units.FLUX_OF_ONE_LSUN_AT_ONE_MPC / distance**2),
            **truth,
        )
