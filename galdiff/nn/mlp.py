"""Multi-layer perceptron with fixed scaling of its drivers."""

import itertools
import typing
from collections.abc import Sequence

from flax import nnx
from jaxtyping import Array, Float

from galdiff.nn.network import Network, activation_of, dense, widths_of


class Layers(nnx.Module):
    """Linear layers with an activation between them; the last one starts at zero."""

    def __init__(self, widths: Sequence[int], *, activation: str, dtype: str, rngs: nnx.Rngs) -> None:
        pairs = list(itertools.pairwise(widths))
        self.activation = activation_of(activation)
        self.layers = nnx.List([dense(a, b, dtype, rngs, i == len(pairs) - 1) for i, (a, b) in enumerate(pairs)])

    def __call__(self, x: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """Forward pass."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


@typing.final
class MLP(Network):
    """Hidden layers of given widths; the first choice for a handful of drivers."""

    def __init__(
        self,
        *,
        n_in: int,
        n_out: int,
        hidden: Sequence[int] = (32, 32),
        activation: str = "tanh",
        offset: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        dtype: str | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self._declare(n_in, n_out, offset, scale, dtype)
        widths = (n_in, *widths_of(hidden), n_out)
        self.layers = Layers(widths, activation=activation, dtype=self.dtype, rngs=rngs)

    def __call__(self, drivers: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """Numbers for these drivers."""
        return self.layers(self.scaled(drivers))
