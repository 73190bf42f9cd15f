"""Smooth forms of minimum and maximum, exact far from where their arguments meet and kind to float32."""

import jax.numpy as jnp
from jaxtyping import Array

WIDTH = 0.1  # relative: where the arguments meet, the smooth form is off by about half of it


def at_least(x: Array, width: float = WIDTH) -> Array:
    """Smooth max(x, 1) [1] of x [1] >= 0, same shape: a hyperbola that leaves x -> 0 and x -> infinity exact."""
    return 0.5 * (x + 1 + jnp.sqrt((x - 1) ** 2 + width**2 * x))


def at_most(x: Array, width: float = WIDTH) -> Array:
    """Smooth min(x, 1) [1] of x [1] >= 0, same shape, never above 1 nor below 0."""
    return x / at_least(x, width)


def excess(x: Array, width: float = WIDTH) -> Array:
    """Smooth max(1 - x, 0) [1] of x [1] >= 0, same shape: 1 at x = 0, vanishing as 1/x^3."""
    gap = 1 - x
    bend = width**2 * x / (1 + x * x)
    root = jnp.sqrt(gap * gap + bend)
    # Either branch is free of cancellation on its side.
    return 0.5 * jnp.where(gap > 0, gap + root, bend / jnp.where(gap > 0, 1.0, root - gap))
