"""B-spline assignment kernels: how a point is shared between the cells of a uniform grid.

Hockney & Eastwood (1988), Computer Simulation Using Particles, ch. 5, for nearest, linear and quadratic; the cubic and
quintic B-splines are of the same family.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

TAPS = {"nearest": 1, "linear": 2, "quadratic": 3, "cubic": 4}
VARIANCE = {"nearest": 0.0, "linear": 1 / 6, "quadratic": 1 / 4, "cubic": 1 / 3}  # [cell^2], beyond the cell itself


def bspline_weights(g: Float[Array, "..."], kernel: str) -> tuple[Int[Array, "... tap"], Float[Array, "... tap"]]:
    """Cells that share a point, and its shares, which sum to 1.

    Args:
      g: position in units of the cell, measured from the lower edge of cell 0 (the centre of cell k is k + 1/2).
      kernel: nearest, linear, quadratic or cubic; and quintic, with six taps, which is not for the sky.

    Returns:
      Cell numbers (int32; may lie outside the grid: the caller drops those) and weights, last axis TAPS[kernel].
    """
    if kernel == "nearest":
        first = jnp.floor(g)
        weights = [jnp.ones_like(g)]
    elif kernel == "linear":
        first = jnp.floor(g - 0.5)
        u = g - 0.5 - first
        weights = [1 - u, u]
    elif kernel == "quadratic":
        first = jnp.floor(g) - 1
        u = g - 0.5 - (first + 1)  # in [-1/2, 1/2)
        weights = [(0.5 - u) ** 2 / 2, 0.75 - u**2, (0.5 + u) ** 2 / 2]
    elif kernel == "cubic":
        first = jnp.floor(g - 0.5) - 1
        u = g - 0.5 - (first + 1)  # in [0, 1)
        weights = [(1 - u) ** 3 / 6, (3 * u**3 - 6 * u**2 + 4) / 6, (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6, u**3 / 6]
    elif kernel == "quintic":
        first = jnp.floor(g - 0.5) - 2
        u = g - 0.5 - (first + 2)  # in [0, 1)
        weights = [_quintic_far(1 - u), _quintic_middle(1 + u), _quintic_near(u)]
        weights += [_quintic_near(1 - u), _quintic_middle(2 - u), _quintic_far(u)]
    else:
        raise ValueError(f"kernel is '{kernel}'; choose one of {', '.join(TAPS)}")
    index = first.astype(jnp.int32)[..., None] + jnp.arange(len(weights), dtype=jnp.int32)
    return index, jnp.stack(weights, -1)


def _quintic_near(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Quintic B-spline at distances up to 1."""
    return (66 - 60 * x**2 + 30 * x**4 - 10 * x**5) / 120


def _quintic_middle(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Quintic B-spline at distances from 1 to 2."""
    return ((3 - x) ** 5 - 6 * (2 - x) ** 5) / 120


def _quintic_far(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Quintic B-spline at the distance 3 - u, from 2 to 3."""
    return u**5 / 120


def unshared(size: int, kernel: str) -> np.ndarray:
    """Matrix, shape (size, size), that undoes, on values at cell centres, the widening by shares [1]; float64.

    The inverse of the filter (v/2, 1 - v, v/2) with the kernel's VARIANCE v. For quadratic and cubic that filter is
    the B-spline at the cells' centres, so it gives the coefficients of the spline through the values (Unser 1999, IEEE
    Signal Process. Mag. 16, 22). A cubic spline through a function with the fourth derivative d is too small by
    d u^2 (1 - u)^2 / 24 at the fraction u of a cell; the mean of that, d / 720, is added, which halves the largest
    difference. Zero is assumed beyond the ends.
    """
    v = VARIANCE[kernel]
    inverse = np.linalg.inv(_filter(size, 1 - v, v / 2))
    return _filter(size, 1 + 6 / 720, -4 / 720, 1 / 720) @ inverse if kernel == "cubic" else inverse


def _filter(size: int, *taps: float) -> np.ndarray:
    """Symmetric filter as a matrix: taps at offset 0, 1, 2..."""
    offset = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    return np.select([offset == k for k in range(len(taps))], taps, 0.0)
