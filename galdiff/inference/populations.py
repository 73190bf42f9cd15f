"""One stellar population in each spaxel, with known motions: the simplest model that a cube can be fitted with.

What is free is its age, its metallicity and its light, three maps. Light is the mean luminosity density over the
wavelengths that are observed: unlike mass it is what the cube shows, whatever library makes the spectra.
"""

import typing
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.interpolation import node_weights
from galdiff.core.record import quantity, record
from galdiff.galaxy.disc import AGE_MAX, Disc, disc_velocity
from galdiff.galaxy.streaming import HERMITE
from galdiff.ifu.instrument import Instrument, spaxel_centres
from galdiff.ifu.per_star import PerStar
from galdiff.ifu.plan import Plan
from galdiff.ifu.stages import Spectrograph, Templates
from galdiff.records import Placement, SkyStars


@record
class Populations:
    """One population in each spaxel."""

    log10_age: Float[Array, "y x"] = quantity("dex(Gyr)", "age")
    log10_z: Float[Array, "y x"] = quantity("dex", "metal mass fraction")
    log10_light: Float[Array, "y x"] = quantity("dex(Lsun/Angstrom)", "mean luminosity density over the wavelengths")


class Motion(typing.NamedTuple):
    """Line-of-sight velocity and dispersion of each spaxel [km/s], shape (y, x)."""

    v: Array | np.ndarray
    sigma: Array | np.ndarray


Model = Callable[[Populations, Motion], Float[Array, "y x wave"]]
INSET = 1e-3  # dex; populations of a fit stay this far inside the library, where gradients do not vanish


def disc_maps(
    disc: Disc, instrument: Instrument, kpc_per_arcsec: float, inclination: float, position_angle: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Motion]:
    """Maps of a thin disc at the spaxel centres.

    Args:
      disc: its laws, here without scatter and bulge.
      instrument: gives the spaxels; kpc_per_arcsec: their size.
      inclination, position_angle: as in `galdiff.galaxy.view.StarView` [deg].

    Returns:
      log10(age/Gyr), log10 Z, surface density of mass [Msun per spaxel], each of shape (y, x), and the `Motion`:
      circular rotation and the disc's dispersion (isotropic here).
    """
    x, y = np.meshgrid(*(c * kpc_per_arcsec for c in spaxel_centres(instrument)))
    i, theta = np.deg2rad([inclination, 90.0 - position_angle])
    major, minor = x * np.cos(theta) + y * np.sin(theta), (y * np.cos(theta) - x * np.sin(theta)) / np.cos(i)
    radius = np.hypot(major, minor)
    share = disc.age_disc / AGE_MAX
    shift = disc.age_slope * (radius / disc.r_disc - 1) / (AGE_MAX * share * (1 - share))
    age = AGE_MAX / (1 + (1 / share - 1) * np.exp(-shift))
    log10_z = disc.log10_z_disc + disc.z_slope * radius
    area = np.prod([instrument.spaxel_x_arcsec, instrument.spaxel_y_arcsec]) * kpc_per_arcsec**2 / np.cos(i)
    mass = 10**disc.log10_mstar * area * np.exp(-radius / disc.r_disc) / (2 * np.pi * disc.r_disc**2)
    v = np.asarray(disc_velocity(disc, radius)) * np.sin(i) * major / np.maximum(radius, 1e-9)
    return np.log10(age), log10_z, mass, Motion(v=v, sigma=disc.sigma_disc * np.exp(1 - radius / disc.r_disc / 2))


def fastest(motion: Motion) -> float:
    """Largest line-of-sight speed of the stars of `stars_of_populations` [km/s], and a little more."""
    return float((np.abs(motion.v) + HERMITE[0][-1] * np.asarray(motion.sigma)).max()) + 1.0


def node_light(plan: Plan, nodes: Float[ArrayLike, "node wave"] | None = None) -> Float[Array, "node"]:
    """Mean luminosity density of population nodes over the wavelengths of an observation [Lsun/Angstrom/Msun].

    Args:
      plan: the observation.
      nodes: spectra on `plan.node_wave`; its own by default.
    """
    lo, hi = (wave / (1 + plan.redshift) for wave in plan.wave_vacuum[[0, -1]])
    width = np.gradient(plan.node_wave) * ((plan.node_wave >= lo) & (plan.node_wave <= hi))
    spectra, share = jnp.asarray(plan.nodes if nodes is None else nodes, float), jnp.asarray(width / width.sum(), float)
    return jnp.matmul(spectra, share, precision="highest")


def mass_to_light(plan: Plan, light: Float[Array, "node"] | None = None) -> Callable[[Array, Array], Array]:
    """Function from log10 age and log10 Z to mass formed over light [Msun per Lsun/Angstrom], same shape.

    Args:
      plan: the observation.
      light: of its nodes, as of `node_light`; that of the plan by default.
    """
    bins, lights = plan.bins, node_light(plan) if light is None else light

    def ratio(log10_age: typing.Any, log10_z: typing.Any) -> typing.Any:
        index, weight = node_weights(log10_age, log10_z, bins.lg_ages, bins.lgmets, bins.interpolation)
        return 1 / jnp.sum(weight * lights[index], -1)

    return ratio


def stars_of_populations(
    populations: Populations,
    motion: Motion,
    plan: Plan,
    placement: Placement,
    light: Float[Array, "node"] | None = None,
) -> SkyStars:
    """Three stars a spaxel, at its centre, that share its mass [Msun] and sample its velocity distribution [km/s].

    Args:
      populations, motion: of each spaxel of the plan's instrument.
      plan: the observation; placement: where it looks.
      light: of the population nodes, as for `mass_to_light`.
    """
    x, y = (jnp.asarray(c, float) * placement.kpc_per_arcsec for c in np.meshgrid(*spaxel_centres(plan.instrument)))
    ratio = mass_to_light(plan, light)(populations.log10_age, populations.log10_z)
    mass = 10.0**populations.log10_light * ratio
    offset, share = (np.asarray(values)[:, None, None] for values in HERMITE)
    flat = lambda values: jnp.broadcast_to(values, (3, *mass.shape)).reshape(-1)  # noqa: E731
    return SkyStars(
        x=flat(x),
        y=flat(y),
        z=flat(0.0 * x),
        v_los=flat(jnp.asarray(motion.v + offset * motion.sigma, mass.dtype)),
        mass=flat(mass * jnp.asarray(share, mass.dtype)),
        age=flat(10.0**populations.log10_age),
        metallicity=flat(10.0**populations.log10_z),
    )


def pulls(miss: Float[Array, "..."], variance: Float[Array, "..."]) -> Float[Array, "..."]:
    """Misses over their errors [1]; 0 where nothing is recorded, outside the aperture."""
    seen = variance > 0
    return jnp.where(seen, miss, 0.0) / jnp.sqrt(jnp.where(seen, variance, 1.0))


def make_model(plan: Plan, placement: Placement) -> Model:
    """The compressed engine with its bank made once: from populations and motions to flux."""
    rows, spectrograph = PerStar(plan=plan), Spectrograph(plan=plan)
    bank = jax.jit(lambda: Templates(plan=plan)(placement))()

    def model(populations: Populations, motion: Motion) -> Float[Array, "y x wave"]:
        stars = stars_of_populations(populations, motion, plan, placement)
        return spectrograph(rows(stars, placement), bank, placement).flux

    return model
