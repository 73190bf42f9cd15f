"""Perceptron on Fourier features, which learns sharp features of its drivers sooner (Tancik et al. 2020, NeurIPS 33).

The waves are fixed harmonics along each driver rather than random ones, so that a config says all about them.
"""

import typing
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.nn.mlp import Layers
from galdiff.nn.network import Network, whole, widths_of


def fourier_features(x: Float[Array, "... n"], n_waves: int) -> Float[Array, "... feature"]:
    """x, then sin and cos of pi k x / 2 for k = 1 to n_waves: waves of length 4/k, so [-1, 1] is half the longest."""
    phase = x[..., None] * np.asarray(np.pi / 2 * np.arange(1, n_waves + 1), x.dtype)
    flat = phase.reshape(*x.shape[:-1], x.shape[-1] * n_waves)
    return jnp.concatenate([x, jnp.sin(flat), jnp.cos(flat)], -1)


@typing.final
class FourierMLP(Network):
    """MLP on drivers and their harmonics; repeats itself outside the range it was trained on, but for a trend."""

    def __init__(
        self,
        *,
        n_in: int,
        n_out: int,
        n_waves: int = 4,
        hidden: Sequence[int] = (32,),
        activation: str = "tanh",
        offset: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        dtype: str | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self._declare(n_in, n_out, offset, scale, dtype)
        self.n_waves = whole(n_waves, "n_waves")
        widths = (n_in * (1 + 2 * n_waves), *widths_of(hidden), n_out)
        self.layers = Layers(widths, activation=activation, dtype=self.dtype, rngs=rngs)

    def __call__(self, drivers: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """Numbers for these drivers."""
        return self.layers(fourier_features(self.scaled(drivers), self.n_waves))
