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


@contextlib.contextmanager
def locked(folder: str | pathlib.Path, name: str = ".lock") -> Iterator[None]:
    """Hold a folder while inside; the lock of a process that has died does not count.

    Args:
      folder: that exists and can be written.
      name: of the lock file, which stays behind; it says who held it last.

    Raises:
      InputError: another process holds it; says which, where and since when.
    """
    path = pathlib.Path(folder) / name
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            _take(handle, path)
        os.ftruncate(handle, 0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.write(handle, json.dumps(holder).encode())
        yield
    finally:
        os.close(handle)  # which also gives the lock back


def _take(handle: int, path: pathlib.Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        try:
            holder = json.loads(os.pread(handle, 4096, 0))
            who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
        except (ValueError, KeyError, TypeError):
            who = "another process"
        raise InputError(
            f"{path.parent}: {who}, is at work here; wait for it, or choose another output folder"
        ) from error
    except OSError:
        return  # a file system without locks (some network ones): nothing to hold
