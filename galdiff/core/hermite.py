"""Cubic Hermite splines with given slopes: the value and its exact derivative from one look-up.

Unlike `interpolation`, which hands out weights of table nodes, these are curves in one variable: histories and forcing.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from galdiff.errors import InputError


def _common(*arrays: ArrayLike) -> list[Array]:
    """The arrays in one floating dtype: single where all arrays are single."""
    each = [jnp.asarray(array) for array in arrays]
    dtype = jnp.result_type(*each, float)
    return [array.astype(dtype) for array in each]


def hermite(
    x: Float[ArrayLike, "..."],
    nodes: Float[ArrayLike, "n"],
    values: Float[ArrayLike, "n *item"],
    slopes: Float[ArrayLike, "n *item"],
    *,
    index: Int[Array, "..."] | None = None,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Cubic Hermite spline and its derivative, continued as straight lines beyond the ends.

    Args:
      x: where to evaluate [any unit], any shape; NaN gives NaN.
      nodes: places of the nodes [unit of x], strictly increasing, at least two, of any spacing.
      values: values at the nodes [any unit]; further axes are further curves on the same nodes.
      slopes: derivatives at the nodes [unit of values per unit of x], shape of values.
      index: number of the interval of each x, where it is known (`interval`).

    Returns:
      Value and derivative, shapes x.shape + values.shape[1:]; on a node they are the node's value and slope exactly.
      Both are differentiable in every argument; the curve is C1, so the derivative has kinks at the nodes.

    Raises:
      InputError: for fewer than two nodes, or values and slopes of another length.
    """
    x, nodes, values, slopes = _common(x, nodes, values, slopes)
    if nodes.ndim != 1 or nodes.shape[0] < 2 or values.shape[:1] != nodes.shape or slopes.shape != values.shape:
        raise InputError(
            f"spline has nodes {nodes.shape}, values {values.shape} and slopes {slopes.shape}; it needs one axis of at"
            " least two nodes and values and slopes of that length; vmap over curves with nodes of their own"
        )
    # Unlike jnp.clip, this keeps the inner derivative at exactly the ends.
    inside = jnp.where(x < nodes[0], nodes[0], jnp.where(x > nodes[-1], nodes[-1], x))
    index = interval(inside, nodes) if index is None else index
    width = nodes[index + 1] - nodes[index]
    u, beyond = (inside - nodes[index]) / width, x - inside

    def value(at: Array, slope_at: Array) -> Array:
        low, high, s_low, s_high = at[index], at[index + 1], slope_at[index], slope_at[index + 1]
        upper = u * u * (3 - 2 * u)
        inner = low * (1 - upper) + high * upper + width * u * (1 - u) * (s_low * (1 - u) - s_high * u)
        return inner + beyond * (s_low * (1 - u) + s_high * u)  # beyond the ends u is 0 or 1

    def derivative(at: Array, slope_at: Array) -> Array:
        low, high, s_low, s_high = at[index], at[index + 1], slope_at[index], slope_at[index + 1]
        return 6 * u * (1 - u) * (high - low) / width + s_low * (1 - u) * (1 - 3 * u) - s_high * u * (2 - 3 * u)

    if values.ndim == 1:
        return value(values, slopes), derivative(values, slopes)
    # Loops over curves, each with all x: fused, the compiler would find the place in the interval again for each. There
    # are two, so that one that is not asked for vanishes.
    curves = tuple(jnp.moveaxis(v.reshape(len(nodes), -1), 0, 1) for v in (values, slopes))
    both = (jnp.moveaxis(jax.lax.map(lambda c, f=f: f(*c), curves), 0, -1) for f in (value, derivative))
    first, second = (f.reshape(*x.shape, *values.shape[1:]) for f in both)
    return first, second


def interval(x: Float[Array, "..."], nodes: Float[Array, "n"]) -> Int[Array, "..."]:
    """Number [from 0] of the interval between nodes in which each x lies, the outermost ones reaching to infinity."""
    # A loop, as the compiler would repeat an unrolled search in every use of its result: it compiles in half the time.
    found = jnp.searchsorted(*jax.lax.stop_gradient((nodes[1:-1], x)), side="right", method="scan")
    return found.astype(jnp.int32)


