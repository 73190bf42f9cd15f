"""Metrics of a run, a JSON record per line; a resumed run drops what came after its checkpoint."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from galdiff.io.atomic import atomic_path


class Log:
    """Append records to a file; every record has a step.

    Args of the constructor:
      path: of the file; from_step: records of later steps are dropped from it.
    """

    def __init__(self, path: str | pathlib.Path, from_step: int = 0) -> None:
        self.path = pathlib.Path(path)
        if self.path.exists():
            kept = [line for line in read_log(self.path) if line["step"] <= from_step]
            with atomic_path(self.path, overwrite=True) as temporary:
                temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """One line; not-finite numbers become null."""
        plain = {k: v if not isinstance(v, float) or abs(v) < float("inf") else None for k, v in record.items()}
        self._file.write(json.dumps(plain) + "\n")

    def sync(self) -> None:
        """Push what was written to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


def read_log(path: str | pathlib.Path) -> list[dict[str, Any]]:
    """All whole records of a log; it ends before a line that is none, such as a last one that was cut by a crash."""
    records: list[dict[str, Any]] = []
    for line in pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            break
        records.append(record)
    return records
