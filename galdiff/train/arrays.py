"""Arrays of a checkpoint by dotted path: what they are, and whether they are the ones wanted."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from galdiff.errors import InputError

FINITE = ("physics", "corrections", "average", "optimiser")  # parts that never hold NaN or infinity


def by_path(tree: Any) -> dict[str, Any]:
    """Leaves of a pytree by dotted path, in its order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")  # noqa: E731
    return {name(path) or "value": leaf for path, leaf in leaves}


def fingerprints(flat: Mapping[str, Any]) -> dict[str, list]:
    """[shape, dtype, hash of the content] by path."""
    made = {}
    for path, leaf in flat.items():
        array = np.asarray(leaf)
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]
        made[path] = [list(array.shape), str(array.dtype), digest]
    return made


def refuse_nonfinite(flat: Mapping[str, Mapping[str, Any]], step: int, loss: float) -> None:
    """Raise InputError where a number that must be finite is not."""
    bad = [] if np.isfinite(loss) else ["the loss"]
    for name in FINITE:
        for path, leaf in flat.get(name, {}).items():
            if jnp.issubdtype(leaf.dtype, jnp.inexact) and not np.isfinite(np.asarray(leaf)).all():
                bad.append(f"{name}.{path}")
    if bad:
        raise InputError(
            f"checkpoint of step {step} would hold NaN or infinity in {', '.join(bad[:5])}; it is not written"
        )


def refuse_mismatch(saved: Mapping[str, Mapping[str, list]], like: Mapping[str, Any], where: str) -> None:
    """Raise InputError with a readable list where the arrays of a checkpoint are not those wanted."""
    lines = []
    for name, wanted in like.items():
        have, want = saved.get(name, {}), by_path(wanted)
        lines += [f"{name}.{path}: only in the checkpoint" for path in have.keys() - want.keys()]
        lines += [f"{name}.{path}: not in the checkpoint" for path in want.keys() - have.keys()]
        for path in have.keys() & want.keys():
            (shape, dtype, _), x = have[path], want[path]
            if tuple(shape) != tuple(x.shape) or dtype != str(x.dtype):
                lines.append(
                    f"{name}.{path}: {dtype}{list(shape)} in the checkpoint, {x.dtype}{list(x.shape)} in the model"
                )
    if lines:
        shown = "; ".join(sorted(lines)[:12]) + (f"; and {len(lines) - 12} more" if len(lines) > 12 else "")
        raise InputError(f"{where}: the model has other arrays: {shown}; build it from the config of the checkpoint")
