"""A lock on a folder: one process at a time works in it, and a second one says which."""

import contextlib
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator

from galdiff.errors import InputError

try:
    import fcntl
except ImportError:  # only systems that are not POSIX have none
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: str | pathlib.Path, name: str = LOCK) -> Iterator[None]:
    """Hold a folder while inside; the lock of a process that has died does not count.

    Args:
      folder: that exists and can be written.
      name: of the lock file, which is there only while the folder is held, or after its holder was killed.

    Raises:
      InputError: another process holds it (says which, where and since when), or the folder cannot be written.
    """
    path = pathlib.Path(folder) / name
    handle = _taken(path)
    try:
        os.ftruncate(handle, 0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.write(handle, json.dumps(holder).encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is still held: who opened it meanwhile sees that it is gone
        os.close(handle)  # which also gives the lock back


def refuse_held(folder: str | pathlib.Path, name: str = LOCK) -> None:
    """Raise InputError where another process than this one holds a folder; nothing is written."""
    path = pathlib.Path(folder) / name
    if fcntl is None or not path.exists():
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(file.fileno())
            if (holder.get("pid"), holder.get("host")) != (os.getpid(), socket.gethostname()):
                raise _held(path, holder) from error
        except OSError:
            return


def _taken(path: pathlib.Path) -> int:
    """An open file that holds the lock, and that still is what lies at the path."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(
                f"{path.parent}: is not writable ({error.strerror}); choose another output folder"
            ) from error
        try:
            _take(handle, path)
            if _lies_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its last holder removed it between the two lines above


def _lies_at(handle: int, path: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _take(handle: int, path: pathlib.Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _held(path, _holder(handle)) from error
    except OSError:
        return  # a file system without locks (some network ones): nothing to hold


def _holder(handle: int) -> dict[str, object]:
    """What the holder wrote of itself; empty where that cannot be read."""
    try:
        found = json.loads(os.pread(handle, 4096, 0))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _held(path: pathlib.Path, holder: dict[str, object]) -> InputError:
    who = "another process"
    if holder.keys() >= {"pid", "host", "since"}:
        who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    return InputError(f"{path.parent}: {who}, is at work here; wait for it, or choose another output folder")
