"""Galaxies from simulation snapshots and tables; the reader is chosen by looking into the file."""

import os
from collections.abc import Mapping
from typing import Any

import h5py

from galdiff.core.buildable import buildable
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.io.simulations import eagle, gadget, horizon_agn, illustris_tng, magneticum, swift, table
from galdiff.io.simulations.convention import Convention
from galdiff.io.simulations.frame import check_columns, to_rest_frame
from galdiff.io.simulations.snapshot import Raw, dataset_paths, header_of, open_hdf5, read_cosmological
from galdiff.records import Galaxy, GasParticles, StarParticles

# Magneticum and Horizon-AGN before EAGLE, whose names they share
CONVENTIONS = {
    module.CONVENTION.name: module.CONVENTION for module in (illustris_tng, swift, horizon_agn, magneticum, eagle)
}
KNOWN = (*CONVENTIONS, "gadget", "table")

__all__ = ["KNOWN", "read_galaxy"]


@buildable(reads=True)
def read_galaxy(
    path: str | os.PathLike,
    *,
    convention: str | None = None,
    centre="shrinking",
    r_max_kpc: float | None = None,
    cosmology: Cosmology | None = None,
    redshift: float | None = None,
    units: Mapping[str, str] | None = None,
    populations: Mapping | None = None,
) -> Galaxy:
    """Read one galaxy: physical units, centred, at rest, ages at the time of the snapshot.

    Args:
      path: HDF5 snapshot or cutout, or a table (HDF5, NPZ, ECSV) with units.
      convention: one of `KNOWN`; by default found by looking into the file.
      centre: three numbers [kpc] in the file's physical coordinates, "shrinking" (sphere, which a companion does not
        pull), or "median" (of the star positions, as RUBIX and SimSpin do).
      r_max_kpc: keep only what lies within this radius of the centre [kpc].
      cosmology: turns formation times into ages instead of the header's (taken as flat).
      redshift: replaces the redshift of the file; ages stay those of the file.
      units: {column: unit} for table columns that state none.
      populations: ages and metallicities assigned to N-body particles, see `gadget.Population`.

    Returns:
      A galaxy of float64 numpy arrays; the bulk velocity of the inner stars is removed from stars and gas.

    Raises:
      InputError: on one line, naming file, field, what was expected and the remedy.
    """
    path = os.path.expanduser(os.fspath(path))
    raw = _read(path, convention, cosmology, units, populations)
    check_columns(raw)
    parts: tuple[Any, Any] = to_rest_frame(raw, centre, r_max_kpc)  # records of numpy arrays, not yet on a device
    stars, gas = parts
    if redshift is not None and not redshift >= 0:
        raise InputError(f"redshift = {redshift} is not allowed; give a number of zero or more, or null")
    return Galaxy(
        stars=StarParticles(**stars),
        gas=None if gas is None else GasParticles(**gas),
        redshift=raw.redshift if redshift is None else float(redshift),
        name=f"{raw.convention}: {os.path.basename(path)}",
    )


def _read(path: str, convention: str | None, cosmology, units, populations) -> Raw:
    if convention is not None and convention not in KNOWN:
        raise InputError(f"convention = '{convention}' is unknown; allowed: {', '.join(KNOWN)}, or null to look")
    if not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "does not exist"
        raise InputError(f"{path}: {what}; give the path of one HDF5, NPZ or ECSV file")
    if not h5py.is_hdf5(path):
        if convention not in (None, "table"):
            raise InputError(f"{path}: not an HDF5 file, as '{convention}' needs; check the path and the download")
        _check_options(path, "table", units, populations)
        return table.read_table(path, units)
    with open_hdf5(path) as file:
        found = convention or recognise(file)
        _check_options(path, found, units, populations)
        if found == "table":
            return table.read_table(path, units)
        if found == "gadget":
            return gadget.read_nbody(file, header_of(file), populations)
        return read_cosmological(file, header_of(file), CONVENTIONS[found], cosmology)


def _check_options(path: str, found: str, units, populations) -> None:
    """Refuse options that the reader of this file has no use for."""
    for name, value, reader, kind in (
        ("units", units, "table", "tables"),
        ("populations", populations, "gadget", "N-body files (gadget)"),
    ):
        if value and found != reader:
            raise InputError(
                f"{path}: {name} is {value}, but is for {kind} only and this file is '{found}'; leave it out"
            )


def _by_label(paths: frozenset[str], header: Mapping) -> Convention | None:
    """The convention that the run's label names, if at least half of its star fields are there."""
    label = str(header.get("RunLabel", "")).lower()
    for convention in CONVENTIONS.values():
        if any(label.startswith(name) for name in convention.labels):
            wanted = [field.names for field in convention.stars.values() if field.required]
            present = sum(any(f"PartType4/{name}" in paths for name in names) for names in wanted)
            return convention if 2 * present >= len(wanted) else None
    return None


def recognise(file: h5py.File) -> str:
    """Name of the convention of an opened file, by its run label, else by the fields it holds.

    Raises:
      InputError: no convention fits; says what was found and what is known.
    """
    paths, header = dataset_paths(file), header_of(file)
    if (labelled := _by_label(paths, header)) is not None:
        return labelled.name
    for name, convention in CONVENTIONS.items():
        if convention.recognise(paths, header):
            return name
    if gadget.recognise(file, paths):
        return "gadget"
    if not any(group.startswith("PartType") for group in file) and paths:
        return "table"
    names = sorted(path for path in paths if "[" not in path)
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    if not any(path.startswith(("PartType2/", "PartType3/", "PartType4/")) for path in names):
        raise InputError(f"{file.filename}: no stars: no field in PartType4 (or 2, 3); found: {shown or 'nothing'}")
    raise InputError(
        f"{file.filename}: unknown convention; found: {shown}; known: {', '.join(KNOWN)}; name one with convention=, or"
        " write a table with units (docs/snapshots.md)"
    )
