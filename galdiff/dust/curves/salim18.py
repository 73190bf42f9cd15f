"""Attenuation of nearby galaxies: Salim et al. (2018, ApJ 859, 11), eqs. 7-9, a tilted starburst curve and a bump."""

import dataclasses

from jaxtyping import ArrayLike, Float

from galdiff.dust.curve import Curve, Wave, check_range
from galdiff.dust.shapes import extended_starburst, graphite_bump


@dataclasses.dataclass(frozen=True, kw_only=True)
class Salim18(Curve):
    """As `ModifiedCalzetti`, but the slope leaves the bump alone; over R_V = 4.05, not normalised again at V.

    What sees no dust is `unobscured` of `galdiff.dust.galaxy.GalaxyDust` (Lower et al. 2022, ApJ 931, 14).
    """

    blue, red = 970.0, 22000.0
    slope: Float[ArrayLike, ""]  # exponent delta of (wave / 5500 A) [1]; negative is steeper
    bump: Float[ArrayLike, ""]  # its strength B [1]

    def __post_init__(self) -> None:
        check_range("slope", self.slope, -2.0, 1.0)
        check_range("bump", self.bump, 0.0, 10.0)

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        return extended_starburst(wave) * (wave / 5500.0) ** self.slope + self.bump * graphite_bump(wave)
