"""Readers of cooling tables: Sutherland & Dopita (1993) as CSV or text, and grids in HDF5 (Wiersma, CLOUDY).

All return Lambda_N = loss rate / (n_e n_t), n_t being the density of all ions. Tables of Lambda / n_H^2 are converted
with the electrons and ions per hydrogen that the file gives, else with those of ionised gas.
"""

import csv
import os
import pathlib
from typing import Any

import h5py
import jax.numpy as jnp
import numpy as np

from galdiff.baryons.cooling import CoolingTable
from galdiff.core.buildable import buildable
from galdiff.core.hdf5 import read_dataset
from galdiff.errors import InputError

SD93_COLUMNS = {"feh_m3.0": -3.0, "feh_m2.0": -2.0, "feh_m1.5": -1.5, "feh_m1.0": -1.0, "feh_m0.5": -0.5}
SD93_COLUMNS |= {"feh_p0.0": 0.0, "feh_p0.5": 0.5}
CONVENTIONS = ("ne_nt", "nh2")
# Per hydrogen, ionised solar gas (Sutherland & Dopita 1993): 0.12 dex in all. Wrong below about 2e4 K.
IONISED_ELECTRONS, IONISED_IONS = 1.21, 1.10


def _checked(path: str | pathlib.Path, log10_t: Any, log10_z_solar: Any, values: np.ndarray) -> CoolingTable:
    axes = {"log10 temperature [log10 K]": log10_t, "log10 metallicity over solar [dex]": log10_z_solar}
    for name, nodes in axes.items():
        if nodes.ndim != 1 or len(nodes) < 2 or not np.isfinite(nodes).all() or not (np.diff(nodes) > 0).all():
            raise InputError(
                f"{path}: {name} has nodes {nodes}; it needs two or more, finite and increasing; sort them"
            )
    if values.shape != (len(log10_t), len(log10_z_solar)):
        raise InputError(
            f"{path}: cooling has shape {values.shape}, but there are {len(log10_t)} temperatures and"
            f" {len(log10_z_solar)} metallicities; store it as (temperature, metallicity)"
        )
    if not np.isfinite(values).all():
        i, j = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"{path}: cooling at log10 T = {log10_t[i]:g}, log10 Z/Zsun = {log10_z_solar[j]:g} is not a finite log10 of"
            " erg cm^3/s; net heating cannot be tabulated: drop those temperatures or mask the heating"
        )
    arrays = (jnp.asarray(a, float) for a in (log10_t, log10_z_solar, values))
    return CoolingTable(**dict(zip(("log10_t", "log10_z_solar", "log10_lambda"), arrays, strict=True)))


def _existing(path: str | os.PathLike) -> pathlib.Path:
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"cooling table {path} is not a file; give the path of a table")
    return path


def _numbers(path: pathlib.Path, rows: list[list[str]], width: int) -> np.ndarray:
    out = []
    for number, row in enumerate(rows, 1):
        try:
            values = [float(cell) for cell in row]
        except ValueError as error:
            raise InputError(f"{path}: data row {number} holds '{','.join(row)}' ({error}); give numbers") from None
        if len(values) < width:
            raise InputError(f"{path}: data row {number} has {len(values)} columns; it needs at least {width}")
        out.append(values[:width] if width > 1 else values)
    if len(out) < 2:
        raise InputError(f"{path}: {len(out)} rows of data; a table needs two temperatures or more")
    return np.array(out)


@buildable(reads=True)
def load_sd93_csv(path: str | os.PathLike, *, padded: str = "extrapolate") -> CoolingTable:
    """Sutherland & Dopita (1993) with one row per temperature: log10_T, then log10 Lambda_N in columns feh_m3.0 ...

    Args:
      path: CSV file; lines with # are comments, the first other line names the columns, which are picked by name.
      padded: the original of [Fe/H] = +0.5 starts at log10 T = 4.10, and files repeat that value below. "extrapolate"
        replaces the repeats with the solar column plus the step between the columns at 4.10; "keep" keeps them.

    Returns:
      Table on [Fe/H] = -3 to +0.5, which is log10 Z/Zsun for Zsun = 0.02.

    Raises:
      InputError: for a missing file or column, text where numbers are due, gaps, or temperatures that do not increase.
    """
    if padded not in ("extrapolate", "keep"):
        raise InputError(f"padded is '{padded}'; choose 'extrapolate' or 'keep'")
    path = _existing(path)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and line.lstrip()[0] != "#"]
    header, *rows = list(csv.reader(lines)) or [[]]
    names = ["log10_T", *SD93_COLUMNS]
    missing = [name for name in names if name not in header]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; found {', '.join(header)}; name them in the first row"
        )
    data = _numbers(path, rows, len(header))[:, [header.index(name) for name in names]]
    log10_t, values = data[:, 0], data[:, 1:].copy()
    if padded == "extrapolate":
        top = values[:, -1]
        repeats = np.cumprod(top == top[0]).astype(bool)
        first = int(repeats.sum()) - 1  # the last of the equal values is the first real one
        if first > 0 and first + 1 < len(top):
            values[:first, -1] = values[:first, -2] + top[first] - values[first, -2]
    return _checked(path, log10_t, np.array(list(SD93_COLUMNS.values())), values)


