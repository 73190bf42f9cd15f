"""Models back from checkpoints: for inference, for fine-tuning, or only their corrections into another model.

A model is built from the config in the checkpoint, by constructor calls of allowed packages alone, and filled with its
numbers; nothing else in the files is run.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import yaml
from flax import nnx
from jax.sharding import Mesh
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from galdiff.build import build
from galdiff.core.buildable import packages_in, refuse_untrusted, trusting
from galdiff.core.variables import Physical
from galdiff.errors import InputError
from galdiff.train.checkpoints import Checkpoints, Restored, by_path, steps_in
from galdiff.train.data import on_all
from galdiff.train.log import read_log
from galdiff.train.migrations import as_written, saved_path
from galdiff.train.select import parts_of

PARTS = ("corrections", "physics")
DEEPEST = 64  # levels of a config


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model from a checkpoint and what is known about it."""

    model: nnx.Module
    step: int
    meta: dict[str, Any]


def load(
    path: str | pathlib.Path, *, step: int | None = None, mesh: Mesh | None = None, packages: Sequence[str] = ()
) -> Loaded:
    """The model of a checkpoint, with its averaged parameters where the run kept an average.

    Numbers are rounded to the precision of this process: what was trained in float64 is used in float32 as well.

    Args:
      path: folder of a run, or its checkpoints.
      step: which; the newest sound one by default.
      mesh: parameters go to all of its devices; None for one.
      packages: of yours, trusted by name, whose classes the model may be made of; a checkpoint never trusts by itself.

    Raises:
      InputError: no sound checkpoint, a config that cannot be built, or arrays that do not fit it.
    """
    with Checkpoints(folder_of(path), reading=True) as checkpoints:
        record = checkpoints.meta(step)
        if record is None:
            raise InputError(f"{path}: holds no checkpoint; give the folder of a run")
        graph, *states, rest = parts_of(built(record, path, packages))
        filled = _filled(checkpoints, dict(zip(PARTS, states, strict=True)), record, mesh)
        return Loaded(nnx.merge(graph, *filled.values(), rest), int(record["step"]), record)


def load_part(path: str | pathlib.Path, model: nnx.Module, part: str = "corrections") -> nnx.Module:
    """A model with one part (corrections or physics) from a checkpoint, and its own parameters elsewhere.

    Raises:
      InputError: the part has other names or shapes in the checkpoint.
    """
    if part not in PARTS:
        raise InputError(f"part is '{part}'; choose one of {', '.join(PARTS)}")
    with Checkpoints(folder_of(path), reading=True) as checkpoints:
        record = checkpoints.meta()
        if record is None:
            raise InputError(f"{path}: holds no checkpoint; give the folder of a run")
        graph, *states = parts_of(model)
        k = PARTS.index(part)
        states[k] = _filled(checkpoints, {part: states[k]}, record, None)[part]
        return nnx.merge(graph, *states)


def folder_of(path: str | pathlib.Path) -> pathlib.Path:
    """The folder with the steps."""
    path = pathlib.Path(path)
    for folder in (path / "checkpoints", path):
        if steps_in(folder):
            return folder
    raise InputError(f"{path}: holds no checkpoint; give the folder of a run, or its checkpoints")


def built(record: Mapping[str, Any], path: str | pathlib.Path, packages: Sequence[str] = ()) -> nnx.Module:
    """The model that the config of a checkpoint describes under its key `model`.

    Raises:
      InputError: no such config, or one that names what a checkpoint may not build, or that only an older version of
        galdiff could; the error says which one wrote it.
    """
    config = config_of(record, path)
    if "model" not in config:
        raise InputError(
            f"{path}: the config in the checkpoint has no key 'model'; fill a model of yours by"
            " galdiff.train.load.load_part(path, model), and next time train with train(..., config=CONFIG)"
        )
    seed = config.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise InputError(f"{path}: the config in the checkpoint has the seed {str(seed)[:40]!r}; it is a whole number")
    try:
        with trusting(packages):
            refuse_untrusted(record.get("packages", ()), path)
            model = build(config["model"], seed=seed, path="model", checkpoint=True)
    except InputError as error:
        versions = record.get("versions")
        made = versions.get("galdiff") if isinstance(versions, dict) else None
        by = f" (it was written by galdiff {str(made)[:40]})" if made else ""
        raise InputError(f"{path}: {error}{by}") from error
    except RecursionError as error:
        raise InputError(f"{path}: the config in the checkpoint is nested too deep; use another copy") from error
    if not isinstance(model, nnx.Module):
        raise InputError(f"{path}: the config in the checkpoint builds a {type(model).__name__}, not a model")
    return model


def model_config(path: str | pathlib.Path) -> dict[str, Any]:
    """Config of the model of a checkpoint, as plain mappings; nothing is built.

    Raises:
      InputError: no sound checkpoint, or one without the config of its model.
    """
    with Checkpoints(folder_of(path), reading=True) as checkpoints:
        record = checkpoints.meta()
    if record is None or "model" not in (config := config_of(record, path)):
        raise InputError(f"{path}: holds no checkpoint with the config of its model; give the folder of another run")
    return config["model"]


