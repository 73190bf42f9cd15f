"""How a command speaks and ends: warnings as lines of words; in order where its reader goes away or the system asks."""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

PIPE_CLOSED = 141  # exit code


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM): as at an interrupt, what is half-written is removed first."""


@contextlib.contextmanager
def silent_where_nobody_reads() -> Iterator[None]:
    """End without a word where the reader of the output has gone, as in `galdiff list | head`."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        raise SystemExit(PIPE_CLOSED) from None


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """Take SIGTERM for an interrupt, where nobody else listens to it."""

    def end(*_: object) -> None:
        raise Terminated

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def warnings_in_words() -> Iterator[None]:
    """Print warnings to the user as one line each, without the place and the line of code that they come from."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, UserWarning):
            sys.stderr.write(f"warning: {' '.join(str(message).split())}\n")
        else:
            before(message, category, *place, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
