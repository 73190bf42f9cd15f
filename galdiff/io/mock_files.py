"""Files of a mock catalogue: one for each chunk while it grows, then one table in HDF5 or Parquet.

A run that was stopped goes on with the chunks that are there, if it is the same run.
"""

import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import h5py
import numpy as np

from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path

PARTS = "chunks"  # folder of the chunks, gone when the catalogue is whole
WHAT = "run.txt"
TABLE = "galaxies"
ROWS = 4096  # of a piece of the HDF5 file
FORMATS = {"hdf5": "catalogue.h5", "parquet": "catalogue.parquet"}


class ColumnLike(Protocol):
    """Name, unit and meaning of a column."""

    name: str
    unit: str
    meaning: str


class Parts:
    """Chunks of a catalogue in a folder.

    Args of the constructor:
      folder: of the run, held by it; said: what makes this run, such as its config.

    Raises:
      InputError: chunks of another run lie there.
    """

    def __init__(self, folder: pathlib.Path, said: str, overwrite: bool = False) -> None:
        self.folder = folder / PARTS
        mark = self.folder / WHAT
        if self.folder.exists() and not (mark.exists() and mark.read_text(encoding="utf-8") == said):
            if not overwrite:
                raise InputError(
                    f"{self.folder}: holds chunks of another run; choose another output folder, or overwrite=true"
                )
            shutil.rmtree(self.folder)
        self.folder.mkdir(exist_ok=True)
        if not mark.exists():
            with atomic_path(mark) as path:
                path.write_text(said, encoding="utf-8")

    def _path(self, number: int) -> pathlib.Path:
        return self.folder / f"{number:06d}.npy"

    def has(self, number: int) -> bool:
        """Whether a chunk is there."""
        return self._path(number).exists()

    def write(self, number: int, rows: np.ndarray) -> None:
        """Keep the rows of a chunk, a structured array of shape (row,) in the units of the columns [any unit]."""
        with atomic_path(self._path(number)) as path:
            np.save(path, rows)

    def read(self, number: int) -> np.ndarray:
        """The rows of a chunk [units of its columns], shape (row,).

        Raises:
          InputError: the file is damaged.
        """
        try:
            return np.load(self._path(number))
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{self._path(number)}: cannot be read ({error}); remove it and run again") from error

    def remove(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder)


def write_table(
    path: pathlib.Path,
    chunks: Iterator[np.ndarray],
    columns: Sequence[ColumnLike],
    attributes: Mapping[str, Any],
    overwrite: bool = False,
) -> None:
    """Write chunks of rows as one table; the ending of the path says how: .h5 or .parquet.

    Args:
      path: of the file.
      chunks: structured arrays, shapes (row,), [units of the columns].
      columns: their names, units and meanings.
      attributes: of the file, text or numbers.
      overwrite: replace it.

    Raises:
      InputError: the file exists, the disk refuses, or pyarrow is missing.
    """
    write = _parquet if path.suffix == ".parquet" else _hdf5
    with atomic_path(path, overwrite) as temporary:
        write(temporary, chunks, columns, attributes)


def _hdf5(
    path: pathlib.Path, chunks: Iterator[np.ndarray], columns: Sequence[ColumnLike], attributes: Mapping[str, Any]
) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        table: h5py.Dataset | None = None
        for rows in chunks:
            if table is None:
                options = {"maxshape": (None,), "chunks": (ROWS,), "compression": "lzf", "shuffle": True}
                table = file.create_dataset(TABLE, shape=(0,), dtype=rows.dtype, **options)
            table.resize(table.shape[0] + rows.size, 0)
            table[-rows.size :] = rows
        assert table is not None  # a volume without haloes is refused
        for i, column in enumerate(columns):
            table.attrs[f"FIELD_{i}_NAME"], table.attrs[f"FIELD_{i}_UNIT"] = column.name, column.unit
            table.attrs[f"FIELD_{i}_MEANING"] = column.meaning


def import_pyarrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet writer.

    Raises:
      InputError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            "format parquet needs pyarrow, which is not installed: pip install 'galdiff[parquet]', or format=hdf5"
        ) from error
    return pyarrow, pyarrow.parquet


def _parquet(
    path: pathlib.Path, chunks: Iterator[np.ndarray], columns: Sequence[ColumnLike], attributes: Mapping[str, Any]
) -> None:
    arrow, parquet = import_pyarrow()
    about = {column.name: {"unit": column.unit, "meaning": column.meaning} for column in columns}
    writer = None
    try:
        for rows in chunks:
            names = rows.dtype.names or ()
            if writer is None:
                fields = [arrow.field(n, arrow.from_numpy_dtype(rows.dtype[n]), metadata=about[n]) for n in names]
                schema = arrow.schema(fields, metadata={k: str(v) for k, v in attributes.items()})
                writer = parquet.ParquetWriter(path, schema)
            arrays = [arrow.array(np.ascontiguousarray(rows[n])) for n in names]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
    finally:
        if writer is not None:
            writer.close()
