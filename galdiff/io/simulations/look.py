"""A look into a file before it is read: names and shapes of what it holds, its header, links that lead nowhere."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from galdiff.core.hdf5 import damage_is_oserror, member, read_dataset, target_of
from galdiff.errors import InputError

HEADER_GROUPS = ("Units", "Parameters", "Cosmology", "Header")  # the last one wins
HELIUM = (0.2, 0.45)
SAMPLE = 1000  # rows that tell a mass from a mass fraction


@dataclasses.dataclass(frozen=True)
class Look:
    """What a convention is known by.

    Attributes:
      path: of the file.
      hdf5: whether it is HDF5.
      shapes: of all datasets by their path, those behind links included; nothing for files that are not HDF5.
      header: attributes of the header-like groups.
      broken: links by their path, with the target that is absent.
    """

    path: str
    hdf5: bool = False
    shapes: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    header: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    broken: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether there is a dataset of this path."""
        return name in self.shapes

    def holds(self, group: str) -> bool:
        """Whether a group has particles: a dataset with rows."""
        return any(name.startswith(f"{group}/") and shape[:1] != (0,) for name, shape in self.shapes.items())

    def columns(self, name: str) -> int:
        """Number of columns of a dataset, 1 for a plain one, 0 where there is none or more axes."""
        shape = self.shapes.get(name)
        return 0 if shape is None or len(shape) > 2 else 1 if len(shape) < 2 else shape[1]

    def sample(self, name: str) -> np.ndarray:
        """The first rows of a dataset [as stored], of its shape but for the rows; NaN where it holds no numbers."""
        with open_hdf5(self.path) as file:
            values = read_dataset(file[name], slice(SAMPLE))
        with np.errstate(all="ignore"):  # damaged numbers
            return np.asarray(values, float) if values.dtype.kind in "fiub" else np.full(values.shape, np.nan)


def is_helium(fractions: np.ndarray) -> bool:
    """Whether numbers (particle,) can be mass fractions of helium [1], primordial or enriched."""
    return bool(HELIUM[0] < np.median(fractions) < HELIUM[1]) if fractions.size else False


@contextlib.contextmanager
def open_hdf5(path: str) -> Iterator[h5py.File]:
    """An HDF5 file to read, with the library's errors turned into one line."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:  # h5py raises either for damaged files
        size = os.path.getsize(path)
        raise InputError(
            f"{path}: HDF5 cannot be read ({' '.join(str(error).split())}); the file has {size} bytes and is probably"
            " truncated or damaged: copy it again and compare the checksum"
        ) from error


def look_into(path: str) -> Look:
    """Look into a file; nothing is known of one that is not HDF5.

    Raises:
      InputError: HDF5 that cannot be read.
    """
    if not h5py.is_hdf5(path):
        return Look(path)
    with open_hdf5(path) as file, damage_is_oserror():
        shapes, broken = walk(file)
        return Look(path, True, shapes, header_of(file), broken)


def walk(group: h5py.Group) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Shapes of all datasets below a group by their path, and links without a target, with that; links are followed."""
    shapes: dict[str, tuple[int, ...]] = {}
    broken: dict[str, str] = {}
    _walk(group, "", (), shapes, broken)
    return shapes, broken


def _walk(group: h5py.Group, place: str, above: tuple, shapes: dict, broken: dict) -> None:
    """Enter the datasets and broken links below a group, each group of a circle of links once."""
    for name in group:
        if isinstance(name, bytes):
            raise OSError(f"{place}{name!r} is no name in UTF-8")
        if (target := target_of(group, name)) is not None:
            broken[place + name] = target
            continue
        item = member(group, name)
        if isinstance(item, h5py.Dataset):
            shapes[place + name] = item.shape or ()
        elif isinstance(item, h5py.Group) and all(item != one for one in above):
            _walk(item, f"{place}{name}/", (*above, item), shapes, broken)


def header_of(file: h5py.File) -> dict:
    """Attributes of the header-like groups; arrays of length 1 become scalars, bytes become text."""
    merged = {}
    for group in HEADER_GROUPS:
        found = member(file, group)
        with damage_is_oserror():
            attributes = {} if found is None else dict(found.attrs)
        for key, value in attributes.items():
            if isinstance(value, np.ndarray) and value.size == 1:
                value = value.reshape(-1)[0]
            merged[key] = value.decode(errors="replace") if isinstance(value, bytes) else value
    return merged
