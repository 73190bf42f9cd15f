"""How often a command looks for garbage: Python's own choice is for programs that allocate less than JAX does."""

import contextlib
import gc
from collections.abc import Iterator

SELDOM = (50_000, 20, 10)  # objects, young collections, middle ones; Python's are (700, 10, 10)


@contextlib.contextmanager
def collecting_seldom() -> Iterator[None]:
    """Look for cycles of objects every 50 000 new ones.

    Tracing and lowering a program make millions of small objects that live as long as it, and Python would walk them
    again and again: about a tenth of the time of a command whose programs are on disk. What is in no cycle, such as
    arrays, goes at once as ever. Where the user switched collection off or made it rarer, that stays.
    """
    before = gc.get_threshold()
    if 0 < before[0] < SELDOM[0]:
        gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
