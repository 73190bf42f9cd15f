"""A training in several stages: what each changes, and their runs one after the other in one folder."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import optax
from flax import nnx
from jax.sharding import Mesh

from galdiff.errors import InputError
from galdiff.train.case import Case
from galdiff.train.loop import Outcome, Task, TrainingSettings, train
from galdiff.train.prior import with_prior
from galdiff.train.progress_bar import Progress

BROKEN = ("interrupted", "not finite")  # ends after which nothing goes on


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingStage:
    """One training of several.

    Attributes:
      which: parameters that train, see `galdiff.train.select.trainable`.
      settings: how long; optimiser: of optax.
      prior: on corrections, arguments of `with_prior`; None for none.
      start: name of the stage whose result it begins with; None for the model before all of them.
    """

    which: str | list[str]
    settings: TrainingSettings
    optimiser: optax.GradientTransformation
    prior: Mapping[str, Any] | None = None
    start: str | None = None


def run_stages(
    model: nnx.Module,
    case: Case,
    stages: Mapping[str, TrainingStage],
    folder: pathlib.Path,
    meta: dict[str, Any],
    mesh: Mesh | None = None,
) -> dict[str, Outcome]:
    """Train a model in stages, with progress shown; what was begun goes on.

    Args:
      model: parameters to begin with, prepared by the case.
      case: data and objective.
      stages: by name, in their order; the last writes to the folder itself, others to stages/NAME in it.
      meta: goes into every checkpoint.
      mesh: devices; None for one.

    Returns:
      Outcome of each stage.

    Raises:
      InputError: a stage was interrupted, or found no finite loss.
    """
    outcomes: dict[str, Outcome] = {}
    last = list(stages)[-1]
    for name, stage in stages.items():
        begin = model if stage.start is None else outcomes[stage.start].model
        where = folder if name == last else folder / "stages" / name
        task = Task(
            model=begin,
            objective=case.loss if stage.prior is None else with_prior(case.loss, **stage.prior),
            optimiser=stage.optimiser,
            which=stage.which,
            source=case.source,
            validation=case.validation,
        )
        with Progress(stage.settings.steps, name) as report:
            outcomes[name] = train(task, stage.settings, where, meta=meta, mesh=mesh, report=report)
        if outcomes[name].end in BROKEN:
            raise InputError(
                f"{name}: {outcomes[name].end} at step {outcomes[name].step}; its last good checkpoint is in {where};"
                " the same command goes on from there"
            )
    return outcomes


def outcomes_summary(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, Any]]:
    """Steps, end, best loss and skipped steps of each stage, ready for JSON."""
    return {n: {"steps": o.step, "end": o.end, "best": o.best, "skipped": o.skipped} for n, o in outcomes.items()}