def curves_with_slope(
    x: Float[ArrayLike, "..."],
    nodes: Float[ArrayLike, "n"],
    values: Any,
    slopes: Any,
) -> Array:
    """Several curves as `hermite` gives them, and last the derivative of the first, for many places.

    Args:
      x, nodes: as in `hermite` [any unit]; nodes that are even in x need no search.
      values, slopes: at the nodes [any unit], shape (n,), curve after curve: those that are not differentiated cost no
        gradient.

    Returns:
      Values of all curves and the slope of the first, shape (curve + 1, ...): exact on a node, differentiable in every
      argument.
    """
    x, nodes, *curves = _common(x, nodes, *values, *slopes)
    index, width = _node_below(x, nodes), jnp.diff(nodes)

    def at(table: Array) -> Array:
        return table.at[index].get(mode="promise_in_bounds")

    def powers(v: Array, s: Array) -> list[Array]:
        secant, low, high = jnp.diff(v) / width, s[:-1], s[1:]
        square, cube = (3 * secant - 2 * low - high) / width, (low + high - 2 * secant) / width**2
        # At exactly the last node the inner derivatives hold.
        end = square[-1:] + 3 * cube[-1:] * width[-1:]
        return [at(v), at(s), at(jnp.concatenate([square, end])), at(jnp.concatenate([cube, cube[-1:]]))]

    u = x - at(nodes)
    inner = jnp.where((u < 0) | (x > nodes[-1]), 0.0, u)  # beyond the ends it goes on straight
    taps = [powers(v, s) for v, s in zip(curves[: len(values)], curves[len(values) :], strict=True)]
    found = [v + u * s + inner**2 * (square + inner * cube) for v, s, square, cube in taps]
    _, slope, square, cube = taps[0]
    found.append(slope + inner * (2 * square + 3 * inner * cube))
    # A gather makes XLA store them on a CPU: an exponential fused with look-ups is not vectorised, which costs more.
    return jnp.stack(found).at[jnp.arange(len(found))].get(mode="promise_in_bounds")


def _node_below(x: Array, nodes: Array) -> Int[Array, "..."]:
    """Number of the last node not above each x, or 0 for those below all; counted where the nodes are even.

    Even means up to a quarter of `slack`, in steps: a node then counts as its own, and so may what lies just below it,
    which changes a cubic spline by the square of slack, its round-off.
    """
    x, nodes = jax.lax.stop_gradient((x, nodes))
    last = nodes.shape[0] - 1
    step, slack = (nodes[-1] - nodes[0]) / last, float(jnp.finfo(x.dtype).eps) ** 0.5
    uneven = jnp.abs((nodes - nodes[0]) / step - np.arange(last + 1))

    def count() -> Array:
        return jnp.floor(jnp.clip((x - nodes[0]) / step + slack / 2, 0, last)).astype(jnp.int32)

    def search() -> Array:
        return jnp.searchsorted(nodes, x, side="right", method="scan").astype(jnp.int32) - 1

    return jnp.clip(jax.lax.cond(jnp.all(uneven < slack / 4), count, search), 0, last)  # also where x is NaN


def backward_slopes(values: Float[ArrayLike, "n *item"], nodes: Float[ArrayLike, "n"]) -> Float[Array, "n *item"]:
    """Slopes by backward differences; the first node takes the first difference (the rule of Pandya et al. 2026).

    Args:
      values: values at the nodes [any unit]; further axes are further curves.
      nodes: places of the nodes [any unit], increasing, at least two.

    Returns:
      d values / d nodes at the nodes, shape of values.
    """
    values, nodes = _common(values, nodes)
    secant = jnp.diff(values, axis=0) / jnp.diff(nodes).reshape((-1,) + (1,) * (values.ndim - 1))
    return jnp.concatenate([secant[:1], secant])
