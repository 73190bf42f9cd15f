"""Extinction in the Milky Way: Fitzpatrick (1999, PASP 111, 63), tables 3 and 4 and appendix."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.dust.curve import Curve, Wave, check_range
from galdiff.dust.shapes import drude, far_uv_rise, spline_with_ultraviolet


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitzpatrick99(Curve):
    """A cubic spline redward of 2700 A; depends on R_V, 2 to 6."""

    blue, red = 1000.0, 33000.0
    r_v: Float[ArrayLike, ""] = 3.1  # A(V)/E(B-V) [1]

    def __post_init__(self) -> None:
        check_range("r_v", self.r_v, 2.0, 6.0)

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        r_v = jnp.asarray(self.r_v, jnp.asarray(wave).dtype)
        c2 = -0.824 + 4.717 / r_v
        c1 = 2.030 - 3.007 * c2

        def ultraviolet(x: Array) -> Array:
            return 1.0 + (c1 + c2 * x + 3.23 * drude(x, 4.596, 0.99) + 0.41 * far_uv_rise(x)) / r_v

        knots = (0.0, *(1e4 / w for w in (26500.0, 12200.0, 6000.0, 5470.0, 4670.0, 4110.0)))
        values = jnp.stack(
            [
                jnp.zeros_like(c2),
                jnp.full_like(c2, 0.265 / 3.1),
                jnp.full_like(c2, 0.829 / 3.1),
                1.0044 - 0.426 / r_v,
                1.0016 - 0.050 / r_v,
                1.0016 + 0.701 / r_v,
                1.0032 + 1.208 / r_v - 0.00033 * r_v,
            ]
        )
        return spline_with_ultraviolet(wave, knots, values, ultraviolet)
