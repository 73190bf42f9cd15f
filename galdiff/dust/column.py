"""Dust in front of each star: gas cells weighted by their dust-to-gas ratio, summed along the line of sight."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.kernels import TAPS, bspline_weights
from galdiff.errors import InputError
from galdiff.records import SkyGas, SkyStars
from galdiff.units import OXYGEN_SUN_ASPLUND09, Z_SUN_ASPLUND09

KAPPA_V = 1.121e-5  # [mag kpc^2/Msun]; 3 pi / (0.4 ln 10 lambda_V rho), lambda_V = 5448 A, rho = 3.5 g/cm^3
# Remy-Ruyer et al. (2014, A&A 563, A31), table 1: alpha and b of the low-metallicity branch, per X_CO prescription
DUST_RELATIONS = {"metallicity_x_co": (3.10, 0.96, 8.10), "milky_way_x_co": (3.08, 0.68, 7.96)}
CHUNK = 65536  # particles deposited or sampled at a time: bounds the memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnGrid:
    """Box of cells around the centre of the galaxy; static."""

    half_width: float = 20.0  # [kpc], x and y: no dust beyond
    half_depth: float = 15.0  # [kpc], z: gas beyond is counted at the near or the far face
    cell: float = 0.25  # [kpc], x and y
    cell_z: float = 0.1  # [kpc]
    kernel: str = "quadratic"  # of core.kernels: how gas is shared between cells, and cells are read

    def __post_init__(self) -> None:
        for name in ("half_width", "half_depth", "cell", "cell_z"):
            if not getattr(self, name) > 0.0:
                raise InputError(f"dust grid: {name} is {getattr(self, name)} kpc; it must be positive")
        if self.kernel not in TAPS:
            raise InputError(f"dust grid: kernel is '{self.kernel}'; choose one of {', '.join(TAPS)}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of cells (y, x, z)."""
        n, n_z = (max(1, round(2 * h / c)) for h, c in ((self.half_width, self.cell), (self.half_depth, self.cell_z)))
        return n, n, n_z


def dust_to_gas(
    oxygen: Float[Array, "gas"], relation: str = "metallicity_x_co", smooth: float = 0.05
) -> Float[Array, "gas"]:
    """Dust-to-gas mass ratio [1], broken power law of Remy-Ruyer et al. (2014), table 1.

    Args:
      oxygen: 12 + log10(O/H) by number [dex].
      relation: which CO conversion the relation was measured with: metallicity_x_co or milky_way_x_co.
      smooth: width of the bend [dex]; 0 gives the published break, which has a step of 0.01 dex.
    """
    slope, b, turn = DUST_RELATIONS[relation]
    below = OXYGEN_SUN_ASPLUND09 - oxygen  # [dex] below solar
    if smooth == 0.0:
        return 10.0 ** -jnp.where(oxygen > turn, 2.21 + below, b + slope * below)
    crossing = (2.21 - b) / (slope - 1.0)  # where the two branches meet
    bend = smooth * jax.nn.softplus((below - crossing) / smooth)
    return 10.0 ** -(2.21 + below + (slope - 1.0) * bend)


def oxygen_abundance(gas: SkyGas) -> Float[Array, "gas"]:
    """12 + log10(O/H) by number [dex]: from mass fractions X_O / (16 X_H) where known, else solar-scaled Z."""
    if gas.oxygen is not None and gas.hydrogen is not None:
        hydrogen = jnp.where(gas.hydrogen > 0.0, gas.hydrogen, 1.0)
        ratio = gas.oxygen / (16.0 * hydrogen)
    else:
        ratio = gas.metallicity / Z_SUN_ASPLUND09 * 10.0 ** (OXYGEN_SUN_ASPLUND09 - 12.0)
    return 12.0 + jnp.log10(jnp.where(ratio > 1e-12, ratio, 1e-12))


def dust_mass(
    gas: SkyGas, *, relation: str = "metallicity_x_co", log10_t_max: float | None = 4.5, smooth: float = 0.05
) -> Float[Array, "gas"]:
    """Dust mass of each gas cell [Msun].

    Args:
      gas: gas cells.
      relation: see `dust_to_gas`.
      log10_t_max: gas hotter than this holds no dust, unless it forms stars [dex of K]; None keeps all. Has no
        effect where temperatures are not known.
      smooth: width of the temperature edge and of the bend of the relation [dex]; 0 for sharp ones.
    """
    mass = gas.mass * dust_to_gas(oxygen_abundance(gas), relation, smooth)
    if log10_t_max is None or gas.temperature is None:
        return mass
    margin = log10_t_max - jnp.log10(jnp.where(gas.temperature > 1.0, gas.temperature, 1.0))
    cold = (margin >= 0.0).astype(mass.dtype) if smooth == 0.0 else jax.nn.sigmoid(margin / smooth)
    if gas.sfr is not None:
        cold = jnp.where(gas.sfr > 0.0, 1.0, cold)
    return mass * cold


