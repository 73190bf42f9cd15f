"""Dust that the microwave background warms, and is seen against: da Cunha et al. (2013, ApJ 766, 13)."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.errors import InputError
from galdiff.light_records import Epoch
from galdiff.units import HC_K_ANGSTROM, T_CMB

Scalar = Float[ArrayLike, ""]


def redshift_of(epoch: Epoch | None) -> Float[Array, ""]:
    """Redshift [1] of the background around a galaxy.

    Raises:
      InputError: no epoch is given.
    """
    if epoch is None:
        raise InputError("dust is warmed by the microwave background of no epoch; give the epoch, or background=false")
    return epoch.redshift


def warmed(temperature: Scalar, beta: Scalar, redshift: Scalar) -> Float[Array, ""]:
    """Temperature [K] of dust that starlight and the background of its redshift heat; eq. 12.

    Args:
      temperature: under the same starlight at redshift 0 [K], above that of the background today.
      beta: exponent of the emissivity [1].
      redshift: of the galaxy [1].
    """
    power = 4 + jnp.asarray(beta)
    temperature = jnp.asarray(temperature)
    heated = (T_CMB / temperature) ** power * jnp.expm1(power * jnp.log1p(redshift))
    return temperature * (1 + heated) ** (1 / power)


def contrast(wave: Float[Array, "wave"], temperature: Scalar, redshift: Scalar) -> Float[Array, "wave"]:
    """Share [1] of the light of dust that is more than the background behind it; eq. 18.

    Args:
      wave: wavelengths in the frame of the galaxy [Angstrom].
      temperature: of the dust [K], at or above that of the background; redshift: of the galaxy [1].
    """
    x_dust = HC_K_ANGSTROM / (wave * temperature)
    x_sky = HC_K_ANGSTROM / (wave * T_CMB * (1 + jnp.asarray(redshift)))
    return 1 - jnp.exp(x_dust - x_sky) * jnp.expm1(-x_dust) / jnp.expm1(-x_sky)
