"""Columns of simulation HDF5 in internal units: all rows, or those in a sphere, read block by block."""

import dataclasses
import difflib
from collections.abc import Mapping

import h5py
import numpy as np

from galdiff.core.hdf5 import check_sources, damage_is_oserror, member, rows_of
from galdiff.core.numbers import numeric
from galdiff.errors import InputError
from galdiff.io.simulations.convention import KINDS, Columns, Field
from galdiff.io.simulations.snapshot import Epoch, conversion
from galdiff.io.simulations.sphere import Sphere

ROW = "row"  # numbers of the rows that were kept
BLOCK, LARGEST_BLOCK = 2**17, 2**21  # rows that are held at once; the second where chunks of the file are large


@dataclasses.dataclass(frozen=True)
class Source:
    """A dataset, what it is, and the factor to internal units; `where` names it in messages."""

    dataset: h5py.Dataset
    field: Field
    factor: float
    where: str

    def read(self, rows: slice = slice(None)) -> np.ndarray:
        """Some rows as float64, (row,) or (row, width), in the internal unit of the field [kpc, Msun, km/s, ...]."""
        wide = self.field.width > 1
        values = numeric(rows_of(self.dataset, (rows, slice(self.field.width)) if wide else rows), self.where)
        with np.errstate(over="ignore"):  # too large a number is refused with all that are not finite
            return (values if wide else values.reshape(len(values))) * self.factor


def read_columns(
    group: h5py.Group,
    fields: Mapping[str, Field],
    epoch: Epoch,
    convention: str,
    sphere: Sphere | None = None,
    numbered: bool = False,
) -> tuple[Columns, dict[str, str], float]:
    """Fields of a particle group as float64 in internal units.

    Args:
      group: of the particles.
      fields: by the names of the columns that are made; `pos` among them for a sphere.
      epoch: turns comoving into physical.
      convention: for messages.
      numbered: whether the columns tell under ROW which rows of the file were kept of a sphere.
      sphere: what to keep; the rest is read block by block and left, so that memory holds a block and what is kept.

    Returns:
      The columns; the dataset each was read from; the distance [kpc] of the nearest particle to the sphere's centre.

    Raises:
      InputError: a required field is missing, has the wrong shape, or a unit that cannot be meant.
    """
    sources = _sources(group, fields, epoch, convention)
    labels = {key: source.where.removeprefix(f"{group.file.filename}: ") for key, source in sources.items()}
    if sphere is None:
        columns, nearest = {key: source.read() for key, source in sources.items()}, np.inf
    else:
        columns, nearest = _within(sources, sphere)
        if not numbered:
            del columns[ROW]
    for key, field in fields.items():
        if key not in columns and field.instead in columns:
            columns[key], labels[key] = columns[field.instead], labels[field.instead]
    return columns, labels, nearest


def _sources(group: h5py.Group, fields: Mapping[str, Field], epoch: Epoch, convention: str) -> dict[str, Source]:
    """What is to be read, whose shapes, units and parts are right."""
    path = group.file.filename
    sources: dict[str, Source] = {}
    count = -1  # set by the first field
    for key, field in fields.items():
        name = next((name for name in field.names if isinstance(member(group, name), h5py.Dataset)), None)
        if name is None:
            if field.required:
                raise _missing(group, field, convention, path)
            continue
        dataset, where = group[name], f"{path}: {str(group.name).strip('/')}/{name}"
        count = dataset.shape[0] if count < 0 and dataset.shape else count
        _check_shape(dataset, count, field, where)
        check_sources(dataset)
        with damage_is_oserror():
            factor = conversion(dataset.attrs, field, epoch, where)
        sources[key] = Source(dataset, field, factor, where)
    return sources


def _within(sources: Mapping[str, Source], sphere: Sphere) -> tuple[Columns, float]:
    """Columns of what lies in a sphere, and the distance [kpc] of the particle that is nearest to its centre."""
    dataset = sources["pos"].dataset
    block = rows_at_once(dataset)
    kept: dict[str, list[np.ndarray]] = {key: [source.read(slice(0))] for key, source in sources.items()}
    kept[ROW] = [np.arange(0)]
    nearest = np.inf
    for start in range(0, dataset.shape[0], block):
        pos = sources["pos"].read(slice(start, start + block))
        inside, closest = sphere.inside(pos)
        nearest = min(nearest, closest)
        if not inside.any():
            continue
        found = np.flatnonzero(inside)
        low, high = int(found[0]), int(found[-1]) + 1
        kept["pos"].append(pos[found])
        kept[ROW].append(start + found)
        for key, source in sources.items():
            if key != "pos":
                kept[key].append(source.read(slice(start + low, start + high))[found - low])
    return {key: np.concatenate(parts) for key, parts in kept.items()}, nearest


def rows_at_once(dataset: h5py.Dataset) -> int:
    """Rows of a block: whole chunks of the file, where that is not too many."""
    chunk = dataset.chunks[0] if dataset.chunks else 1
    return min(-(-BLOCK // chunk) * chunk, LARGEST_BLOCK)


def _missing(group: h5py.Group, field: Field, convention: str, path: str) -> InputError:
    names: list[str] = []
    group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    near = difflib.get_close_matches(field.names[0], names, n=3, cutoff=0.5)
    hint = f"nearest names: {', '.join(near)}" if near else f"fields found: {', '.join(sorted(names)) or 'none'}"
    return InputError(
        f"{path}: {group.name.strip('/')} has no {' or '.join(field.names)}, which files of '{convention}' hold"
        f" ({KINDS[field.unit.kind].name}); {hint}; add the field, or name another convention="
    )


def _check_shape(dataset: h5py.Dataset, count: int, field: Field, where: str) -> None:
    expected: tuple[int, ...] = (count, field.width) if field.width > 1 else (count,)
    allowed = [expected] if field.width > 1 else [expected, (count, 1)]
    if field.wider and dataset.ndim == 2:
        allowed.append((count, max(field.width, dataset.shape[1])))
    if dataset.shape not in allowed:
        more = " or more columns" if field.wider else ""
        raise InputError(
            f"{where} has shape {dataset.shape}; expected {expected}{more}: one row per particle, as in the first field"
            " of the group"
        )
