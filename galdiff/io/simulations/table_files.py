"""Files of tables, HDF5, NPZ or ECSV: columns as they are stored, with the units they state; whole or in blocks."""

import io
import itertools
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Literal

import h5py
import numpy as np
from astropy.table import Table

from galdiff.core.hdf5 import check_compound, check_sources, member, rows_of
from galdiff.errors import InputError
from galdiff.io.simulations import columns as by_rows
from galdiff.io.simulations.look import open_hdf5, walk

Quantities = dict[str, tuple[np.ndarray, str]]  # values as stored and unit ("" where none is stated)
MOST_COLUMNS = 64  # of an array that is stored by columns: so many places of the file are open at once
SKIPPED = 1 << 20  # bytes that are passed over at once
META = "__table_column_meta__"  # of astropy: units of the columns of a compound dataset


def load(path: str) -> Quantities:
    """All columns, with all rows."""
    return next(blocks(path, whole=True))


def blocks(path: str, whole: bool = False) -> Iterator[Quantities]:
    """Columns, some rows after others, so that memory holds a block; at least one, which may be empty.

    Args:
      path: of the file; its content decides what it is.
      whole: whether all rows are one block.

    Raises:
      InputError: a file that is of no kind, or damaged.
    """
    with open(path, "rb") as file:
        start = file.read(512)
    kind: Callable[[str, float], Iterator[Quantities]]
    if h5py.is_hdf5(path):
        kind = _hdf5
    elif start[:2] == b"PK":
        kind = _npz
    elif start.lstrip().startswith(b"# %ECSV"):
        kind = _ecsv
    else:
        raise InputError(
            f"{path}: neither HDF5, NPZ nor ECSV (first bytes {start[:8]!r}); damaged, or another format: give an HDF5"
            " snapshot, or save a table with astropy's Table.write(..., format='ascii.ecsv')"
        )
    try:
        yield from kind(path, math.inf if whole else by_rows.BLOCK)
    except InputError:
        raise
    except Exception as error:  # parsers of damaged bytes raise nearly everything
        raise InputError(
            f"{path}: the table cannot be read ({' '.join(str(error).split())[:120]}); it is probably truncated or"
            " damaged: write it again"
        ) from error


def _slices(n: int, rows: float) -> Iterator[slice]:
    """Slices of n rows, at least one."""
    step = int(min(rows, max(n, 1)))
    return (slice(start, start + step) for start in range(0, max(n, 1), step))


def _npz(path: str, rows: float) -> Iterator[Quantities]:
    with zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist()}
        with np.load(path, allow_pickle=False) as arrays:
            stated = {name for name in names if name.endswith("_unit")}
            units = {name.removesuffix("_unit"): str(arrays[name]) for name in stated}
            opened = {name: _Member(archive, names[name], rows, arrays) for name in names}
            columns = {name: column for name, column in opened.items() if name not in stated}
            longest = max((column.length for column in columns.values()), default=0)
            for part in _slices(longest, rows):
                yield {name: (column.read(part), units.get(name, "")) for name, column in columns.items()}


