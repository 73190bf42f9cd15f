"""A snapshot in several files: which they are, and one galaxy out of them."""

import dataclasses
import glob
import os
import pathlib
import re
import warnings
from collections.abc import Iterable

import h5py
import numpy as np

from galdiff.core.numbers import scalar
from galdiff.errors import InputError
from galdiff.io.simulations.convention import Columns, Raw
from galdiff.io.simulations.look import header_of, open_hdf5
from galdiff.io.simulations.sphere import Sphere

PART = re.compile(r"(?P<stem>.+)\.(?P<index>\d+)(?P<end>\.(?:hdf5|h5|hdf))")
MOST_PARTS = 100_000
ENDINGS = (".hdf5", ".h5", ".hdf")
REMEDY = "give the path of one HDF5, NPZ or ECSV file, or of one snapshot"


def parts_of(path: str) -> tuple[str, ...]:
    """Files of a snapshot: of its folder, of a pattern such as snap_099.*.hdf5, or of its first file; else that file.

    Raises:
      InputError: there is no such file, more than one snapshot, or a part is absent; names it.
    """
    if os.path.isdir(path):
        found = [str(file) for file in sorted(pathlib.Path(path).iterdir()) if file.suffix in ENDINGS]
        return _one(path, "is a folder", found)
    if os.path.isfile(path):
        count = files_of(path)
        name = PART.fullmatch(path)
        if count > 1 and name is not None and int(name["index"]) == 0:
            return _complete(name, count)
        return (path,)
    if any(sign in path for sign in "*?["):
        return _one(path, "is a pattern", sorted(file for file in glob.glob(path) if os.path.isfile(file)))
    raise InputError(f"{path}: does not exist; {REMEDY}")


def warn_if_cut(path: str) -> None:
    """Warn of a file that is read alone though it is a part of a snapshot."""
    if (count := files_of(path)) > 1 and not _virtual(path):
        warnings.warn(f"{path} is one of {count} files of a snapshot: the galaxy may be cut", stacklevel=2)


def files_of(path: str) -> int:
    """Number of files of the snapshot that a file is a part of; 1 where its header does not say."""
    if not h5py.is_hdf5(path):
        return 1
    with open_hdf5(path) as file:
        stated = scalar(header_of(file).get("NumFilesPerSnapshot", 1), f"{path}: Header.NumFilesPerSnapshot")
    if not 0 <= stated <= MOST_PARTS or stated != int(stated):
        raise InputError(
            f"{path}: Header.NumFilesPerSnapshot = {stated:.6g}; expected a whole number up to {MOST_PARTS}: repair it"
        )
    return int(stated)


def _virtual(path: str) -> bool:
    """Whether a file stands for all parts: its datasets are put together from theirs."""
    with open_hdf5(path) as file:
        groups = [file.get(f"PartType{i}") for i in range(6)]
        items = [item for group in groups if isinstance(group, h5py.Group) for item in group.values()]
        return any(isinstance(item, h5py.Dataset) and item.is_virtual for item in items)


def _one(path: str, what: str, found: list[str]) -> tuple[str, ...]:
    """The one snapshot that files are of."""
    if len(found) == 1 and files_of(found[0]) == 1:
        return (found[0],)
    names = [PART.fullmatch(file) for file in found]
    stems = {(name["stem"], name["end"]) for name in names if name is not None}
    if not found or None in names or len(stems) > 1 or files_of(found[0]) == 1:
        shown = ", ".join(os.path.basename(file) for file in found[:4]) + (", ..." if len(found) > 4 else "")
        raise InputError(f"{path}: {what} of {len(found)} HDF5 files ({shown or 'none'}), not one snapshot; {REMEDY}")
    first: re.Match = names[0]  # type: ignore[assignment]
    return _complete(first, files_of(found[0]))


def _complete(name: re.Match, count: int) -> tuple[str, ...]:
    """All parts of a snapshot, by the name of one."""
    parts = [f"{name['stem']}.{i}{name['end']}" for i in range(count)]
    if absent := [os.path.basename(part) for part in parts if not os.path.isfile(part)]:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise InputError(
            f"{name[0]}: {len(absent)} of {count} files of the snapshot are absent: {', '.join(absent[:3])}{more}; put"
            " them beside the others"
        )
    return tuple(parts)


def join(raws: Iterable[Raw], sphere: Sphere | None = None) -> Raw:
    """One galaxy out of parts that are read one by one; where the sphere is known before, only it is kept of each.

    Args:
      raws: at least one.
      sphere: what is wanted; readers may have cut it already.

    Raises:
      InputError: parts that have other columns than the first, or no star in the sphere.
    """
    first: Raw | None = None
    stars: list[Columns] = []
    gas: list[Columns] = []
    labels: dict[str, str] = {}
    notes: dict[str, None] = {}
    nearest = np.inf
    for raw in raws:
        if first is None or (raw.stars and not first.stars):
            first = raw
        labels |= raw.labels
        notes |= dict.fromkeys(raw.notes)
        cut, closest = _within(raw.stars, raw, sphere)
        nearest = min(nearest, closest, raw.nearest)
        stars += [cut] if cut else []
        gas += [_within(raw.gas, raw, sphere)[0]] if raw.gas is not None else []
    if first is None:
        raise InputError("a snapshot without files; give the path of one")
    joined = _stacked(first.path, stars)
    if sphere is not None and stars and not len(joined["mass"]) and np.isfinite(nearest):
        raise InputError(
            f"{first.path}: no stars within r_max_kpc = {sphere.radius} kpc of the centre"
            f" {np.round(sphere.centre, 3).tolist()} kpc; the nearest star is {nearest:.4g} kpc away: enlarge r_max_kpc"
            " or give centre="
        )
    return dataclasses.replace(
        first, stars=joined, gas=_stacked(first.path, gas) if gas else None, labels=labels, notes=tuple(notes)
    )


def _within(columns: Columns, raw: Raw, sphere: Sphere | None) -> tuple[Columns, float]:
    """Columns inside the sphere, and the distance [kpc] of the particle that is nearest to its centre."""
    if not columns or sphere is None:
        return columns, np.inf
    inside, nearest = dataclasses.replace(sphere, box=raw.box).inside(columns["pos"])
    return {name: values[inside] for name, values in columns.items()}, nearest


def _stacked(path: str, parts: list[Columns]) -> Columns:
    if any(part.keys() != parts[0].keys() for part in parts):
        names = sorted({name for part in parts for name in part if any(name not in other for other in parts)})
        raise InputError(f"{path}: not all files of the snapshot have {', '.join(names)}; fetch them again")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
