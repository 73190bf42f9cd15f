"""Stars are deposited as mass in bins of sky position, velocity, population and attenuation.

    H[s, m, n, q] = sum_p mass_p a_s(p) b_m(v_p) w_n(age_p, Z_p) f_q(A_V,p)

The cost does not know the wavelength axis, and memory is that of H: particles pass in chunks.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.interpolation import node_weights
from galdiff.core.kernels import TAPS, bspline_weights
from galdiff.ifu.basis import Attenuation, attenuation_weights
from galdiff.ifu.smoothing import n_cells, refine, spread
from galdiff.records import SkyStars

V_TAPS = {"cubic": 4, "quintic": 6}
CHUNK_SCALARS = 1 << 18  # weights held at once, per chunk


@dataclasses.dataclass(frozen=True, eq=False)
class Bins:
    """The axes of the mass distribution (host numbers)."""

    n_y: int
    n_x: int
    spaxel_arcsec: tuple[float, float]  # (x, y); cells of spaxels where the PSF is narrow
    v_nodes: np.ndarray  # uniform [km/s]
    lg_ages: np.ndarray  # [dex, Gyr]
    lgmets: np.ndarray  # [dex]
    interpolation: str  # of the library: linear or cubic
    kernel: str  # of the sky: nearest, linear, quadratic or cubic
    attenuation: Attenuation
    v_kernel: str = "quintic"  # between velocity nodes; cubic or quintic
    levels: int = 0  # doublings of the smoothing length above the plain deposit; 0: stars are points

    @property
    def v_max(self) -> float:
        """Largest velocity served [km/s]: the spline needs coefficients beyond the nodes it lies between."""
        return float(self.v_nodes[-1 - V_TAPS[self.v_kernel] // 2])

    @property
    def n_cells(self) -> int:
        """Cells of the sky on all levels."""
        return n_cells(self.n_y, self.n_x, self.levels)

    @property
    def n_nodes(self) -> int:
        """Population nodes: the grid, or four times it for the cubic interpolation (value and slopes)."""
        return len(self.lg_ages) * len(self.lgmets) * (4 if self.interpolation == "cubic" else 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the mass distribution."""
        return (self.n_y, self.n_x, len(self.v_nodes), self.n_nodes, self.attenuation.weights.shape[1])

    @property
    def taps(self) -> int:
        """Bins touched by one star."""
        return (
            TAPS[self.kernel] ** 2
            * V_TAPS[self.v_kernel]
            * (16 if self.interpolation == "cubic" else 4)
            * self.shape[-1]
        )


def sky_weights(gx: Float[Array, "star"], gy: Float[Array, "star"], bins: Bins) -> tuple[Array, Array]:
    """Spaxels that share each star (flat numbers, in bounds) and the shares [1], shape (star, tap); 0 outside."""
    (ix, wx), (iy, wy) = bspline_weights(gx, bins.kernel), bspline_weights(gy, bins.kernel)
    wx = jnp.where((ix >= 0) & (ix < bins.n_x), wx, 0)
    wy = jnp.where((iy >= 0) & (iy < bins.n_y), wy, 0)
    spaxel = iy.clip(0, bins.n_y - 1)[..., :, None] * bins.n_x + ix.clip(0, bins.n_x - 1)[..., None, :]
    share = wy[..., :, None] * wx[..., None, :]
    return spaxel.reshape(*gx.shape, -1), share.reshape(*gx.shape, -1)


def velocity_weights(v_los: Float[Array, "star"], bins: Bins) -> tuple[Array, Array]:
    """Velocity nodes of each star, and B-spline weights [1]; velocities [km/s] beyond the range count as its edge.

    Both results have the shape (star, tap).
    """
    first, h_v = bins.v_nodes[0], bins.v_nodes[1] - bins.v_nodes[0]
    v = jnp.clip(v_los, -bins.v_max, bins.v_max)
    return bspline_weights((v - first) / h_v + 0.5, bins.v_kernel)


def population_weights(stars: SkyStars, bins: Bins) -> tuple[Array, Array]:
    """Population nodes (and attenuation modes) of each star, flat numbers, and weights [1], shape (..., tap)."""
    tiny = jnp.finfo(stars.mass.dtype).tiny
    lg_age, lgmet = (jnp.log10(jnp.maximum(x, tiny)) for x in (stars.age, stars.metallicity))
    n, w = node_weights(lg_age, lgmet, bins.lg_ages, bins.lgmets, bins.interpolation)
    n_av = bins.shape[-1]
    if n_av == 1:
        return n, w
    f = attenuation_weights(jnp.asarray(stars.a_v), bins.attenuation)
    node = n[..., :, None] * n_av + jnp.arange(n_av, dtype=n.dtype)
    return node.reshape(*n.shape[:-1], -1), (w[..., :, None] * f[..., None, :]).reshape(*n.shape[:-1], -1)


