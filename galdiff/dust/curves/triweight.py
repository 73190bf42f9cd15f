"""Smooth stand-in for the curve of Noll et al. (2009, A&A 507, 1793), as diffsky has it (Hearin et al. 2023)."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from galdiff.core.rolling import triweight_cdf
from galdiff.dust.curve import Curve, Wave, check_range
from galdiff.dust.shapes import graphite_bump


@dataclasses.dataclass(frozen=True, kw_only=True)
class Triweight(Curve):
    """A power law whose exponent rolls in wavelength from -0.65 to -1.95, tilted, with a bump; over R_V = 4.05."""

    blue, red = 912.0, 1e7
    slope: Float[ArrayLike, ""]  # exponent delta of (wave / 5500 A) [1]; negative is steeper
    bump: Float[ArrayLike, ""]  # its strength E_b [1]

    def __post_init__(self) -> None:
        check_range("slope", self.slope, -2.0, 1.0)
        check_range("bump", self.bump, 0.0, 10.0)

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        x = jnp.log10(wave / 1e4)
        power = -0.65 - 1.30 * triweight_cdf((x - 0.5) / 0.5)
        base = 10 ** (1.15 + power * (x + 1)) / 4.05
        return (base + self.bump * graphite_bump(wave)) * (wave / 5500.0) ** self.slope
