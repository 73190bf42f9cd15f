"""Lines of H II regions per ionising photon: the Cloudy grid of Byler et al. (2017, ApJ 840, 44), as FSPS ships it.

The stars of one age and metallicity ionise gas of 100 cm^-3 with the same metals, without dust inside. The packed file
is made by experiments/pack_byler17.py of `nebular/ZAU_ND_mist.lines` of FSPS (Conroy & Gunn 2010, ApJ 712, 833), whose
licence (MIT) lies beside it. The gas at [Z] = 0 has the abundances of Dopita et al. (2000, ApJ 542, 224).
"""

import functools
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import PchipInterpolator

from galdiff import units
from galdiff.core.record import quantity, record
from galdiff.nebular.interpolate import hermite_matrices, smooth_matrix
from galdiff.nebular.lines import NAMES

FILE = pathlib.Path(__file__).parent / "byler17.npz"
OXYGEN = 8.71  # 12 + log10(O/H) in the gas at [Z] = 0: 8.93, of which 0.22 dex are in dust
OLDEST = float(np.log10(20.0)) - 3  # dex(Gyr), last age; FSPS, too, lets no older stars ionise gas
LAST_PAID = float(np.log10(0.005))  # dex(Gyr), see `within_budget`
LSUN = float(np.log10(units.LSUN_FSPS_ERG_S / units.LSUN_ERG_S))  # dex


@record
class LineGrid:
    """Lines over the photons below 912 Angstrom of the stars that ionise."""

    log_z: Float[Array, "z"] = quantity("dex", "log10 of metallicity over solar, of gas and stars")
    lg_age: Float[Array, "a"] = quantity("dex(Gyr)", "log10 of the age of the stars")
    log_u: Float[Array, "u"] = quantity("dex", "log10 of the ionisation parameter")
    log10_lum: Float[Array, "z a u line"] = quantity("dex(Lsun s)", "luminosity per rate of ionising photons")
    by_age: Float[Array, "z a u line"] = quantity("dex(Lsun s)/dex(Gyr)", "its slope in age, monotone between nodes")


@functools.cache
def line_grid() -> LineGrid:
    """The grid that comes with the package, the lines of `galdiff.nebular.lines.LINES`; its arrays are NumPy's."""
    with np.load(FILE, allow_pickle=False) as file:
        axes: Any = {name: np.asarray(file[name], float) for name in ("log_z", "lg_age", "log_u")}
        log10_lum: Any = within_budget(np.asarray(file["log10_lum"], float) + LSUN, axes["lg_age"])
    by_age = PchipInterpolator(axes["lg_age"], log10_lum, axis=1).derivative()(axes["lg_age"])
    return LineGrid(**axes, log10_lum=log10_lum, by_age=by_age)


def within_budget(log10_lum: np.ndarray, lg_age: np.ndarray) -> np.ndarray:
    """The grid without what ionising photons cannot pay for.

    Beyond 5 Myr its lines grow up to twice as bright per ionising photon, as stars pump hydrogen by their light in the
    Lyman lines, and would give more power than the gas takes. All lines of a node are scaled so that H-alpha per photon
    is at most that at 5 Myr, and Lyman-alpha is held to its own there; other ratios stay those of the grid.

    Args:
      log10_lum: luminosities per photon [dex], shape (z, a, u, line); lg_age: ages [dex(Gyr)], shape (a,).
    """
    old = lg_age > LAST_PAID + 1e-6
    last = log10_lum[:, [int(np.argmin(np.abs(lg_age - LAST_PAID)))]]
    alpha, lyman = NAMES.index("Halpha"), NAMES.index("Lyalpha")
    kept = log10_lum - np.maximum(log10_lum[..., [alpha]] - last[..., [alpha]], 0.0) * old[:, None, None]
    kept[..., lyman] = np.where(old[:, None], np.minimum(kept[..., lyman], last[..., lyman]), kept[..., lyman])
    return kept


def log10_per_photon(
    grid: LineGrid, log_z: Float[Array, "met"], lg_age: Float[Array, "age"], log_u: Float[Array, ""]
) -> Float[Array, "met age line"]:
    """Luminosities of lines over ionising photons on all pairs of metallicity and age; held beyond the grid's edges.

    Cubic in all three logarithms with one continuous derivative, exact on the nodes; monotone in age, where lines drop
    by decades between nodes.

    Args:
      grid: `line_grid()`.
      log_z: log10 of the metallicity over solar [dex].
      lg_age: log10 of the age [dex(Gyr)].
      log_u: log10 of the ionisation parameter [dex].

    Returns:
      Logarithms [dex(Lsun s)]: near -45, so keep them until a rate of photons is added.
    """
    by_z, by_u = smooth_matrix(log_z, grid.log_z), smooth_matrix(log_u, grid.log_u)
    values, slopes = hermite_matrices(lg_age, grid.lg_age)
    middle = float(np.log10(1e-45))  # near zero single precision is finest
    tables = jnp.stack([grid.log10_lum - middle, grid.by_age])
    tables = jnp.einsum("mz,kzaul,u->kmal", by_z, tables, by_u)
    return jnp.einsum("na,mal->mnl", values, tables[0]) + jnp.einsum("na,mal->mnl", slopes, tables[1]) + middle


def read_text(path: pathlib.Path) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Axes by name, wavelengths [Angstrom, vacuum] and luminosities [3.839e33 erg/s per photon/s] of the file of FSPS.

    Args:
      path: text with a comment, the wavelengths, and for every node log Z, age [yr] and log U, then the lines.

    Returns:
      Axes log_z, lg_age and log_u, the wavelengths of shape (line,), and an array of shape (z, a, u, line).
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    wave = np.array(lines[1].split(), float)
    nodes = np.array([line.split() for line in lines[2::2]], float)
    lum = np.array([line.split() for line in lines[3::2]], float)
    log_z, age, log_u = (np.unique(column) for column in nodes.T)
    cube = lum[np.lexsort(nodes.T[::-1])].reshape(log_z.size, age.size, log_u.size, wave.size)
    return {"log_z": log_z, "lg_age": np.log10(age) - 9, "log_u": log_u}, wave, cube
