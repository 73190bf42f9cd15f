"""Function of position in a disc, for velocity fields: harmonics in azimuth, splines in radius."""

import typing
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.nn.kan import EXTRA, spline_basis
from galdiff.nn.network import Network, whole


@typing.final
class AzimuthalField(Network):
    """sum_m a_m(R) cos(m phi) + b_m(R) sin(m phi) of a position (x, y); bars and spirals of two arms have m = 2.

    Linear in its parameters, hence easy to train. Smooth at the centre, where only m = 0 remains; beyond r_max the
    radial curves stay at their last values.
    """

    def __init__(
        self,
        *,
        n_out: int,
        r_max: float,
        harmonics: Sequence[int] = (0, 1, 2, 3, 4),
        n_intervals: int = 8,
        softening: float = 0.05,
        dtype: str | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        del rngs  # nothing is drawn; taken as every network takes it
        self._declare(2, n_out, 0.0, r_max, dtype)
        self.harmonics, self.n_intervals = tuple(harmonics), whole(n_intervals, "n_intervals")
        if not self.harmonics or any(isinstance(m, bool) or not isinstance(m, int) or m < 0 for m in self.harmonics):
            raise InputError(f"harmonics is {self.harmonics}; give whole numbers of at least 0, for example [0, 2, 4]")
        if not softening > 0:
            raise InputError(f"softening is {softening}; it is a share of r_max and must be above 0, for example 0.05")
        self.softening = float(softening)  # share of r_max over which the centre is rounded
        shape = (2 * len(self.harmonics), n_intervals + EXTRA, n_out)
        self.coefficients = nnx.Param(jnp.zeros(shape, self.dtype))

    def __call__(self, drivers: Float[Array, "... 2"]) -> Float[Array, "... n_out"]:
        """Field at (x, y) [unit of r_max], in the plane of the disc from its centre."""
        x, y = jnp.moveaxis(self.scaled(drivers), -1, 0)
        radius = jnp.sqrt(x * x + y * y + self.softening**2)  # no angle is taken: it has no gradient at the centre
        waves = _waves(x / radius, y / radius, max(self.harmonics))
        angular = jnp.stack([w for m in self.harmonics for w in waves[m]], -1)
        radial = spline_basis(2 * (radius - self.softening) - 1, self.n_intervals)
        return jnp.einsum("...a,...b,abo->...o", angular, radial, self.coefficients[...])


def _waves(cos: Array, sin: Array, m_max: int) -> list[tuple[Array, Array]]:
    """(cos m phi, sin m phi) for m = 0 to m_max, by the angle sum; shorter vectors give their powers."""
    waves = [(jnp.ones_like(cos), jnp.zeros_like(cos))]
    for _ in range(m_max):
        c, s = waves[-1]
        waves.append((c * cos - s * sin, s * cos + c * sin))
    return waves
