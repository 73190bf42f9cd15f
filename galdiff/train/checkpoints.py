"""Checkpoints of a run: written in the background, whole or not at all, verified when they are read.

A step holds named parts (physics, corrections, average, optimiser, progress), each a flat dict of arrays by dotted
path, and `meta`, a JSON record with the shape, dtype and content hash of every array. Orbax keeps a step only when all
of it is on disk, but does not notice a flipped byte later; the hashes do. Reading runs no code from the files.
"""

import contextlib
import dataclasses
import json
import pathlib
import re
import warnings
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from galdiff.errors import InputError
from galdiff.runtime import agreed, first_does, together
from galdiff.train.arrays import by_path, fingerprints, refuse_mismatch, refuse_nonfinite
from galdiff.train.seal import META, Damaged, ranked_right, refuse_deep, refuse_strange, sealed, unsealed


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a checkpoint held."""

    step: int
    parts: dict[str, Any]
    meta: dict[str, Any]


class Checkpoints:
    """Checkpoints in one folder, a context manager; leaving it waits for what is being written.

    Args of the constructor:
      folder: of the run's checkpoints; made when something is saved.
      last: newest steps that are kept; best: steps of smallest loss that are kept beside them.
      reading: nothing in the folder is written, renamed or removed, and `save` is not to be called.
    """

    def __init__(self, folder: str | pathlib.Path, *, last: int = 2, best: int = 1, reading: bool = False) -> None:
        if last < 1 or best < 0:
            raise InputError(f"checkpoints keep last={last} and best={best}; give last >= 1 and best >= 0")
        self.folder = pathlib.Path(folder).resolve()  # a relative path fails in the thread that writes
        self._manager = None if reading else _manager(self.folder, last, best)
        self._reader = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
        self._good: int | None = max(self.steps(), default=None)
        self._worker = futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._pending: tuple[int, futures.Future] | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error: Any) -> None:
        with contextlib.suppress(Exception) if error[0] is not None else contextlib.nullcontext():
            self.wait()
        self._worker.shutdown()
        self._reader.close()
        if self._manager is not None:
            self._manager.close()

    def steps(self) -> list[int]:
        """Steps on disk, oldest first."""
        if self._manager is not None:
            return sorted(self._manager.all_steps())
        return sorted(int(p.name) for p in steps_in(self.folder) if ocp.utils.is_checkpoint_finalized(p))

    def save(self, step: int, parts: Mapping[str, Any], *, meta: Mapping[str, Any], loss: float) -> None:
        """Copy the arrays and write them in the background.

        Args:
          step: number of the step, above those saved before.
          parts: name -> pytree of arrays (random keys as their data).
          meta: what JSON can hold.
          loss: by which the best is kept; finite.

        Raises:
          InputError: a number that is not finite, or the disk refuses this or the previous checkpoint.
        """
        self.wait()
        if self._manager is None:
            raise InputError(f"{self.folder}: was opened for reading; open it with reading=False to save")
        flat = {name: by_path(part) for name, part in parts.items()}
        refuse_nonfinite(flat, step, loss)
        if jax.process_count() > 1:  # all must talk to each other in the same order as the steps do
            with self._disk(step):
                self._write(step, flat, meta, loss)
        else:  # what Orbax does before it returns takes longer than a step; the next step gives the buffers away
            copies = jax.tree.map(jnp.copy, flat)
            self._pending = (step, self._worker.submit(self._write, step, copies, dict(meta), loss))

    def _write(self, step: int, flat: Mapping[str, Any], meta: Mapping[str, Any], loss: float) -> None:
        record = {**meta, "step": step, "loss": float(loss), "leaves": {n: fingerprints(f) for n, f in flat.items()}}
        items = {name: ocp.args.StandardSave(part) for name, part in flat.items() if part}
        assert self._manager is not None
        self._manager.save(
            step,
            args=ocp.args.Composite(**items, **{META: ocp.args.JsonSave(sealed(record))}),
            metrics={"loss": float(loss)},
            force=True,
        )

    def wait(self) -> None:
        """Until the last save is on disk.

        Raises:
          InputError: the disk refused it.
        """
        if self._manager is None:
            return
        pending, self._pending = self._pending, None
        newest = self._manager.latest_step() if pending is None else pending[0]
        with self._disk(newest):
            if pending is not None:
                pending[1].result()
            self._manager.wait_until_finished()
        self._manager.reload()
        self._good = newest if newest in self._manager.all_steps() else self._good

    @contextlib.contextmanager
    def _disk(self, step: int | None) -> Iterator[None]:
        try:
            with together("a checkpoint"):
                yield
        except InputError:
            raise  # another process is lost: not the disk
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            kept = "there is none before it" if self._good is None else f"step {self._good} is intact"
            raise InputError(
                f"{self.folder}: checkpoint of step {step} cannot be written ({reason}); {kept}; free space, then run"
                " again to go on from there"
            ) from error

    def restore(self, like: Mapping[str, Any], step: int | None = None) -> Restored | None:
        """The newest sound checkpoint, or that of a step; None where the folder holds none.

        Args:
          like: name -> pytree of arrays or `jax.ShapeDtypeStruct` with the shapes, dtypes and shardings wanted; parts
            that are not named stay on disk.
          step: which; the newest by default. Damaged ones are named in a warning and the one before is taken.

        Raises:
          InputError: all are damaged, the asked one is, or it has other arrays than wanted.
        """
        if self._pending is not None:
            self.wait()
        steps = [step] if step is not None else self.steps()[::-1]
        damaged = []
        for number in steps:
            try:
                return self._read_by_all(number, like)
            except Damaged as error:
                damaged.append(f"step {number} ({error})")
                if number != steps[-1]:
                    warnings.warn(
                        f"{self.folder}: checkpoint of {damaged[-1]} is damaged; the one before is used", stacklevel=2
                    )
        if damaged:
            raise InputError(
                f"{self.folder}: no sound checkpoint: {'; '.join(damaged)}; copy the folder again, or train anew"
            )
        return None

    def meta(self, step: int | None = None) -> dict[str, Any] | None:
        """What is written about the newest sound step, or one step, without its arrays."""
        found = self.restore({}, step)
        return None if found is None else found.meta

    def _read_by_all(self, step: int, like: Mapping[str, Any]) -> Restored:
        """A step that every process finds sound."""
        found, reason = None, "another process finds it damaged"
        try:
            found = self._read(step, like)
        except Damaged as error:
            reason = str(error)
        if not agreed(found is not None) or found is None:
            raise Damaged(reason)
        return found

    def _restore(self, step: int, name: str, how: ocp.args.CheckpointArgs) -> Any:
        """One item of a step, by Orbax."""
        item = ocp.args.Composite(**{name: how})
        if self._manager is not None:
            return self._manager.restore(step, args=item)[name]
        return self._reader.restore(self.folder / str(step), args=item)[name]

    def _read(self, step: int, like: Mapping[str, Any]) -> Restored:
        try:
            refuse_deep(self.folder / str(step))
            record = self._restore(step, META, ocp.args.JsonRestore())
        except Damaged:
            raise
        except Exception as error:  # Orbax raises many kinds for a broken file
            raise Damaged(f"its record cannot be read: {_short(error)}") from error
        unsealed(record)
        refuse_strange(record, step)
        if not ranked_right(self.folder / str(step), record["loss"]):
            raise Damaged("its metric is not what was written")
        refuse_mismatch(record["leaves"], like, f"{self.folder}, step {step}")
        parts = {}
        for name, wanted in like.items():
            paths, tree = by_path(wanted), jax.tree.structure(wanted)
            if not paths:
                parts[name] = wanted
                continue
            abstract = {path: _abstract(x) for path, x in paths.items()}
            try:
                found = self._restore(step, name, ocp.args.StandardRestore(abstract))
            except Exception as error:
                raise Damaged(f"'{name}' cannot be read: {_short(error)}") from error
            for path, saved in fingerprints(found).items():
                if saved != record["leaves"][name][path]:
                    raise Damaged(f"'{name}.{path}' is not what was written")
            parts[name] = jax.tree.unflatten(tree, [found[path] for path in paths])
        return Restored(step=step, parts=parts, meta=record)


def steps_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Folders of steps, finished or not: those whose name is a whole number as it is written."""
    named = [p for p in folder.glob("[0-9]*") if re.fullmatch(r"0|[1-9][0-9]{0,17}", p.name)]
    return [p for p in named if p.is_dir()]