@buildable(reads=True)
def load_cie_text(paths: dict[float, str | os.PathLike], *, convention: str = "ne_nt") -> CoolingTable:
    """Files of Sutherland & Dopita (1993), one per metallicity: log T, n_e, n_H, n_t, log Lambda_net, log Lambda_N ...

    Args:
      paths: file of each log10 Z/Zsun [dex]; lines that do not start with a number are skipped. The files need not
        start at the same temperature: the table takes the temperatures that all have.
      convention: "ne_nt" reads column 6; "nh2" converts column 5 with the n_e and n_t of the file, which gives the
        same up to rounding.

    Raises:
      InputError: for a missing file, too few columns, no common temperatures, or an unknown convention.
    """
    _known(convention)
    columns: dict[float, dict[float, float]] = {}
    for z, name in sorted(paths.items()):
        path = _existing(name)
        rows = [line.replace(",", " ").split() for line in path.read_text(encoding="utf-8").splitlines()]
        data = _numbers(path, [row for row in rows if row and _is_number(row[0])], 6)
        log_n = (
            data[:, 5] if convention == "ne_nt" else data[:, 4] - np.log10(data[:, 1] * data[:, 3] / data[:, 2] ** 2)
        )
        columns[z] = {round(float(t), 4): float(v) for t, v in zip(data[:, 0], log_n, strict=True)}
    where = ", ".join(str(p) for p in paths.values())
    common = sorted(set.intersection(*(set(c) for c in columns.values()))) if columns else []
    if len(common) < 2:
        raise InputError(
            f"cooling tables {where or 'none'}: {len(common)} temperatures in common; two or more are needed"
        )
    values = np.array([[column[t] for column in columns.values()] for t in common])
    return _checked(where, np.array(common), np.array(list(columns)), values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _known(convention: str) -> None:
    if convention not in CONVENTIONS:
        raise InputError(f"convention is '{convention}'; choose 'ne_nt' for Lambda/(n_e n_t) or 'nh2' for Lambda/n_H^2")


@buildable(reads=True)
def load_cooling_hdf5(
    path: str | os.PathLike, *, convention: str, density: float | None = None, redshift_group: str = ""
) -> CoolingTable:
    """A grid of cooling functions in HDF5, as made from Wiersma et al. (2009, MNRAS 393, 99) or CLOUDY.

    Datasets, in the file or in one of its groups: `log10_temperature` [log10 K] (t), `log10_metallicity` [log10 Z/Zsun,
    Zsun = 0.02] (z), `log10_cooling` [log10 erg cm^3/s] (t, z) or (t, z, n), then also `log10_hydrogen_density`
    [log10 cm^-3] (n); optional `electrons_per_hydrogen` and `ions_per_hydrogen` [1], of the shape of the cooling.

    Args:
      path: file.
      convention: "ne_nt" for Lambda/(n_e n_t), "nh2" for Lambda/n_H^2, as Wiersma et al. and CLOUDY have it.
      density: log10 n_H [cm^-3] at which a grid with densities is cut, linear in the logarithms; None without.
      redshift_group: group that holds the datasets; empty for the file itself.

    Raises:
      InputError: naming dataset, file and what is expected.
    """
    _known(convention)
    path = _existing(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} is not readable as HDF5 ({error}); give a cooling table in HDF5") from None
    with file:
        if redshift_group and redshift_group not in file:
            raise InputError(f"{path}: no group '{redshift_group}'; found {', '.join(file)}")
        group = file[redshift_group] if redshift_group else file
        names = ("log10_temperature", "log10_metallicity", "log10_cooling")
        missing = [name for name in names if name not in group]
        if missing:
            raise InputError(f"{path}: no dataset {', '.join(missing)}; found {', '.join(group) or 'none'}")
        log10_t, log10_z, cooling = (np.asarray(read_dataset(group[name]), float) for name in names)
        per_h = [
            np.asarray(read_dataset(group[name]), float) if name in group else np.asarray(ionised)
            for name, ionised in (("electrons_per_hydrogen", IONISED_ELECTRONS), ("ions_per_hydrogen", IONISED_IONS))
        ]
        axis = "log10_hydrogen_density"
        densities = np.asarray(read_dataset(group[axis]), float) if axis in group else None
    if convention == "nh2":
        for name, value in zip(("electrons_per_hydrogen", "ions_per_hydrogen"), per_h, strict=True):
            if value.shape not in ((), cooling.shape) or not (value > 0).all():
                raise InputError(f"{path}: {name} has shape {value.shape}; it needs {cooling.shape}, all above zero")
        cooling = cooling - np.log10(per_h[0] * per_h[1])
    return _checked(path, log10_t, log10_z, _at_density(path, cooling, densities, density))


def _at_density(path: str | pathlib.Path, cooling: Any, densities: Any, density: float | None) -> np.ndarray:
    if densities is None or cooling.ndim == 2:
        if density is not None:
            raise InputError(f"{path}: density {density} was asked, but the grid has no densities; leave density out")
        return cooling
    if cooling.ndim != 3 or cooling.shape[2:] != densities.shape or not (np.diff(densities) > 0).all():
        raise InputError(
            f"{path}: cooling has shape {cooling.shape} with {densities.shape} densities; it needs axes (temperature,"
            " metallicity, density) and increasing densities"
        )
    lo, hi = densities[0], densities[-1]
    if density is None or not lo <= density <= hi:
        raise InputError(f"{path}: density is {density}; give log10 n_H [cm^-3] between {lo:g} and {hi:g}")
    j = int(np.clip(np.searchsorted(densities, density, side="right") - 1, 0, len(densities) - 2))
    share = (density - densities[j]) / (densities[j + 1] - densities[j])
    return (1 - share) * cooling[..., j] + share * cooling[..., j + 1]
