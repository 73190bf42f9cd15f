"""How many stars stand behind each spaxel: (sum w)^2 / sum w^2 (Kish 1965), with w the light of a star in it."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.kept import Kept
from galdiff.ifu.deposit import Bins, by_smoothing, in_chunks, over_cells, population_weights
from galdiff.ifu.field import field_corner
from galdiff.ifu.smoothing import RESOLVED, refine
from galdiff.records import Placement, SkyStars

CHUNK = 4096  # stars at once


@functools.partial(Kept, static_argnames=("bins",))
def star_light(stars: SkyStars, bins: Bins, weight: Float[Array, "node 1"]) -> Float[Array, "star"]:
    """Weight of each star: its mass [Msun] times that of its population [1, or Lsun/Msun], as in the maps."""
    node, share = population_weights(stars, bins)
    return stars.mass * jnp.sum(share * weight[:, 0].astype(share.dtype)[node], -1)


@functools.partial(Kept, static_argnames=("bins",))
def effective_stars(
    stars: SkyStars, light: Float[Array, "star"], placement: Placement, bins: Bins
) -> Float[Array, "y x"]:
    """Effective number of stars in each spaxel of the field of `bins` [1]; 0 where there is none.

    The square of a star's Gaussian is one of half the variance, 1/(4 pi sigma^2) times as heavy.

    Args:
      stars: on the sky.
      light: weight of each star in the maps [any unit].
      placement: where the field lies.
      bins: their sky axes and levels.
    """
    corner, size = field_corner(bins, placement)

    def image(mass: Array, smoothing: Array | None) -> Array:
        spread = SkyStars(**{**vars(stars), "mass": mass, "smoothing": smoothing})

        def add(total: Any, chunk: Any) -> tuple:
            def at_cells(total: Any, cell: Array, share: Array) -> Array:
                return total.at[cell].add(share * chunk.mass[:, None], mode="promise_in_bounds")

            return over_cells(total, at_cells, chunk, corner, size, bins), None

        folded = in_chunks(by_smoothing(spread, bins), min(CHUNK, len(mass)))
        return refine(jax.lax.scan(add, jnp.zeros(bins.n_cells, mass.dtype), folded)[0], bins)

    light = light / jnp.maximum(jnp.max(light), jnp.finfo(light.dtype).tiny)
    heavy, narrow = light**2, stars.smoothing
    if narrow is not None:
        beyond = jnp.maximum((narrow / jnp.sqrt(size[0] * size[1])) ** 2 - RESOLVED, 0) if bins.levels else 0.0
        heavy, narrow = heavy / (1 + 4 * math.pi * beyond), narrow * math.sqrt(0.5)
    total, squares = image(light, stars.smoothing), image(heavy, narrow)
    return jnp.where(squares > 0, total**2 / jnp.where(squares > 0, squares, 1), 0)
