"""Stars from a plain table with units: HDF5, NPZ or ECSV.

A column's unit stands in the column (ECSV), in the dataset's attribute `unit` or `units` (HDF5), at the end of its
name (`x_kpc`, `mass_msun`, `vx_km_s`, `age_gyr`), or in the option units={"mass": "1e10 Msun"}.
"""

import typing
from collections.abc import Mapping
from typing import Any, ClassVar

import h5py
import numpy as np
from astropy import units as u
from astropy.table import Table as AstropyTable

from galdiff.core.hdf5 import check_compound, member, read_dataset
from galdiff.core.numbers import numeric
from galdiff.errors import InputError
from galdiff.io.simulations.convention import Convention, Raw, Request
from galdiff.io.simulations.look import Look, open_hdf5, walk

COLUMNS = {  # field of StarParticles: unit, names, required
    "pos": ("kpc", ("pos", "position", "positions", "coordinates"), True),
    "vel": ("km/s", ("vel", "velocity", "velocities"), True),
    "mass": ("Msun", ("mass", "mass_formed", "initial_mass", "mass_initial", "m_init"), True),
    "age": ("Gyr", ("age", "ages"), True),
    "metallicity": ("", ("metallicity", "Z", "metals", "z_met"), True),
    "mass_now": ("Msun", ("mass_now", "current_mass"), False),
    "a_v": ("mag", ("a_v", "A_V", "av"), False),
    "smoothing": ("kpc", ("smoothing", "hsml", "smoothing_length"), False),
}
AXES = {
    "pos": (("x", "y", "z"), ("pos_x", "pos_y", "pos_z")),
    "vel": (("vx", "vy", "vz"), ("vel_x", "vel_y", "vel_z")),
}
SUFFIXES = {
    "_kpc": "kpc", "_pc": "pc", "_mpc": "Mpc", "_km_s": "km/s", "_kms": "km/s", "_msun": "Msun",
    "_gyr": "Gyr", "_myr": "Myr", "_yr": "yr", "_mag": "mag",
}  # fmt: skip

OLDEST = 20.0  # Gyr
Quantities = dict[str, tuple[np.ndarray, str]]


@typing.final
class Table(Convention):
    """Columns with units, of stars alone."""

    name = "table"
    own_options: ClassVar = {"units": "tables"}
    star_groups = ()
    in_parts = False
    hdf5 = False

    def recognises(self, look: Look) -> bool:
        """Whether it is no HDF5, or HDF5 without groups of particle types."""
        groups = {name.split("/")[0] for name in (*look.shapes, *look.broken)}
        return not look.hdf5 or (bool(look.shapes) and not any(name.startswith("PartType") for name in groups))

    def read(self, path: str, request: Request) -> Raw:
        """Stars of a table; columns as in `COLUMNS`, vectors as (N, 3) or as x, y, z and vx, vy, vz.

        Args:
          path: HDF5 with one dataset per column, NPZ, or ECSV.
          request: its `units` give the unit of a column by its name, for columns that state none or a wrong one.

        Raises:
          InputError: a column is missing, has no or a foreign unit, or another length than the first.
        """
        return _read(path, request.units)


def _load(path: str) -> Quantities:
    """Columns and their units ("" where none is stated), by the kind of the file's content."""
    with open(path, "rb") as file:
        start = file.read(512)
    try:
        if h5py.is_hdf5(path):
            return _load_hdf5(path)
        if start[:2] == b"PK":
            return _load_npz(path)
        if start.lstrip().startswith(b"# %ECSV"):
            return _from_astropy(AstropyTable.read(path, format="ascii.ecsv"))
    except InputError:
        raise
    except Exception as error:  # parsers of damaged bytes raise nearly everything
        raise InputError(
            f"{path}: the table cannot be read ({' '.join(str(error).split())[:120]}); it is probably truncated or"
            " damaged: write it again"
        ) from error
    raise InputError(
        f"{path}: neither HDF5, NPZ nor ECSV (first bytes {start[:8]!r}); damaged, or another format: give an HDF5"
        " snapshot, or save a table with astropy's Table.write(..., format='ascii.ecsv')"
    )


def _load_npz(path: str) -> Quantities:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    units = {name.removesuffix("_unit"): str(arrays.pop(name)) for name in list(arrays) if name.endswith("_unit")}
    return {name: (values, units.get(name, "")) for name, values in arrays.items()}


def _from_astropy(table: AstropyTable) -> Quantities:
    return {name: (_filled(table[name]), str(getattr(table[name], "unit", "") or "")) for name in table.colnames}


def _filled(column: Any) -> np.ndarray:
    """Values with NaN, to be reported later, where the table masks them."""
    masked = np.ma.asarray(column)
    return np.ma.filled(masked.astype(float), np.nan) if np.ma.is_masked(masked) else np.asarray(column)


