"""One-number summaries of maps and particles: lambda_R, V/sigma, half-light radius, ellipticity, kappa_rot.

Maps are (y, x), x to the East and y to the North, centred on the middle of the array. A spaxel that an ellipse cuts
counts in part, so everything is differentiable in the maps. Empty spaxels (NaN) weigh nothing.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.compiled import quickly
from galdiff.core.record import quantity, record
from galdiff.records import KinematicMaps


@record
class KinematicSummary:
    """Summary of maps inside the half-light ellipse."""

    r_half: Float[Array, ""] = quantity("kpc", "semi-major axis of the ellipse that holds half of the flux")
    ellipticity: Float[Array, ""] = quantity("", "1 - b/a from the second moments of the flux")
    position_angle: Float[Array, ""] = quantity("deg", "of the major axis, North through East, 0 to 180")
    kinematic_angle: Float[Array, ""] = quantity("deg", "of the receding side, North through East, 0 to 360")
    lambda_r: Float[Array, ""] = quantity("", "lambda_R inside r_half")
    v_over_sigma: Float[Array, ""] = quantity("", "V/sigma inside r_half")


def spaxel_grid(shape: tuple[int, ...], spaxel: ArrayLike) -> tuple[Array, Array]:
    """x and y of spaxel centres, each of shape (y, x) [unit of spaxel]; spaxel is one size, or those along (x, y)."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    scale = jnp.broadcast_to(jnp.asarray(spaxel, float), (2,))
    return grid_x.astype(scale.dtype) * scale[0], grid_y.astype(scale.dtype) * scale[1]


def elliptical_radius(
    x: ArrayLike, y: ArrayLike, ellipticity: ArrayLike = 0.0, position_angle: ArrayLike = 0.0
) -> Array:
    """Semi-major axis of the ellipse through (x, y).

    Args:
      x, y: offsets to East and North [any unit]; shapes broadcast, and are that of the result.
      ellipticity: 1 - b/a.
      position_angle: of the major axis, North through East [deg].
    """
    angle = jnp.deg2rad(jnp.asarray(position_angle))
    along, across = x * jnp.sin(angle) + y * jnp.cos(angle), x * jnp.cos(angle) - y * jnp.sin(angle)
    square = along**2 + (across / (1 - jnp.asarray(ellipticity))) ** 2
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def coverage(radius: Array, edge: ArrayLike, spaxel: ArrayLike) -> Array:
    """Share of a spaxel inside the ellipse `edge` [1], shape of `radius`.

    A normal step with the dispersion of a pixel, spaxel/sqrt(12).
    """
    size = jnp.sqrt(jnp.mean(jnp.asarray(spaxel, float) ** 2))
    return jax.scipy.stats.norm.cdf((edge - radius) * math.sqrt(12.0) / size)


@jax.jit
def half_light_radius(
    flux: Float[Array, "y x"], spaxel: ArrayLike, ellipticity: ArrayLike = 0.0, position_angle: ArrayLike = 0.0
) -> Float[Array, ""]:
    """Semi-major axis of the ellipse that holds half of the flux in the field, from the growth curve.

    Args:
      flux: weight of each spaxel [any unit]; NaN counts as none.
      spaxel: size of a spaxel, a scalar, or those along (x, y) [kpc, or any unit].
      ellipticity, position_angle: of the ellipse, position angle from North through East [deg].

    Returns:
      Radius [unit of spaxel], differentiable in flux and ellipse (one Newton step on the found root).
    """
    flux = jnp.where(jnp.isfinite(flux), flux, 0).astype(jnp.result_type(float))
    radius = elliptical_radius(*spaxel_grid(flux.shape, spaxel), ellipticity, position_angle)
    total = jnp.sum(flux)
    flux = flux / jnp.where(total > 0, total, 1)

    def excess(edge: Any, flux: Array, radius: Array) -> Array:
        return jnp.sum(flux * coverage(radius, edge, spaxel)) - 0.5

    fixed = jax.lax.stop_gradient((flux, radius))

    def halve(_: Any, bracket: Any) -> tuple:
        lo, hi = bracket
        middle = (lo + hi) / 2
        enough = excess(middle, *fixed) >= 0
        return jnp.where(enough, lo, middle), jnp.where(enough, middle, hi)

    bounds = (jnp.zeros_like(total), jnp.max(fixed[1]) + jnp.max(jnp.asarray(spaxel)))
    root = jax.lax.stop_gradient(jax.lax.fori_loop(0, 50, halve, bounds)[1])
    slope = jax.lax.stop_gradient(jax.grad(excess)(root, *fixed))
    return jnp.where(total > 0, root - excess(root, flux, radius) / jnp.where(slope > 0, slope, 1), jnp.nan)


