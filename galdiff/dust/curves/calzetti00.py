"""Attenuation of starbursts: Calzetti et al. (2000, ApJ 533, 682), eq. 4."""

import dataclasses

from galdiff.dust.curve import Curve, Wave
from galdiff.dust.shapes import starburst


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calzetti00(Curve):
    """Over R_V = 4.05."""

    blue, red = 1200.0, 22000.0

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        return starburst(wave)