def _manager(folder: pathlib.Path, last: int, best: int) -> ocp.CheckpointManager:
    """Orbax's manager of a folder that is written into; steps that would stop it are set aside."""
    first_does(lambda: set_damaged_aside(folder), "checkpoints")
    loss = lambda metrics: metrics["loss"]  # noqa: E731
    keep = [policies.LatestN(last), policies.BestN(get_metric_fn=loss, reverse=True, n=best)]
    options = ocp.CheckpointManagerOptions(
        best_fn=loss, best_mode="min", preservation_policy=policies.AnyPreservationPolicy(keep), create=True
    )
    return ocp.CheckpointManager(folder, options=options)


def set_damaged_aside(folder: pathlib.Path) -> None:
    """Rename steps whose loss cannot be read: Orbax reads all losses when it opens a folder, and would stop there."""
    for path in folder.glob("[0-9]*/metrics/metrics"):
        step = path.parent.parent
        try:
            loss = json.loads((step / META / "metadata").read_bytes())["loss"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            loss = None  # the record is looked at when it is restored
        sound = ranked_right(step, loss)
        if not sound and step.name.isdigit():
            step.rename(step.with_name(f"damaged-{step.name}"))
            warnings.warn(f"{folder}: checkpoint of step {step.name} is damaged; the one before is used", stacklevel=3)


def _abstract(x: Any) -> jax.ShapeDtypeStruct | np.ndarray:
    """What is wanted, without its content; a NumPy array is restored as one, in any precision."""
    if isinstance(x, np.ndarray):
        return x
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", None))


def _short(error: object) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
