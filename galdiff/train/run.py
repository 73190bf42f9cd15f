"""State of a run, and the compiled functions that move it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from galdiff.train.checkpoints import Checkpoints, by_path
from galdiff.train.data import Batch, batch_on_mesh, on_all
from galdiff.train.select import parts_of, trainable
from galdiff.train.step import first_carry, make_step
from galdiff.train.task import Task, TrainingSettings

WORST = 1e300  # rank of a checkpoint that was never validated


class Run:
    """A task between two steps."""

    def __init__(self, task: Task, settings: TrainingSettings, mesh: Mesh | None) -> None:
        self.task, self.settings, self.mesh = task, settings, mesh
        self.graph, *states = parts_of(task.model)
        self.rest = states.pop()
        self.states = dict(zip(("corrections", "physics"), states, strict=True))
        parameters = {path: x for state in self.states.values() for path, x in by_path(state).items()}
        chosen = trainable(task.model, task.which)
        self.carry = self._everywhere(first_carry({p: parameters[p] for p in chosen}, task.optimiser, settings.seed))
        self.fixed = self._everywhere({p: x for p, x in parameters.items() if p not in chosen})
        self.rest = self._everywhere(self.rest)
        self.step, self.best, self.latest, self.worse = 0, np.inf, np.inf, 0

        def objective(train: Any, fixed: Any, batch: Any, key: Array) -> Any:
            parameters, rest = fixed
            return task.objective(self._merged(train, parameters, rest), batch, key)

        everywhere = None if mesh is None else NamedSharding(mesh, PartitionSpec())
        self._advance = make_step(objective, task.optimiser, settings.average, everywhere)
        # All parameters alike, whichever train: stages of a model have the same loss, which is then compiled once.
        self._loss = jax.jit(
            lambda parameters, rest, batch, key: objective(parameters, ({}, rest), batch, key)[0],
            out_shardings=everywhere,
        )
        self._next: tuple[int, Batch] | None = None

    def _everywhere(self, tree: Any) -> Any:
        return tree if self.mesh is None else on_all(tree, self.mesh)

    def _merged(self, train: Any, fixed: Any, rest: Any) -> nnx.Module:
        parameters = {**fixed, **train}
        filled = [
            jax.tree.unflatten(jax.tree.structure(s), [parameters[path] for path in by_path(s)])
            for s in self.states.values()
        ]
        return nnx.merge(self.graph, *filled, rest)

    def _current(self) -> dict[str, Array]:
        return self.carry["average" if self.settings.average else "train"]

    def model(self) -> nnx.Module:
        """The model with the parameters of now; of several processes, each has its own and may use it alone."""
        parameters = (self._current(), self.fixed, self.rest)
        if jax.process_count() > 1:
            parameters = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), parameters)
        return self._merged(*parameters)

    def advance(self) -> dict[str, Array]:
        """One step; its metrics [1], each a scalar, which may still be computed when it returns."""
        batch = self._batch(self.step)
        self.carry, metrics = self._advance(self.carry, (self.fixed, self.rest), batch)
        self.step += 1
        return metrics

    def prepare(self) -> None:
        """Read and place the batch of the next step, while the devices compute the last."""
        if self.step < self.settings.steps:
            self._next = (self.step, self._batch(self.step))

    def _batch(self, step: int) -> Batch:
        if self._next is not None and self._next[0] == step:
            return self._next[1]
        return batch_on_mesh(self.task.source.batch(step), self.mesh)

    def validate(self) -> float:
        """Loss over the validation set (or the batch source), and whether it is the best so far."""
        source = self.task.source if self.task.validation is None else self.task.validation
        key = jax.random.key(self.settings.seed)  # the same for all, so that losses compare
        batch = batch_on_mesh(source.all_rows(), self.mesh)
        loss = float(self._loss({**self.fixed, **self._current()}, self.rest, batch, key))
        better = loss < self.best
        self.latest = loss
        self.best, self.worse = (loss, 0) if better else (self.best, self.worse + 1)
        return loss

    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        parameters = {**self.fixed, **self.carry["train"]}
        parts = {name: {p: parameters[p] for p in by_path(state)} for name, state in self.states.items()}
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
        parameters = {**found.parts["physics"], **found.parts["corrections"]}
        progress = dict(found.parts["progress"])
        self.best, self.latest = float(progress.pop("best")), float(progress.pop("latest"))
        self.worse = int(progress.pop("worse"))
        trained = {path: parameters[path] for path in self.carry["train"]}
        self.carry = {
            **progress,
            "optimiser": found.parts["optimiser"],
            "train": trained,
            "average": found.parts.get("average", jax.tree.map(jnp.copy, trained)),
        }
        self.fixed = {path: parameters[path] for path in self.fixed}
        self.step = found.step