def over_cells(total: Any, add: Callable, stars: SkyStars, corner: tuple, size: tuple, bins: Bins) -> Any:
    """Add a chunk of stars by `add(total, cells (star, tap), shares (star, tap) [1])`, on all levels of smoothing.

    `corner` and `size` are those of `field_corner` [kpc].
    """
    gx, gy = (stars.x - corner[0]) / size[0], (stars.y - corner[1]) / size[1]
    plain = sky_weights(gx, gy, bins)
    sigma = widths(stars, bins)
    if sigma is None:
        return add(total, *plain)
    return spread(total, add, plain, (gx, gy, sigma / jnp.sqrt(size[0] * size[1])), bins)


def widths(stars: SkyStars, bins: Bins) -> Float[Array, "star"] | None:
    """Smoothing length by which stars are spread [kpc], None where they are points."""
    return stars.smoothing if bins.levels > 0 else None


def by_smoothing(stars: SkyStars, bins: Bins) -> SkyStars:
    """Stars in the order of their smoothing length, so that few chunks need several levels."""
    sigma = widths(stars, bins)
    if sigma is None:
        return stars
    order = jnp.argsort(jax.lax.stop_gradient(sigma))
    return jax.tree.map(lambda x: x[order], stars)


def add_stars(total: Float[Array, "bin"], stars: SkyStars, spaxel: Array, a: Array, bins: Bins) -> Float[Array, "bin"]:
    """Add one chunk of stars to the flat bins [Msun], at cells `spaxel` with shares `a` [1], of shape (star, tap).

    Taps lie on a leading axis or apart, and stars on the last: loops over stars vectorise, loops over taps do not.
    """
    spaxel, a = (jnp.moveaxis(x, -1, 0) for x in (spaxel, a))
    node_v, b = (jnp.moveaxis(x, -1, 0) for x in velocity_weights(stars.v_los, bins))
    node, w = population_weights(stars, bins)
    taps = range(node.shape[-1])
    n_pop = bins.shape[3] * bins.shape[4]
    first = ((spaxel[:, None] * bins.shape[2] + node_v) * n_pop).reshape(-1, len(stars.mass))
    share = (stars.mass * a[:, None] * b).reshape(-1, len(stars.mass))

    def add(total: Any, tap: Any) -> tuple:
        first, share = tap
        index = jnp.concatenate([first + node[:, n] for n in taps])
        return total.at[index].add(jnp.concatenate([share * w[:, n] for n in taps]), mode="promise_in_bounds"), None

    return jax.lax.scan(add, total, (first, share))[0]


def in_chunks(stars: SkyStars, size: int) -> SkyStars:
    """Pad with massless stars and fold to (chunk, size)."""
    pad = -len(stars.mass) % size

    def fold(x: Any) -> Any:
        return None if x is None else jnp.pad(x, (0, pad), mode="edge").reshape(-1, size)

    folded = dataclasses.replace(stars, **{f.name: fold(getattr(stars, f.name)) for f in dataclasses.fields(stars)})
    return dataclasses.replace(folded, mass=jnp.pad(stars.mass, (0, pad)).reshape(-1, size))


def empty_sum(shape: tuple[int, ...], stars: Float[Array, "star"]) -> Array:
    """Zeros [any unit] of this shape to sum over stars into, on each device where each has stars of its own."""
    zero = jnp.where(stars[0] > 0, jnp.zeros_like(stars[0]), 0)  # takes its sharding type from the stars
    return jnp.broadcast_to(zero, shape)


def chunk_size(n_stars: int, taps: int) -> int:
    """Stars per chunk: bounded weights, and a power of two, so that few sizes are ever compiled."""
    return max(1, min(CHUNK_SCALARS // taps, 1 << max(n_stars - 1, 1).bit_length()))


def deposit(stars: SkyStars, origin: tuple, size: tuple, bins: Bins) -> Float[Array, "y x v node av"]:
    """Mass formed in bins.

    Args:
      stars: stars on the sky.
      origin: lower-left corner (x, y) of the field [kpc].
      size: spaxel size (x, y) [kpc].
      bins: the axes.

    Returns:
      Mass [Msun], shape bins.shape. Mass outside the field is left out.
    """
    folded = in_chunks(by_smoothing(stars, bins), chunk_size(len(stars.mass), bins.taps))

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def add(total: Any, chunk: Any) -> tuple:
        def at_cells(total: Any, cell: Array, share: Array) -> Array:
            return add_stars(total, chunk, cell, share, bins)

        return over_cells(total, at_cells, chunk, origin, size, bins), None

    empty = empty_sum((bins.n_cells * math.prod(bins.shape[2:]),), stars.mass)
    total = jax.lax.scan(add, empty, folded)[0].reshape(-1, *bins.shape[2:])
    return refine(total, bins)