def _load_hdf5(path: str) -> Quantities:
    columns: Quantities = {}
    with open_hdf5(path) as file:
        stars = member(file, "stars")
        stars = stars if isinstance(stars, h5py.Group) else file
        shapes, broken = walk(stars)
        alone = sum("__table_column_meta__" not in name for name in shapes) == 1
        for name in (*shapes, *broken):
            item = member(stars, name)  # refuses a link to what is absent
            if alone and item.dtype.names:  # one compound dataset, as astropy writes it
                check_compound(item)
                return _from_astropy(AstropyTable.read(path, format="hdf5", path=item.name))
            stated = item.attrs.get("unit", item.attrs.get("units", ""))
            text = stated.decode() if isinstance(stated, bytes) else str(stated)
            name = item.name.rsplit("/", 1)[-1]
            if name in columns:
                raise InputError(f"{path}: '{name}' occurs more than once; put the stars' columns into a group 'stars'")
            columns[name] = (read_dataset(item), text)
    return columns


def _pick(columns: Quantities, name: str) -> str | None:
    """The column of this name, with or without a unit at its end; the case of a single letter matters (z is no Z)."""
    for suffix in ("", *SUFFIXES):
        for found in columns:
            if found == name + suffix or (len(name) > 1 and found.lower() == (name + suffix).lower()):
                return found
    return None


def _names_of(columns: Quantities, key: str, names: tuple[str, ...]) -> list[str]:
    """The column of a field, or its three components; empty if it is not there."""
    for spelling in (*((name,) for name in names), *AXES.get(key, ())):
        picked = [_pick(columns, name) for name in spelling]
        found = [name for name in picked if name is not None]
        if len(found) == len(picked):
            return found
    return []


def _convert(path: str, column: str, quantity: tuple[np.ndarray, str], target: str, option: str | None) -> np.ndarray:
    """Values of a column in the target unit, float64."""
    values, stated = quantity
    text = option or stated or next((unit for end, unit in SUFFIXES.items() if column.lower().endswith(end)), "")
    if not text and target:
        raise InputError(
            f"{path}: column '{column}' states no unit; expected one convertible to {target}: set its attribute 'unit',"
            f" or give units={{'{column}': '{target}'}}"
        )
    values = numeric(values, f"{path}: column '{column}'")
    try:
        return values * u.Unit(text).to(u.Unit(target))
    except (TypeError, ValueError) as error:  # astropy's UnitConversionError is both
        raise InputError(
            f"{path}: column '{column}' with unit '{' '.join(text.split())}' cannot be turned into"
            f" {target or 'a pure number'} numbers ({' '.join(str(error).split())[:100]}); correct it with"
            f" units={{'{column}': '...'}}"
        ) from error


def _read(path: str, units: Mapping[str, str] | None) -> Raw:
    """Stars of a table; columns as in `COLUMNS`, vectors as (N, 3) or as x, y, z and vx, vy, vz.

    Args:
      path: HDF5 with one dataset per column, NPZ, or ECSV.
      units: unit of a column by its name, for columns that state none or a wrong one.

    Raises:
      InputError: a column is missing, has no or a foreign unit, or another length than the first.
    """
    options = dict(units or {})
    columns = _load(path)
    if unknown := set(options) - set(columns):
        raise InputError(f"{path}: units names {', '.join(sorted(unknown))}; the columns are {', '.join(columns)}")
    stars: dict[str, np.ndarray] = {}
    labels: dict[str, str] = {}
    for key, (unit, names, required) in COLUMNS.items():
        chosen = _names_of(columns, key, names)
        if not chosen:
            if required:
                spelled = " or ".join((names[0], *("/".join(axes) for axes in AXES.get(key, ())[:1])))
                raise InputError(
                    f"{path}: no column {spelled} [{unit or '1'}]; columns found: {', '.join(columns) or 'none'};"
                    " rename or add it (docs/snapshots.md)"
                )
            continue
        parts = [_convert(path, name, columns[name], unit, options.get(name)) for name in chosen]
        stars[key] = parts[0] if len(parts) == 1 else _stack(path, chosen, parts)
        labels[f"stars.{key}"] = "/".join(chosen)
        count = len(stars["pos"]) if stars["pos"].ndim else 0
        expected = (count, 3) if key in AXES else (count,)
        if stars[key].shape != expected:
            raise InputError(f"{path}: column '{'/'.join(chosen)}' has shape {stars[key].shape}; expected {expected}")
    if old := int((stars["age"] > OLDEST).sum()):
        raise InputError(
            f"{path}: column '{labels['stars.age']}': {old} of {count} ages exceed {OLDEST:g} Gyr (highest"
            f" {stars['age'].max():.4g}); no star is older than the universe: correct its unit with units="
        )
    if not len(stars["pos"]):
        raise InputError(f"{path}: no stars: the table has no rows; choose another file")
    return Raw(path, "table", stars, None, labels)


def _stack(path: str, names: list[str], parts: list[np.ndarray]) -> np.ndarray:
    if len({part.shape for part in parts}) > 1:
        shapes = ", ".join(f"{name} {part.shape}" for name, part in zip(names, parts, strict=True))
        raise InputError(f"{path}: columns differ in shape ({shapes}); expected one value per star in each")
    return np.stack(parts, axis=-1)
