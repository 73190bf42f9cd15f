"""Kinds of NNX variable: trainable bounded physics, and fixed data."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike

from galdiff.core.priors import Prior, Uniform


def to_unbounded(x: ArrayLike, lo: float, hi: float) -> Array:
    """Inverse of `to_bounded`, same shape, [unit of x] too; infinite at the bounds."""
    u = (jnp.asarray(x) - lo) / (hi - lo)
    return (jnp.log(u) - jnp.log1p(-u)) * (hi - lo) / 4 + (lo + hi) / 2


def to_bounded(u: Array, lo: float, hi: float) -> Array:
    """Map the real line to (lo, hi) [unit of both], same shape: a logistic of unit slope, fixed at the centre."""
    return lo + (hi - lo) * jax.nn.sigmoid((u - (lo + hi) / 2) * 4 / (hi - lo))


class Physical(nnx.Param):
    """A physical parameter, stored unbounded and read through `.bounded`; build it with `physical`."""

    @property
    def bounded(self) -> Array:
        """Value [its unit], shape of the variable, strictly inside its bounds (any real value where it has none)."""
        lo, hi = self.lo, self.hi
        raw = self[...]
        return raw if lo is None else to_bounded(raw, lo, hi)

    def believed(self) -> Prior | None:
        """Its prior within its bounds; by default uniform between them, and None where there are none.

        Raises:
          InputError: a prior that reaches beyond the bounds.
        """
        if self.prior is None:
            return None if self.lo is None else Uniform(self.lo, self.hi)
        return self.prior.within(self.lo, self.hi)


class Table(nnx.Variable):
    """Fixed data (a grid, a curve): never trained, not stored in checkpoints, named in the config."""


class OutOfBounds(ValueError):
    """A starting value that its bounds do not allow; it has the attributes value, unit, and the open bounds lo, hi."""

    def __init__(self, message: str, value: float, unit: str, lo: float | None, hi: float | None) -> None:
        super().__init__(message)
        self.value, self.unit, self.lo, self.hi = value, unit, lo, hi


def physical(
    value: float,
    *,
    unit: str,
    lo: float | None = None,
    hi: float | None = None,
    prior: Prior | None = None,
    dtype: Any = jnp.float32,
) -> Physical:
    """A trainable physical parameter.

    Args:
      value: starting value [unit].
      unit: unit of value, bounds and of `.bounded`.
      lo, hi: open bounds [unit]; give both or neither.
      prior: what is known of it before the data; None is uniform between the bounds.
      dtype: dtype it is stored in (explicit, as weak types make a train step compile several times);
        float64 is used where JAX runs in double precision.

    Raises:
      OutOfBounds: value not finite, or not strictly inside.
      ValueError: bounds not ordered.
    """
    if not math.isfinite(value):
        said = f"starting value {value} {unit} is not a finite number; give a number"
        raise OutOfBounds(said, value, unit, lo, hi)
    if (lo is None) != (hi is None):
        raise ValueError(f"bounds are ({lo}, {hi}) {unit}; give both or neither")
    dtype = jax.dtypes.canonicalize_dtype(jnp.float64) if dtype == jnp.float32 else dtype
    if lo is None or hi is None:
        return Physical(on_device(value, dtype), lo=None, hi=None, unit=unit, prior=prior)
    if not lo < hi:
        raise ValueError(f"bounds are ({lo}, {hi}) {unit}; the lower must be below the upper")
    if not lo < value < hi:
        said = f"starting value {value} {unit} is outside ({lo}, {hi}) {unit}; move it or widen the bounds"
        raise OutOfBounds(said, value, unit, lo, hi)
    u = (value - lo) / (hi - lo)
    raw = (math.log(u) - math.log1p(-u)) * (hi - lo) / 4 + (lo + hi) / 2
    return Physical(on_device(raw, dtype), lo=lo, hi=hi, unit=unit, prior=prior)


def table(value: Any, dtype: Any = None) -> Table:
    """Wrap an array, or a record or tuple of arrays (read by `.get_value()`), as fixed data."""
    return Table(jax.tree.map(lambda x: on_device(x, dtype), value))


def on_device(value: ArrayLike, dtype: Any = None) -> Array:
    """An array of JAX, as `jnp.asarray` makes it, but what lies on the host is converted there.

    That takes no program, where `jnp.asarray` compiles one for each shape.

    Args:
      value: of any shape [any unit].
      dtype: as of `jnp.asarray`.
    """
    if isinstance(value, jax.Array):
        return jnp.asarray(value, dtype)
    host = np.asarray(value)
    kind = jax.dtypes.canonicalize_dtype(host.dtype if dtype is None else dtype)
    with np.errstate(over="ignore"):  # as on a device
        return jnp.asarray(host.astype(kind), kind)
