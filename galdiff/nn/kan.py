"""Sums of curves, each of one variable: a Kolmogorov-Arnold network (Liu et al. 2024, arXiv:2404.19756).

The curves are cubic B-splines on uniform knots that do not move. With one layer every learned curve can be plotted.
"""

import itertools
import typing
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.nn.network import Network, whole, widths_of

EXTRA = 3  # splines beyond the number of intervals, for cubics


def spline_basis(x: Float[Array, "..."], n_intervals: int) -> Float[Array, "... spline"]:
    """Cubic B-splines on uniform knots that cover [-1, 1], constant beyond; they sum to 1 (de Boor 1978, ch. IX).

    Args:
      x: where [1].
      n_intervals: equal parts of [-1, 1].

    Returns:
      n_intervals + 3 values in [0, 2/3]; spline j peaks at (2 j - 2) / n_intervals - 1.
    """
    place = (jnp.clip(x, -1.0, 1.0) + 1) * (n_intervals / 2)
    t = jnp.abs(place[..., None] - np.arange(-1, n_intervals + 2, dtype=place.dtype))
    near = 2 / 3 - t * t * (1 - t / 2)
    far = jnp.maximum(2 - t, 0.0) ** 3 / 6
    return jnp.where(t < 1, near, far)


class SplineLayer(nnx.Module):
    """y_o = sum_i curve_io(x_i): a spline on [-1, 1] plus a multiple of silu, which goes on beyond."""

    def __init__(self, n_in: int, n_out: int, n_intervals: int, *, dtype: str, rngs: nnx.Rngs, zero: bool) -> None:
        self.n_intervals = n_intervals
        size = 0.0 if zero else 1 / np.sqrt(n_in)
        draw = jax.random.normal(rngs.params(), (n_in, n_intervals + EXTRA, n_out), dtype)
        base = jax.random.normal(rngs.params(), (n_in, n_out), dtype)
        self.coefficients = nnx.Param(jnp.asarray(size, dtype) * draw)
        self.base = nnx.Param(jnp.asarray(size, dtype) * base)

    def __call__(self, x: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """Forward pass."""
        splines = spline_basis(x, self.n_intervals)
        return jnp.einsum("...ib,ibo->...o", splines, self.coefficients[...]) + jax.nn.silu(x) @ self.base[...]


@typing.final
class KAN(Network):
    """Layers of splines; what passes between layers is squashed into their range by tanh."""

    def __init__(
        self,
        *,
        n_in: int,
        n_out: int,
        hidden: Sequence[int] = (),
        n_intervals: int = 8,
        offset: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        dtype: str | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self._declare(n_in, n_out, offset, scale, dtype)
        widths = (n_in, *widths_of(hidden), n_out)
        n_intervals, last = whole(n_intervals, "n_intervals"), len(widths) - 2
        self.layers = nnx.List(
            [
                SplineLayer(a, b, n_intervals, dtype=self.dtype, rngs=rngs, zero=i == last)
                for i, (a, b) in enumerate(itertools.pairwise(widths))
            ]
        )

    def __call__(self, drivers: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """Numbers for these drivers."""
        x = self.scaled(drivers)
        for layer in self.layers[:-1]:
            x = jnp.tanh(layer(x))
        return self.layers[-1](x)
