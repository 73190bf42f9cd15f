"""What an argument of a constructor may be, read from its annotation: the schema of the keys of a config.

One place says it, the constructor. Nodes of a config are checked by it before anything is built, and `galdiff describe`
shows it.
"""

import collections.abc
import functools
import inspect
import math
import pathlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from galdiff.errors import InputError

LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)
NUMBER, NUMBERS = "a number", "a number or a list of them"
MAPPINGS = (dict, collections.abc.Mapping)
FROM_HOOK = ("n_in", "n_out", "offset", "scale", "bound")  # null: as the hook says that a correction is in
MOST_SHOWN = 80  # characters of a wrong value


class Kind(NamedTuple):
    """What one annotation allows: whether a plain value fits, and what to call it."""

    fits: Callable[[Any], bool]
    words: str


class Within(NamedTuple):
    """Closed range of a number, beside its type: `h0: Annotated[float, Within(10.0, 200.0, "km/s/Mpc")]`."""

    lo: float
    hi: float
    unit: str = ""
    null: bool = False  # whether null may stand in its place; for the message alone, the annotation decides

    def allows(self, value: float) -> bool:
        """Whether a value [its unit] is inside."""
        return self.lo <= value <= self.hi

    @property
    def told(self) -> str:
        """Unit, and what is allowed, for a message that began with the value."""
        return f"{f' [{self.unit}]' if self.unit else ''}; give {self.lo:g} to {self.hi:g}{', or null' * self.null}"


@functools.cache
def ranges(target: Callable) -> Mapping[str, Within]:
    """Ranges of the arguments of a class or function that have one, by name."""
    try:
        of = target.__init__ if inspect.isclass(target) else target  # type: ignore[misc]
        hints = typing.get_type_hints(of, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}
    found = {
        name: [x for x in getattr(hint, "__metadata__", ()) if isinstance(x, Within)] for name, hint in hints.items()
    }
    return types.MappingProxyType({name: inside[0] for name, inside in found.items() if inside})


def check_ranges(target: Callable, given: Mapping[str, Any], path: str = "") -> None:
    """Refuse arguments outside of the ranges of their annotations; `path` is that of the node that has them.

    Raises:
      InputError: naming the argument, its value, its unit and what is allowed.
    """
    for name, inside in ranges(target).items():
        value = given.get(name)
        if value is not None and not inside.allows(value):
            raise InputError(f"{f'{path}.' * bool(path)}{name} is {value}{inside.told}")


@functools.cache
def annotations(target: Callable) -> Mapping[str, Any]:
    """Annotations of the arguments of a class or function, by name; {} where they cannot be read."""
    try:
        found = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):
        return {}
    return types.MappingProxyType({name: hint for name, hint in found.items() if name != "return"})


def expected(value: Any, hint: Any) -> str | None:
    """What an argument should be, in words, where a plain value is something else; None where it may be that.

    Args:
      value: of a config; what is built already, or will be (`_target_`), is left to the one who takes it.
      hint: annotation.
    """
    plain = value is None or isinstance(value, bool | int | float | str | list | dict)
    later = isinstance(value, str) and (value == "???" or "${" in value)
    later = later or (isinstance(value, dict) and "_target_" in value)
    if not plain or later or any(kind.fits(value) for kind in _kinds(hint)):
        return None
    return words(hint)


def words(hint: Any) -> str:
    """An annotation as a user reads it, such as 'a number or null'."""
    said = list(dict.fromkeys(kind.words for kind in _kinds(hint)))
    return " or ".join(word for word in said if not (word == NUMBER and NUMBERS in said))


def _kinds(hint: Any) -> list[Kind]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [kind for member in typing.get_args(hint) for kind in _kinds(member)]
    return [_kind(hint)]


def _kind(hint: Any) -> Kind:
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    module = str(getattr(hint, "__module__", ""))
    if hint is bool:
        return Kind(lambda x: isinstance(x, bool), "true or false")
    if hint is int:
        return Kind(lambda x: is_number(x) and x % 1 == 0, "a whole number")
    if hint is float:
        return Kind(is_number, NUMBER)
    if hint is type(None):
        return Kind(lambda x: x is None, "null")
    if hint is str or (inspect.isclass(hint) and issubclass(hint, pathlib.PurePath)):
        return Kind(lambda x: isinstance(x, str), "a text" if hint is str else "a path")
    if origin is typing.Literal:
        return Kind(lambda x: x in inner, "one of " + ", ".join(map(str, inner)))
    if origin is tuple and inner and Ellipsis not in inner:
        n = len(inner)
        pairs = lambda x: isinstance(x, list) and len(x) == n and not any(map(expected, x, inner))  # noqa: E731
        return Kind(pairs, f"a list of {n} values, [{', '.join(words(of) for of in inner)}]")
    if origin in LISTS:
        of = inner[0] if inner else Any
        plural = f" of {words(of).removeprefix('a ')}s" if of in (int, float, str) else ""
        return Kind(lambda x: isinstance(x, list) and all(expected(y, of) is None for y in x), f"a list{plural}")
    if origin in MAPPINGS:
        of = inner[1] if inner else Any
        fits = lambda x: isinstance(x, dict) and all(expected(y, of) is None for y in x.values())  # noqa: E731
        return Kind(fits, "a mapping {name: value}")
    if getattr(hint, "dtypes", None) is not None or module.startswith(("jax", "numpy")):
        return Kind(_is_array, NUMBERS)
    if origin is collections.abc.Callable:
        return Kind(lambda x: isinstance(x, str), "the name of a function, or a node with _target_")
    if inspect.isclass(hint) and module.startswith("galdiff."):
        return Kind(lambda x: False, f"a preset or a node with _target_ that makes a {hint.__name__}")
    return Kind(lambda x: True, "any value")


def shown(value: Any) -> str:
    """A value of a config as YAML has it, cut where it is long."""
    text = "null" if value is None else f"'{value}'" if isinstance(value, str) else str(value)
    text = text.lower() if isinstance(value, bool) else text
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def is_whole(hint: Any) -> bool:
    """Whether an annotation takes whole numbers, and no others."""
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return int in members and float not in members


def is_number(x: Any) -> bool:
    """Whether it is a finite number, and no switch."""
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _is_array(x: Any) -> bool:
    return all(map(_is_array, x)) if isinstance(x, list) else isinstance(x, bool) or is_number(x)
