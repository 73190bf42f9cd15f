"""Train a model: corrections on top of physics, or networks, as an experiment of conf/experiment says.

The folder of a run holds its config, a log, metrics, checkpoints and figures; the same command on it goes on from the
newest checkpoint. `galdiff.load(folder)` gives the trained model back.
"""

import contextlib
import dataclasses
import pathlib
import time

from flax import nnx
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import experiment, run_folder
from galdiff.errors import InputError
from galdiff.io.folder import as_json, write_files
from galdiff.limits import check_experiment
from galdiff.train.beginning import completed, first_model
from galdiff.train.case import Case
from galdiff.train.folder import claim
from galdiff.train.load import PARTS, folder_of
from galdiff.train.loop import Outcome, TrainingSettings
from galdiff.train.meshes import mesh_of
from galdiff.train.select import trainable
from galdiff.train.stages import TrainingStage, outcomes_summary, run_stages

OF_STAGE = ("which", "train", "optimiser", "prior", "start")
UNHEARD = {
    "which": "corrections",
    "train.steps": 1000,
    "optimiser.learning_rate": 3e-3,
}  # defaults of what stages usually say themselves
SETTINGS = tuple(field.name for field in dataclasses.fields(TrainingSettings))


def configs_of(cfg: DictConfig) -> dict[str, DictConfig]:
    """Config of each stage by name, in order: that of the run with its own changes; one stage, `main`, by default."""
    made: dict[str, DictConfig] = {}
    for name, own in (cfg.stages or {"main": {}}).items():
        own = OmegaConf.create(own or {})
        if unknown := [key for key in own if key not in OF_STAGE]:
            raise InputError(f"stages.{name}.{unknown[0]}: there is no such key; choose some of {', '.join(OF_STAGE)}")
        start = own.get("start")
        if start is not None and start not in made:
            raise InputError(f"stages.{name}.start is '{start}'; choose an earlier stage ({', '.join(made) or 'none'})")
        whole = OmegaConf.create(OmegaConf.to_container(cfg))  # without Hydra's lock, whose error names no stage
        made[str(name)] = OmegaConf.merge({"start": None}, whole, own)
    return made


def stages_of(cfg: DictConfig) -> dict[str, TrainingStage]:
    """The stages by name, in order; what would fail late is refused."""
    configs, stages = configs_of(cfg), {}
    check_experiment(cfg, "train")
    if cfg.part not in ("all", *PARTS):
        raise InputError(f"part is '{cfg.part}'; choose all, {' or '.join(PARTS)}")
    for name, stage in configs.items():
        if unknown := [key for key in stage.train if key not in SETTINGS]:
            known = ", ".join(SETTINGS)
            raise InputError(f"stages.{name}.train.{unknown[0]}: there is no such key; choose some of {known}")
        stages[name] = TrainingStage(
            which=stage.which if isinstance(stage.which, str) else list(stage.which),
            settings=TrainingSettings(seed=stage.seed, **stage.train),
            optimiser=build(stage.optimiser, path="optimiser"),
            prior=None if stage.prior is None else OmegaConf.to_object(stage.prior),
            start=stage.start,
        )
    for key, default in UNHEARD.items():
        value, own = OmegaConf.select(cfg, key), [OmegaConf.select(stage, key) for stage in cfg.stages.values()]
        if value != default and own and None not in own:
            names = ", ".join(f"stages.{name}.{key}" for name in cfg.stages)
            raise InputError(f"{key} is '{value}', but every stage has its own; change {names}")
    return stages


def described(cfg: DictConfig) -> DictConfig:
    """The config without what may change when a run goes on: where it is and on which devices."""
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key not in ("output", "runtime", "mesh")])


def begin_with(cfg: DictConfig, stages: dict[str, TrainingStage]) -> tuple[nnx.Module, Case]:
    """Model and case before the first step."""
    model = first_model(cfg)
    for stage in stages.values():
        trainable(model, stage.which)
    case = build(cfg.case, seed=cfg.seed, path="case")
    return case.prepare(model), case


@experiment("train")
def main(cfg: DictConfig) -> float:
    """Smallest validation loss of the last stage; a sweep with an optimiser makes it small."""
    started = time.perf_counter()
    runtime.configure(**cfg.runtime)
    cfg = completed(cfg)
    stages, mesh = stages_of(cfg), mesh_of(cfg.mesh)
    folder, config = run_folder(cfg), OmegaConf.to_yaml(described(cfg), resolve=True)
    text = OmegaConf.to_yaml(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "runtime"]), resolve=True)
    with runtime.together("the start"):
        if not runtime.alike(text):
            raise InputError("the processes have different configs; start all with the same overrides, and an output")
    with contextlib.ExitStack() as held:
        runtime.first_does(lambda: held.enter_context(claim(folder, config)), "the start")
        if cfg.checkpoint is not None:  # before all read it together
            runtime.all_do(lambda: folder_of(cfg.checkpoint), "the start")
        model, case = runtime.all_do(lambda: begin_with(cfg, stages), "the start")
        meta = {"config": config, "versions": runtime.versions(), "data": dict(case.data)}
        outcomes = run_stages(model, case, stages, folder, meta, mesh)
        runtime.first_does(lambda: finish(folder, case, outcomes, started), "the figures")
    return float(outcomes[next(reversed(outcomes))].best)


def finish(folder: pathlib.Path, case: Case, outcomes: dict[str, Outcome], started: float) -> None:
    """Figures and summary."""
    summary = {
        "stages": outcomes_summary(outcomes),
        "result": case.show(outcomes, folder),
        "seconds": round(time.perf_counter() - started, 1),
        "versions": runtime.versions(),
    }
    write_files(folder, {"summary.json": as_json(summary)}, overwrite=True)
    print(f"{summary['seconds']:.0f} s: {folder}")


if __name__ == "__main__":
    main()
