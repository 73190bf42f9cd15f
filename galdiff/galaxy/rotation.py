"""Rotation curve of a galaxy: NFW halo, exponential discs and Hernquist bulge, and the dispersion of the bulge in it.

Curves are computed once on radii spread evenly in ln r, with their exact slopes, and read as Hermite cubics.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float
from scipy.interpolate import CubicSpline
from scipy.special import i0e, i1e, k0e, k1e

from galdiff import units
from galdiff.core import nfw
from galdiff.core.hermite import hermite
from galdiff.core.record import quantity, record

INNER, OUTER, N_RADII = 1e-5, 1.0, 96  # ends of the curves [R_vir], number of radii


@record
class Components:
    """What makes the gravity in the plane of a galaxy. Discs are thin and exponential, several share a centre."""

    m_halo: Float[Array, ""] = quantity("Msun", "mass inside the virial radius that follows the NFW profile")
    r_vir: Float[Array, ""] = quantity("kpc", "virial radius")
    c_nfw: Float[Array, ""] = quantity("", "concentration")
    m_discs: Float[Array, "disc"] = quantity("Msun", "masses of the discs")
    r_discs: Float[Array, "disc"] = quantity("kpc", "their scale lengths")
    m_bulge: Float[Array, ""] = quantity("Msun", "mass of the bulge")
    r_bulge: Float[Array, ""] = quantity("kpc", "its Hernquist scale radius")


@record
class Curves:
    """Circular velocity, and radial dispersion of the bulge, against ln r: values and slopes."""

    ln_r: Float[Array, "r"] = quantity("ln(kpc)", "radii")
    ln_v2: Float[Array, "r 2"] = quantity("ln((km/s)^2)", "v_c^2 and its slope in ln r")
    ln_sigma2: Float[Array, "r 2"] = quantity("ln((km/s)^2)", "sigma^2 of the bulge and its slope in ln r")


@functools.cache
def _freeman_table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln y, and the ln of y (I0 K0 - I1 K1) with its slope: a table that a Hermite cubic reads to 1e-7."""
    y = np.geomspace(1e-4, 1e3, 281)
    curve = CubicSpline(np.log(y), np.log(y * (i0e(y) * k0e(y) - i1e(y) * k1e(y))))
    return np.log(y), curve(np.log(y)), curve(np.log(y), 1)


def disc_velocity2(
    radius: Float[ArrayLike, "..."], mass: Float[ArrayLike, "..."], r_disc: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """v_c^2 in the plane of a thin exponential disc [(km/s)^2] (Freeman 1970, ApJ 160, 811, eq. 10).

    v_c^2 = 2 G M / r_d y^2 (I0 K0 - I1 K1) at y = R / 2 r_d, to 1e-6 for 2e-4 < R/r_d < 2e3; beyond, a power law.

    Args:
      radius: R > 0 [kpc]; mass: of the disc [Msun]; r_disc: scale length > 0 [kpc]; all broadcast.
    """
    radius, mass, r_disc = jnp.broadcast_arrays(radius, mass, r_disc)
    ln_y, value, slope = (jnp.asarray(x, radius.dtype) for x in _freeman_table())
    shape, _ = hermite(jnp.log(radius / r_disc) - np.log(2), ln_y, value, slope)
    return units.G_KPC_KMS2_MSUN * mass * radius / r_disc**2 * jnp.exp(shape)


def bulge_velocity2(
    radius: Float[ArrayLike, "..."], mass: Float[ArrayLike, "..."], r_bulge: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """v_c^2 = G M r / (r + a)^2 of a Hernquist (1990, ApJ 356, 359) sphere [(km/s)^2]; [kpc], [Msun], [kpc]."""
    return units.G_KPC_KMS2_MSUN * mass * jnp.asarray(radius) / (jnp.asarray(radius) + r_bulge) ** 2  # type: ignore[return-value]


def velocity2(radius: Float[Array, "r"], c: Components) -> Float[Array, "r"]:
    """v_c^2 of all components at radius > 0 [kpc], in (km/s)^2."""
    halo = nfw.mass_fraction(radius / c.r_vir, c.c_nfw) * c.m_halo * (units.G_KPC_KMS2_MSUN / radius)
    discs = disc_velocity2(radius[:, None], c.m_discs, c.r_discs).sum(-1)
    return halo + discs + bulge_velocity2(radius, c.m_bulge, c.r_bulge)


def curves_of(c: Components) -> Curves:
    """Curves from 1e-5 to 1 virial radius.

    The bulge is isotropic and feels the force in the plane of the disc as if that were the same in all directions:
    rho sigma^2 = int_r^inf rho v_c^2 dr / r (Binney & Tremaine 2008, eq. 4.216).
    """
    ln_x = np.linspace(np.log(INNER), np.log(OUTER), N_RADII)
    ln_r = jnp.log(c.r_vir) + ln_x.astype(jnp.result_type(c.r_vir))
    v2, slope = jax.jvp(lambda x: jnp.log(velocity2(jnp.exp(x), c)), (ln_r,), (jnp.ones_like(ln_r),))
    r = jnp.exp(ln_r)
    ln_rho = -ln_r - 3 * jnp.log(r + c.r_bulge)
    rho_slope = -1 - 3 * r / (r + c.r_bulge)
    ln_force = ln_rho + v2
    # Between radii the integrand is nearly a power law, and beyond the last one a steep one.
    step, bend = ln_x[1] - ln_x[0], rho_slope + slope
    ratio = jnp.exp(ln_force - ln_force[-1])
    ends = step / 2 * (ratio[1:] + ratio[:-1]) + step**2 / 12 * (bend[:-1] * ratio[:-1] - bend[1:] * ratio[1:])
    outside = 1 / 5  # rho v_c^2 falls as r^-5
    integral = jnp.concatenate([jnp.cumsum(ends[::-1])[::-1] + outside, jnp.full((1,), outside, ratio.dtype)])
    ln_sigma2 = jnp.log(integral) + ln_force[-1] - ln_rho
    sigma_slope = -jnp.exp(v2 - ln_sigma2) - rho_slope
    return Curves(ln_r=ln_r, ln_v2=jnp.stack([v2, slope], -1), ln_sigma2=jnp.stack([ln_sigma2, sigma_slope], -1))


def curve_velocity(curves: Curves, radius: Float[Array, "n"]) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    """v_c [km/s] and d ln v_c / d ln R [1] at radius > 0 [kpc]; power laws beyond the ends of the curves."""
    ln_v2, slope = hermite(jnp.log(radius), curves.ln_r, curves.ln_v2[:, 0], curves.ln_v2[:, 1])
    return jnp.exp(ln_v2 / 2), slope / 2


def bulge_dispersion(curves: Curves, radius: Float[Array, "n"]) -> Float[Array, "n"]:
    """Dispersion of the bulge along any axis [km/s] at radius > 0 [kpc]."""
    ln_sigma2, _ = hermite(jnp.log(radius), curves.ln_r, curves.ln_sigma2[:, 0], curves.ln_sigma2[:, 1])
    return jnp.exp(ln_sigma2 / 2)
