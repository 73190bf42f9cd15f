"""Attenuation (wave / 5500 A)^slope, as in Charlot & Fall (2000, ApJ 539, 718), eq. 5."""

import dataclasses

from jaxtyping import ArrayLike, Float

from galdiff.dust.curve import Curve, Wave, check_range


@dataclasses.dataclass(frozen=True, kw_only=True)
class PowerLaw(Curve):
    """A power law; its red end goes on as it is."""

    blue, red = 912.0, 33000.0
    slope: Float[ArrayLike, ""] = -0.7  # exponent [1]

    def __post_init__(self) -> None:
        check_range("slope", self.slope, -3.0, 0.0)

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        return (wave / 5500.0) ** self.slope
