"""The loop of all training: steps, validation, early stopping, checkpoints, and going on where a run was cut.

A run in a folder that holds checkpoints goes on from the newest sound one, and ends with the same numbers, bit for bit,
as a run that was never cut: batches are functions of the step, and everything else is carried.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
from flax import nnx
from jax.sharding import Mesh

from galdiff.errors import InputError
from galdiff.io.lock import locked, refuse_held
from galdiff.runtime import agreed, first_process, together, versions
from galdiff.train.checkpoints import Checkpoints
from galdiff.train.load import needed_packages
from galdiff.train.log import Log
from galdiff.train.recipe import recipe
from galdiff.train.run import Run
from galdiff.train.signals import stop_signals
from galdiff.train.task import Task, TrainingSettings
from galdiff.train.tensorboard import Events

__all__ = ["Outcome", "Task", "TrainingSettings", "train"]

Report = Callable[[int, dict[str, float]], None]
ENDS = ("finished", "no longer better", "interrupted", "not finite")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    model: nnx.Module  # with the last parameters, or their average where one is kept
    step: int
    end: str  # one of ENDS
    best: float  # smallest validation loss
    skipped: int  # steps that were not finite


def train(
    task: Task,
    settings: TrainingSettings,
    folder: str | pathlib.Path,
    *,
    config: Any = None,
    meta: Mapping[str, Any] | None = None,
    mesh: Mesh | None = None,
    report: Report | None = None,
) -> Outcome:
    """Train, and leave metrics.jsonl and checkpoints/ in a folder.

    Args:
      task, settings: what and how.
      folder: of the run; one that holds checkpoints is gone on with.
      config: what built the model, so that `galdiff.load` can do it again: its node, or a mapping with it under `model`
        (`galdiff.train.recipe`).
      meta: goes into every checkpoint beside it: versions, hashes of data.
      mesh: with an axis "data" for the samples of a batch; None for one device.
      report: called after every step with its number and metrics, `validation` among them where it was measured.

    Raises:
      InputError: nothing to train, wrong settings, a config of another model, checkpoints of another model, a disk that
        refuses, a folder in which another process trains.
    """
    folder = pathlib.Path(folder)
    described = {} if config is None else {"config": recipe(config, task.model), "versions": versions()}
    folder.mkdir(parents=True, exist_ok=True)
    if jax.process_count() > 1 and mesh is None:
        raise InputError(f"{jax.process_count()} processes train together, but on no mesh; choose mesh data")
    alone = _alone(folder) if first_process() else contextlib.nullcontext()
    meta = {**described, **(meta or {})}
    meta.setdefault("packages", needed_packages(meta))
    with together(str(folder)), alone:
        return _train(Run(task, settings, mesh), folder, meta, report)


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
    """Hold the folder of a training, which may lie in that of a run that this process holds (`train.folder.claim`)."""
    refuse_held(folder)
    with locked(folder, ".training"):
        yield


def _train(run: Run, folder: pathlib.Path, meta: dict[str, Any], report: Report | None) -> Outcome:
    settings = run.settings
    with Checkpoints(folder / "checkpoints", last=settings.keep_last, best=settings.keep_best) as checkpoints:
        run.resume(checkpoints)
        with _metrics(folder, run.step, settings.tensorboard, report) as tell, stop_signals() as asked:
            end = _steps(run, checkpoints, meta, tell, asked)
        return Outcome(run.model(), run.step, end, run.best, int(run.carry["skipped"]))


class _Tell:
    """Where metrics go: files and the caller."""

    def __init__(self, files: list[Log | Events], report: Report | None) -> None:
        self.files, self.report = files, report

    def __call__(self, step: int, record: dict[str, float]) -> None:
        for file in self.files:
            file.write({"step": step, **record})
        if self.report is not None:
            self.report(step, record)

    def sync(self) -> None:
        for file in self.files:
            file.sync()


@contextlib.contextmanager
def _metrics(folder: pathlib.Path, step: int, tensorboard: bool, report: Report | None) -> Iterator[_Tell]:
    if not first_process():
        yield _Tell([], None)
        return
    with contextlib.ExitStack() as stack:
        files: list[Log | Events] = [Log(folder / "metrics.jsonl", step)]
        stack.callback(files[0].close)
        if tensorboard:
            files.append(Events(folder / "tensorboard", step))
            stack.callback(files[1].close)
        yield _Tell(files, report)


def _steps(run: Run, checkpoints: Checkpoints, meta: dict, tell: _Tell, asked: Callable[[], bool]) -> str:
    """Steps until one of ENDS."""
    settings, saved = run.settings, run.step
    while run.step < settings.steps:
        metrics = run.advance()
        run.prepare()
        record = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if run.step % settings.validate_every == 0 or run.step == settings.steps:
            record["validation"] = run.validate()
        tell(run.step, record)
        end = None
        if record["in_a_row"] >= settings.bad_steps:
            end = "not finite"
        elif settings.patience is not None and run.worse >= settings.patience:
            end = "no longer better"
        elif not agreed(not asked()):  # a signal may come to one of several processes
            end = "interrupted"
        last = end is not None or run.step == settings.steps
        if (run.step % settings.checkpoint_every == 0 or last) and run.step > saved:
            tell.sync()
            run.save(checkpoints, meta)
            saved = run.step
        if end is not None:
            return end
    return "finished"
