"""Network that rises, or falls, with chosen drivers, whatever its weights (Sill 1997, NeurIPS 10).

Drivers with a direction pass through non-negative weights only; the others are free.
"""

import itertools
import typing
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.nn.network import Network, dense, widths_of


@typing.final
class Monotonic(Network):
    """Monotone in some drivers; all outputs share the directions.

    A weight of the last layer is max(v, 0): only a kink can start at exactly zero and still have a slope there. One
    that training drives below zero rests.
    """

    def __init__(
        self,
        *,
        n_in: int,
        n_out: int,
        increasing: Sequence[int] = (),
        decreasing: Sequence[int] = (),
        hidden: Sequence[int] = (32, 16),
        offset: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        dtype: str | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self._declare(n_in, n_out, offset, scale, dtype)
        self.signs = _signs(n_in, increasing, decreasing)
        widths = (n_in, *widths_of(hidden))
        if len(widths) == 1:
            raise InputError("hidden is empty; a monotonic network needs at least one hidden layer")
        first = dense(n_in, widths[1], self.dtype, rngs)
        self.first, self.shift = nnx.Param(first.kernel[...]), nnx.Param(jnp.zeros(widths[1], self.dtype))
        self.rising = nnx.List([_rising(a, b, self.dtype, rngs) for a, b in itertools.pairwise(widths[1:])])
        biases = [jax.random.normal(rngs.params(), (b,), self.dtype) for b in widths[2:]]
        self.biases = nnx.List([nnx.Param(b) for b in biases])
        self.last = nnx.Param(jnp.zeros((widths[-1], n_out), self.dtype))
        self.trend = nnx.Param(jnp.zeros((n_in, n_out), self.dtype))  # of free drivers
        self.constant = nnx.Param(jnp.zeros(n_out, self.dtype))

    def __call__(self, drivers: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """Numbers for these drivers, monotone in those with a direction."""
        x = self.scaled(drivers)
        signs = np.asarray(self.signs, x.dtype)[:, None]
        kernel = self.first[...]
        directed = jnp.where(signs == 0, kernel, signs * jax.nn.softplus(kernel))
        h = jnp.tanh(x @ directed + self.shift[...])
        for weight, bias in zip(self.rising, self.biases, strict=True):
            h = jnp.tanh(h @ jax.nn.softplus(weight[...]) + bias[...])
        trend = jnp.where(signs == 0, self.trend[...], 0.0)
        return h @ jnp.maximum(self.last[...], 0.0) + x @ trend + self.constant[...]


def _rising(n_in: int, n_out: int, dtype: str, rngs: nnx.Rngs) -> nnx.Param:
    """Weights whose softplus has sums of about two, which leaves tanh some slope."""
    centre = float(np.log(np.expm1(2 / n_in)))  # a NumPy scalar would widen the dtype
    return nnx.Param(centre + jax.random.normal(rngs.params(), (n_in, n_out), dtype))


def _signs(n_in: int, increasing: Sequence[int], decreasing: Sequence[int]) -> tuple[int, ...]:
    """+1, -1 or 0 (free) of each driver."""
    chosen = (*increasing, *decreasing)
    if not chosen or len(set(chosen)) < len(chosen) or not all(i in range(n_in) for i in chosen):
        raise InputError(
            f"increasing is {tuple(increasing)} and decreasing {tuple(decreasing)}; name at least one driver, none"
            f" twice, by its place from 0 to {n_in - 1}"
        )
    return tuple(int(i in increasing) - int(i in decreasing) for i in range(n_in))
