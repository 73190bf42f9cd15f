"""What all networks share: drivers in, numbers out, zero at the start, finite for any finite driver.

A network only proposes; `LogGain` and `SimplexTilt` (`galdiff.core.correction`) turn what it says into bounded factors.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError

FARTHEST = 1e4  # scaled drivers stop here, so that no finite driver overflows
WIDEST = 1_000_000
ACTIVATIONS: dict[str, Callable] = {"tanh": jnp.tanh, "silu": jax.nn.silu, "gelu": jax.nn.gelu}


class Network(nnx.Module):
    """A map from n_in drivers to n_out numbers, over any leading axes; no state is written when it is called."""

    n_in: int
    n_out: int
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    dtype: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)  # constructors compute and read no file

    def _declare(
        self, n_in: int, n_out: int, offset: float | Sequence[float], scale: float | Sequence[float], dtype: str | None
    ) -> None:
        """Settings that every network has; to be called first in `__init__`."""
        self.n_in, self.n_out = whole(n_in, "n_in"), whole(n_out, "n_out")
        self.offset, self.scale = _each(offset, n_in, "offset"), _each(scale, n_in, "scale")
        if not all(s > 0 for s in self.scale):
            raise InputError(f"scale is {self.scale}; it divides the drivers and must be above 0")
        self.dtype = precision(dtype)

    @abc.abstractmethod
    def __call__(self, drivers: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """Numbers for these drivers [1], in the network's own dtype; exactly zero before training."""

    def scaled(self, drivers: Float[Array, "... n_in"]) -> Float[Array, "... n_in"]:
        """(drivers - offset) / scale in the network's dtype [1], stopped where no physical driver goes."""
        if jnp.ndim(drivers) == 0 or jnp.shape(drivers)[-1] != self.n_in:
            raise InputError(
                f"{type(self).__name__} takes {self.n_in} drivers on the last axis; it was given the shape"
                f" {jnp.shape(drivers)}; set n_in, and offset and scale of that length"
            )
        x = jnp.asarray(drivers, self.dtype)
        x = (x - np.asarray(self.offset, x.dtype)) / np.asarray(self.scale, x.dtype)
        return jnp.clip(x, -FARTHEST, FARTHEST)


def precision(dtype: str | None) -> str:
    """Name of a dtype; None is that of `physical`: single, or double where JAX runs in double precision."""
    default = jax.dtypes.canonicalize_dtype(jnp.float64).name
    if dtype is None:
        return default
    if dtype not in ("float32", "float64"):
        raise InputError(f"dtype is {dtype!r}; choose float32, float64, or null for the precision of the run")
    if dtype == "float64" and default != "float64":
        raise InputError("dtype is float64, but JAX runs in single precision; set runtime.precision=float64")
    return dtype


def activation_of(name: str) -> Callable:
    """Smooth activation by name: tanh, silu or gelu."""
    if name not in ACTIVATIONS:
        raise InputError(f"activation is {name!r}; choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def widths_of(hidden: Sequence[int]) -> tuple[int, ...]:
    """Widths of hidden layers, checked."""
    return tuple(whole(width, "each width of hidden") for width in hidden)


def dense(n_in: int, n_out: int, dtype: str, rngs: nnx.Rngs, zero: bool = False) -> nnx.Linear:
    """A linear layer in one dtype; a last layer starts at zero."""
    kernel = nnx.initializers.zeros_init() if zero else nnx.initializers.lecun_normal()
    made = jnp.dtype(dtype)
    return nnx.Linear(n_in, n_out, kernel_init=kernel, dtype=made, param_dtype=made, rngs=rngs)


def count(net: nnx.Module) -> int:
    """How many parameters a network trains."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))


def whole(value: int, name: str) -> int:
    """A whole number of at least 1, checked; no network has more than `WIDEST` of anything."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} is {value!r}; give a whole number of at least 1")
    if value > WIDEST:
        raise InputError(f"{name} is {value:g}; give {WIDEST} or less")
    return value


def _each(value: float | Sequence[float], n: int, name: str) -> tuple[float, ...]:
    """One finite number per driver."""
    numbers = (value,) * n if isinstance(value, int | float) else tuple(value or ())
    if len(numbers) != n or not np.isfinite(numbers).all():
        raise InputError(f"{name} is {value}; give one finite number, or one for each of the {n} drivers")
    return tuple(float(x) for x in numbers)