def config_of(record: Mapping[str, Any], path: str | pathlib.Path) -> dict[str, Any]:
    """The config in a checkpoint, in the names of today, as plain mappings, lists and scalars.

    Raises:
      InputError: no YAML mapping, or one with aliases, interpolations or deep nesting, which no run writes.
    """
    text = record.get("config", "")
    try:
        if not isinstance(text, str):
            raise ValueError(f"it is a {type(text).__name__}, no text")
        if _nested(text):
            raise RecursionError
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError("it has aliases")
        if "${" in text:
            raise ValueError("it has an interpolation, ${...}; a run writes the value")
        config = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except RecursionError as error:
        raise InputError(f"{path}: the config in the checkpoint is nested too deep; use another copy") from error
    except (ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: the config in the checkpoint cannot be read: {reason}; use another copy") from error
    if not isinstance(config, dict):
        return {}
    return {str(key): as_written(value, record.get("versions")) for key, value in config.items()}


def needed_packages(meta: Mapping[str, Any]) -> list[str]:
    """Packages of the user that the model of a config is made of, for the record of a checkpoint."""
    if not isinstance(meta.get("config"), str):
        return []
    return list(packages_in(config_of(meta, "meta").get("model")))


def _nested(text: str) -> bool:
    """Whether YAML is nested deeper than any config, found in one pass: parsing such a text takes minutes."""
    depth = deepest = 0
    for sign in re.findall(r"[\[{\]}]", text):
        depth += 1 if sign in "[{" else -1
        deepest = max(deepest, depth)
    return (
        deepest > DEEPEST
        or re.search(rf"^ {{{4 * DEEPEST},}}|(?:[-?] +){{{DEEPEST},}}", text, re.MULTILINE) is not None
    )


def inspect(path: str | pathlib.Path) -> str:
    """What a checkpoint holds, as text: config, parameters with units, metrics, versions, hashes of data."""
    with Checkpoints(folder_of(path), reading=True) as checkpoints:
        record, steps = checkpoints.meta(), checkpoints.steps()
    if record is None:
        raise InputError(f"{path}: holds no checkpoint; give the folder of a run")
    lines = [f"step {record['step']} of {', '.join(map(str, steps))}; best loss {record['loss']:.6g}", "", "config"]
    lines += [f"  {line}" for line in str(record.get("config", "")).splitlines()]
    for part in PARTS:
        leaves = record["leaves"].get(part, {})
        lines += ["", f"{part}: {sum(_size(shape) for shape, _, _ in leaves.values())} parameters"]
        lines += [f"  {name:50s} {dtype}{shape}" for name, (shape, dtype, _) in leaves.items()]
    log = folder_of(path).parent / "metrics.jsonl"
    if log.is_file() and (rows := [r for r in read_log(log) if r["step"] <= record["step"]]):
        lines += ["", "metrics", f"  {json.dumps(rows[-1])}"]
    for name in ("versions", "data"):
        lines += ["", name, *(f"  {k}: {v}" for k, v in record.get(name, {}).items())] if record.get(name) else []
    return "\n".join(lines)


def physics_of(model: nnx.Module) -> dict[str, tuple[float, str]]:
    """Value and unit of every physical parameter, by dotted path."""
    found = {}
    for path, node in nnx.iter_graph(model):
        if isinstance(node, Physical):
            found[".".join(map(str, path))] = (float(node.bounded), node.unit)
    return found


def _filled(
    checkpoints: Checkpoints, states: dict[str, nnx.State], record: dict, mesh: Mesh | None
) -> dict[str, nnx.State]:
    """Parts with the parameters of a checkpoint, averaged where they are, in the precision that the parts have."""
    saved = record["leaves"]
    names = {part: {p: saved_path(p, saved.get(part, {})) for p in by_path(state)} for part, state in states.items()}
    likes = {
        part: {names[part][p]: _as_saved(x, saved.get(part, {}).get(names[part][p])) for p, x in by_path(state).items()}
        for part, state in states.items()
    }
    likes["average"] = {
        p: np.empty(shape, jnp.dtype(dtype)) for p, (shape, dtype, _) in saved.get("average", {}).items()
    }
    found: Restored | None = checkpoints.restore(likes, int(record["step"]))
    assert found is not None
    average, filled = found.parts["average"], {}
    for part, state in states.items():
        own, held = by_path(state), {**found.parts[part], **average}  # an average goes before the last parameters
        parameters = [np.asarray(held[names[part][p]], x.dtype) for p, x in own.items()]
        placed = jax.tree.map(jnp.asarray, parameters) if mesh is None else on_all(parameters, mesh)
        filled[part] = jax.tree.unflatten(jax.tree.structure(state), placed)
    return filled


def _as_saved(wanted: Any, saved: Any) -> np.ndarray:
    """Room for an array of the model in the floating type of the checkpoint; other differences stay, to be refused."""
    dtype = jnp.dtype(wanted.dtype)
    if saved is not None and all(jnp.issubdtype(kind, jnp.floating) for kind in (dtype, saved[1])):
        dtype = jnp.dtype(saved[1])
    return np.empty(wanted.shape, dtype)


def _size(shape: list[int]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
