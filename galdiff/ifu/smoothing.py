"""Stars as wide as the distance between them: deposits at several resolutions, refined to the grid of spaxels.

Level 0 is the plain deposit. Level l has cells of 2^l spaxels, in which a star is shared by quadratic B-splines
(9 cells at any width); its masses are refined to the next finer level by the two-scale relation of that spline,
(1, 3, 3, 1)/8 along each axis (Chaikin 1974), which keeps mass exactly. The result is close to a Gaussian of variance
4^l/2 - 1/4 [spaxel^2]. A star between two levels is shared so that its variance is the asked one.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from galdiff.core.kernels import VARIANCE, bspline_weights

PAD = 3  # cells around the field at each level: reach of the kernel and of the refinement
MAX_LEVELS = 6  # sigma of 45 spaxels
RESOLVED = 1.0  # variance [spaxel^2] up to which a spaxel does the smoothing by itself


def variances(levels: int, kernel: str) -> np.ndarray:
    """Variance of a star on each level [spaxel^2], shape (levels + 1,)."""
    return np.array([VARIANCE[kernel]] + [4.0**level / 2 - 0.25 for level in range(1, levels + 1)])


def levels_needed(sigma: np.ndarray, n_y: int, n_x: int) -> int:
    """Levels above the plain deposit that smoothing lengths [spaxel], shape (star,), need in a field of this size."""
    widest = float(np.max(sigma, initial=0.0)) ** 2 - RESOLVED
    if not widest > 0:
        return 0
    asked = math.ceil(math.log2(2 * widest + 0.5) / 2)
    return min(max(asked, 1), MAX_LEVELS, max(int(math.log2(max(n_y, n_x, 4))) - 1, 1))


def level_shapes(n_y: int, n_x: int, levels: int) -> list[tuple[int, int]]:
    """Cells (y, x) of each level above the plain one, with their margin."""
    return [tuple(-(-n >> level) + 2 * PAD for n in (n_y, n_x)) for level in range(1, levels + 1)]  # type: ignore[misc]


def n_cells(n_y: int, n_x: int, levels: int) -> int:
    """Cells of all levels."""
    return n_y * n_x + sum(y * x for y, x in level_shapes(n_y, n_x, levels))


def level_shares(
    sigma: Float[Array, "star"], levels: int, kernel: str
) -> tuple[Int[Array, "star"], Float[Array, "star"]]:
    """The finer of the two levels of each star, and the share [1] that goes to the next coarser one.

    Args:
      sigma: smoothing length [spaxel]; up to one, a star is a point. It carries no gradient at zero only.
      levels: above the plain one, at least 1.
      kernel: of the plain deposit.
    """
    known = jnp.asarray(variances(levels, kernel), sigma.dtype)
    asked = known[0] + jnp.maximum(sigma**2 - RESOLVED, 0)
    level = (jnp.searchsorted(known, asked, side="right") - 1).clip(0, levels - 1).astype(jnp.int32)
    share = (asked - known[level]) / (known[level + 1] - known[level])
    return level, jnp.clip(share, 0, 1)


def cell_weights(
    gx: Float[Array, "star"], gy: Float[Array, "star"], level: Int[Array, "star"], shape: tuple[int, int], levels: int
) -> tuple[Array, Array]:
    """Cells that share each star on a level above the plain one (numbers over all levels) and the shares [1].

    Args:
      gx, gy: position [spaxel] from the lower-left corner of the field.
      level: of each star, 1 to levels.
      shape: spaxels (y, x) of the field.
      levels: above the plain one.

    Returns:
      Both of shape (star, 9); shares beyond the margin are 0.
    """
    shapes = np.array([(0, 0), *level_shapes(*shape, levels)])
    first = np.concatenate([[0, shape[0] * shape[1]], shape[0] * shape[1] + np.cumsum(shapes[1:].prod(1))])[:-1]
    n_y, n_x, start = (jnp.asarray(a, jnp.int32)[level][..., None] for a in (shapes[:, 0], shapes[:, 1], first))
    scale = jnp.exp2(-level.astype(gx.dtype))
    (ix, wx), (iy, wy) = (bspline_weights(g * scale + PAD, "quadratic") for g in (gx, gy))
    wx, wy = jnp.where((ix >= 0) & (ix < n_x), wx, 0), jnp.where((iy >= 0) & (iy < n_y), wy, 0)
    ix, iy = jnp.clip(ix, 0, n_x - 1), jnp.clip(iy, 0, n_y - 1)
    cell = start[..., None] + iy[..., :, None] * n_x[..., None] + ix[..., None, :]
    share = wy[..., :, None] * wx[..., None, :]
    return cell.reshape(*gx.shape, -1), share.reshape(*gx.shape, -1)


def spread(
    total: Any,
    add: Callable[[Any, Array, Array], Any],
    plain: tuple[Array, Array],
    at: tuple[Array, Array, Array],
    bins: Any,
) -> Any:
    """Add a chunk of stars to all levels; a level that no star of the chunk needs costs nothing.

    Args:
      total: sums over stars, cells of all levels first.
      add: adds stars at cells with shares [1], both of shape (star, tap), to the total.
      plain: cells and shares of the plain deposit.
      at: position (x, y) and smoothing length of the stars [spaxel].
      bins: n_y, n_x, kernel and levels of the deposit.
    """
    gx, gy, sigma = at
    level, upper = level_shares(sigma, bins.levels, bins.kernel)
    lower = 1 - upper

    def where_needed(total: Any, cell: Array, share: Array) -> Any:
        return jax.lax.cond(jnp.any(share != 0), add, lambda total, *_: total, total, cell, share)

    def one(total: Any, slot: Any) -> tuple:
        cell, share = cell_weights(gx, gy, slot[0], (bins.n_y, bins.n_x), bins.levels)
        return where_needed(total, cell, share * slot[1][:, None]), None

    total = where_needed(total, plain[0], plain[1] * jnp.where(level == 0, lower, 0)[:, None])
    slots = jnp.stack([jnp.maximum(level, 1), level + 1]), jnp.stack([jnp.where(level == 0, 0, lower), upper])
    return jax.lax.scan(one, total, slots)[0]


def refine(total: Float[Array, "cell *channel"], bins: Any) -> Float[Array, "y x *channel"]:
    """Sums over stars on all levels, brought to the spaxels [any unit]; mass is kept but for what leaves the field."""
    shape, channels = (bins.n_y, bins.n_x), total.shape[1:]
    shapes = [shape, *level_shapes(*shape, bins.levels)]
    ends = np.cumsum([y * x for y, x in shapes])
    parts = [total[end - y * x : end].reshape(y, x, -1) for end, (y, x) in zip(ends, shapes, strict=True)]
    made = parts[-1]
    for level in range(bins.levels - 1, -1, -1):
        by, bx = (
            jnp.asarray(_two_scale(fine, PAD if level else 0, coarse), total.dtype)
            for fine, coarse in zip(shapes[level], shapes[level + 1], strict=True)
        )
        along = jnp.einsum("fk,kxc->fxc", by, made, precision="highest")
        made = parts[level] + jnp.einsum("gx,fxc->fgc", bx, along, precision="highest")
    return made.reshape(*shape, *channels)


def _two_scale(n_fine: int, pad: int, n_coarse: int) -> np.ndarray:
    """Matrix (fine, coarse) of the two-scale relation; both grids begin `pad` and PAD of their cells off the field."""
    matrix = np.zeros((n_fine, n_coarse))
    for coarse in range(n_coarse):
        for child, weight in zip(range(-1, 3), (1, 3, 3, 1), strict=True):
            if 0 <= (fine := 2 * (coarse - PAD) + child + pad) < n_fine:
                matrix[fine, coarse] = weight / 8
    return matrix
