"""Records of checkpoints: sealed with the hash of their own text, and refused where they were changed."""

import hashlib
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

META = "meta"
DEEPEST = 64  # levels of mappings and lists in a record
FORMS = {"versions": dict, "data": dict, "packages": list}  # of what a record may hold beside its own


class Damaged(Exception):
    """A checkpoint that cannot be trusted."""


def refuse_deep(step: pathlib.Path) -> None:
    """Raise `Damaged` where a record is nested deeper than any that was written, found without parsing it."""
    text = (step / META / "metadata").read_text(encoding="utf-8")
    depth = deepest = 0
    for sign in re.findall(r"[\[{\]}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
        depth += 1 if sign in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise Damaged(f"its record is nested {deepest} levels deep")


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the hash of its own text."""
    return {**record, "seal": _seal(record)}


def unsealed(record: Mapping[str, Any]) -> None:
    """Raise `Damaged` where a record is not the one that was sealed."""
    if not isinstance(record, dict):
        raise Damaged(f"its record is a {type(record).__name__}, not a mapping")
    inner = {key: value for key, value in record.items() if key != "seal"}
    if record.get("seal") != _seal(inner):
        raise Damaged("its record is not what was written")


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def ranked_right(step: pathlib.Path, loss: float | None) -> bool:
    """Whether the metric of a step, by which Orbax ranks, is a number, and that of the record where it is known."""
    try:
        found = json.loads((step / "metrics" / "metrics").read_bytes())["loss"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return isinstance(found, float) and (loss is None or found == loss)


def refuse_strange(record: Mapping[str, Any], step: int) -> None:
    """Raise `Damaged` where a record is of another form than `Checkpoints.save` writes, or of another step."""
    if record.get("step") != step:
        raise Damaged(f"its record is that of step {str(record.get('step'))[:40]}")
    if not isinstance(record.get("loss"), float):
        raise Damaged("its record holds no loss")
    leaves = record.get("leaves")
    parts = list(leaves.values()) if isinstance(leaves, dict) else [None]
    if not all(isinstance(part, dict) and all(map(_is_leaf, part.values())) for part in parts):
        raise Damaged("its record does not list arrays as [shape, dtype, hash]")
    for name, form in FORMS.items():
        if not isinstance(record.get(name, form()), form):
            raise Damaged(f"its record holds {name} that are a {type(record[name]).__name__}, not a {form.__name__}")
    if not all(isinstance(name, str) and name.isidentifier() for name in record.get("packages", ())):
        raise Damaged("its record names packages that are none")


def _is_leaf(leaf: Any) -> bool:
    if not (isinstance(leaf, list) and len(leaf) == 3 and isinstance(leaf[0], list)):
        return False
    try:
        jnp.dtype(leaf[1])
    except TypeError:
        return False
    return isinstance(leaf[1], str) and all(isinstance(n, int) and n >= 0 for n in leaf[0])
