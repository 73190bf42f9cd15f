"""What a run leaves in its folder: each file whole or absent, each written by a function of its path."""

import csv
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from galdiff.io.atomic import atomic_path

Writer = Callable[[pathlib.Path], Any]


def write_files(folder: str | os.PathLike, writers: Mapping[str, Writer], overwrite: bool = False) -> None:
    """Write files in their order.

    Args:
      folder: where; it exists.
      writers: by file name, functions that write a file at a path: `figure.savefig`, or what `text`, `as_json` and
        `csv_writer` return.
      overwrite: replace existing files.

    Raises:
      InputError: a file exists, or the disk refuses.
    """
    for name, write in writers.items():
        with atomic_path(pathlib.Path(folder) / name, overwrite) as path:
            write(path)


def text(content: str) -> Writer:
    """Writer of a text."""
    return lambda path: path.write_text(content, encoding="utf-8")


def as_json(content: Mapping[str, Any]) -> Writer:
    """Writer of a JSON file; the content holds Python's own numbers."""
    return text(json.dumps(content, indent=2) + "\n")


def csv_writer(header: Sequence[str], rows: Iterable[Iterable], opened: Callable[..., Any] = open) -> Writer:
    """Writer of a CSV table.

    Args:
      header: names of the columns.
      rows: their values, which may be made one by one.
      opened: opens the path for text, such as `gzip.open`.
    """

    def write(path: pathlib.Path) -> None:
        with opened(path, "wt", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    return write
