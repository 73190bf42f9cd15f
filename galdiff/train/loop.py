"""The loop of all training: steps, validation, early stopping, checkpoints, and going on where a run was cut.

A run in a folder that holds checkpoints goes on from the newest sound one, and ends with the same numbers, bit for bit,
as a run that was never cut: batches are functions of the step, and everything else is carried.
"""

import contextlib
import dataclasses
import pathlib
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from galdiff.errors import InputError
from galdiff.train.checkpoints import Checkpoints, by_path
from galdiff.train.data import Batch, Source, place
from galdiff.train.log import Log
from galdiff.train.select import parts_of, trainable
from galdiff.train.step import make_step, start

Objective = Callable[[nnx.Module, Batch, Array], tuple[Array, Mapping[str, Array]]]
WORST = 1e300  # rank of a checkpoint that was never validated
ENDS = ("finished", "no longer better", "interrupted", "not finite")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What is trained, on what, and how good it is.

    Attributes:
      model: a stage or a pipeline; its tables are fixed data.
      objective: loss and its pieces (scalars by name) of (model, batch, random key); must honour `batch.weight`.
      optimiser: of optax, learning-rate schedule, clipping and weight decay included.
      which: numbers that train, see `trainable`.
      source: of the batches; validation: samples that the loss is also measured on, None for the batches alone.
    """

    model: nnx.Module
    objective: Objective
    optimiser: optax.GradientTransformation
    source: Source
    which: Any = "corrections"
    validation: Source | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How long and how carefully.

    Attributes:
      steps: at most; seed: of the random keys that the objective gets.
      average: decay of the moving average of the numbers, which then is what is validated; 0 for none.
      validate_every, checkpoint_every: steps between them.
      patience: validations without a smaller loss after which a run ends; None for all steps.
      bad_steps: steps in a row that are not finite after which a run ends.
      keep_last, keep_best: checkpoints.
    """

    steps: int = 1000
    seed: int = 0
    average: float = 0.0
    validate_every: int = 50
    checkpoint_every: int = 100
    patience: int | None = None
    bad_steps: int = 10
    keep_last: int = 2
    keep_best: int = 1

    def __post_init__(self):
        for name in ("steps", "validate_every", "checkpoint_every", "bad_steps", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"train.{name} is {value}; give at least 1")
        if not 0 <= self.average < 1:
            raise InputError(f"train.average is {self.average}; give a decay in [0, 1)")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    model: nnx.Module  # with the last numbers, or their average where one is kept
    step: int
    end: str  # one of ENDS
    best: float  # smallest validation loss
    skipped: int  # steps that were not finite


