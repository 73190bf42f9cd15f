"""Light of black bodies."""

import math

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.units import HC_K_ANGSTROM

NORM = 15 / math.pi**4


def black_body(wave: Float[Array, "*wave"], temperature: Float[ArrayLike, ""]) -> Float[Array, "*wave"]:
    """Planck's law per wavelength, of unit power.

    Args:
      wave: wavelength [Angstrom].
      temperature: [K].

    Returns:
      Share of the power per wavelength [1/Angstrom], of the shape of wave; the integral over all wavelengths is 1.
    """
    x = HC_K_ANGSTROM / (wave * temperature)
    return NORM * x**4 * jnp.exp(-x) / -jnp.expm1(-x) / wave
