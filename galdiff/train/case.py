"""What a training is about: its data, what is good, and what is shown at the end; one class per experiment."""

import abc
import pathlib
from collections.abc import Mapping
from typing import Any

from flax import nnx
from jaxtyping import Array

from galdiff.core.buildable import buildable
from galdiff.train.data import Batch, Source
from galdiff.train.loop import Outcome


class Case(abc.ABC):
    """Built from a config, `case: {_target_: ...}`; `galdiff.train.stages.run_stages` does the rest.

    Attributes:
      source: of the batches.
      validation: samples that the loss is also measured on; None for those of the batches.
      data: content hashes of files that were read, by name; they go into every checkpoint.
    """

    source: Source
    validation: Source | None = None
    data: Mapping[str, str] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls, reads=True)  # a case has data

    def prepare(self, model: nnx.Module) -> nnx.Module:
        """The model with what only the data can give it, before its first step; as it is by default."""
        return model

    @abc.abstractmethod
    def loss(self, model: nnx.Module, batch: Batch, key: Array) -> tuple[Array, Mapping[str, Array]]:
        """Loss [1], a scalar, and its pieces (scalars by name); samples of weight zero must not count."""

    @abc.abstractmethod
    def show(self, outcomes: Mapping[str, Outcome], folder: pathlib.Path) -> dict[str, Any]:
        """Figures into a folder (PNG), and the numbers that say how good it became.

        Args:
          outcomes: of the stages of the training, in their order; the last one is the result.
          folder: of the run.
        """
