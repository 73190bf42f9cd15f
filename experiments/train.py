"""Train a model: corrections on top of physics, or networks, as an experiment of conf/experiment says.

The folder of a run holds its config, a log, metrics, checkpoints and figures; the same command on it goes on from the
newest checkpoint. `galdiff.load(folder)` gives the trained model back.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any

from flax import nnx
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import check_kinds, experiment, run_folder
from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path
from galdiff.io.preflight import check_output
from galdiff.train.case import Case
from galdiff.train.load import PARTS, folder_of, load_part
from galdiff.train.loop import Outcome, Settings, Task, train
from galdiff.train.meshes import mesh_of
from galdiff.train.prior import with_prior
from galdiff.train.progress import Progress
from galdiff.train.select import trainable

OF_STAGE = ("which", "train", "optimiser", "prior", "start")
UNHEARD = {
    "which": "corrections",
    "train.steps": 1000,
    "optimiser.learning_rate": 3e-3,
}  # defaults of what stages usually say themselves
SETTINGS = tuple(field.name for field in dataclasses.fields(Settings))


def stages_of(cfg: DictConfig) -> dict[str, DictConfig]:
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


def check(cfg: DictConfig, stages: dict[str, DictConfig]) -> None:
    """Refuse what would fail late."""
    check_kinds(cfg, "train", ignore=("prior", "checkpoint", "runtime.distributed"))
    if cfg.part not in ("all", *PARTS):
        raise InputError(f"part is '{cfg.part}'; choose all, {' or '.join(PARTS)}")
    for name, stage in stages.items():
        if unknown := [key for key in stage.train if key not in SETTINGS]:
            known = ", ".join(SETTINGS)
            raise InputError(f"stages.{name}.train.{unknown[0]}: there is no such key; choose some of {known}")
        Settings(seed=stage.seed, **stage.train)
        build(stage.optimiser, path="optimiser")
    mesh_of(cfg.mesh)
    for key, default in UNHEARD.items():
        value, own = OmegaConf.select(cfg, key), [OmegaConf.select(stage, key) for stage in cfg.stages.values()]
        if value != default and own and None not in own:
            names = ", ".join(f"stages.{name}.{key}" for name in cfg.stages)
            raise InputError(f"{key} is '{value}', but every stage has its own; change {names}")


def claim(cfg: DictConfig, folder: pathlib.Path) -> None:
    """Take a folder for this run: an empty one, or one where the same run was begun."""
    check_output(folder, 50_000_000, True, ())
    text = OmegaConf.to_yaml(described(cfg), resolve=True)
    path = folder / "config.yaml"
    if not path.exists():
        with atomic_path(path, False) as temporary:
            temporary.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        before, now = (OmegaConf.to_container(OmegaConf.create(t)) for t in (path.read_text(encoding="utf-8"), text))
        raise InputError(
            f"{path}: another run was begun here ({', '.join(changed(before, now)) or 'other values'} differ); choose"
            " another output folder, or run it with its own config"
        )


def described(cfg: DictConfig) -> DictConfig:
    """The config without what may change when a run goes on: where it is and on which devices."""
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key not in ("output", "runtime", "mesh")])


def changed(before: Any, now: Any, path: str = "") -> list[str]:
    """Dotted keys whose values differ."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [] if before == now else [path]
    keys = sorted({*before, *now}, key=str)
    return [x for k in keys for x in changed(before.get(k), now.get(k), f"{path}.{k}" if path else str(k))]


def first_model(cfg: DictConfig) -> nnx.Module:
    """The model of the config, with numbers of a checkpoint where one is named."""
    model = build(cfg.model, seed=cfg.seed, path="model")
    if cfg.checkpoint is not None:
        for part in PARTS if cfg.part == "all" else (cfg.part,):
            model = load_part(cfg.checkpoint, model, part)
    return model


def begin_with(cfg: DictConfig, stages: dict[str, DictConfig]) -> tuple[nnx.Module, Case]:
    """Model and case before the first step."""
    model = first_model(cfg)
    for stage in stages.values():
        trainable(model, stage.which if isinstance(stage.which, str) else list(stage.which))
    case = build(cfg.case, seed=cfg.seed, path="case")
    return case.prepare(model), case


def run_stage(stage: DictConfig, name: str, model: nnx.Module, case: Case, folder: pathlib.Path, meta: dict) -> Outcome:
    """One training, with its progress shown."""
    prior = stage.prior
    task = Task(
        model=model,
        objective=case.loss if prior is None else with_prior(case.loss, **OmegaConf.to_object(prior)),
        optimiser=build(stage.optimiser, path="optimiser"),
        which=stage.which if isinstance(stage.which, str) else list(stage.which),
        source=case.source,
        validation=case.validation,
    )
    settings = Settings(seed=stage.seed, **stage.train)
    with Progress(settings.steps, name) as report:
        return train(task, settings, folder, meta=meta, mesh=mesh_of(stage.mesh), report=report)


@experiment("train")
def main(cfg: DictConfig) -> float:
    """Smallest validation loss of the last stage; a sweep with an optimiser makes it small."""
    started = time.perf_counter()
    runtime.configure(**cfg.runtime)
    stages = stages_of(cfg)
    check(cfg, stages)
    folder = run_folder(cfg)
    text = OmegaConf.to_yaml(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "runtime"]), resolve=True)
    with runtime.together("the start"):
        if not runtime.alike(text):
            raise InputError("the processes have different configs; start all with the same overrides, and an output")
    runtime.first_does(lambda: claim(cfg, folder), "the start")
    if cfg.checkpoint is not None:  # before all read it together
        runtime.all_do(lambda: folder_of(cfg.checkpoint), "the start")
    model, case = runtime.all_do(lambda: begin_with(cfg, stages), "the start")
    meta = {
        "config": OmegaConf.to_yaml(described(cfg), resolve=True),
        "versions": runtime.versions(),
        "data": dict(case.data),
    }
    outcomes: dict[str, Outcome] = {}
    for k, (name, stage) in enumerate(stages.items()):
        begin = model if stage.start is None else outcomes[stage.start].model
        last = k == len(stages) - 1
        where = folder if last else folder / "stages" / name
        outcomes[name] = run_stage(stage, name, begin, case, where, meta)
        if outcomes[name].end in ("interrupted", "not finite"):
            raise InputError(
                f"{name}: {outcomes[name].end} at step {outcomes[name].step}; its last good checkpoint is in {where};"
                " the same command goes on from there"
            )
    runtime.first_does(lambda: finish(folder, case, outcomes, started), "the figures")
    return float(outcomes[name].best)


def finish(folder: pathlib.Path, case: Case, outcomes: dict[str, Outcome], started: float) -> None:
    """Figures and summary."""
    summary = {
        "stages": {
            n: {"steps": o.step, "end": o.end, "best": o.best, "skipped": o.skipped} for n, o in outcomes.items()
        },
        "result": case.show(outcomes, folder),
        "seconds": round(time.perf_counter() - started, 1),
        "versions": runtime.versions(),
    }
    with atomic_path(folder / "summary.json", True) as path:
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(f"{summary['seconds']:.0f} s: {folder}")


if __name__ == "__main__":
    main()
