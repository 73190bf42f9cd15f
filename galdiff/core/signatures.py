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

LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)
NUMBER, NUMBERS = "a number", "a number or a list of them"
MAPPINGS = (dict, collections.abc.Mapping)


class Kind(NamedTuple):
    """What one annotation allows: whether a plain value fits, and what to call it."""

    fits: Callable[[Any], bool]
    words: str


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


def is_whole(hint: Any) -> bool:
    """Whether an annotation takes whole numbers, and no others."""
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return int in members and float not in members


def is_number(x: Any) -> bool:
    """Whether it is a finite number, and no switch."""
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _is_array(x: Any) -> bool:
    return all(map(_is_array, x)) if isinstance(x, list) else isinstance(x, bool) or is_number(x)
