"""Molecular gas by the pressure in the midplane (Blitz & Rosolowsky 2006, ApJ 650, 933)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.variables import physical
from galdiff.galaxy.molecular import Midplane, MolecularFraction

GAS_DISPERSION = 8.0  # km/s, vertical, as they take it
PRESSURE = 272.0  # K/cm^3, eq. 5, where all that follows is one in Msun/pc^2, km/s, pc
LEAST = 1e-8  # Msun/pc^2; a power below one has no slope at zero


class BlitzRosolowsky06(MolecularFraction):
    """Molecular over atomic gas = (P / 10^log10_pressure)^slope, P = 272 Sigma_gas Sigma_*^0.5 v_gas h_*^-0.5 (eq. 5).

    The defaults are their fit over all galaxies, P_0 / k = 4.3e4 K/cm^3 and 0.92.
    """

    def __init__(self, *, log10_pressure: float = 4.633, slope: float = 0.92) -> None:
        self.log10_pressure = physical(log10_pressure, unit="dex(K/cm^3)", lo=3.0, hi=6.0)
        self.slope = physical(slope, unit="1", lo=0.3, hi=2.0)

    def __call__(self, at: Midplane) -> Float[Array, "gas"]:
        """Share of the gas that is molecular [1] at surface densities [Msun/pc^2] and a height [pc]."""
        stars = jnp.maximum(at.stars, LEAST)
        ln_pressure = jnp.log(PRESSURE * GAS_DISPERSION * jnp.maximum(at.gas, LEAST))
        ln_pressure = ln_pressure + 0.5 * jnp.log(stars / at.height)
        ln_ratio = self.slope.bounded * (ln_pressure - jnp.log(10.0) * self.log10_pressure.bounded)
        return 1 / (1 + jnp.exp(-ln_ratio))
