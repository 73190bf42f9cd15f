"""Galaxies from simulation snapshots and tables; the reader is chosen by looking into the file."""

import os
from collections.abc import Mapping
from typing import Any

from galdiff.core.buildable import buildable
from galdiff.core.discover import found_in
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.io.simulations.convention import Convention, Raw, Request
from galdiff.io.simulations.finish import galaxy_of
from galdiff.io.simulations.look import Look, look_into
from galdiff.io.simulations.parts import join, parts_of, warn_if_cut
from galdiff.io.simulations.sphere import wanted_sphere
from galdiff.records import Galaxy

__all__ = ["known_conventions", "read_galaxy", "recognise"]


def known_conventions() -> dict[str, Convention]:
    """Every convention of `galdiff.io.simulations.conventions`, by its name."""
    return {each.name: each for each in found_in("galdiff.io.simulations.conventions", Convention)}


@buildable(reads=True)
def read_galaxy(
    path: str | os.PathLike,
    *,
    convention: str | Convention | None = None,
    centre: Any = "shrinking_sphere",
    r_max_kpc: float | None = None,
    cosmology: Cosmology | None = None,
    redshift: float | None = None,
    units: Mapping[str, str] | None = None,
    populations: Mapping | None = None,
) -> Galaxy:
    """Read one galaxy: physical units, centred, at rest, ages at the time of the snapshot.

    Args:
      path: HDF5 snapshot or cutout, or a table (HDF5, NPZ, ECSV) with units; of a snapshot in several files its folder,
        a pattern (`snap_099.*.hdf5`), or the first.
      convention: one of `known_conventions()`, or a `Convention` of your own; by default found by looking.
      centre: three numbers [kpc] in the file's physical coordinates, "shrinking_sphere" (which a companion does not
        pull), or "median" (of the star positions, as RUBIX and SimSpin do).
      r_max_kpc: keep only what lies within this radius of the centre [kpc]; with three numbers as centre that is done
        while snapshots are read, so that memory holds a block of rows and the galaxy.
      cosmology: turns formation times into ages instead of the header's (taken as flat).
      redshift: replaces the redshift of the file; ages stay those of the file.
      units: {column: unit} for table columns that state none.
      populations: ages and metallicities assigned to N-body particles, see `conventions.gadget.Population`.

    Returns:
      A galaxy of float64 numpy arrays; the bulk velocity of the inner stars is removed from stars and gas.

    Raises:
      InputError: on one line, naming file, field, what was expected and the remedy.
    """
    path = os.path.expanduser(os.fspath(path))
    raw = _read(path, convention, Request(cosmology, units, populations, wanted_sphere(centre, r_max_kpc)))
    name = f"{raw.convention}: {os.path.basename(os.path.normpath(path))}"
    return galaxy_of(raw, name=name, centre=centre, r_max_kpc=r_max_kpc, redshift=redshift, where=path)


def _read(path: str, convention: str | Convention | None, request: Request) -> Raw:
    known = known_conventions()
    if isinstance(convention, Convention):
        known[convention.name] = convention
    name = convention.name if isinstance(convention, Convention) else convention
    if name is not None and name not in known:
        raise InputError(f"convention = '{name}' is unknown; allowed: {', '.join(known)}, or null to look")
    files = parts_of(path)
    if len(files) == 1:
        warn_if_cut(files[0])
    looks = [look_into(file) for file in files]
    if not looks[0].hdf5 and name is not None and known[name].hdf5:
        raise InputError(f"{path}: not an HDF5 file, as '{name}' needs; check the path and the download")
    look = next((look for look in looks if look.holds("PartType4")), looks[0])
    found = known[name if name is not None else recognise(look)]
    _check_options(path, found, request)
    if len(files) > 1 and not found.in_parts:
        raise InputError(f"{path}: files of '{found.name}' are not put together; join the {len(files)} files before")
    _require_stars(path, looks, found.star_groups)
    return join((found.read(file, request) for file in files), request.sphere)


def _require_stars(path: str, looks: list[Look], groups: tuple[str, ...]) -> None:
    """Refuse a snapshot whose star groups are absent or empty; a link that leads nowhere is not absent."""
    if groups and not any(look.holds(group) or _broken(look, group) for look in looks for group in groups):
        found = ", ".join(sorted({name.split("/")[0] for look in looks for name in look.shapes})) or "nothing"
        raise InputError(
            f"{path}: no stars: {' or '.join(groups)} is absent or empty (found: {found}); choose a galaxy or a"
            " snapshot with star particles"
        )


def _broken(look: Look, group: str) -> bool:
    return any(f"{name}/".startswith(f"{group}/") for name in look.broken)


def _check_options(path: str, found: Convention, request: Request) -> None:
    """Refuse options that the reader of this file has no use for."""
    for convention in known_conventions().values():
        for name, kind in convention.own_options.items():
            if (value := getattr(request, name)) and name not in found.own_options:
                raise InputError(
                    f"{path}: {name} is {value}, but is for {kind} only and this file is '{found.name}'; leave it out"
                )


def recognise(look: Look) -> str:
    """Name of the convention of a file, by the label of its run, else by what it holds.

    Raises:
      InputError: no convention fits, or more than one; says what was found and what is known.
    """
    known = known_conventions()
    found = [each.name for each in known.values() if each.claims(look)]
    found = found or [each.name for each in known.values() if each.recognises(look)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{look.path}: may be of {' and of '.join(found)}; name the right one with convention=")
    if look.broken:
        name = min(look.broken, key=lambda name: (not name.startswith("PartType"), name))
        raise InputError(
            f"{look.path}: {name} is a link to {look.broken[name]}, which is absent or cannot be read; put that"
            " file where the link leads"
        )
    names = sorted(look.shapes)
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    if not any(name.startswith(("PartType2/", "PartType3/", "PartType4/")) for name in names):
        raise InputError(f"{look.path}: no stars: no field in PartType4 (or 2, 3); found: {shown or 'nothing'}")
    raise InputError(
        f"{look.path}: unknown convention; found: {shown}; known: {', '.join(known)}; name one with convention=, or"
        " write a table with units (docs/snapshots.md)"
    )
