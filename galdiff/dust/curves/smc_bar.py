"""Extinction in the bar of the SMC: Gordon et al. (2003, ApJ 594, 279), tables 3 and 4."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.dust.curve import Curve, Wave
from galdiff.dust.shapes import drude, far_uv_rise, spline_with_ultraviolet


@dataclasses.dataclass(frozen=True, kw_only=True)
class SMCBar(Curve):
    """R_V = 2.74.

    The two reddest points are those of Gordon et al. (2016, ApJ 826, 104): a spline through them is smooth.
    """

    blue, red = 1000.0, 33000.0

    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at rest-frame wavelengths [Angstrom], of the same shape."""
        knots = (0.0, *(1 / micron for micron in (2.198, 1.65, 1.25, 0.81, 0.65, 0.55, 0.44, 0.37)))
        values = jnp.asarray([0.0, 0.11, 0.169, 0.25, 0.567, 0.801, 1.0, 1.374, 1.672], jnp.result_type(float))

        def ultraviolet(x: Array) -> Array:
            return 1.0 + (-4.959 + 2.264 * x + 0.389 * drude(x, 4.6, 1.0) + 0.461 * far_uv_rise(x)) / 2.74

        return spline_with_ultraviolet(wave, knots, values, ultraviolet)
