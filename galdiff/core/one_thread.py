"""One thread for NumPy's linear algebra: OpenBLAS's threads wait by spinning, and on a busy machine cost twenty times
what they do."""

import contextlib
import ctypes
import importlib
from collections.abc import Callable, Iterator

_PREFIXES, _SUFFIXES = ("scipy_openblas", "openblas"), ("64_", "")  # of NumPy's wheels and of distributions


def thread_functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """How to read and set the number of threads of NumPy's OpenBLAS; None where NumPy has another library."""
    try:
        library = ctypes.CDLL(str(importlib.import_module("numpy.linalg._umath_linalg").__file__))
    except OSError:
        return None
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            try:
                return library[f"{prefix}_get_num_threads{suffix}"], library[f"{prefix}_set_num_threads{suffix}"]
            except AttributeError:
                continue
    return None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra of NumPy inside runs on the calling thread, where its library is OpenBLAS; also as a decorator.

    The number of threads is the process's: it is set back at the end.
    """
    functions = thread_functions()
    if functions is None:
        yield
        return
    read, write = functions
    before = read()
    write(1)
    try:
        yield
    finally:
        write(before)
