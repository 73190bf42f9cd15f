"""Extinction in the Milky Way: Cardelli, Clayton & Mathis (1989, ApJ 345, 245), eqs. 1-5."""

import dataclasses

from jaxtyping import ArrayLike, Float

from galdiff.dust.curve import Curve, Wave, check_range
from galdiff.dust.shapes import cardelli


@dataclasses.dataclass(frozen=True, kw_only=True)
class CCM89(Curve):
    """Depends on R_V, 2 to 6."""

    blue, red = 1000.0, 33000.0
    r_v: Float[ArrayLike, ""] = 3.1  # A(V)/E(B-V) [1]

    def __post_init__(self) -> None:
        check_range("r_v", self.r_v, 2.0, 6.0)

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        a = (1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999)
        b = (0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002)
        return cardelli(wave, self.r_v, a, b)
