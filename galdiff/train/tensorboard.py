"""Metrics of a run as TensorBoard scalars, beside metrics.jsonl."""

import importlib.util
import pathlib
from collections.abc import Mapping
from typing import Any

from galdiff.errors import InputError


class Events:
    """Event files in a folder; records of a resumed run replace the later ones of before.

    Args of the constructor:
      folder: of the event files; from_step: TensorBoard forgets what has a later step.
    """

    def __init__(self, folder: str | pathlib.Path, from_step: int = 0) -> None:
        refuse_without_package()
        from tensorboardX import SummaryWriter  # optional

        again = from_step + 1 if pathlib.Path(folder).exists() else None
        self._writer = SummaryWriter(str(folder), purge_step=again, flush_secs=10)

    def write(self, record: Mapping[str, Any]) -> None:
        """All numbers of a record, by name."""
        for name, value in record.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(record["step"]))

    def sync(self) -> None:
        """Push what was written to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def refuse_without_package() -> None:
    """Raise InputError where TensorBoard files cannot be written."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise InputError("train.tensorboard is true, but tensorboardX is not installed: pip install tensorboardX")
