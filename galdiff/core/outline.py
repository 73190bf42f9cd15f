"""The structure of what a program makes, as plain data: records and their settings, mappings, sequences."""

import dataclasses
import importlib
from collections.abc import Sequence
from typing import Any

from galdiff.core.naming import OWN, Unnamed

PLAIN = (str, bool, int, float, type(None))


def outline(structure: Any) -> Any:
    """The structure of a tree as JSON can hold it.

    Raises:
      Unnamed: it holds anything but records of galdiff with plain settings, mappings by text, lists, tuples and None.
    """
    data, inner = structure.node_data(), [outline(child) for child in structure.children()]
    if data is None:
        return "leaf"
    kind, settings = data
    if kind in (tuple, list, type(None)):
        return [kind.__name__, inner]
    if kind is dict and all(isinstance(key, str) for key in settings):
        return ["dict", inner, list(settings)]
    if dataclasses.is_dataclass(kind) and kind.__module__.partition(".")[0] == OWN and "<" not in kind.__qualname__:
        fields = dataclasses.fields(kind)
        fixed = [f.name for f in fields if f.metadata.get("static")]
        values = dict(zip(fixed, settings, strict=True))
        if all(_is_plain(value) for value in values.values()):
            names = [f.name for f in fields if f.name not in values]
            return ["record", inner, names, kind.__module__, kind.__qualname__, values]
    raise Unnamed(f"a {kind.__name__} among the results")


def rebuilt(plan: Any, leaves: Sequence[Any]) -> Any:
    """The tree of an outline with these leaves.

    Args:
      plan: from `outline`, after JSON or not.
      leaves: in the order of `jax.tree.leaves`.
    """
    return _built(plan, iter(leaves))


def _built(plan: Any, leaves: Any) -> Any:
    if plan == "leaf":
        return next(leaves)
    kind, inner = plan[0], [_built(child, leaves) for child in plan[1]]
    if kind == "NoneType":
        return None
    if kind == "dict":
        return dict(zip(plan[2], inner, strict=True))
    if kind == "record":
        values = {name: _tuples(value) for name, value in plan[5].items()}
        return record_type(plan[3], plan[4])(**dict(zip(plan[2], inner, strict=True)), **values)
    return tuple(inner) if kind == "tuple" else inner


def _is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (type(value) is tuple and all(map(_is_plain, value)))


def _tuples(value: Any) -> Any:
    """Settings of records are never lists, which JSON makes of tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def record_type(module: str, name: str) -> type:
    """A record of galdiff by its module and name.

    Raises:
      Unnamed: it is none.
    """
    found = getattr(importlib.import_module(module), name, None) if module.partition(".")[0] == OWN else None
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise Unnamed(f"{module}.{name}")
    return found
