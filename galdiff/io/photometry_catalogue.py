"""Catalogues of photometry: a row a galaxy, a column a band and one with its error."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from galdiff.errors import InputError
from galdiff.io.tables import read_columns

ERROR = "_err"  # after the name of a band, the column of its error
MAGGIES = {"maggies": 1.0, "microjansky": 1 / 3631e6, "mag": np.nan}  # of one unit; magnitudes are AB
UNITS = tuple(MAGGIES)


@dataclasses.dataclass(frozen=True, eq=False)
class PhotometryCatalogue:
    """Fluxes of galaxies.

    Attributes:
      ids: of the galaxies, the numbers of their rows from 1 where the table has no column `id`.
      redshift: of each [1].
      flux, error: flux densities [maggies], (galaxy, band); NaN is missing, an error below 0 marks an upper limit.
    """

    ids: tuple[str, ...]
    redshift: Float[np.ndarray, "galaxy"]
    flux: Float[np.ndarray, "galaxy band"]
    error: Float[np.ndarray, "galaxy band"]


def read_photometry(
    path: str | pathlib.Path, bands: Sequence[str], unit: str, columns: Mapping[str, str] | None = None
) -> PhotometryCatalogue:
    """Read a table with the columns `redshift`, and of each band its flux and, with _err behind the name, its error.

    Args:
      path: .csv, .ecsv, .h5, .hdf5, .parquet or .zarr.
      bands: names of passbands.
      unit: of fluxes and errors: maggies, microjansky, or mag (AB).
      columns: of bands whose columns have other names; also of redshift and id.

    Raises:
      InputError: another unit, a missing column, a redshift that cannot be, or no row.
    """
    if unit not in UNITS:
        raise InputError(f"unit is '{unit}'; choose {', '.join(UNITS)}")
    names = {name: name for name in ("redshift", "id", *bands)} | dict(columns or {})
    if strange := [name for name in names if name not in ("redshift", "id", *bands)]:
        raise InputError(f"columns: '{strange[0]}' is no band that is fitted; they are {', '.join(bands)}")
    wanted: list[str] = [names["redshift"], *(c for b in bands for c in (names[b], names[b] + ERROR))]
    read = read_columns(path, dict.fromkeys(wanted))
    redshift = read[names["redshift"]]
    if not (np.isfinite(redshift) & (redshift >= 0)).all():
        row = int(np.argmin(np.isfinite(redshift) & (redshift >= 0)))
        raise InputError(f"{path}: redshift of row {row + 1} is {redshift[row]}; give 0 or more in every row")
    flux, error = (np.stack([read[names[b] + end] for b in bands], -1) for end in ("", ERROR))
    return PhotometryCatalogue(_ids(path, names["id"], len(redshift)), redshift, *in_maggies(flux, error, unit))


def in_maggies(flux: np.ndarray, error: np.ndarray, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes and errors [maggies] of those in a unit, same shapes; errors below 0 stay so."""
    if unit != "mag":
        return flux * MAGGIES[unit], error * MAGGIES[unit]
    linear = 10 ** (-0.4 * flux)
    return linear, linear * error * np.log(10) / 2.5


def _ids(path: str | pathlib.Path, column: str, n: int) -> tuple[str, ...]:
    """Whole numbers of a column, or those of the rows where there is none."""
    try:
        return tuple(f"{value:.0f}" for value in read_columns(path, {column: None})[column])
    except InputError:
        return tuple(str(i + 1) for i in range(n))
