"""Cubic interpolation as matrices of weights, for tables that are read along one axis after another."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.interpolation import cubic_weights


def hermite_matrices(
    x: Float[Array, "*at"], nodes: Float[Array, "n"]
) -> tuple[Float[Array, "*at n"], Float[Array, "*at n"]]:
    """Weights of the values [1] and of the slopes [unit of x] at all nodes in Hermite cubics, held beyond the ends.

    Args:
      x: where to interpolate [any unit].
      nodes: of the table [unit of x], increasing.
    """
    index, value, slope = cubic_weights(x, nodes)
    eye = jnp.eye(nodes.shape[0], dtype=value.dtype)
    return jnp.einsum("...t,...tn->...n", value, eye[index]), jnp.einsum("...t,...tn->...n", slope, eye[index])


def smooth_matrix(x: Float[Array, "*at"], nodes: Float[Array, "n"]) -> Float[Array, "*at n"]:
    """Weights [1] at all nodes of the cubic whose slopes are those of parabolas through three nodes.

    It is linear in the table and has one continuous derivative in x; arguments as of `hermite_matrices`. It follows
    maxima between nodes, which a monotone cubic cuts.
    """
    values, slopes = hermite_matrices(x, nodes)
    return values + slopes @ parabolic_slopes(nodes.astype(values.dtype))


def parabolic_slopes(nodes: Float[Array, "n"]) -> Float[Array, "n n"]:
    """Matrix [1 / unit of the nodes] that turns values at three or more nodes into the slopes of parabolas there."""
    n = nodes.shape[0]
    secants = (jnp.eye(n, dtype=nodes.dtype)[1:] - jnp.eye(n, dtype=nodes.dtype)[:-1]) / jnp.diff(nodes)[:, None]
    low, high = jnp.diff(nodes)[:-1, None], jnp.diff(nodes)[1:, None]
    inner = (high * secants[:-1] + low * secants[1:]) / (low + high)
    return jnp.concatenate([2 * secants[:1] - inner[:1], inner, 2 * secants[-1:] - inner[-1:]])
