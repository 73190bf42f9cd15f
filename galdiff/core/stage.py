"""A stage: a thin module that owns parameters and turns records into one record."""

import abc
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from flax import nnx

from galdiff.core.buildable import buildable
from galdiff.core.correction import Hook


class Stage(nnx.Module):
    """One step of the flow, for one galaxy; `jax.vmap` does many.

    The parameters of `__call__` are named after the records it reads; its return annotation is the record it makes.
    Nothing is written to `self` after `__init__`. `hooks`: arguments of the constructor that take a correction.
    """

    hooks: ClassVar[Mapping[str, Hook | Callable[[Mapping[str, Any]], Hook]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)  # constructors compute and read no file

    @abc.abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make one record from the records named by the parameters."""

    def notes(self) -> tuple[str, ...]:
        """What this stage is made of, a line each, for descriptions of a pipeline; nothing by default."""
        return ()

    @classmethod
    def reads(cls) -> dict[str, type]:
        """Names and types of the records that `__call__` reads; names with a default are optional."""
        hints = typing.get_type_hints(cls.__call__)
        return {name: hints.get(name, object) for name in _parameters(cls)}

    @classmethod
    def optional(cls) -> frozenset[str]:
        """Names of the records the stage can do without."""
        return frozenset(n for n, p in _parameters(cls).items() if p.default is not inspect.Parameter.empty)

    @classmethod
    def makes(cls) -> type:
        """Type of the record that `__call__` returns."""
        return typing.get_type_hints(cls.__call__).get("return", object)


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    return {n: p for n, p in inspect.signature(cls.__call__).parameters.items() if n != "self"}
