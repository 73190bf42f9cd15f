"""A prior on corrections: small wherever the data do not ask for more."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array
from scipy.stats import qmc

from galdiff.core.correction import LogGain, SimplexTilt
from galdiff.core.signatures import Within, check_ranges
from galdiff.errors import InputError


def driver_points(low: Sequence[float], high: Sequence[float], n: int = 256) -> np.ndarray:
    """n points [1], shape (n, driver), that fill the box of drivers evenly (Sobol sequence)."""
    a, b = np.atleast_1d(low), np.atleast_1d(high)
    if a.shape != b.shape or a.ndim != 1 or not (a < b).all():
        raise InputError(f"the range of drivers is {low} to {high}; give as many upper as lower ends, and above them")
    if n < 1:
        raise InputError(f"the prior looks at {n} points; give at least 1")
    return a + (b - a) * qmc.Sobol(len(a), scramble=False).random(n)


def with_prior(
    loss: Callable,
    *,
    weight: Annotated[float, Within(0.0, 1e9)],
    low: Sequence[float],
    high: Sequence[float],
    smooth: Annotated[float, Within(0.0, 1e9)] = 0.0,
    n: Annotated[int, Within(1, 1e6)] = 256,
) -> Callable:
    """A loss with a Gaussian prior on all corrections together, over a box of drivers.

    Args:
      loss: of (model, batch, key), with its pieces.
      weight: times the mean square of ln(gain) [1]; smooth: times that of its slope in the drivers [1].
      low, high: ends of the range of each driver [1]; n: points in it.
    """
    check_ranges(with_prior, {"weight": weight, "smooth": smooth, "n": n}, "prior")
    points = driver_points(low, high, n)

    def both(model: nnx.Module, batch: Any, key: Array) -> tuple:
        value, pieces = loss(model, batch, key)
        size, slope = correction_size(model, points)
        return value + weight * size + smooth * slope, {**pieces, "correction": jnp.sqrt(size)}

    return both


def correction_size(model: nnx.Module, points: np.ndarray) -> tuple[Array, Array]:
    """Mean squares of ln(gain) [1] and of its slope in the drivers [1] at points of them, over all corrections; each a
    scalar.
    """
    sizes, slopes = [jnp.zeros(())], [jnp.zeros(())]
    for _, node in nnx.iter_graph(model):
        if isinstance(node, LogGain | SimplexTilt):
            at = jnp.asarray(points)
            sizes.append(jnp.mean(node.log_gain(at) ** 2))
            slope = jax.vmap(jax.jacfwd(node.log_gain))(at)
            slopes.append(jnp.mean(jnp.sum(slope**2, -1)))
    n = max(len(sizes) - 1, 1)
    return sum(sizes[1:], sizes[0]) / n, sum(slopes[1:], slopes[0]) / n
