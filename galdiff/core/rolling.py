"""Building blocks of the diff- models: sigmoids, lines of rolling slope, and a compact stand-in for the normal law."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.powers import logistic

SQRT_HALF = math.sqrt(0.5)
NORM = 1 / math.sqrt(2 * math.pi)
REACH = 3.0  # where the triweight kernel ends, in standard deviations


def sigmoid(x: ArrayLike, x0: Any, k: Any, lo: Any, hi: Any) -> Float[Array, "..."]:
    """From lo to hi [any unit] around x0, k per unit of x; arguments of any shapes that broadcast."""
    return lo + (hi - lo) * logistic(k * (jnp.asarray(x) - x0))


def unsigmoid(y: ArrayLike, x0: Any, k: Any, lo: Any, hi: Any) -> Float[Array, "..."]:
    """The x at which `sigmoid` is y [unit of lo and hi], of any shapes that broadcast; infinite at the ends."""
    y = jnp.asarray(y)
    return x0 + (jnp.log(y - lo) - jnp.log(hi - y)) / k


def rolling_line(x: ArrayLike, pivot: tuple[Any, Any], x0: Any, k: Any, slopes: tuple[Any, Any]) -> Float[Array, "..."]:
    """A line through a pivot whose slope rolls around x0.

    Args:
      x: where [any unit]; all arguments are of any shapes that broadcast.
      pivot: x [its unit] and y [any unit] of a point of the line.
      x0: where the slope is the mean of both [unit of x]; k: how fast it changes [1/unit of x].
      slopes: at small and at large x [unit of y per unit of x].
    """
    return pivot[1] + sigmoid(x, x0, k, *slopes) * (jnp.asarray(x) - pivot[0])


def triweight_cdf(z: ArrayLike) -> Float[Array, "..."]:
    """Share of a triweight kernel of unit variance below z [1], any shape: 0 below -3, 1 above 3, smooth to order 3."""
    return _triweight_cdf(jnp.asarray(z))


def triweight(z: ArrayLike) -> Float[Array, "..."]:
    """The kernel itself [1], any shape: the derivative of `triweight_cdf`."""
    inner = jnp.maximum(1 - jnp.square(jnp.asarray(z) / REACH), 0.0)
    return (35 / 32 / REACH) * inner * inner * inner


@jax.custom_jvp
def _triweight_cdf(z: Array) -> Array:
    z = jnp.where(z > REACH, REACH, jnp.where(z < -REACH, -REACH, z))  # cheaper than clip, which minds NaN
    square = z * z
    return 0.5 + z * (35 / 96 + square * (-35 / 864 + square * (7 / 2592 - square * (5 / 69984))))


_triweight_cdf.defjvps(lambda tangent, made, z: tangent * triweight(z))


def normal_hats(
    x: Float[ArrayLike, "..."], scatter: Float[ArrayLike, "..."], nodes: Float[ArrayLike, "node"]
) -> Float[Array, "... node"]:
    """Mean over a normal law of the weights of linear interpolation.

    Args:
      x: mean [any unit], any shape; scatter: standard deviation [unit of x], positive, broadcast to x.
      nodes: nodes of the table [unit of x], strictly increasing; beyond its ends the end counts.

    Returns:
      Weights [1] on a new last axis, positive, with the sum 1.
    """
    return jnp.moveaxis(node_hats(x, scatter, nodes), 0, -1)


def node_hats(
    x: Float[ArrayLike, "..."], scatter: Float[ArrayLike, "..."], nodes: Float[ArrayLike, "node"]
) -> Float[Array, "node ..."]:
    """Weights [1] as of `normal_hats`, with nodes on the first axis: faster where x has a long last one."""
    x, nodes = jnp.asarray(x)[None], np.asarray(nodes, float)
    if nodes.size == 1:
        return jnp.ones_like(x)
    column = nodes.reshape(-1, *(1,) * (x.ndim - 1))
    scatter = jnp.broadcast_to(jnp.asarray(scatter, x.dtype), x.shape)
    # mean of max(node - x, 0): its second differences are those of the hats
    ramp = _mean_ramp(column.astype(x.dtype) - x, scatter)
    below = (ramp[1:] - ramp[:-1]) * (1 / np.diff(column, axis=0)).astype(x.dtype)  # share below, interval means
    return jnp.maximum(jnp.concatenate([below[:1], below[1:] - below[:-1], 1 - below[-1:]]), 0.0)


@jax.custom_jvp
def _mean_ramp(distance: Array, scatter: Array) -> Array:
    """Mean of max(y, 0) over normal y of a mean, the distance, and a scatter."""
    below, density = _normal(distance / scatter)
    return distance * below + scatter * density


def _normal(u: Array) -> tuple[Array, Array]:
    """Share of the normal law below u, and its density there."""
    return 0.5 + 0.5 * jax.scipy.special.erf(u * SQRT_HALF), NORM * jnp.exp(-0.5 * u * u)


@_mean_ramp.defjvp
def _mean_ramp_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    distance, scatter = primals  # a function of its own, as its slopes are known: no second set of powers
    below, density = _normal(distance / scatter)
    return distance * below + scatter * density, below * tangents[0] + density * tangents[1]
