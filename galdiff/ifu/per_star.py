"""Template coefficients star by star: for fields whose mass distribution would not fit in memory.

Instead of bins of mass per population node, each star's own coefficients are added to D[spaxel, velocity, template].
The result equals deposit and synthesis; memory does not know the number of nodes, time grows with the rank.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.stage import Stage
from galdiff.core.variables import Table, table
from galdiff.ifu.deposit import (
    V_TAPS,
    Bins,
    by_smoothing,
    chunk_size,
    empty_sum,
    in_chunks,
    over_cells,
    population_weights,
    velocity_weights,
)
from galdiff.ifu.field import field_corner, with_a_v
from galdiff.ifu.plan import Plan
from galdiff.ifu.smoothing import refine
from galdiff.records import Placement, SkyStars, SpectralCube

WINDOWS = jax.lax.ScatterDimensionNumbers((1, 2), (), (0,))  # rows of D that one star adds to in a spaxel


def add_rows(
    total: Float[Array, "bin rank"],
    stars: SkyStars,
    corner: tuple[Array, Array],
    size: tuple[Array, Array],
    bins: Bins,
    rows: Float[Array, "star rank"],
) -> Array:
    """Add what one chunk of stars has to D, flat over spaxel and velocity.

    D and `rows`, those of each star, have one unit [any] and the shapes (bin, rank) and (star, rank); `corner` and
    `size` are those of `field_corner` [kpc].
    """
    node_v, b = velocity_weights(stars.v_los, bins)
    rows = b[:, :, None] * rows[:, None, :]  # the velocity nodes of a star lie side by side

    def add(total: Any, tap: Any) -> tuple:
        first, share = tap
        windows = share[:, None, None] * rows
        return jax.lax.scatter_add(total, first[:, None], windows, WINDOWS, mode="promise_in_bounds"), None

    def at_cells(total: Any, spaxel: Array, a: Array) -> Array:
        return jax.lax.scan(add, total, ((spaxel * len(bins.v_nodes) + node_v[:, :1]).T, a.T))[0]

    return over_cells(total, at_cells, stars, corner, size, bins)


def sum_per_star(
    stars: SkyStars, placement: Placement, bins: Bins, rank: int, rows: Callable[[SkyStars], Array]
) -> Float[Array, "y x v rank"]:
    """Sum over stars in each spaxel and velocity node.

    Args:
      stars: stars on the sky.
      placement: of the galaxy.
      bins: spaxels and velocities.
      rank: numbers that each star has.
      rows: gives them for a chunk of stars, shape (star, rank) [any unit]; zero where stars have no mass.
    """
    corner, size = field_corner(bins, placement)
    stars = by_smoothing(stars, bins)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def add(total: Any, chunk: Any) -> tuple:
        return add_rows(total, chunk, corner, size, bins, rows(chunk)), None

    n_taps = bins.taps // V_TAPS[bins.v_kernel] + rank * 4 * V_TAPS[bins.v_kernel]
    empty = empty_sum((bins.n_cells * len(bins.v_nodes), rank), stars.mass)
    total = jax.lax.scan(add, empty, in_chunks(stars, chunk_size(len(stars.mass), n_taps)))[0]
    return refine(total.reshape(-1, len(bins.v_nodes), rank), bins)


class PerStar(Stage):
    """Spectra of all spaxels straight from the stars; does the work of `Deposit` and `Synthesis`."""

    def __init__(self, *, plan: Plan) -> None:
        self.bins = plan.bins
        self.coefficients: Table = table(plan.basis.coefficients, jnp.result_type(float))

    def __call__(self, observed_stars: SkyStars, placement: Placement) -> SpectralCube:
        bins = self.bins
        coefficients = self.coefficients[...].reshape(bins.shape[3] * bins.shape[4], -1)

        def rows(stars: SkyStars) -> Array:
            node, w = population_weights(stars, bins)
            return stars.mass[:, None] * jnp.einsum("st,str->sr", w, coefficients[node], precision="highest")

        stars = with_a_v(observed_stars, bins)
        return SpectralCube(coef=sum_per_star(stars, placement, bins, coefficients.shape[-1], rows))
