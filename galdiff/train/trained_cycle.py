"""A trained baryon cycle as a stage like any other: `baryons=checkpoint`; and one more hook on a trained model."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from omegaconf import OmegaConf

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Outputs
from galdiff.build import build
from galdiff.core.buildable import buildable
from galdiff.core.correction import NoCorrection
from galdiff.errors import InputError
from galdiff.train.checkpoints import by_path
from galdiff.train.export import bundled
from galdiff.train.load import Loaded, config_of, load
from galdiff.train.select import parts_of


@buildable(reads=True)
def trained_cycle(*, path: str | pathlib.Path | None = None, outputs: Outputs | None = None) -> BaryonCycle:
    """The baryon cycle of a checkpoint, corrections included.

    Args:
      path: folder of a run; None for checkpoints/wind_correction, which ships.
      outputs: when its histories are wanted; None for the times of the checkpoint.

    Raises:
      InputError: no checkpoint there, or one of something else.
    """
    model = load(bundled("wind_correction") if path is None else path).model
    if not isinstance(model, BaryonCycle):
        raise InputError(
            f"baryons.path is '{path}': it holds a {type(model).__name__}, not a baryon cycle; give a run that trained"
            " one, such as experiment=wind_correction"
        )
    if outputs is not None:
        model.outputs = outputs
    return model


def with_new_hooks(
    loaded: Loaded, additions: Mapping[str, Any] | None, seed: int = 0
) -> tuple[nnx.Module, list[str], Any]:
    """A trained model with corrections in hooks that were empty; all parameters that it had stay as they are.

    Args:
      loaded: a checkpoint.
      additions: config of the correction by the name of its hook; None for the model as it is.
      seed: of the new weights.

    Returns:
      The model, the dotted paths of its new parameters, and the config that builds it.

    Raises:
      InputError: no such hook, or one that is taken.
    """
    config = OmegaConf.create(config_of(loaded.meta, "the checkpoint")["model"])
    if not additions:
        return loaded.model, [], config
    hooks = getattr(type(loaded.model), "hooks", {})
    for name in additions:
        if name not in hooks:
            raise InputError(
                f"model.{name}: a {type(loaded.model).__name__} has no such hook; choose {', '.join(hooks) or 'none'}"
            )
        if not isinstance(getattr(loaded.model, name), NoCorrection):
            raise InputError(
                f"model.{name}: the checkpoint has a correction there already; choose a hook that is empty, or adapt it"
                " with which=corrections"
            )
        config[name] = additions[name]
    graph, *states, rest = parts_of(build(config, seed=seed, path="model"))
    _, *trained, _ = parts_of(loaded.model)
    old = {path: x for state in trained for path, x in by_path(state).items()}
    new = [path for state in states for path in by_path(state) if path not in old]
    filled = [
        jax.tree.unflatten(jax.tree.structure(state), [old.get(p, x) for p, x in by_path(state).items()])
        for state in states
    ]
    return nnx.merge(graph, *filled, rest), new, config