def train(
    task: Task,
    settings: Settings,
    folder: str | pathlib.Path,
    *,
    meta: Mapping[str, Any] | None = None,
    mesh: Mesh | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> Outcome:
    """Train, and leave metrics.jsonl and checkpoints/ in a folder.

    Args:
      task, settings: what and how.
      folder: of the run; one that holds checkpoints is gone on with.
      meta: goes into every checkpoint: config as text, versions, hashes of data.
      mesh: with an axis "data" for the samples of a batch; None for one device.
      report: called after every step with its number and metrics, `validation` among them where it was measured.

    Raises:
      InputError: nothing to train, wrong settings, checkpoints of another model, a disk that refuses.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(task, settings, mesh)
    with Checkpoints(folder / "checkpoints", last=settings.keep_last, best=settings.keep_best) as checkpoints:
        run.resume(checkpoints)
        log = Log(folder / "metrics.jsonl", run.step)
        try:
            with _signals() as asked:
                end = _steps(run, settings, checkpoints, log, dict(meta or {}), report, asked)
        finally:
            log.close()
        return Outcome(run.model(), run.step, end, run.best, int(run.carry["skipped"]))


def _steps(run: "_Run", settings, checkpoints, log, meta, report, asked) -> str:
    """Steps until one of ENDS."""
    saved = run.step
    while run.step < settings.steps:
        metrics = run.advance()
        due = run.step % settings.validate_every == 0 or run.step == settings.steps
        record = {name: float(value) for name, value in metrics.items()}
        if due:
            record["validation"] = run.validate()
        log.write({"step": run.step, **record})
        if report is not None:
            report(run.step, record)
        end = None
        if record["in_a_row"] >= settings.bad_steps:
            end = "not finite"
        elif settings.patience is not None and run.worse >= settings.patience:
            end = "no longer better"
        elif asked():
            end = "interrupted"
        last = end is not None or run.step == settings.steps
        if (run.step % settings.checkpoint_every == 0 or last) and run.step > saved:
            log.sync()
            run.save(checkpoints, meta)
            saved = run.step
        if end is not None:
            return end
    return "finished"


class _Run:
    """State of a run, and the compiled functions that move it."""

    def __init__(self, task: Task, settings: Settings, mesh: Mesh | None):
        self.task, self.settings, self.mesh = task, settings, mesh
        self.graph, *states = parts_of(task.model)
        self.rest = states.pop()
        self.states = dict(zip(("corrections", "physics"), states, strict=True))
        numbers = {path: x for state in self.states.values() for path, x in by_path(state).items()}
        chosen = trainable(task.model, task.which)
        self.carry = self._everywhere(start({p: numbers[p] for p in chosen}, task.optimiser, settings.seed))
        self.fixed = self._everywhere({p: x for p, x in numbers.items() if p not in chosen})
        self.rest = self._everywhere(self.rest)
        self.step, self.best, self.latest, self.worse = 0, np.inf, np.inf, 0

        def objective(train, fixed, batch, key):
            numbers, rest = fixed
            return task.objective(self._merged(train, numbers, rest), batch, key)

        self._advance = make_step(objective, task.optimiser, settings.average)
        self._loss = jax.jit(lambda train, fixed, batch, key: objective(train, fixed, batch, key)[0])

    def _everywhere(self, tree):
        if self.mesh is None:
            return tree
        return jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec()))

    def _merged(self, train, fixed, rest) -> nnx.Module:
        numbers = {**fixed, **train}
        filled = [
            jax.tree.unflatten(jax.tree.structure(s), [numbers[path] for path in by_path(s)])
            for s in self.states.values()
        ]
        return nnx.merge(self.graph, *filled, rest)

    def _current(self) -> dict[str, Array]:
        return self.carry["average" if self.settings.average else "train"]

    def model(self) -> nnx.Module:
        """The model with the numbers of now."""
        return self._merged(self._current(), self.fixed, self.rest)

    def advance(self) -> dict[str, Array]:
        """One step; its metrics."""
        batch = place(self.task.source.batch(self.step), self.mesh)
        self.carry, metrics = self._advance(self.carry, (self.fixed, self.rest), batch)
        self.step += 1
        return metrics

    def validate(self) -> float:
        """Loss over the validation set (or the batch source), and whether it is the best so far."""
        source = self.task.source if self.task.validation is None else self.task.validation
        key = jax.random.key(self.settings.seed)  # the same for all, so that losses compare
        batch = place(source.all_rows(), self.mesh)
        loss = float(self._loss(self._current(), (self.fixed, self.rest), batch, key))
        better = loss < self.best
        self.latest = loss
        self.best, self.worse = (loss, 0) if better else (self.best, self.worse + 1)
        return loss

    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        numbers = {**self.fixed, **self.carry["train"]}
        parts = {name: {p: numbers[p] for p in by_path(state)} for name, state in self.states.items()}
        progress = {name: x for name, x in self.carry.items() if name not in ("train", "optimiser", "average")}
        losses = {"best": jnp.asarray(self.best), "latest": jnp.asarray(self.latest)}
        counts = {**losses, "worse": jnp.asarray(self.worse, jnp.int32)}
        average = {"average": self.carry["average"]} if self.settings.average else {}
        progress = {**progress, **self._everywhere(counts)}
        return {**parts, **average, "optimiser": self.carry["optimiser"], "progress": progress}

    def save(self, checkpoints: Checkpoints, meta: dict) -> None:
        """Into a checkpoint, ranked by its validation loss (the latest)."""
        loss = self.latest if np.isfinite(self.latest) else WORST
        trained = {"train": sorted(self.carry["train"])}
        checkpoints.save(self.step, self.parts(), meta={**meta, **trained}, loss=loss)

    def resume(self, checkpoints: Checkpoints) -> None:
        """From the newest sound checkpoint, if there is one."""
        found = checkpoints.restore(self.parts())
        if found is None:
            return
        numbers = {**found.parts["physics"], **found.parts["corrections"]}
        progress = dict(found.parts["progress"])
        self.best, self.latest = float(progress.pop("best")), float(progress.pop("latest"))
        self.worse = int(progress.pop("worse"))
        trained = {path: numbers[path] for path in self.carry["train"]}
        self.carry = {
            **progress,
            "optimiser": found.parts["optimiser"],
            "train": trained,
            "average": found.parts.get("average", jax.tree.map(jnp.copy, trained)),
        }
        self.fixed = {path: numbers[path] for path in self.fixed}
        self.step = found.step


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT came; the first only asks, so that the step and its checkpoint are finished."""
    came: list[int] = []

    def note(number, frame):
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    before = {}
    with contextlib.suppress(ValueError):  # only the main thread may
        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
