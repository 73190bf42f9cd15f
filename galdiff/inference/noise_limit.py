"""How well maps can be recovered from a noisy cube: the Cramer-Rao bound, neighbours and all parameters included."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def noise_limit(
    model: Callable[[Any], Float[Array, "y x wave"]], maps: Any, variance: Float[Array, "y x wave"], reach: int = 2
) -> Any:
    """Smallest possible errors of unbiased estimates from Gaussian noise (Cramer 1946; Rao 1945), all maps free.

    The Fisher matrix is the sum over pixels of slope slope^T / variance. A spaxel is taken to change the spectra of the
    (2 reach + 1)^2 spaxels around it alone, so as many sets of spaxels are differentiated at once.

    Args:
      model: flux of a pytree of maps.
      maps: where to evaluate, a pytree of maps of the same shape (y, x).
      variance: of the flux [unit of flux squared]; positive.
      reach: spaxels over which the PSF matters.

    Returns:
      Errors in the units of the maps, a pytree like maps, of NumPy arrays.
    """
    leaves = jax.tree.leaves(maps)
    like = functools.partial(jax.tree.unflatten, jax.tree.structure(maps))
    (n_y, n_x), n_map, width = leaves[0].shape, len(leaves), 2 * reach + 1
    y, x = np.mgrid[:n_y, :n_x]
    slope = jax.jit(lambda at, along: jax.jvp(model, (at,), (along,))[1] / jnp.sqrt(variance))
    slopes = np.empty((width, width, n_map, *variance.shape), np.float32)
    for a, b, m in np.ndindex(*slopes.shape[:3]):
        mask = ((y % width == a) & (x % width == b)).astype(leaves[0].dtype)
        slopes[a, b, m] = slope(maps, like([jnp.asarray(mask * (m == other)) for other in range(n_map)]))
    fisher = np.zeros((n_y * n_x * n_map,) * 2)
    for j, i in np.ndindex(n_y, n_x):
        near = np.nonzero(((abs(y - j) <= reach) & (abs(x - i) <= reach)).ravel())[0]
        here = slopes[y.ravel()[near] % width, x.ravel()[near] % width, :, j, i].reshape(near.size * n_map, -1)
        index = (near[:, None] * n_map + np.arange(n_map)).ravel()
        fisher[np.ix_(index, index)] += here @ here.T
    errors = np.sqrt(np.diag(np.linalg.inv(fisher))).reshape(n_y, n_x, n_map)
    return like(list(np.moveaxis(errors, -1, 0)))
