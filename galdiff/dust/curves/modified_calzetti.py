"""Starburst attenuation, tilted and with a 2175 A bump: Noll et al. (2009, A&A 507, 1793), eqs. 8-10."""

import dataclasses

from jaxtyping import ArrayLike, Float

from galdiff.core.powers import exp10, log10
from galdiff.dust.curve import Curve, Wave, check_range
from galdiff.dust.shapes import extended_starburst, graphite_bump


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModifiedCalzetti(Curve):
    """Kriek & Conroy (2013, ApJ 775, L16), eqs. 1 and 3, have R_V = 4.05 and find a bump of 0.85 - 1.9 slope."""

    blue, red = 970.0, 22000.0
    slope: Float[ArrayLike, ""] = 0.0  # exponent delta of (wave / 5500 A) [1]; negative is steeper
    bump: Float[ArrayLike, ""] = 0.0  # its strength E_b [1]

    def __post_init__(self) -> None:
        check_range("slope", self.slope, -2.0, 1.0)
        check_range("bump", self.bump, 0.0, 10.0)

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        return (extended_starburst(wave) + self.bump * graphite_bump(wave)) * exp10(self.slope * log10(wave / 5500.0))
