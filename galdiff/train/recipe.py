"""What a checkpoint says of how its model is built: checked before a run begins, so that `galdiff.load` can do it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from galdiff.errors import InputError
from galdiff.train.checkpoints import by_path
from galdiff.train.load import built
from galdiff.train.select import parts_of

PLAIN = (bool, int, float, str, tuple, type(None))  # settings of modules that are compared
ADVICE = "build the model by galdiff.build.build(config['model'], path='model', seed=config.get('seed', 0))"


def recipe(config: Any, model: nnx.Module) -> str:
    """The config of a model as text for checkpoints.

    Args:
      config: the node that built it ({_target_: ...}), or a mapping that holds this node under `model`, with the `seed`
        of its weights and `packages` of yours where there are some; plain or of OmegaConf.
      model: that it built.

    Raises:
      InputError: it cannot be built from a checkpoint, or makes another model.
    """
    try:
        node = config if OmegaConf.is_config(config) else OmegaConf.create(config)
        plain = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except (OmegaConfBaseException, ValueError) as error:
        raise InputError(
            f"config: {' '.join(str(error).split())[:200]}; give plain numbers, texts and lists"
        ) from error
    if isinstance(plain, Mapping) and "_target_" in plain:
        plain = {"model": plain}
    if not isinstance(plain, dict) or "model" not in plain:
        raise InputError("config has no key 'model'; give the node that built the model, {_target_: ...}")
    text = OmegaConf.to_yaml(OmegaConf.create(plain))
    _compare(model, built({"config": text}, "config", plain.get("packages") or []))
    return text


def _compare(model: nnx.Module, again: nnx.Module) -> None:
    """Refuse another structure, other settings or other tables; trained numbers may differ."""
    (_, *states), (_, *others) = parts_of(model), parts_of(again)
    for k, (state, other) in enumerate(zip(states, others, strict=True)):
        own, made = by_path(state), by_path(other)
        for path in dict.fromkeys((*own, *made)):
            here, there = own.get(path), made.get(path)
            if here is None or there is None or here.shape != there.shape:
                shapes = [None if x is None else x.shape for x in (here, there)]
                raise InputError(f"config makes another model: {path} is {shapes[0]} here, {shapes[1]} there; {ADVICE}")
            if k == 2 and not np.array_equal(_numbers(here), _numbers(there)):
                raise InputError(f"config makes another model: the table {path} has other values; {ADVICE}")
    settings, of_again = _settings(model), _settings(again)
    for path in dict.fromkeys((*settings, *of_again)):
        if settings.get(path) != of_again.get(path):
            here, there = settings.get(path), of_again.get(path)
            raise InputError(f"config makes another model: {path} is {here} here, {there} there; {ADVICE}")


def _numbers(x: Any) -> np.ndarray:
    return np.asarray(x) if np.issubdtype(x.dtype, np.number) or x.dtype == bool else np.zeros(0)  # keys have none


def _settings(model: nnx.Module) -> dict[str, Any]:
    """Plain settings of a model's modules and their classes, by dotted path."""
    found: dict[str, Any] = {}
    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Module):
            place = ".".join(map(str, path))
            found[f"{place}.class".strip(".")] = type(node).__name__
            own = {name: value for name, value in vars(node).items() if type(value) in PLAIN and name[0] != "_"}
            found |= {f"{place}.{name}".strip("."): value for name, value in own.items()}
    return found
