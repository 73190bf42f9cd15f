"""More outputs beside those of a trained network."""

import typing

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable


@buildable
@typing.final
class MoreOutputs(nnx.Module):
    """What a trained module says to drivers, and after it what a new one says to the same drivers.

    Args of the constructor:
      trained: any map (..., driver) to (..., output); trained alone before, and kept where only `more.*` trains.
      more: another one, of the new outputs.
    """

    def __init__(self, *, trained: nnx.Module, more: nnx.Module) -> None:
        self.trained, self.more = trained, more

    def __call__(self, drivers: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """Outputs of both for these drivers, in the units that each has: those of `trained` first."""
        return jnp.concatenate([self.trained(drivers), self.more(drivers)], axis=-1)  # type: ignore[operator]
