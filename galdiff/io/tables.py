"""Columns of a user's table: CSV, ECSV, HDF5, Parquet or Zarr, in the unit that is wanted."""

import difflib
import hashlib
import importlib.util
import pathlib
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from astropy import units as u

from galdiff.core.hdf5 import check_compound, member, read_dataset
from galdiff.errors import InputError

ENDINGS = (".csv", ".ecsv", ".h5", ".hdf5", ".parquet", ".zarr")
NEEDED = {".parquet": "pyarrow", ".zarr": "zarr"}  # packages of the extras of the same names
Raw = dict[str, tuple[np.ndarray, str]]  # values and unit ("" for none said) by name


def read_columns(path: str | pathlib.Path, wanted: Mapping[str, str | None]) -> dict[str, np.ndarray]:
    """Columns in float64, NaN where a value is missing, all of one length.

    Args:
      path: file, or folder of a Zarr group: .csv, .ecsv, .h5, .hdf5, .parquet or .zarr.
      wanted: names, with the unit as astropy spells it, or None to take the values as they are; a column that says its
        unit is converted, one that says none is taken to have the wanted one.

    Raises:
      InputError: no such file or column, another kind of unit, no numbers, or no rows.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: is no table that can be read; give one that ends in {', '.join(ENDINGS)}")
    if not path.exists():
        raise InputError(f"{path}: there is no such table; check the path")
    if (needed := NEEDED.get(path.suffix.lower())) and importlib.util.find_spec(needed) is None:
        extra = path.suffix.lower().removeprefix(".")
        raise InputError(f"{path}: needs {needed}, which is not installed: pip install 'galdiff[{extra}]'")
    try:
        raw = _read(path)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from error
    for name in wanted:
        if name not in raw:
            close = difflib.get_close_matches(name, raw, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(raw) or 'none'}"
            raise InputError(f"{path}: has no column '{name}'; {hint}")
    made = {name: _numbers(path, name, *raw[name], unit) for name, unit in wanted.items()}
    lengths = {name: len(values) for name, values in made.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{path}: columns have lengths {lengths}; give columns of one length")
    if 0 in lengths.values():
        raise InputError(f"{path}: has no rows; give a table with some")
    return made


def content_hash(path: str | pathlib.Path) -> str:
    """Hash of a file, or of all files of a folder."""
    path, digest = pathlib.Path(path), hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:32]


def _read(path: pathlib.Path) -> Raw:
    ending = path.suffix.lower()
    if ending in (".h5", ".hdf5"):
        with h5py.File(path) as file:
            flat = {n: x for n in file if isinstance(x := member(file, n), h5py.Dataset) and x.ndim == 1}
            whole = [n for n, x in flat.items() if x.dtype.names]  # tables as astropy writes them
            for name in whole:
                check_compound(flat[name])
            made = {
                n: (read_dataset(x), _unit(x))
                for n, x in flat.items()
                if n not in whole and "__table_column_meta__" not in n
            }
        return made | {k: v for n in whole for k, v in _table(path, format="hdf5", path=n).items()}
    if ending == ".zarr":
        import zarr  # optional

        return _arrays({n: x for n, x in zarr.open_group(str(path), mode="r").arrays() if x.ndim == 1})
    if ending == ".parquet":
        from pyarrow import parquet  # optional

        read = parquet.read_table(path)
        units = {f.name: (f.metadata or {}).get(b"unit", b"").decode() for f in read.schema}
        return {n: (read[n].to_numpy(), units[n]) for n in read.column_names}
    return _table(path, format="ascii.ecsv" if ending == ".ecsv" else "ascii.csv")


def _table(file: pathlib.Path, **options: Any) -> Raw:
    from astropy.table import Table  # a quarter of a second to load

    table = Table.read(file, **options)
    return {n: (_filled(table[n]), "" if table[n].unit is None else str(table[n].unit)) for n in table.colnames}


def _arrays(found: Mapping) -> Raw:
    return {name: (np.asarray(x[:]), _unit(x)) for name, x in found.items()}


def _unit(array: Any) -> str:
    return str(array.attrs.get("unit", array.attrs.get("units", "")))


def _filled(column: Any) -> np.ndarray:
    """Values of a column, NaN where they are missing."""
    missing = getattr(column, "mask", None)
    values = np.asarray(column)
    if missing is None or not np.any(missing) or values.dtype.kind not in "fiub":
        return values
    return np.where(missing, np.nan, values.astype(float))


def _numbers(path: pathlib.Path, name: str, values: np.ndarray, has: str, unit: str | None) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        bad = next((str(x) for x in values if not _is_number(x)), "")
        raise InputError(f"{path}: column '{name}' holds '{bad}', which is no number; leave missing values empty")
    values = values.astype(float)
    if not has or unit is None:
        return values
    if (has == "dex" and unit.startswith("dex")) or (unit == "dex" and has.startswith("dex")):
        return values  # of what is wanted; and the error of a logarithm has no unit but dex
    try:
        return np.asarray((values * u.Unit(has)).to_value(u.Unit(unit)))
    except (u.UnitConversionError, u.UnitTypeError, ValueError, TypeError) as error:
        remedy = f"column '{name}' has the unit '{has}'; give it in '{unit}', or without a unit"
        raise InputError(f"{path}: {remedy}") from error


def _is_number(x: str) -> bool:
    try:
        float(x)
    except (TypeError, ValueError):
        return False
    return True
