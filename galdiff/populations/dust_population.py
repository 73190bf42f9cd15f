"""Dust of the galaxies of a population: how much, how grey, and how much light meets none (diffsky 0.3)."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.core.powers import exp10, log10
from galdiff.core.record import quantity, record
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.dust.curves.modified_calzetti import ModifiedCalzetti
from galdiff.errors import InputError
from galdiff.photometry.magnitudes import ZERO_POINT
from galdiff.photometry.tables import of_bands
from galdiff.populations import relations
from galdiff.populations.published import published

SLOPES = (-1.9, 0.4)  # of the dust curve, whose bump is zero beyond
LEAST_SSFR = -14.0  # log10 [1/yr]
OLD, YOUNG = 1.0, -4.0  # log10 of ages [Gyr] long after and long before birth clouds end
BIRTH_CLOUDS = (-2.5, 5.0)  # log10 of the age [Gyr] at which stars leave them, and how fast
BOUNDS = {"suav": (-100.0, 100.0), "delta_suav": (0.0, 5.0), "deltapop": (-14.0, 14.0), "funo": (-14.0, 1.0)}


@record
class FormedGalaxy:
    """What the dust of a galaxy follows."""

    log10_mstar: Float[Array, ""] = quantity("dex(Msun)", "log10 of the mass of stars and remnants")
    log10_ssfr: Float[Array, ""] = quantity("dex(1/yr)", "log10 of the star formation rate over it")
    redshift: Float[Array, ""] = quantity("", "redshift")


@record
class GalaxyScreens:
    """Dust of one galaxy."""

    a_v: Float[Array, ""] = quantity("mag", "attenuation of old stars")
    a_v_young: Float[Array, ""] = quantity("mag", "attenuation of stars in birth clouds")
    slope: Float[Array, ""] = quantity("", "slope of the attenuation curve")
    unobscured: Float[Array, ""] = quantity("", "share of the light that meets no dust")


class DustPopulation(Stage):
    """Dust of a galaxy by its stellar mass, star formation and redshift; all parameters can be trained.

    Args of the constructor:
      parameters: by the names of diffsky, all 23.
    """

    def __init__(self, *, parameters: Mapping[str, float]) -> None:
        known = published("dust")
        if parameters.keys() != known.keys():
            odd = sorted(parameters.keys() ^ known.keys())
            raise InputError(f"dust of diffsky has {len(known)} parameters; missing or unknown: {', '.join(odd[:5])}")
        family = {name: next(key for key in BOUNDS if name.startswith(key)) for name in known}
        self.parameters = nnx.Dict(
            {
                name: physical(parameters[name], lo=lo, hi=hi, unit="1")
                for name in known
                for lo, hi in [BOUNDS[family[name]]]
            }
        )

    def __call__(self, galaxy: FormedGalaxy) -> GalaxyScreens:
        """Dust of one galaxy."""
        p = {name: self.parameters[name].bounded for name in self.parameters}
        log10_mstar, ssfr = galaxy.log10_mstar, jnp.maximum(galaxy.log10_ssfr, LEAST_SSFR)
        a_v, a_v_young = (
            relations.attenuation(p, log10_mstar, ssfr, galaxy.redshift, lg_age) for lg_age in (OLD, YOUNG)
        )
        return GalaxyScreens(
            a_v=a_v,
            a_v_young=a_v_young,
            slope=jnp.clip(relations.dust_slope(p, log10_mstar, ssfr), *SLOPES),
            unobscured=relations.unobscured_share(p, ssfr),
        )


@buildable(reads=True)
def dust_population() -> DustPopulation:
    """The dust of the published parameters."""
    return DustPopulation(parameters=published("dust"))


def share_inside(lg_age: Float[Array, "*age"]) -> Float[Array, "*age"]:
    """Share of the stars [1] in birth clouds, at log10 ages [dex(Gyr)]."""
    return jax.nn.sigmoid(BIRTH_CLOUDS[1] * (BIRTH_CLOUDS[0] - lg_age))


def passing(dust: GalaxyScreens, wave: Float[Array, "*at"], a_v: Float[Array, ""]) -> Float[Array, "*at"]:
    """Share of the light [1] that passes dust of an attenuation [mag] at rest wavelengths [Angstrom]."""
    bump = jnp.maximum(0.85 - 1.9 * dust.slope, 0.0)  # Kriek & Conroy (2013)
    shape = ModifiedCalzetti(slope=dust.slope, bump=bump)(wave)
    return dust.unobscured + (1 - dust.unobscured) * exp10(-0.4 * a_v * shape)


def dimmed_magnitudes(
    fluxes: Float[Array, "2 part"],
    wave: Float[Array, "part"],
    dust: GalaxyScreens,
    parts: Sequence[int],
    lines: Float[ArrayLike, "band"] = 0.0,
) -> Float[Array, "band"]:
    """AB magnitudes at 1 Mpc behind dust.

    Args:
      fluxes: of young and old stars in the parts of all bands [Lsun Angstrom].
      wave: rest wavelengths at which dust is read for them [Angstrom].
      dust: of the galaxy; parts: number of parts of each band.
      lines: what lines behind dust add to each band [Lsun Angstrom].
    """
    screens = [passing(dust, wave, a_v) for a_v in (dust.a_v_young, dust.a_v)]
    sub = screens[0] * fluxes[0] + screens[1] * fluxes[1]
    return -2.5 * log10(sub @ of_bands(parts).astype(sub.dtype) + lines) + ZERO_POINT
