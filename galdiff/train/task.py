"""What is trained, and how."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import optax
from flax import nnx
from jaxtyping import Array

from galdiff.core.signatures import Within, check_ranges
from galdiff.errors import InputError
from galdiff.train.data import Batch, Source
from galdiff.train.tensorboard import refuse_without_package

Objective = Callable[[nnx.Module, Batch, Array], tuple[Array, Mapping[str, Array]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What is trained, on what, and how good it is.

    Attributes:
      model: a stage or a pipeline; its tables are fixed data.
      objective: loss and its pieces (scalars by name) of (model, batch, random key); must honour `batch.weight`.
      optimiser: of optax, learning-rate schedule, clipping and weight decay included.
      which: parameters that train, see `trainable`.
      source: of the batches; validation: samples that the loss is also measured on, None for the batches alone.
    """

    model: nnx.Module
    objective: Objective
    optimiser: optax.GradientTransformation
    source: Source
    which: Any = "corrections"
    validation: Source | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How long and how carefully.

    Attributes:
      steps: at most; seed: of the random keys that the objective gets.
      average: decay of the moving average of the parameters, which then is what is validated; 0 for none.
      validate_every, checkpoint_every: steps between them.
      patience: validations without a smaller loss after which a run ends; None for all steps.
      bad_steps: steps in a row that are not finite after which a run ends.
      keep_last, keep_best: checkpoints.
      tensorboard: whether metrics also go to event files in the folder tensorboard/ (needs tensorboardX).
    """

    steps: Annotated[int, Within(1, 1e9)] = 1000
    seed: int = 0
    average: float = 0.0
    validate_every: Annotated[int, Within(1, 1e9)] = 50
    checkpoint_every: Annotated[int, Within(1, 1e9)] = 100
    patience: Annotated[int | None, Within(1, 1e9, "", True)] = None
    bad_steps: Annotated[int, Within(1, 1e9)] = 10
    keep_last: Annotated[int, Within(1, 1e9)] = 2
    keep_best: Annotated[int, Within(0, 1e9)] = 1
    tensorboard: bool = False

    def __post_init__(self) -> None:
        check_ranges(TrainingSettings, dataclasses.asdict(self), "train")
        if not 0 <= self.average < 1:
            raise InputError(f"train.average is {self.average}; give a decay in [0, 1)")
        if self.tensorboard:
            refuse_without_package()