def line_of_sight_av(
    stars: SkyStars,
    gas: SkyGas,
    dust: Float[Array, "gas"],
    grid: ColumnGrid,
    kappa_v: Float[ArrayLike, ""] = KAPPA_V,
) -> Float[Array, "star"]:
    """A_V of each star from the dust in front of it, on a grid: cost N_gas + N_cells + N_star, all gradients exist.

    Dust is deposited on [y, x, z], summed from the observer (half of the own cell), and read at the stars with the
    same kernel.

    Args:
      stars: stars in the sky frame [kpc].
      gas: gas in the sky frame [kpc].
      dust: dust mass of each gas cell, from `dust_mass` [Msun].
      grid: the box.
      kappa_v: A_V per dust surface density [mag kpc^2/Msun].

    Returns:
      A_V [mag]; 0 for stars outside the box to the side.
    """
    cells = _deposit(_grid_position(gas, grid), dust, grid)
    before = jnp.cumsum(cells, -1) - 0.5 * cells
    surface = _sample(before / grid.cell**2, _grid_position(stars, grid), grid)
    return jnp.asarray(kappa_v) * surface


def line_of_sight_av_exact(
    stars: SkyStars,
    gas: SkyGas,
    dust: Float[Array, "gas"],
    edges: Float[Array, "edge"],
    kappa_v: Float[ArrayLike, ""] = KAPPA_V,
) -> Float[Array, "star"]:
    """A_V from all gas of the same spaxel with smaller z, by one sort: O(N log N); no gradient in positions.

    Args:
      stars, gas, dust, kappa_v: as in `line_of_sight_av`.
      edges: spaxel edges, uniform, the same for x and y [kpc].

    Returns:
      A_V [mag]; 0 for stars outside the field.
    """
    n, cell = edges.shape[0] - 1, edges[1] - edges[0]

    def spaxel(points: SkyStars | SkyGas) -> Array:
        ix, iy = (jnp.floor((q - edges[0]) / cell).astype(jnp.int32) for q in (points.x, points.y))
        return jnp.where((ix >= 0) & (ix < n) & (iy >= 0) & (iy < n), iy * n + ix, n * n)

    where = jnp.concatenate([spaxel(stars), spaxel(gas)])
    n_star = stars.x.shape[0]
    is_gas = jnp.arange(where.shape[0]) >= n_star
    # at equal depth stars come first: gas beside a star does not dim it
    order = jnp.lexsort((is_gas, jnp.concatenate([stars.z, gas.z]), where))
    mass = jnp.concatenate([jnp.zeros((n_star,), dust.dtype), dust])[order]
    before = jnp.cumsum(mass) - mass
    sorted_where = where[order]
    in_front = before - before[jnp.searchsorted(sorted_where, sorted_where)]
    column = jnp.zeros_like(in_front).at[order].set(in_front)[:n_star]
    return jnp.where(where[:n_star] < n * n, kappa_v * column / cell**2, 0.0)


def _grid_position(points: SkyStars | SkyGas, grid: ColumnGrid) -> tuple[Array, Array, Array]:
    """Positions (y, x, z) in cells from the near lower corner; z is held inside the box."""
    n_z = grid.shape[2]
    z = jnp.clip((points.z + grid.half_depth) / grid.cell_z, 0.5, n_z - 0.5)
    return (points.y + grid.half_width) / grid.cell, (points.x + grid.half_width) / grid.cell, z


def _taps(g: tuple[Array, Array, Array], grid: ColumnGrid) -> tuple[Array, Array]:
    """Flat cell numbers and weights [particle, tap]; what falls outside to the side gets weight zero."""
    n_y, n_x, n_z = grid.shape
    (iy, wy), (ix, wx), (iz, wz) = (bspline_weights(q, grid.kernel) for q in g)
    iz = jnp.clip(iz, 0, n_z - 1)
    wy = jnp.where((iy >= 0) & (iy < n_y), wy, 0.0)
    wx = jnp.where((ix >= 0) & (ix < n_x), wx, 0.0)
    iy, ix = jnp.clip(iy, 0, n_y - 1), jnp.clip(ix, 0, n_x - 1)
    cell = (iy[:, :, None, None] * n_x + ix[:, None, :, None]) * n_z + iz[:, None, None, :]
    weight = wy[:, :, None, None] * wx[:, None, :, None] * wz[:, None, None, :]
    count = TAPS[grid.kernel] ** 3
    return cell.reshape(-1, count), weight.reshape(-1, count)


def _chunks(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """Arrays [particle] as [chunk, particle], padded with zeros."""
    n = arrays[0].shape[0]
    size = min(CHUNK, max(n, 1))
    pad = -n % size
    return tuple(jnp.pad(a, (0, pad)).reshape(-1, size) for a in arrays)


def _deposit(g: tuple[Array, Array, Array], mass: Array, grid: ColumnGrid) -> Float[Array, "y x z"]:
    @jax.checkpoint
    def add(cells: Any, chunk: Any) -> tuple:
        cell, weight = _taps(chunk[:3], grid)
        return cells.at[cell].add(weight * chunk[3][:, None]), None

    n_y, n_x, n_z = grid.shape
    cells, _ = jax.lax.scan(add, jnp.zeros(n_y * n_x * n_z, mass.dtype), _chunks((*g, mass)))
    return cells.reshape(grid.shape)


def _sample(field: Float[Array, "y x z"], g: tuple[Array, Array, Array], grid: ColumnGrid) -> Float[Array, "star"]:
    flat = field.reshape(-1)

    @jax.checkpoint
    def read(chunk: Any) -> Any:
        cell, weight = _taps(chunk, grid)
        return (flat[cell] * weight).sum(-1)

    return jax.lax.map(read, _chunks(g)).reshape(-1)[: g[0].shape[0]]
