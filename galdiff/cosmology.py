"""Flat wCDM distances and times, differentiable in redshift and parameters (radiation neglected).

Hogg (1999, astro-ph/9905116) for the distances; age and lookback time by the same quadrature of 1/E(z).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff import units
from galdiff.core.record import quantity, record

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2  # on (0, 1)


@record
class Cosmology:
    """A flat universe of matter and dark energy with constant equation of state."""

    h0: Float[Array, ""] | float = quantity("km/s/Mpc", "Hubble constant", default=67.66)
    omega_m: Float[Array, ""] | float = quantity("", "matter density today over critical", default=0.30966)
    w: Float[Array, ""] | float = quantity("", "equation of state of dark energy", default=-1.0)


def efunc(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """E(z) = H(z)/H0 [1], same shape as redshift."""
    a1 = 1.0 + jnp.asarray(redshift)
    return jnp.sqrt(cosmo.omega_m * a1**3 + (1 - cosmo.omega_m) * a1 ** (3 * (1 + cosmo.w)))


def hubble(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """H(z) [km/s/Mpc]."""
    return cosmo.h0 * efunc(cosmo, redshift)


def age(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Age of the universe [Gyr] at redshift.

    t = int_0^a da / (a H); with a = a_z s^(2/3) the integrand is smooth at the origin.
    """
    scale = 1 / (1.0 + jnp.asarray(redshift))[..., None]
    a = scale * _NODES ** (2 / 3)
    x = (1 - cosmo.omega_m) / cosmo.omega_m * a ** (-3 * cosmo.w)
    # da / (a E) = (2/3) a^{3/2} / sqrt(Omega_m (1 + x)) ds / s with a^{3/2} = a_z^{3/2} s
    integrand = (2 / 3) * scale**1.5 / jnp.sqrt(cosmo.omega_m * (1 + x))
    return units.MPC_KMS_PER_GYR / cosmo.h0 * jnp.sum(_WEIGHTS * integrand, -1)


def lookback_time(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Time from redshift to today [Gyr]; accurate also for tiny redshifts."""
    z = jnp.asarray(redshift)[..., None] * _NODES
    return (
        units.MPC_KMS_PER_GYR / cosmo.h0 * jnp.asarray(redshift) * jnp.sum(_WEIGHTS / ((1 + z) * efunc(cosmo, z)), -1)
    )


def comoving_distance(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Line-of-sight comoving distance [Mpc] (Hogg 1999, eq. 15), substituted to u = ln(1+z)."""
    ln1z = jnp.log1p(jnp.asarray(redshift))
    z = jnp.expm1(ln1z[..., None] * _NODES)
    return units.C_KMS / cosmo.h0 * ln1z * jnp.sum(_WEIGHTS * (1 + z) / efunc(cosmo, z), -1)


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
