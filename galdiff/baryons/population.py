"""Many halos at once: a fixed grid for all, a finer one, own steps or a stiff solver for those that need them.

A galaxy is never silently kept when its solution is not: the report names it.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import PartitionSpec

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Equations, Outputs, check_times, evolve_adaptively, evolve_prepared, prepare
from galdiff.errors import InputError
from galdiff.records import BaryonHistory, HaloHistory

GROUP = 64  # galaxies that are solved again together
FINER = 8  # times the steps of the grid, before steps of their own, which cost some hundred times more
MAX_STEPS = 4096
EXTRA = 0.02  # rtol of a step over the asked error of the history [1/dex]; set by tests/test_baryon_population.py


@dataclasses.dataclass(frozen=True)
class Report:
    """How a population was solved."""

    n: int
    refined: tuple[int, ...]  # ids that took more steps
    stiff: tuple[int, ...]  # ids that needed the stiff solver
    failed: tuple[int, ...]  # ids without a solution: their histories hold NaN

    def __str__(self) -> str:
        text = f"{self.n} halos: {len(self.refined)} refined, {len(self.stiff)} stiff, {len(self.failed)} failed"
        return text + (f" (ids {', '.join(map(str, self.failed[:20]))})" if self.failed else "")


class Population:
    """Compiled solvers of one stage for populations of halos; call `solve` with any number of them.

    Args of the constructor:
      stage: a baryon cycle (`Pandya23`, `Regulator`).
      outputs: when histories are wanted.
      tolerance: error of the masses [dex] above which a galaxy takes more steps; None keeps the grid's.
      chunk: halos solved together, in equal parts on all devices; memory goes with it.
    """

    def __init__(
        self, stage: BaryonCycle, outputs: Outputs, *, tolerance: float | None = 0.02, chunk: int = 1024
    ) -> None:
        if tolerance is not None and not 1e-9 <= tolerance <= 1:
            raise InputError(f"tolerance is {tolerance} dex; steps can hold 1e-9 to 1 dex, or give null for the grid's")
        if chunk < 1:
            raise InputError(f"chunk is {chunk} halos; give at least 1")
        self.outputs, self.tolerance = outputs, tolerance
        self.chunk = -(-chunk // jax.device_count()) * jax.device_count()
        graph, self.state = nnx.split(stage)
        rtol = EXTRA * (tolerance or 0.02)

        def equations(state: Any) -> Equations:
            return nnx.merge(graph, state).equations()

        def on_grid(state: Any, halos: HaloHistory, times: Any = outputs) -> Any:
            e = equations(state)
            return jax.vmap(lambda halo: evolve_prepared(e, prepare(e, halo, times)))(halos)

        def own_steps(state: Any, halos: Any, stiff: Any) -> Any:
            e = equations(state)
            solver = "stiff" if stiff else "patankar"
            return jax.vmap(lambda h: evolve_adaptively(e, h, outputs, rtol, max_steps=MAX_STEPS, solver=solver))(halos)

        self._on_grid = jax.jit(on_all_devices(on_grid))
        fine = dataclasses.replace(outputs, n_steps=FINER * outputs.n_steps)
        self._finer = jax.jit(lambda state, halos: on_grid(state, halos, fine))
        self._own_steps = jax.jit(own_steps, static_argnums=2)

    def solve(
        self, halos: HaloHistory, ids: Sequence[int] | None = None, done: Callable[[int], None] | None = None
    ) -> tuple[BaryonHistory, Report]:
        """Histories of halos with a leading axis, and a `Report`.

        Args:
          halos: any number.
          ids: names of the halos in the report; their numbers by default.
          done: called with the number of halos finished, after each chunk.

        Raises:
          InputError: outputs outside a halo's history.
        """
        check_times(halos, self.outputs)
        parts = list(self.stream([halos], ids, done))
        histories = jax.tree.map(lambda *x: np.concatenate(x), *(p for p, _ in parts))
        return histories, merge([r for _, r in parts])

    def stream(
        self,
        batches: Iterable[HaloHistory],
        ids: Sequence[int] | None = None,
        done: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[BaryonHistory, Report]]:
        """Chunk after chunk of histories (NumPy) with its report, from batches of halos that come one by one."""
        first = 0
        for batch in batches:
            n_batch = batch.t_start.shape[0]
            for begin in range(0, n_batch, self.chunk):
                halos = jax.tree.map(lambda x, b=begin: x[b : b + self.chunk], batch)
                n = halos.t_start.shape[0]
                names = np.arange(first, first + n) if ids is None else np.asarray(ids[first : first + n])
                yield self._solve_chunk(halos, names)
                first += n
                if done is not None:
                    done(n)

    def _solve_chunk(self, halos: HaloHistory, names: np.ndarray) -> tuple[BaryonHistory, Report]:
        n = len(names)
        found: Any = jax.tree.map(np.array, cut(self._on_grid(self.state, pad(halos, self.chunk)), n))
        limit = np.inf if self.tolerance is None else self.tolerance
        poor = np.flatnonzero(~found.solved | (found.error > limit))
        refined = list(poor)
        stiff: list[int] = []
        methods = (
            self._finer,
            lambda state, few: self._own_steps(state, few, False),
            lambda state, few: self._own_steps(state, few, True),
        )
        for method in methods:
            # The most expensive first, so that galaxies of like cost wait for each other.
            poor = poor[np.argsort(-np.where(np.isfinite(found.error[poor]), found.error[poor], np.inf))]
            stiff = list(poor) if method is methods[-1] else stiff
            for begin in range(0, len(poor), GROUP):
                which = poor[begin : begin + GROUP]
                few = jax.tree.map(lambda x, w=which: x[w], halos)
                again = cut(method(self.state, pad(few, GROUP)), len(which))
                jax.tree.map(lambda old, new, w=which: old.__setitem__(w, np.asarray(new)), found, again)
            worst = limit if method is self._finer else np.inf  # own steps keep the tolerance, or fail
            poor = np.asarray([i for i in poor if not found.solved[i] or found.error[i] > worst], int)
        for leaf in jax.tree.leaves(found):
            if leaf.dtype.kind == "f":
                leaf[poor] = np.nan
        ids = [tuple(names[np.sort(np.asarray(group, int))].tolist()) for group in (refined, stiff, poor)]
        return found, Report(n, *ids)


def on_all_devices(solve: Callable) -> Callable:
    """The same function of (state, halos) with the halos in equal parts on all devices."""
    if jax.device_count() == 1:
        return solve
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("halo",))
    same, by_halo = PartitionSpec(), PartitionSpec("halo")
    return jax.shard_map(solve, mesh=mesh, in_specs=(same, by_halo), out_specs=by_halo, check_vma=False)


def merge(reports: Sequence[Report]) -> Report:
    """One report of several."""
    parts = [sum((getattr(r, name) for r in reports), ()) for name in ("refined", "stiff", "failed")]
    return Report(sum(r.n for r in reports), *parts)


def pad(tree: Any, n: int) -> Any:
    """Repeat the last halo until there are n."""
    return jax.tree.map(lambda x: jnp.concatenate([x, jnp.repeat(x[-1:], n - x.shape[0], 0)]), tree)


def cut(tree: Any, n: int) -> Any:
    """The first n halos."""
    return jax.tree.map(lambda x: x[:n], tree)
