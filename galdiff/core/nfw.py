"""The profile of Navarro, Frenk & White (1997, ApJ 490, 493), scaled to its edge: masses, velocities, potential.

Radii are x = r / R_vir; c is the concentration R_vir / R_s. Everything is smooth down to the centre, also in single
precision, where ln(1+y) - y/(1+y) cancels.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

R_MAX = 2.16258  # radius of the largest circular velocity [R_s]
_SMALL = 0.05  # below, series to round-off
_SERIES = [(-1) ** k * (k - 1) / k for k in range(13, 1, -1)]  # of mu(y) = sum_k (-1)^k (k-1)/k y^k, high k first


def mu(y: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Mass inside y = r / R_s over 4 pi rho_s R_s^3: ln(1+y) - y/(1+y) [1]; y >= 0."""
    y = jnp.asarray(y)
    near = jnp.minimum(y, _SMALL)
    series = jnp.zeros_like(near)
    for coefficient in _SERIES:
        series = series * near + coefficient
    far = jnp.maximum(y, _SMALL)
    return jnp.where(y < _SMALL, series * near**2, jnp.log1p(far) - far / (1 + far))


def mass_fraction(x: Float[ArrayLike, "..."], c: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Mass inside x = r / R_vir over the virial mass [1]; c is the concentration; both positive, they broadcast."""
    return mu(jnp.asarray(c) * x) / mu(c)


def nfw_velocity(
    x: Float[ArrayLike, "..."], c: Float[ArrayLike, "..."], v_vir: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Circular velocity of the halo alone.

    Args:
      x: radius [R_vir], x >= 0; the velocity and its gradient are set to 0 at 0.
      c: concentration [1]; v_vir: circular velocity at R_vir [km/s]; all broadcast.

    Returns:
      V_c [km/s], with V_c^2 = v_vir^2 mu(c x) / (x mu(c)).
    """
    x = jnp.asarray(x)
    safe = jnp.where(x > 0, x, 1.0)
    return jnp.where(x > 0, v_vir * jnp.sqrt(mass_fraction(safe, c) / safe), 0.0)


def radius_of_maximum(r_vir: Float[ArrayLike, "..."], c: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Radius of the largest circular velocity [kpc]: 2.16258 R_s; r_vir [kpc]."""
    return R_MAX * jnp.asarray(r_vir) / c


def density(
    x: Float[ArrayLike, "..."],
    c: Float[ArrayLike, "..."],
    m_vir: Float[ArrayLike, "..."],
    r_vir: Float[ArrayLike, "..."],
) -> Float[Array, "..."]:
    """Density [Msun/kpc^3] at x = r / R_vir, x > 0; m_vir [Msun], r_vir [kpc]."""
    y = jnp.asarray(c) * x
    scale = jnp.asarray(m_vir) / r_vir / r_vir / r_vir * jnp.asarray(c) ** 3 / (4 * np.pi * mu(c))
    return scale / (y * (1 + y) ** 2)


def potential(
    x: Float[ArrayLike, "..."], c: Float[ArrayLike, "..."], v_vir: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Potential of the untruncated profile, zero at infinity [(km/s)^2].

    Args:
      x: radius [R_vir], x >= 0; c: concentration [1]; v_vir: circular velocity at R_vir [km/s].

    Returns:
      -v_vir^2 c ln(1 + c x) / (c x mu(c)); finite at the centre.
    """
    y = jnp.asarray(c) * x
    safe = jnp.where(y > 1e-4, y, 1.0)
    ratio = jnp.where(y > 1e-4, jnp.log1p(safe) / safe, 1 - y / 2 + y**2 / 3 - y**3 / 4)
    return -(jnp.asarray(v_vir) ** 2) * c * ratio / mu(c)
