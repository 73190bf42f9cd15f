"""Many halos at once: a fixed grid for all, a finer one, own steps or a stiff solver for those that need them.

A galaxy is never silently kept when its solution is not: the report names it.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import PartitionSpec

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import (
    EXTRA,
    HOPELESS,
    Equations,
    Outputs,
    check_times,
    evolve_adaptively,
    evolve_prepared,
    prepare,
)
from galdiff.core.compiled import cached, quickly
from galdiff.errors import InputError
from galdiff.records import BaryonHistory, HaloHistory

LANES = 256  # halos side by side on a device: the tables of more would not stay in a processor's cache
# Polishing a program takes as long as 3e4 halos gain by it, or 200 groups on the finer grid. Who has solved thousands
# is likely to go on; a population that is known to be larger is polished at once.
MANY = 4096  # halos after which the program of the grid is polished
OFTEN = 200  # groups of galaxies that are solved again, after which that is
GROUP = 32  # galaxies that are solved again together on a processor; a 16th of a chunk on an accelerator
FINER = 8  # times the steps of the grid, before steps of their own, which cost some hundred times more
MAX_STEPS = 4096
LISTS = ("refined", "stiff", "failed", "double", "flagged")  # of ids in a report
TOLERANCE = 0.02  # dex, finer than that of a grid alone, as there are remedies


@dataclasses.dataclass(frozen=True)
class Report:
    """How a population was solved."""

    n: int
    refined: tuple[int, ...]  # ids that took more steps
    stiff: tuple[int, ...]  # ids that needed the stiff solver
    failed: tuple[int, ...]  # ids without a solution: their histories hold NaN
    double: tuple[int, ...] = ()  # of the refined, ids that were solved again in double precision
    flagged: tuple[int, ...] = ()  # ids kept as the grid has them, but not solved
    remedies: tuple[str, ...] = ()  # what would do for those failed or flagged

    def __str__(self) -> str:
        text = f"{self.n} halos: {len(self.refined)} refined, {len(self.stiff)} stiff, {len(self.failed)} failed"
        text += f" (ids {', '.join(map(str, self.failed[:20]))})" if self.failed else ""
        text += f", {len(self.double)} in double precision" if self.double else ""
        text += f", {len(self.flagged)} flagged (ids {', '.join(map(str, self.flagged[:20]))})" if self.flagged else ""
        return "; ".join((text, *self.remedies))


class Population:
    """Compiled solvers of one stage for populations of halos; call `solve` with any number of them.

    Args of the constructor:
      stage: a baryon cycle (`Pandya23`, `Regulator`).
      outputs: when histories are wanted.
      tolerance: error of the masses [dex] above which a galaxy takes more steps; None keeps the grid's.
      chunk: halos solved together, in equal parts on all devices (multiples of 256 above that); memory goes with it.
      expected: number of halos to come, where they are many: the program is then made for speed at once.
    """

    def __init__(
        self,
        stage: BaryonCycle,
        outputs: Outputs,
        *,
        tolerance: float | None = TOLERANCE,
        chunk: int = 1024,
        expected: int = 0,
    ) -> None:
        if chunk < 1:
            raise InputError(f"chunk is {chunk} halos; give at least 1")
        self.outputs = outputs = dataclasses.replace(outputs, tolerance=tolerance)
        each = -(-chunk // jax.device_count())
        self.chunk = jax.device_count() * (each if each <= LANES else -(-each // LANES) * LANES)
        graph, self.state = nnx.split(stage)
        self._on_grid, self._finer, self._own_steps = cached(
            _solvers, graph, outputs, MAX_STEPS, jax.device_count(), self.chunk
        )
        if expected > MANY:
            self._on_grid = self._on_grid.polished

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
        if halos.t_start.shape[0] > MANY:
            self._on_grid = getattr(self._on_grid, "polished", self._on_grid)
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
            on_host = jax.tree.map(np.asarray, batch)  # where slices need no program
            for begin in range(0, n_batch, self.chunk):
                halos = jax.tree.map(lambda x, b=begin: x[b : b + self.chunk], on_host)
                n = halos.t_start.shape[0]
                names = np.arange(first, first + n) if ids is None else np.asarray(ids[first : first + n])
                yield self._solve_chunk(halos, names)
                first += n
                if done is not None:
                    done(n)

    def _solve_chunk(self, halos: HaloHistory, names: np.ndarray) -> tuple[BaryonHistory, Report]:
        n = len(names)
        own, shared = parted(halos)
        found: Any = cut(jax.tree.map(np.array, self._on_grid(self.state, pad(own, self.chunk), shared)), n)
        poor = self._poor(found, np.arange(n))
        refined, stiff, best = poor, poor[:0], found.error.copy()
        state, double = self.state, poor[:0]
        if len(poor) and found.error.dtype == np.float32 and double_precision():
            (state, own, shared), double = in_double((state, own, shared)), poor
        methods = (
            self._finer,
            lambda *given: self._own_steps(*given, stiff=False),
            lambda *given: self._own_steps(*given, stiff=True),
        )
        group = GROUP if jax.default_backend() == "cpu" else max(16, self.chunk // 16)
        for method in methods:
            # The most expensive first, so that galaxies of like cost wait for each other.
            poor = poor[np.argsort(-found.error[poor])]
            stiff = poor if method is methods[-1] else stiff
            for begin in range(0, len(poor), group):
                which = poor[begin : begin + group]
                few = jax.tree.map(lambda x, w=which: x[w], own)
                again = cut(jax.tree.map(np.asarray, method(state, pad(few, group), shared)), len(which))
                with np.errstate(over="ignore"):  # what single precision cannot hold is infinite, and found below
                    jax.tree.map(lambda old, new, w=which: old.__setitem__(w, new), found, again)
            best[poor] = np.minimum(best[poor], found.error[poor])
            poor = self._poor(found, poor)
        for leaf in jax.tree.leaves(found):
            if leaf.dtype.kind == "f":
                leaf[poor] = np.nan
        found.solved[poor] = False
        flagged = np.setdiff1d(np.flatnonzero(~found.solved), poor)
        groups = zip(LISTS, (refined, stiff, poor, double, flagged), strict=True)
        ids: Any = {name: tuple(names[np.sort(group)].tolist()) for name, group in groups}
        return found, Report(n, **ids, remedies=self._remedies(best[poor], best[flagged], found.error.dtype))

    def _poor(self, found: BaryonHistory, rows: np.ndarray) -> np.ndarray:
        """Those of the rows that are not finite, or not solved where a tolerance is asked for."""
        good = np.isfinite(found.error) if self.outputs.tolerance is None else np.array(found.solved)
        for leaf in jax.tree.leaves(found):
            good &= np.isfinite(leaf).reshape(len(good), -1).all(1)
        return rows[~good[rows]]

    def _remedies(self, failed: np.ndarray, flagged: np.ndarray, kind: np.dtype) -> tuple[str, ...]:
        """What would do, from the least errors [dex] that the failed and the flagged had on a grid."""
        said = []
        if len(failed) and np.max(failed) <= HOPELESS:
            said.append(f"tolerance={float(f'{1.05 * np.max(failed):.2g}'):g} dex would do for the failed")
        elif len(failed) and kind == np.float32 and not double_precision():
            said.append("double precision may do for the failed: runtime.precision=float64")
        elif len(failed):
            said.append(
                f"the failed are off by more than {HOPELESS:g} dex at n_steps={FINER * self.outputs.n_steps}:"
                " give more, or parameters nearer to their defaults"
            )
        if len(flagged):
            said.append(
                f"the flagged have errors up to {np.max(flagged):.2g} dex at n_steps={self.outputs.n_steps}:"
                f" tolerance={TOLERANCE:g} dex gives them steps of their own"
            )
        return tuple(said)


def _solvers(
    graph: nnx.GraphDef, outputs: Outputs, max_steps: int, n_devices: int, chunk: int
) -> tuple[Callable, Callable, Callable]:
    """On the grid, on a finer one, and with own steps, compiled once for all stages that differ in parameters alone."""
    del n_devices  # the grid is compiled for all there are
    rtol = EXTRA * (outputs.tolerance or TOLERANCE)

    def equations(state: Any) -> Equations:
        e = nnx.merge(graph, state).equations()
        return e._replace(flows=jax.jit(e.flows))  # met once for all the stages of a step

    def on_grid(state: Any, halos: HaloHistory, shared: Any, times: Any = outputs) -> Any:
        e = equations(state)
        return side_by_side(lambda h: evolve_prepared(e, prepare(e, joined(h, shared), times)), halos)

    def own_steps(state: Any, halos: Any, shared: Any, stiff: Any) -> Any:
        from diffrax import ForwardMode  # a second to load

        e = equations(state)
        how: dict[str, Any] = {"max_steps": max_steps, "solver": "stiff" if stiff else "patankar"}
        how["adjoint"] = ForwardMode()  # nothing is kept for a way back, which halves the program
        return jax.vmap(lambda h: evolve_adaptively(e, joined(h, shared), outputs, rtol, **how))(halos)

    fine = dataclasses.replace(outputs, n_steps=FINER * outputs.n_steps)
    finer = quickly(lambda state, halos, shared: on_grid(state, halos, shared, fine), often=OFTEN, key=(graph, fine))
    alone = quickly(own_steps, static_argnames=("stiff",), often=OFTEN)
    return quickly(on_all_devices(on_grid), often=-(-MANY // chunk), key=(graph, outputs)), finer, alone


def side_by_side(solve: Callable, halos: HaloHistory) -> Any:
    """The function of one halo for all: on a processor `LANES` at once, group after group where those are more."""
    n = halos.t_start.shape[0]
    if n <= LANES or jax.default_backend() != "cpu":
        return jax.vmap(solve)(halos)
    groups = jax.tree.map(lambda x: x.reshape(n // LANES, LANES, *x.shape[1:]), halos)
    found = jax.lax.map(jax.vmap(solve), groups)
    return jax.tree.map(lambda x: x.reshape(n, *x.shape[2:]), found)


def on_all_devices(solve: Callable) -> Callable:
    """The same function of (state, halos, what they share) with the halos in equal parts on all devices."""
    if jax.device_count() == 1:
        return solve
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("halo",))
    same, by_halo = PartitionSpec(), PartitionSpec("halo")
    return jax.shard_map(solve, mesh=mesh, in_specs=(same, by_halo, same), out_specs=by_halo, check_vma=False)


def parted(halos: HaloHistory) -> tuple[HaloHistory, Any]:
    """Halos without the nodes and the universe that all share, and these, whose tables are then made once; or None."""
    shared = {"time": halos.time, "cosmology": halos.cosmology}
    if not all((x == x[:1]).all() for x in jax.tree.leaves(shared)):
        return halos, None
    own: Any = dict.fromkeys(shared)
    return dataclasses.replace(halos, **own), jax.tree.map(lambda x: x[0], shared)


def joined(halo: HaloHistory, shared: Any) -> HaloHistory:
    """The inverse of `parted`, for one halo."""
    return halo if shared is None else dataclasses.replace(halo, **shared)


def merge(reports: Sequence[Report]) -> Report:
    """One report of several."""
    parts: Any = {name: sum((getattr(r, name) for r in reports), ()) for name in LISTS}
    remedies = dict.fromkeys(remedy for r in reports for remedy in r.remedies)
    return Report(sum(r.n for r in reports), **parts, remedies=tuple(remedies))


def double_precision() -> bool:
    """Whether this process may compute in double precision."""
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64


def in_double(tree: Any) -> Any:
    """The same with its numbers of single precision in double."""
    return jax.tree.map(lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, tree)


def pad(tree: Any, n: int) -> Any:
    """Repeat the last halo until there are n, on the host."""
    short = n - len(jax.tree.leaves(tree)[0])
    if short == 0:
        return tree
    return jax.tree.map(lambda x: np.concatenate([x, np.repeat(np.asarray(x)[-1:], short, 0)]), tree)


def cut(tree: Any, n: int) -> Any:
    """The first n halos, on the host where there are more."""
    if len(jax.tree.leaves(tree)[0]) == n:
        return tree
    return jax.tree.map(lambda x: np.asarray(x)[:n], tree)
