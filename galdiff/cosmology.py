"""Flat wCDM distances and times, differentiable in redshift and parameters.

Hogg (1999, astro-ph/9905116) for the distances; age and lookback time by the same quadrature of 1/E(z).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff import units
from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2  # on (0, 1)


@buildable
@record
class Cosmology:
    """A flat universe of matter and dark energy with constant equation of state."""

    h0: Float[Array, ""] | float = quantity("km/s/Mpc", "Hubble constant", default=67.66)
    omega_m: Float[Array, ""] | float = quantity("", "matter density today over critical", default=0.30966)
    w: Float[Array, ""] | float = quantity("", "equation of state of dark energy", default=-1.0)
    omega_b: Float[Array, ""] | float = quantity("", "baryon density today over critical", default=0.04897)
    omega_r: Float[Array, ""] | float = quantity("", "radiation today over critical; 0 neglects it", default=0.0)


def _rule(like: Array) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights in the precision of an array: JAX keeps one array object in the first precision it meets."""
    return _NODES.astype(like.dtype), _WEIGHTS.astype(like.dtype)


def efunc(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """E(z) = H(z)/H0 [1], same shape as redshift."""
    a1 = 1.0 + jnp.asarray(redshift)
    dark = 1 - cosmo.omega_m - cosmo.omega_r
    return jnp.sqrt(cosmo.omega_r * a1**4 + cosmo.omega_m * a1**3 + dark * a1 ** (3 * (1 + cosmo.w)))


def hubble(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """H(z) [km/s/Mpc]."""
    return cosmo.h0 * efunc(cosmo, redshift)


def age(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Age of the universe [Gyr] at redshift: t = int_0^a da / (a H), smooth in s at the origin for a = a_z s^2."""
    scale = 1 / (1.0 + jnp.asarray(redshift))[..., None]
    nodes, weights = _rule(scale)
    a = scale * nodes**2
    power = 1 - 3 * cosmo.w
    dark = (1 - cosmo.omega_m - cosmo.omega_r) * scale**power * nodes ** (2 * power)  # a^power, with few powers
    integrand = 2 * a * nodes * scale / jnp.sqrt(cosmo.omega_m * a + cosmo.omega_r + dark)
    return units.MPC_KMS_PER_GYR / cosmo.h0 * jnp.sum(weights * integrand, -1)


def redshift_at_age(cosmo: Cosmology, time: ArrayLike) -> Array:
    """Redshift at which the universe is `time` [Gyr] old; the inverse of `age` to round-off, also in its gradients."""
    t = jnp.asarray(time)
    dark = 1 - cosmo.omega_m
    growth = 1.5 * jnp.sqrt(dark) * cosmo.h0 / units.MPC_KMS_PER_GYR * t
    z = (cosmo.omega_m / dark) ** (-1 / 3) * jnp.sinh(growth) ** (-2 / 3) - 1  # w = -1, no radiation
    for _ in range(5):
        # Newton in ln(1+z); the last step alone carries the right first derivative.
        z = jax.lax.stop_gradient(z)
        z = (1 + z) * jnp.exp((age(cosmo, z) - t) * hubble(cosmo, z) / units.MPC_KMS_PER_GYR) - 1
    return z


def radiation_density(h0: float, t_cmb: float = 2.7255, n_eff: float = 3.046) -> float:
    """Omega of photons and massless neutrinos today [1]; h0 [km/s/Mpc], t_cmb [K] (Fixsen 2009, ApJ 707, 916)."""
    pressure = 4 * units.STEFAN_BOLTZMANN_CGS * t_cmb**4 / (units.C_KMS * 1e5) ** 3  # g/cm3
    hubble_s = h0 / units.MPC_KMS_PER_GYR / units.GYR_S
    photons = pressure * 8 * np.pi * units.G_CGS / (3 * hubble_s**2)
    return float(photons * (1 + 7 / 8 * (4 / 11) ** (4 / 3) * n_eff))


def lookback_time(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Time from redshift to today [Gyr]; accurate also for tiny redshifts."""
    redshift = 1.0 * jnp.asarray(redshift)
    nodes, weights = _rule(redshift)
    z = redshift[..., None] * nodes
    return units.MPC_KMS_PER_GYR / cosmo.h0 * redshift * jnp.sum(weights / ((1 + z) * efunc(cosmo, z)), -1)


def comoving_distance(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Line-of-sight comoving distance [Mpc] (Hogg 1999, eq. 15), substituted to u = ln(1+z)."""
    ln1z = jnp.log1p(jnp.asarray(redshift))
    nodes, weights = _rule(ln1z)
    z = jnp.expm1(ln1z[..., None] * nodes)
    return units.C_KMS / cosmo.h0 * ln1z * jnp.sum(weights * (1 + z) / efunc(cosmo, z), -1)


def luminosity_distance(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Luminosity distance [Mpc] (Hogg 1999, eq. 21)."""
    return comoving_distance(cosmo, redshift) * (1 + jnp.asarray(redshift))


def angular_diameter_distance(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Angular diameter distance [Mpc] (Hogg 1999, eq. 18)."""
    return comoving_distance(cosmo, redshift) / (1 + jnp.asarray(redshift))


def kpc_per_arcsec(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Physical size of one arcsec at redshift [kpc]."""
    return angular_diameter_distance(cosmo, redshift) * 1e3 / units.ARCSEC_PER_RADIAN


def critical_density(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Critical density 3 H^2 / (8 pi G) [Msun/kpc^3]."""
    hubble_kpc = hubble(cosmo, redshift) / 1e3  # km/s/kpc
    return 3 * hubble_kpc**2 / (8 * np.pi * units.G_KPC_KMS2_MSUN)


def matter_fraction(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Omega_m(z) [1]."""
    return cosmo.omega_m * (1 + jnp.asarray(redshift)) ** 3 / efunc(cosmo, redshift) ** 2
