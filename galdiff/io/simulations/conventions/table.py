"""Stars from a plain table with units: HDF5, NPZ or ECSV.

A column's unit stands in the column (ECSV), in the dataset's attribute `unit` or `units` (HDF5), at the end of its
name (`x_kpc`, `mass_msun`, `vx_km_s`, `age_gyr`), or in the option units={"mass": "1e10 Msun"}.
"""

import typing
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from astropy import units as u

from galdiff.core.numbers import numeric
from galdiff.errors import InputError
from galdiff.io.simulations.convention import Columns, Convention, Raw, Request
from galdiff.io.simulations.look import Look
from galdiff.io.simulations.sphere import Sphere
from galdiff.io.simulations.table_files import Quantities, blocks, load

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
        return _read(path, dict(request.units or {}), request.sphere)


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


def _read(path: str, units: Mapping[str, str], sphere: Sphere | None) -> Raw:
    """Stars of a table: all, or block by block those in a sphere."""
    parts: list[Columns] = []
    labels: dict[str, str] = {}
    rows, nearest = 0, np.inf
    for columns in [load(path)] if sphere is None else blocks(path):
        stars, labels = _stars(path, columns, units)
        rows += len(stars["pos"])
        if sphere is not None:
            inside, closest = sphere.inside(stars["pos"])
            nearest = min(nearest, closest)
            stars = {key: values[inside] for key, values in stars.items()}
        parts.append(stars)
    if not rows:
        raise InputError(f"{path}: no stars: the table has no rows; choose another file")
    stars = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    if old := int((stars["age"] > OLDEST).sum()):
        raise InputError(
            f"{path}: column '{labels['stars.age']}': {old} of {len(stars['age'])} ages exceed {OLDEST:g} Gyr (highest"
            f" {stars['age'].max():.4g}); no star is older than the universe: correct its unit with units="
        )
    return Raw(path, "table", stars, None, labels, nearest=nearest)


def _stars(path: str, columns: Quantities, units: Mapping[str, str]) -> tuple[Columns, dict[str, str]]:
    """Fields of some rows, in internal units, and the columns that they are from."""
    if unknown := set(units) - set(columns):
        raise InputError(f"{path}: units names {', '.join(sorted(unknown))}; the columns are {', '.join(columns)}")
    stars: Columns = {}
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
        parts = [_convert(path, name, columns[name], unit, units.get(name)) for name in chosen]
        stars[key] = parts[0] if len(parts) == 1 else _stack(path, chosen, parts)
        labels[f"stars.{key}"] = "/".join(chosen)
        count = len(stars["pos"]) if stars["pos"].ndim else 0
        expected = (count, 3) if key in AXES else (count,)
        if stars[key].shape != expected:
            raise InputError(f"{path}: column '{'/'.join(chosen)}' has shape {stars[key].shape}; expected {expected}")
    return stars, labels


def _stack(path: str, names: list[str], parts: list[np.ndarray]) -> np.ndarray:
    if len({part.shape for part in parts}) > 1:
        shapes = ", ".join(f"{name} {part.shape}" for name, part in zip(names, parts, strict=True))
        raise InputError(f"{path}: columns differ in shape ({shapes}); expected one value per star in each")
    return np.stack(parts, axis=-1)
