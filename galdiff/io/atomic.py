"""Files appear whole or not at all: written under a temporary name in the same folder, synced, then renamed."""

import contextlib
import errno
import os
import pathlib
import uuid
from collections.abc import Iterator

from galdiff.errors import InputError


def _sync(path: pathlib.Path) -> None:
    """Push a file's (or, where the system allows it, a folder's) content to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refuse_existing(path: str | os.PathLike, overwrite: bool) -> None:
    """Raise InputError if `path` exists and must not be replaced, or is a folder."""
    path = pathlib.Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; choose another output, or allow it with overwrite=true")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike, overwrite: bool = False) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `path`, with the same ending, which becomes `path` when the block succeeds.

    On any failure, an interrupt included, the temporary file is removed and whatever stood at `path` stays as it was.

    Raises:
      InputError: `path` exists and overwrite is False, or the disk refuses (full, read-only, no such folder).
    """
    path = pathlib.Path(path)
    refuse_existing(path, overwrite)
    temporary = path.with_name(f".{path.stem[:100]}-{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield temporary
        _sync(temporary)
        refuse_existing(path, overwrite)  # somebody else may have written it meanwhile
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(_advice(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        _sync(path.parent)


def _advice(path: pathlib.Path, error: OSError) -> str:
    reason = " ".join(str(error.strerror or error).split())
    short = "space" in reason or "requested and" in reason  # astropy's and numpy's words for a short write
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or short:
        remedy = "free space or choose another output folder"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        remedy = "create the folder first"
    else:
        remedy = "choose an output folder you may write to"
    return f"{path}: cannot be written ({reason}); {remedy}; no partial file is left"
