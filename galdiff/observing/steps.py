"""The steps of an observation, told to whoever wants to show or time them."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol


class Step(Protocol):
    """A context of one step; it gives a function that is called after each of its `total` parts."""

    def __call__(self, name: str, total: int = 1) -> contextlib.AbstractContextManager[Callable[..., None]]:
        """Begin the step called `name`."""
        ...


@contextlib.contextmanager
def quiet(name: str, total: int = 1) -> Iterator[Callable[..., None]]:
    """A step that nobody is told of."""
    yield lambda n=1: None