def flux_shape(flux: Float[Array, "y x"], spaxel: ArrayLike) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Ellipticity [1] and position angle of the major axis [deg, 0 to 180] from second moments about the centroid.

    For a thin disc the ellipticity is 1 - cos(inclination). NaN in flux counts as none.
    `spaxel` [any unit] is a scalar, or the sizes along (x, y).
    """
    flux = jnp.where(jnp.isfinite(flux), flux, 0)
    total = jnp.sum(flux)
    flux = flux / jnp.where(total > 0, total, 1)
    x, y = spaxel_grid(flux.shape, spaxel)
    x, y = x - jnp.sum(flux * x), y - jnp.sum(flux * y)
    xx, yy, xy = (jnp.sum(flux * product) for product in (x * x, y * y, x * y))
    half = (xx - yy) / 2
    square = half**2 + xy**2
    is_round = ~(square > 0)
    split = jnp.where(is_round, 0, jnp.sqrt(jnp.where(is_round, 1, square)))
    long, short = (xx + yy) / 2 + split, (xx + yy) / 2 - split
    ratio = short / jnp.where(long > 0, long, 1)
    thin = ~(ratio > 0)
    axis_ratio = jnp.where(thin, 0, jnp.sqrt(jnp.where(thin, 1, ratio)))
    angle = jnp.rad2deg(0.5 * jnp.arctan2(jnp.where(is_round, 0, xy), jnp.where(is_round, 1, half)))
    return 1 - axis_ratio, jnp.mod(90.0 - angle, 180.0)


def kinematic_position_angle(
    flux: Float[Array, "y x"], v: Float[Array, "y x"], spaxel: ArrayLike = 1.0
) -> Float[Array, ""]:
    """Angle of the receding side, North through East [deg, 0 to 360]: direction of the dipole sum F V (x, y).

    `spaxel` [any unit] is a scalar, or the sizes along (x, y).
    """
    weight = _filled(flux, v)
    weighted = weight * (_or_zero(v) - _mean(weight, _or_zero(v)))
    x, y = spaxel_grid(flux.shape, spaxel)
    return jnp.mod(jnp.rad2deg(jnp.arctan2(jnp.sum(weighted * x), jnp.sum(weighted * y))), 360.0)


def lambda_r(flux: Array, v: Array, sigma: Array, radius: Array, weight: ArrayLike = 1.0) -> Float[Array, ""]:
    """lambda_R = sum F R |V| / sum F R sqrt(V^2 + sigma^2) (Emsellem et al. 2007, MNRAS 379, 401, eq. 6).

    Args:
      flux, v, sigma: maps [any unit], [km/s], [km/s]; v relative to the systemic velocity; NaN is left out.
      radius: distance of each spaxel from the centre [any unit]; all maps have one shape.
      weight: share of each spaxel inside the aperture.
    """
    share = weight * radius * _filled(flux, v, sigma)
    v, sigma = _or_zero(v), _or_zero(sigma)
    square = v**2 + sigma**2
    speed = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    bottom = jnp.sum(share * speed)
    return jnp.where(bottom > 0, jnp.sum(share * jnp.abs(v)) / jnp.where(bottom > 0, bottom, 1), jnp.nan)


def v_over_sigma(flux: Array, v: Array, sigma: Array, weight: ArrayLike = 1.0) -> Float[Array, ""]:
    """V/sigma = sqrt(sum F V^2 / sum F sigma^2) (Cappellari et al. 2007, MNRAS 379, 418, eq. 10).

    Args as of `lambda_r`; the result is a scalar [1].
    """
    share = weight * _filled(flux, v, sigma)
    top, bottom = jnp.sum(share * _or_zero(v) ** 2), jnp.sum(share * _or_zero(sigma) ** 2)
    good = (bottom > 0) & (top > 0)
    ratio = jnp.where(good, jnp.sqrt(jnp.where(good, top, 1) / jnp.where(good, bottom, 1)), 0)
    return jnp.where(bottom > 0, ratio, jnp.nan)


@quickly
def summarise(maps: KinematicMaps, spaxel: ArrayLike) -> KinematicSummary:
    """All summaries of a galaxy's maps, inside the ellipse of half of the flux.

    The systemic velocity is the flux-weighted mean inside that ellipse; R in lambda_R is the distance on the sky.

    Args:
      maps: maps centred on the galaxy.
      spaxel: size of a spaxel [kpc], a scalar, or those along (x, y), shape (2,).
    """
    ellipticity, angle = flux_shape(maps.flux, spaxel)
    ellipticity = jnp.minimum(ellipticity, 0.95)  # keeps the axis ratio of an edge-on disc above zero
    r_half = half_light_radius(maps.flux, spaxel, ellipticity, angle)
    x, y = spaxel_grid(maps.flux.shape, spaxel)
    inside = coverage(elliptical_radius(x, y, ellipticity, angle), r_half, spaxel)
    v = maps.v - _mean(inside * _filled(maps.flux, maps.v), _or_zero(maps.v))
    return KinematicSummary(
        r_half=r_half,
        ellipticity=ellipticity,
        position_angle=angle,
        kinematic_angle=kinematic_position_angle(maps.flux, maps.v, spaxel),
        lambda_r=lambda_r(maps.flux, v, maps.sigma, elliptical_radius(x, y), inside),
        v_over_sigma=v_over_sigma(maps.flux, v, maps.sigma, inside),
    )


def kappa_rot(
    pos: Float[Array, "n 3"], vel: Float[Array, "n 3"], mass: Float[Array, "n"], *, corotating: bool = False
) -> Float[Array, ""]:
    """Share of the kinetic energy in rotation about z (Sales et al. 2010, MNRAS 409, 1541, eq. 1).

    Args:
      pos, vel: positions [kpc] and velocities [km/s] in a frame whose z axis is the spin axis, at rest.
      mass: masses [any unit].
      corotating: count only stars with positive angular momentum (kappa_co; Correa et al. 2017, MNRAS 472, L45).
    """
    mass = mass / jnp.maximum(jnp.mean(mass), jnp.finfo(mass.dtype).tiny)
    spin = pos[:, 0] * vel[:, 1] - pos[:, 1] * vel[:, 0]
    r2 = pos[:, 0] ** 2 + pos[:, 1] ** 2
    ordered = jnp.where(r2 > 0, spin**2 / jnp.where(r2 > 0, r2, 1), 0)
    ordered = jnp.where(spin > 0, ordered, 0) if corotating else ordered
    total = jnp.sum(mass * jnp.sum(vel**2, -1))
    return jnp.where(total > 0, jnp.sum(mass * ordered) / jnp.where(total > 0, total, 1), jnp.nan)


def _or_zero(values: Array) -> Array:
    return jnp.where(jnp.isfinite(values), values, 0)


def _filled(flux: Array, *maps: Any) -> Array:
    """Flux where it and all maps are measured, else zero."""
    keep = jnp.isfinite(flux)
    for values in maps:
        keep = keep & jnp.isfinite(values)
    return jnp.where(keep, flux, 0)


def _mean(weight: Array, values: Array) -> Array:
    total = jnp.sum(weight)
    return jnp.sum(weight * values) / jnp.where(total > 0, total, 1)