class _Member:
    """An array of a NPZ file, read row after row: from one place, or from one in each column where it is stored by
    columns; whole where it has objects, is a scalar or very wide, or is wanted as one block."""

    def __init__(self, archive: zipfile.ZipFile, name: str, rows: float, arrays: Mapping[str, Any]) -> None:
        file = archive.open(name)
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        self.shape, by_column, self.dtype = header(file)
        width = math.prod(self.shape[1:])
        apart = rows == math.inf or self.dtype.hasobject or not self.shape or (by_column and width > MOST_COLUMNS)
        self.all = np.asarray(arrays[name.removesuffix(".npy")]) if apart else None
        self.order: Literal["F", "C"] = "F" if by_column else "C"
        self.files = [file]
        if by_column and not apart:
            first, column = file.tell(), self.length * self.dtype.itemsize
            self.files += [_opened_at(archive, name, first + number * column) for number in range(1, width)]

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.shape[0] if self.shape else 0

    def read(self, part: slice) -> np.ndarray:
        """Rows of the next slice."""
        if self.all is not None:
            return self.all[part] if self.shape else self.all
        count = max(min(part.stop, self.length) - part.start, 0)
        wanted = count * math.prod(self.shape[1:]) * self.dtype.itemsize
        found = b"".join(file.read(wanted // len(self.files)) for file in self.files)
        if len(found) < wanted:
            raise EOFError(f"{wanted - len(found)} bytes are absent")
        return np.frombuffer(found, self.dtype).reshape(count, *self.shape[1:], order=self.order)


def _opened_at(archive: zipfile.ZipFile, name: str, place: int) -> IO[bytes]:
    """A file of an archive, read until some byte: Python 3.13 loses its place where several files of one seek."""
    file = archive.open(name)
    while place > 0 and (passed := len(file.read(min(place, SKIPPED)))):
        place -= passed
    return file


def _ecsv(path: str, rows: float) -> Iterator[Quantities]:
    if rows == math.inf:
        yield _from_astropy(Table.read(path, format="ascii.ecsv"))
        return
    with open(path, encoding="utf-8") as file:
        head = list(itertools.takewhile(lambda line: line.lstrip().startswith("#") or not line.strip(), file))
        file.seek(0)
        head = list(itertools.islice(file, len(head) + 1))  # and the names of the columns
        empty = True
        while lines := list(itertools.islice(file, int(rows))):
            while "".join(lines).count('"') % 2 and (more := next(file, "")):  # a text that goes on
                lines.append(more)
            if any(line.strip() for line in lines):
                yield _from_astropy(Table.read("".join(head + lines), format="ascii.ecsv"))
                empty = False
    if empty:
        yield _from_astropy(Table.read(path, format="ascii.ecsv"))


def _from_astropy(table: Table) -> Quantities:
    return {name: (_filled(table[name]), str(getattr(table[name], "unit", "") or "")) for name in table.colnames}


def _filled(column: Any) -> np.ndarray:
    """Values with NaN, to be reported later, where the table masks them."""
    masked = np.ma.asarray(column)
    return np.ma.filled(masked.astype(float), np.nan) if np.ma.is_masked(masked) else np.asarray(column)


def _hdf5(path: str, rows: float) -> Iterator[Quantities]:
    columns: dict[str, tuple[h5py.Dataset, str]] = {}
    with open_hdf5(path) as file:
        stars = member(file, "stars")
        stars = stars if isinstance(stars, h5py.Group) else file
        shapes, broken = walk(stars)
        alone = sum(META not in name for name in shapes) == 1
        for name in (*shapes, *broken):
            item = member(stars, name)  # refuses a link to what is absent
            if alone and item.dtype.names:  # one compound dataset, as astropy writes it
                check_compound(item)
                yield from _compound(item, rows)
                return
            stated = item.attrs.get("unit", item.attrs.get("units", ""))
            text = stated.decode() if isinstance(stated, bytes) else str(stated)
            name = item.name.rsplit("/", 1)[-1]
            if name in columns:
                raise InputError(f"{path}: '{name}' occurs more than once; put the stars' columns into a group 'stars'")
            check_sources(item)
            columns[name] = (item, text)
        longest = max((item.shape[0] for item, _ in columns.values() if item.shape), default=0)
        if rows == math.inf:
            yield {name: (rows_of(item), text) for name, (item, text) in columns.items()}
            return
        at_once = max((by_rows.rows_at_once(item) for item, _ in columns.values() if item.shape), default=1)
        for part in _slices(longest, at_once):
            yield {name: (rows_of(item, part if item.shape else ()), text) for name, (item, text) in columns.items()}


def _compound(item: h5py.Dataset, rows: float) -> Iterator[Quantities]:
    """Rows of a compound dataset, each block handed to astropy as a file of its own in memory."""
    if rows == math.inf:
        yield _from_astropy(Table.read(item.file.filename, format="hdf5", path=item.name))
        return
    meta = f"{item.name}.{META}"
    for part in _slices(item.shape[0] if item.shape else 0, by_rows.rows_at_once(item)):
        with h5py.File(io.BytesIO(), "w") as file:
            copy = file.create_dataset("rows", data=rows_of(item, part))
            for key, value in item.attrs.items():
                copy.attrs[key] = value
            if meta in item.file:
                file[f"rows.{META}"] = item.file[meta][()]
            yield _from_astropy(Table.read(file, format="hdf5", path="rows"))
