"""Attenuation whose bump follows its slope: Kriek & Conroy (2013, ApJ 775, L16), eqs. 1-3."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.dust.curve import Curve, Wave, check_range
from galdiff.dust.shapes import extended_starburst, graphite_bump


def bump_of(slope: Float[ArrayLike, "*any"]) -> Float[Array, "*any"]:
    """Strength E_b [1] of the bump at 2175 Angstrom for a slope delta [1], eq. 3; none where that is negative."""
    return jnp.maximum(0.85 - 1.9 * jnp.asarray(slope), 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KriekConroy13(Curve):
    """Noll et al. (2009, A&A 507, 1793) with the bump of `bump_of`; over R_V = 4.05."""

    blue, red = 970.0, 22000.0
    slope: Float[ArrayLike, ""]  # exponent delta of (wave / 5500 A) [1]; negative is steeper

    def __post_init__(self) -> None:
        check_range("slope", self.slope, -2.0, 1.0)

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        curve = extended_starburst(wave) + bump_of(self.slope) * graphite_bump(wave)
        return curve * (wave / 5500.0) ** self.slope
