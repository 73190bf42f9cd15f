"""The folder of a run belongs to one config: it is new, or the same run was begun there; one process works in it."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import yaml

from galdiff.errors import InputError
from galdiff.io.folder import text, write_files
from galdiff.io.lock import locked
from galdiff.io.preflight import check_output

SPACE = 50_000_000  # bytes that a run may need


@contextlib.contextmanager
def claim(folder: pathlib.Path, config: str) -> Iterator[None]:
    """Take a folder for a run, by its config.yaml, and hold it while inside.

    Args:
      folder: created if absent.
      config: resolved config as YAML, without what may change when a run goes on.

    Raises:
      InputError: another process is at work there (says which, where and since when), another run was begun there, or
        the folder cannot be written.
    """
    check_output(folder, SPACE, True, ())
    with locked(folder):
        _begin(folder, config)
        yield


def _begin(folder: pathlib.Path, config: str) -> None:
    """Write the config into a new folder; refuse another one."""
    path = folder / "config.yaml"
    if not path.exists():
        write_files(folder, {path.name: text(config)})
        return
    before = path.read_text(encoding="utf-8")
    if before != config:
        keys = ", ".join(changed(yaml.safe_load(before), yaml.safe_load(config))) or "other values"
        raise InputError(
            f"{path}: another run was begun here ({keys} differ); choose another output folder, or run it with its own"
            " config"
        )


def changed(before: Any, now: Any, path: str = "") -> list[str]:
    """Dotted keys whose values differ."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [] if before == now else [path]
    keys = sorted({*before, *now}, key=str)
    return [x for k in keys for x in changed(before.get(k), now.get(k), f"{path}.{k}" if path else str(k))]
