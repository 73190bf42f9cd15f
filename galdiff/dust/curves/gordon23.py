"""Extinction in the Milky Way: Gordon et al. (2023, ApJ 950, 86), eqs. 2-8 and tables 2-5."""

import dataclasses

from jaxtyping import ArrayLike, Float

from galdiff.dust.curve import Curve, Wave, check_range
from galdiff.dust.shapes import drude, far_uv_rise, polynomial, skewed_drude, smoothstep


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gordon23(Curve):
    """Depends on R_V, 2 to 6; A(5500 A)/A(V) = 1 to 0.2 per cent."""

    blue, red = 912.0, 320000.0
    r_v: Float[ArrayLike, ""] = 3.1  # A(V)/E(B-V) [1]

    def __post_init__(self) -> None:
        check_range("r_v", self.r_v, 2.0, 6.0)

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        x = 1e4 / wave
        micron = 1.0 / x
        # infrared: a power law that turns, and two silicate bands; eqs. 5-7
        turn = 4.30578  # [micron]
        w = smoothstep(micron, turn - 4.78338 / 2, turn + 4.78338 / 2)
        a_ir = 0.38526 * ((1 - w) * micron**-1.68467 + w * turn**-1.68467 * (micron / turn) ** -0.78791)
        a_ir += skewed_drude(micron, 0.06652, 9.8434, 2.21205, -0.24703)
        a_ir += skewed_drude(micron, 0.0267, 19.258294, 17.0, -0.27)
        b_ir = -1.01251 * x**1.06099
        # optical: a quartic and three broad bands; eqs. 3 and 4
        bands = [
            gamma**2 * drude(x, centre, gamma) for centre, gamma in ((2.288, 0.243), (2.054, 0.179), (1.587, 0.243))
        ]
        a_opt = polynomial(x, (-0.35848, 0.7122, 0.08746, -0.05403, 0.00674))
        a_opt += 0.03893 * bands[0] + 0.02965 * bands[1] + 0.01747 * bands[2]
        b_opt = polynomial(x, (0.12354, -2.68335, 2.01901, -0.39299, 0.03355))
        b_opt += 0.18453 * bands[0] + 0.19728 * bands[1] + 0.1713 * bands[2]
        # ultraviolet: Fitzpatrick & Massa; eq. 2
        bump, rise = drude(x, 4.60, 0.99), far_uv_rise(x)
        a_uv = 0.81297 + 0.2775 * x + 1.06295 * bump + 0.11303 * rise
        b_uv = -2.97868 + 1.89808 * x + 3.10334 * bump + 0.65484 * rise
        to_ir = smoothstep(micron, 0.9, 1.1)
        to_opt = smoothstep(micron, 0.30, 0.33)
        a = (1 - to_opt) * a_uv + to_opt * ((1 - to_ir) * a_opt + to_ir * a_ir)
        b = (1 - to_opt) * b_uv + to_opt * ((1 - to_ir) * b_opt + to_ir * b_ir)
        return (a + b * (1.0 / self.r_v - 1.0 / 3.1)) / 0.9854  # normalised as in its section 5
