"""A prior on corrections: small wherever the data do not ask for more."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from scipy.stats import qmc

from galdiff.core.correction import LogGain, SimplexTilt
from galdiff.errors import InputError


def driver_points(low: Sequence[float], high: Sequence[float], n: int = 256) -> np.ndarray:
    """n points (n, driver) that fill the box of drivers evenly (Sobol sequence)."""
    low, high = np.atleast_1d(low), np.atleast_1d(high)
    if low.shape != high.shape or low.ndim != 1 or not (low < high).all():
        raise InputError(f"the range of drivers is {low} to {high}; give as many upper as lower ends, and above them")
    if n < 1:
        raise InputError(f"the prior looks at {n} points; give at least 1")
    return low + (high - low) * qmc.Sobol(len(low), scramble=False).random(n)


def with_prior(loss: Callable, *, weight: float, low: Sequence[float], high: Sequence[float], n: int = 256) -> Callable:
    """A loss plus weight times the mean square of ln(gain) over a box of drivers, of all corrections together.

    Args:
      loss: of (model, batch, key), with its pieces.
      weight: 1 / (2 variance of ln gain) makes it a Gaussian prior [1].
      low, high: ends of the range of each driver [1]; n: points in it.
    """
    points = driver_points(low, high, n)

    def both(model, batch, key):
        value, pieces = loss(model, batch, key)
        size = correction_size(model, points)
        return value + weight * size, {**pieces, "correction": jnp.sqrt(size)}

    return both


def correction_size(model: nnx.Module, points: np.ndarray):
    """Mean square of ln(gain) [1] at driver points, over all corrections that take so many drivers."""
    squares = []
    for _, node in nnx.iter_graph(model):
        if isinstance(node, LogGain | SimplexTilt) and getattr(node.net, "n_in", points.shape[1]) == points.shape[1]:
            squares.append(jnp.mean(node.log_gain(jnp.asarray(points)) ** 2))
    return sum(squares, jnp.zeros(())) / max(len(squares), 1)
