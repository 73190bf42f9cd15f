"""Extinction in the Milky Way: O'Donnell (1994, ApJ 422, 158), eqs. 6 and 7; beyond the optical that of `ccm89`."""

import dataclasses

from jaxtyping import ArrayLike, Float

from galdiff.dust.curve import Curve, Wave, check_range
from galdiff.dust.shapes import cardelli


@dataclasses.dataclass(frozen=True, kw_only=True)
class ODonnell94(Curve):
    """Depends on R_V, 2 to 6."""

    blue, red = 1000.0, 33000.0
    r_v: Float[ArrayLike, ""] = 3.1  # A(V)/E(B-V) [1]

    def __post_init__(self) -> None:
        check_range("r_v", self.r_v, 2.0, 6.0)

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        a = (1.0, 0.104, -0.609, 0.701, 1.137, -1.718, -0.827, 1.647, -0.505)
        b = (0.0, 1.952, 2.908, -3.989, -7.985, 11.102, 5.491, -10.805, 3.347)
        return cardelli(wave, self.r_v, a, b)
