"""Large fields in tiles: each is an observation of its own with a shifted pointing and the stars that reach it."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from galdiff.ifu.deposit import Bins, widths
from galdiff.ifu.field import field_corner
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.plan import Plan
from galdiff.ifu.spread_functions import PSF
from galdiff.records import Placement, SkyStars

Made = TypeVar("Made")
TILE = 48  # spaxels on a side
REACH = 2  # spaxels by which a kernel shares a star beyond its own spaxel
SMOOTHED = 9  # smoothing lengths by which a star above one spaxel is shared at most


@dataclasses.dataclass(frozen=True)
class Tile:
    """A part of the field."""

    y: slice  # spaxels of the whole field
    x: slice
    pointing: tuple[float, float]  # its centre seen from that of the whole field (East, North) [arcsec]


def tile_instrument(instr: Instrument, size: int = TILE) -> Instrument:
    """The same spectrograph with the field of one tile, of at most `size` spaxels on a side, and a square aperture."""
    n_y, n_x = _step(instr.n_y, size), _step(instr.n_x, size)
    return dataclasses.replace(instr, n_x=n_x, n_y=n_y, aperture="square", aperture_arcsec=0.0)


def sharp_instrument(plan: Plan) -> Instrument:
    """The same spectrograph without its PSF: the field with the margin and in the cells that its PSF needs."""
    instr, (my, mx), (cy, cx) = plan.instrument, plan.margin, plan.wings.cells
    return dataclasses.replace(
        instr,
        n_y=(instr.n_y + 2 * my) * cy,
        n_x=(instr.n_x + 2 * mx) * cx,
        spaxel_y_arcsec=instr.spaxel_y_arcsec / cy,
        spaxel_x_arcsec=instr.spaxel_x_arcsec / cx,
        aperture="square",
        aperture_arcsec=0.0,
        psf=PSF(kind="none"),
    )


def tiles_of(instr: Instrument, size: int = TILE) -> Iterator[Tile]:
    """Tiles that cover the field; those at the far edges overlap their neighbours rather than leave the field."""
    step_y, step_x = _step(instr.n_y, size), _step(instr.n_x, size)
    for i in range(math.ceil(instr.n_y / step_y)):
        for j in range(math.ceil(instr.n_x / step_x)):
            y0, x0 = min(i * step_y, instr.n_y - step_y), min(j * step_x, instr.n_x - step_x)
            east = (x0 + step_x / 2 - instr.n_x / 2) * instr.spaxel_x_arcsec
            north = (y0 + step_y / 2 - instr.n_y / 2) * instr.spaxel_y_arcsec
            yield Tile(y=slice(y0, y0 + step_y), x=slice(x0, x0 + step_x), pointing=(east, north))


def _step(n: int, size: int) -> int:
    """Spaxels of a tile along an axis of n: as few as give no more tiles than those of `size`."""
    return math.ceil(n / math.ceil(n / size))


def point_at(placement: Placement, tile: Tile) -> Placement:
    """Placement whose field is centred on a tile."""
    offset = jnp.asarray(tile.pointing, placement.pointing.dtype)
    return dataclasses.replace(placement, pointing=placement.pointing + offset)


def stars_of(stars: SkyStars, bins: Bins, placement: Placement) -> np.ndarray:
    """Numbers (n,) [1] of the stars that reach the bins, repeated up to a power of two with -1, so that few sizes
    compile.

    Args:
      stars: stars on the sky, concrete.
      bins: of the tile, with its margin.
      placement: of the tile.
    """
    corner, size = field_corner(bins, jax.tree.map(np.asarray, placement))  # on the host, where nothing is compiled
    gx, gy = (np.asarray(stars.x) - corner[0]) / size[0], (np.asarray(stars.y) - corner[1]) / size[1]
    reach = np.full(gx.shape, REACH, gx.dtype)
    width = widths(stars, bins)
    if width is not None:
        sigma = np.asarray(width) / np.sqrt(size[0] * size[1])
        reach += np.where(sigma > 1, SMOOTHED * sigma, 0)
    near = (gx > -reach) & (gx < bins.n_x + reach) & (gy > -reach) & (gy < bins.n_y + reach)
    index = np.flatnonzero(near)
    full = 1 << max(len(index) - 1, 0).bit_length()
    return np.concatenate([index, np.full(full - len(index), -1)]).astype(np.int32)


@jax.jit
def take(stars: SkyStars, index: Int[Array | np.ndarray, "n"]) -> SkyStars:
    """Stars by number (n,) [from 0]; -1 gives a massless one."""
    chosen = jax.tree.map(lambda x: x[index], stars)
    return dataclasses.replace(chosen, mass=jnp.where(index < 0, 0, chosen.mass))


def observe_in_tiles(
    observe: Callable[..., Made],
    stars: SkyStars,
    placement: Placement,
    instr: Instrument,
    bins: Bins,
    size: int = TILE,
    also: Mapping[str, tuple[SkyStars, Bins]] | None = None,
) -> Iterator[tuple[Tile, Made]]:
    """Observe tile after tile.

    Args:
      observe: makes the cube (or more) of one tile (jitted; its plan is that of `tile_instrument`).
      stars: all stars on the sky, concrete.
      placement: of the whole field.
      instr: the whole field.
      bins: of one tile.
      size: spaxels on a side of a tile.
      also: others that shine, with their bins of one tile; `observe` takes them by name.

    Yields:
      Each tile with what was made of it; apply the aperture of the whole field to what you assemble.
    """
    for tile in tiles_of(instr, size):
        here = point_at(placement, tile)
        others = {name: take(each, stars_of(each, of_tile, here)) for name, (each, of_tile) in (also or {}).items()}
        yield tile, observe(take(stars, stars_of(stars, bins, here)), here, **others)
