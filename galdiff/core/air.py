"""Wavelengths in standard air and in vacuum (Ciddor 1996, Applied Optics 35, 1566: 15 C, 101325 Pa, 450 ppm CO2).

All functions take and return numpy arrays (float64) or JAX arrays. The formula was fitted from 2300 A to 1.69 micron;
below 2000 A, where air absorbs and its resonances begin, the refractive index is held at its value at 2000 A, so that
the two scales stay smooth, increasing and invertible.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

SHORTEST = 2000.0  # [Angstrom]


def refractivity(wave: Float[ArrayLike, "..."]) -> Float[ArrayLike, "..."]:
    """n - 1 [1] of standard air at vacuum wavelength [Angstrom], Ciddor (1996), eq. 1."""
    longer: Any = jnp.maximum(wave, SHORTEST) if isinstance(wave, jax.Array) else np.maximum(wave, SHORTEST)
    wavenumber2 = (1e4 / longer) ** 2  # 1/micron^2
    return 5.792105e-2 / (238.0185 - wavenumber2) + 1.67917e-3 / (57.362 - wavenumber2)


def vacuum_to_air(wave: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Wavelength in air [Angstrom] of a vacuum wavelength [Angstrom]."""
    air: Any = wave / (1 + refractivity(wave))
    return air


def air_to_vacuum(wave: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Vacuum wavelength [Angstrom] of a wavelength in air [Angstrom]: the inverse of `vacuum_to_air`."""
    vacuum: Any = wave * (1 + refractivity(wave))
    for _ in range(3):  # each step gains four digits: the index changes that slowly with wavelength
        vacuum = wave * (1 + refractivity(vacuum))
    return vacuum


def air_per_vacuum(wave: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """d(air wavelength) / d(vacuum wavelength) [1] at a vacuum wavelength [Angstrom]: 0.9997 in the optical.

    A flux density per Angstrom of air, times this, is the flux density per Angstrom of vacuum.
    """
    xp: Any = jnp if isinstance(wave, jax.Array) else np
    wavenumber2 = (1e4 / xp.maximum(wave, SHORTEST)) ** 2
    slope = 5.792105e-2 / (238.0185 - wavenumber2) ** 2 + 1.67917e-3 / (57.362 - wavenumber2) ** 2  # per wavenumber2
    index = 1 + refractivity(wave)
    return (index + xp.where(wavenumber2 < (1e4 / SHORTEST) ** 2, 2 * wavenumber2 * slope, 0.0)) / index**2
