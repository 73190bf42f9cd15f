"""Adapt a trained model to new scaling relations, and show how many points of data that saves.

From a few of the points to all of them, the model of a checkpoint and a fresh one are trained alike; then both are
asked for points that neither saw. The one adapted to all points but those is the result, with its own checkpoint.
"""

import json
import pathlib
import time

import jax
from flax import nnx
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.baryons.evolve import Outputs, evolve_prepared, prepare
from galdiff.build import build
from galdiff.cases.fit_relations import FitRelations, chosen_points, split_points
from galdiff.cli import experiment, run_folder
from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path
from galdiff.io.lock import locked
from galdiff.io.preflight import check_output
from galdiff.io.relation_files import read_relations, write_relations
from galdiff.limits import check_experiment
from galdiff.observables.scaling import Observed, observed_relations
from galdiff.plotting.corrections import plot_learning
from galdiff.train.export import bundled
from galdiff.train.load import load
from galdiff.train.loop import Outcome, Task, TrainingSettings, train
from galdiff.train.meshes import mesh_of
from galdiff.train.prior import with_prior
from galdiff.train.progress_bar import Progress
from galdiff.train.select import trainable
from galdiff.train.trained_cycle import with_new_hooks

FILES = ("data.ecsv", "learning.png", "relations.png", "summary.json", "config.yaml", "checkpoints", "stages")
BUNDLED = "wind_correction"


def check(cfg: DictConfig) -> None:
    """Refuse what would fail late."""
    check_experiment(cfg, "finetune")
    if not cfg.shares or not all(0 < share <= 1 for share in cfg.shares):
        raise InputError(f"shares are {list(cfg.shares)}; give numbers above 0 and up to 1")
    TrainingSettings(seed=cfg.seed, **cfg.train)
    mock = ("mock.truth", "mock.halos") if cfg.data is None else ()
    _ = [build(OmegaConf.select(cfg, key), path=key) for key in ("optimiser", "halos", *mock)]
    Outputs(redshifts=tuple(cfg.mock.redshifts), n_steps=cfg.n_steps)


def patterns(which, new: list[str]) -> str | list[str]:
    """A choice of parameters as `trainable` takes it; `new` are those that the checkpoint did not have."""
    if which == "new" and not new:
        raise InputError(
            "which is 'new', but nothing was added; add a correction: +correction@model.state_correction=mlp"
        )
    return new if which == "new" else which if isinstance(which, str) else list(which)


def data_of(cfg: DictConfig) -> tuple[Observed, tuple[float, ...]]:
    """Points of the file, or drawn from the baryon cycle `truth`."""
    if cfg.data is not None:
        return read_relations(cfg.data)
    z = tuple(cfg.mock.redshifts)
    truth, halos = build(cfg.mock.truth, path="mock.truth"), build(cfg.mock.halos, path="mock.halos")
    outputs = Outputs(redshifts=z, n_steps=cfg.n_steps)

    def solve(model, halo):
        equations = model.equations()
        return evolve_prepared(equations, prepare(equations, halo, outputs))

    histories = nnx.jit(lambda model, halos: jax.vmap(lambda halo: solve(model, halo))(halos))(truth, halos)
    return observed_relations(histories, cfg.mock.centres, cfg.mock.error, cfg.seed), z


def adapt(
    cfg: DictConfig, case: FitRelations, model: nnx.Module, which, folder: pathlib.Path, name: str, meta
) -> Outcome:
    """One training of the parameters `which`."""
    prior = None if cfg.prior is None else OmegaConf.to_object(cfg.prior)
    task = Task(
        model=model,
        objective=case.loss if prior is None else with_prior(case.loss, **prior),
        optimiser=build(cfg.optimiser, path="optimiser"),
        which=which,
        source=case.source,
    )
    settings = TrainingSettings(seed=cfg.seed, **cfg.train)
    with Progress(settings.steps, name) as report:
        outcome = train(task, settings, folder, meta=meta, mesh=mesh_of(cfg.mesh), report=report)
    if outcome.end in ("interrupted", "not finite"):
        raise InputError(f"{name}: {outcome.end} at step {outcome.step}; the checkpoint that was adapted is untouched")
    return outcome


def finetune(cfg: DictConfig, folder: pathlib.Path) -> None:
    """Train from few points to all, from the checkpoint and from scratch; write what that gave."""
    started = time.perf_counter()
    loaded = load(bundled(BUNDLED) if cfg.checkpoint is None else cfg.checkpoint)
    first, new, config = with_new_hooks(loaded, cfg.get("model"), cfg.seed)
    adapts, fresh_adapts = patterns(cfg.which, new), patterns(cfg.which_fresh, new)
    for which in (adapts, fresh_adapts):
        trainable(first, which)
    data, z = data_of(cfg)
    halos = build(cfg.halos, path="halos")
    unseen, masks = chosen_points(data, cfg.held_out, cfg.shares, cfg.seed)
    test, _ = split_points(data, unseen)
    meta = {
        "config": OmegaConf.to_yaml(OmegaConf.create({"model": config, "seed": cfg.seed}), resolve=True),
        "versions": runtime.versions(),
    }
    curves: dict[str, dict[int, float]] = {"from the checkpoint": {}, "from scratch": {}}
    for n, mask in masks.items():
        case = FitRelations(first, halos, split_points(data, mask)[0], z, cfg.n_steps)
        for label, curve in curves.items():
            fresh = label == "from scratch"
            last = n == max(masks) and not fresh
            where = folder if last else folder / "stages" / f"{label.replace(' ', '_')}_{n}"
            begin = build(config, seed=cfg.seed, path="model") if fresh else first
            outcome = adapt(cfg, case, begin, fresh_adapts if fresh else adapts, where, f"{n} points {label}", meta)
            curve[n] = case.chi2(outcome.model, test)
            if last:
                shown = case.show({"before": Outcome(loaded.model, 0, "", 0.0, 0), "adapted": outcome}, folder)
    before = case.chi2(loaded.model, test)
    plot_learning(curves, before).savefig(folder / "learning.png")
    write_relations(folder / "data.ecsv", data, z, False)
    seconds = round(time.perf_counter() - started, 1)
    points = {"unseen": int(unseen.sum()), "seen": list(masks)}
    chi2 = {**curves, "checkpoint as it is": before}
    summary = {"unseen_chi2": chi2, "points": points, "fitted": shown, "seconds": seconds}
    for name, text in (("summary.json", json.dumps(summary, indent=2)), ("config.yaml", OmegaConf.to_yaml(cfg))):
        with atomic_path(folder / name, False) as path:
            path.write_text(text + "\n", encoding="utf-8")
    print(f"chi2 of unseen points: {summary['unseen_chi2']}; {summary['seconds']:.0f} s: {folder}")


@experiment("finetune")
def main(cfg: DictConfig) -> None:
    """Refuse early, then work alone in the folder."""
    runtime.configure(**cfg.runtime)
    check(cfg)
    folder = run_folder(cfg)
    check_output(folder, 50_000_000, False, FILES)
    with locked(folder):
        finetune(cfg, folder)


if __name__ == "__main__":
    main()
