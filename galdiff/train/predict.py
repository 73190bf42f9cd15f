"""Inference from checkpoints: batched, on all devices, with the scatter between the models of an ensemble."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from galdiff.errors import InputError
from galdiff.train.data import Batch, batch_on_mesh
from galdiff.train.load import load


class Prediction(NamedTuple):
    """What the models say, and how much they differ."""

    mean: Any  # pytree with a leading axis of samples
    std: Any  # the same, between models; None for one model


class Ensemble:
    """Models of one structure, called together.

    Args of the constructor:
      models: one or more, of the same config.
      call: what is wanted of a model for one sample, `call(model, sample)`; the model itself by default.
      batch_size: samples computed together; memory goes with it.
      mesh: with an axis "data" for the samples; None for one device.

    Raises:
      InputError: models that differ in more than their parameters.
    """

    def __init__(
        self,
        models: Sequence[nnx.Module],
        *,
        call: Callable[[Any, Any], Any] = lambda model, sample: model(sample),
        batch_size: int = 1024,
        mesh: Mesh | None = None,
    ) -> None:
        if not models or batch_size < 1:
            raise InputError(f"{len(models)} models in batches of {batch_size}; give at least one of both")
        graphs, states = zip(*(nnx.split(model) for model in models), strict=True)
        shapes = [jax.tree.map(jnp.shape, state) for state in states]
        if any(graph != graphs[0] or shape != shapes[0] for graph, shape in zip(graphs, shapes, strict=True)):
            raise InputError("the models of the ensemble have different configs; give checkpoints of one config")
        self.n, self.batch_size, self.mesh = len(models), batch_size, mesh
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *states)
        self.state = stacked if mesh is None else jax.device_put(stacked, NamedSharding(mesh, PartitionSpec()))

        def both(states: Any, samples: Any) -> tuple:
            one = lambda state: jax.vmap(lambda x: call(nnx.merge(graphs[0], state), x))(samples)  # noqa: E731
            found = jax.vmap(one)(states)
            mean = jax.tree.map(lambda x: x.mean(0) if _number(x) else x[0], found)
            return mean, jax.tree.map(lambda x: x.std(0, ddof=1) if _number(x) and len(models) > 1 else x[0], found)

        self._both = jax.jit(both)

    def __call__(self, samples: Any) -> Prediction:
        """Mean and scatter (n - 1) over the models, NumPy, for samples with a leading axis."""
        n = {np.shape(x)[0] if np.ndim(x) else 0 for x in jax.tree.leaves(samples)}
        if len(n) != 1 or 0 in n:
            raise InputError(f"samples have leading axes of length {sorted(n)}; give arrays of one common length")
        total = n.pop()
        size = min(self.batch_size, total)
        parts = []
        for begin in range(0, total, size):
            which = np.minimum(np.arange(begin, begin + size), total - 1)  # the last batch repeats its last sample
            batch = Batch(samples=jax.tree.map(lambda x, w=which: np.asarray(x)[w], samples), weight=np.ones(size))
            found = self._both(self.state, batch_on_mesh(batch, self.mesh).samples)
            kept = min(size, total - begin)
            parts.append(jax.tree.map(lambda x, k=kept: np.asarray(x)[:k], found))
        mean, std = jax.tree.map(lambda *x: np.concatenate(x), *parts)
        return Prediction(mean, std if self.n > 1 else None)


def load_ensemble(paths: str | pathlib.Path | Sequence[str | pathlib.Path], **options: Any) -> Ensemble:
    """The models of one or more checkpoints, as an `Ensemble` with these options.

    Raises:
      InputError: no sound checkpoint in one of them, or different configs.
    """
    each = [paths] if isinstance(paths, str | pathlib.Path) else list(paths)
    return Ensemble([load(path).model for path in each], **options)


def _number(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)
