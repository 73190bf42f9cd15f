"""The model that a training begins with: of its config, with numbers of a checkpoint in all of it or in one module."""

from flax import nnx
from omegaconf import DictConfig, OmegaConf

from galdiff.build import build, check_targets
from galdiff.errors import InputError
from galdiff.train.load import PARTS, load_part, model_config


def completed(cfg: DictConfig) -> DictConfig:
    """The config of a training, with that of the checkpoint's model where its module `fills` is left open.

    Raises:
      InputError: no such module, no checkpoint, or one that names what a checkpoint may not build.
    """
    if cfg.fills is None:
        return cfg
    if cfg.fills not in cfg.model or cfg.checkpoint is None:
        raise InputError(f"fills is '{cfg.fills}'; name a key of the model, and the run that fills it: checkpoint=RUN")
    if cfg.model[cfg.fills] is not None:
        return cfg
    found = model_config(cfg.checkpoint)
    check_targets(found, "model", checkpoint=True)  # what it says is built below as if the user had said it
    whole = OmegaConf.masked_copy(cfg, [str(key) for key in cfg])
    whole.model[cfg.fills] = found
    return whole


def first_model(cfg: DictConfig) -> nnx.Module:
    """The model of the config, with numbers of a checkpoint where one is named."""
    model = build(cfg.model, seed=cfg.seed, path="model")
    if cfg.checkpoint is not None:
        for part in PARTS if cfg.part == "all" else (cfg.part,):
            if cfg.fills is None:
                model = load_part(cfg.checkpoint, model, part)
            else:
                setattr(model, cfg.fills, load_part(cfg.checkpoint, getattr(model, cfg.fills), part))
    return model
