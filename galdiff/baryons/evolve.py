"""From the growth of one halo to the history of its baryons, for any model that can state its equations."""

import dataclasses
import functools
import itertools
import typing
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.baryons.halo_state import HaloNow, halo_at
from galdiff.baryons.patankar import Contents, Flows
from galdiff.baryons.solve import GRADING, grid_times, solve_on_grid, stage_times, step_counts
from galdiff.core.budget import Budget
from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record, static
from galdiff.cosmology import Cosmology, age
from galdiff.errors import InputError
from galdiff.records import BaryonHistory, Diagnostics, HaloHistory

FIRST_REDSHIFT = 12.0  # a typical start, by which steps are shared between the outputs
AFTER = 1e-6  # relative; steps land just after a jump: more than the error of redshifts between nodes
TOLERANCE = 0.1  # dex, estimated error up to which a grid has solved a history: 3 to 30 times the true one
HOPELESS = 1.0  # dex, above which masses mean nothing, whatever is asked for
EXTRA = 0.02  # rtol of a step over the error of the history [1/dex]; set by tests/test_baryons_population.py


class Equations(typing.NamedTuple):
    """A baryon cycle with its parameters filled in."""

    budgets: dict[str, Budget]
    start: Callable[[HaloNow, Cosmology], Contents]
    halo_state: Callable[[HaloNow, Cosmology], typing.Any]  # what depends on the halo alone, any shape
    known_rates: Callable[[typing.Any], typing.Any]  # of the halo_state: what acts on the contents
    flows: Callable[[Contents, typing.Any], tuple[Flows, dict]]  # and what they follow from
    diagnose: Callable[[dict], Diagnostics]  # of what they follow from


@buildable
@dataclasses.dataclass(frozen=True, kw_only=True)
class Outputs:
    """When a history is wanted, and how finely it is stepped through.

    Args of the constructor:
      redshifts: falling; None for n_times until the last node of the halo, uniform in ln t.
      n_times: number of times where no redshifts are given.
      n_steps: steps of the grid.
      land: further redshifts that steps land on, just after.
      tolerance: estimated error of the masses [dex] up to which a history counts as solved; None for 1 dex.
    """

    redshifts: tuple[float, ...] | None = None
    n_times: int = 1
    n_steps: int = 128
    land: tuple[float, ...] = ()
    tolerance: float | None = TOLERANCE

    def __post_init__(self) -> None:
        if self.redshifts is not None:
            object.__setattr__(self, "redshifts", tuple(float(z) for z in self.redshifts))
        object.__setattr__(self, "land", tuple(float(z) for z in self.land))
        z = self.redshifts
        if z is not None and (len(z) == 0 or any(b >= a for a, b in itertools.pairwise(z)) or not min(z) >= 0):
            raise InputError(f"redshifts are {z}; give one or more falling numbers, none below 0")
        if not 1 <= self.n_times <= self.n_steps or self.n_steps < 2:
            raise InputError(f"n_times is {self.n_times} and n_steps {self.n_steps}; give 1 <= n_times <= n_steps >= 2")
        if self.tolerance is not None and not 1e-9 <= self.tolerance <= HOPELESS:
            raise InputError(
                f"tolerance is {self.tolerance} dex; steps can hold 1e-9 to 1 dex, or give null for the grid's"
            )


def plan_grid(outputs: Outputs, history: HaloHistory) -> tuple[Array, tuple[int, ...], tuple[int, ...]]:
    """Edges of the grid (edge,) [Gyr], steps between them, and after how many steps outputs are due."""
    end = history.time[-1]
    if outputs.redshifts is None:
        every = outputs.n_steps // outputs.n_times
        # Outputs are every so many steps; the first steps take what does not divide.
        n_steps = every * outputs.n_times
        return jnp.stack([history.t_start, end]), (n_steps,), tuple(range(every, n_steps + 1, every))
    stops = sorted({*outputs.redshifts, *outputs.land}, reverse=True)
    scale = 1 / (1 + np.array([max(FIRST_REDSHIFT, stops[0] + 1), *stops]))
    counts = step_counts(np.arcsinh(1.5 * scale**1.5), outputs.n_steps)  # ages of a flat universe, near enough
    late = jnp.asarray([1 + AFTER * (z in outputs.land) for z in stops])
    ages = jnp.minimum(age(history.cosmology, jnp.asarray(stops)) * late, end)
    after = np.cumsum(counts)[[stops.index(z) for z in outputs.redshifts]]
    return jnp.concatenate([history.t_start[None], ages]), counts, tuple(int(n) for n in after)


def grading(outputs: Outputs) -> float:
    """Power of t in which steps are even [1]: 0, in ln t, where they land on more than one redshift.

    There the first interval is the early one, whose errors would grow with graded steps.
    """
    stops = {*(outputs.redshifts or ()), *outputs.land}
    return GRADING if outputs.redshifts is not None and len(stops) == 1 else 0.0


@record
class Prepared:
    """All about one halo that does not depend on a model's parameters: made once, used for any of them."""

    first: HaloNow = quantity("", "the halo when its gas is first followed")
    halo_state: typing.Any = quantity("", "what the halo imposes, axes (node, step)")
    pace: Float[Array, "node step"] = quantity("Gyr", "dt per step")
    shown: HaloNow = quantity("", "the halo at the output times")
    halo_state_shown: typing.Any = quantity("", "what it imposes there")
    cosmology: Cosmology = quantity("", "the universe it grew in")
    spin: Array | None = quantity("", "spin parameter, where known", default=None)
    wanted: tuple[int, ...] = static("steps after which outputs are due")
    tolerance: float | None = static("error of the masses [dex] up to which they are solved", default=TOLERANCE)


def prepare(equations: Equations, history: HaloHistory, outputs: Outputs) -> Prepared:
    """Tables of one halo on the grid; `jax.vmap` does many.

    Raises:
      InputError: for concrete histories, outputs before the start or after the last node.
    """
    check_times(history, outputs)
    edges, counts, wanted = plan_grid(outputs, history)
    times = grid_times(edges.astype(precision(equations, history)), counts, grading(outputs))
    at, pace = stage_times(times)
    start = history.t_start.astype(times.dtype)
    everywhere = jnp.concatenate([start[None], at.ravel(), times[np.asarray(wanted)]])
    # In one go: a program of its own for each would take three times to compile; and kept, not computed for each use.
    halo = jax.lax.optimization_barrier(halo_at(history, everywhere))
    state = jax.lax.optimization_barrier(equations.halo_state(halo, history.cosmology))
    n = 1 + at.size
    return Prepared(
        first=jax.tree.map(lambda x: x[0], halo),
        halo_state=jax.tree.map(lambda x: x[1:n].reshape(at.shape), state),
        pace=pace,
        shown=jax.tree.map(lambda x: x[n:], halo),
        halo_state_shown=jax.tree.map(lambda x: x[n:], state),
        cosmology=history.cosmology,
        spin=history.spin,
        wanted=wanted,
        tolerance=outputs.tolerance,
    )


def evolve_prepared(equations: Equations, prepared: Prepared) -> BaryonHistory:
    """Baryons of one halo on the fixed grid of its tables; `jax.vmap` does many in lock step."""
    known_rates = equations.known_rates(prepared.halo_state)
    first = _as_precise(equations.start(prepared.first, prepared.cosmology), known_rates)
    contents, error = solve_on_grid(
        lambda y, d: equations.flows(y, d)[0], equations.budgets, first, known_rates, prepared.pace, prepared.wanted
    )
    shown, state = prepared.shown, prepared.halo_state_shown
    return history_at(equations, shown, state, contents, error, prepared.spin, prepared.tolerance)


def precision(equations: Equations, history: HaloHistory) -> typing.Any:
    """Floating type of times and contents, that of the flows: halos may be known less precisely than parameters."""

    def met(t: Array) -> typing.Any:
        halo = halo_at(history, t)
        rates = equations.known_rates(equations.halo_state(halo, history.cosmology))
        return equations.start(halo, history.cosmology), rates

    return jnp.result_type(*jax.tree.leaves(jax.eval_shape(met, history.t_start)))


def _as_precise(contents: Contents, known_rates: typing.Any) -> Contents:
    """Contents in the floating type that their flows will have."""
    kind = jnp.result_type(*jax.tree.leaves(contents), *jax.tree.leaves(known_rates))
    return jax.tree.map(lambda x: x.astype(kind), contents)


def evolve(equations: Equations, history: HaloHistory, outputs: Outputs) -> BaryonHistory:
    """Baryons of one halo on a fixed grid; `jax.vmap` does many in lock step.

    Raises:
      InputError: for concrete histories, outputs before the start or after the last node.
    """
    return evolve_prepared(equations, prepare(equations, history, outputs))


def evolve_adaptively(
    equations: Equations, history: HaloHistory, outputs: Outputs, rtol: float, **options: typing.Any
) -> BaryonHistory:
    """As `evolve`, with steps of this galaxy's own; options of `adaptive.solve_adaptively`.

    The `error` is rtol / EXTRA, an upper bound that was found by experiment, and infinite where the solver did not get
    to the end.
    """
    from galdiff.baryons.adaptive import solve_adaptively  # diffrax takes a second to load

    check_times(history, outputs)
    edges, counts, wanted = plan_grid(outputs, history)
    kind = precision(equations, history)
    times = grid_times(edges.astype(kind), counts, grading(outputs))
    stops = sorted({0, *np.cumsum(counts).tolist(), *wanted})
    land = jnp.sort(times[np.asarray(stops)])  # round-off may swap edges that coincide

    def flows(t: Array, y: typing.Any) -> typing.Any:
        halo_state = equations.halo_state(halo_at(history, t), history.cosmology)
        return equations.flows(y, equations.known_rates(halo_state))[0]

    first = equations.start(halo_at(history, history.t_start), history.cosmology)
    first = jax.tree.map(lambda x: x.astype(kind), first)
    contents, done, _ = solve_adaptively(flows, equations.budgets, first, land, rtol, **options)
    contents = jax.tree.map(lambda x: x[np.asarray([stops.index(n) - 1 for n in wanted])], contents)
    error = jnp.where(done, jnp.asarray(rtol / EXTRA, kind), jnp.inf)
    halo = halo_at(history, times[np.asarray(wanted)])
    state = equations.halo_state(halo, history.cosmology)
    return history_at(equations, halo, state, contents, error, history.spin, outputs.tolerance)


def history_at(
    equations: Equations,
    halo: HaloNow,
    halo_state: typing.Any,
    contents: Contents,
    error: typing.Any,
    spin: typing.Any,
    tolerance: float | None,
) -> BaryonHistory:
    """The history with flows and diagnostics, from the same functions that were integrated.

    Its error [dex] is infinite where contents are not finite and positive; it is solved up to the tolerance [dex].
    """
    flows, found = equations.flows(contents, equations.known_rates(halo_state))
    inner = [contents[q][n] for q, b in equations.budgets.items() for n in b.reservoirs if n not in b.ledgers]
    sound = jnp.stack([jnp.all(jnp.isfinite(x) & (x > 0)) for x in inner]).all() & jnp.isfinite(error)
    error = jnp.where(sound, error, jnp.inf)
    limit = HOPELESS if tolerance is None else tolerance
    return BaryonHistory(
        time=halo.time,
        redshift=halo.redshift,
        m_vir=halo.m_vir,
        r_vir=halo.r_vir,
        v_vir=halo.v_vir,
        c_nfw=halo.c_nfw,
        contents=contents,
        flows=flows,
        diagnostics=equations.diagnose(found),
        error=error,
        solved=error <= limit * (1 + 1e-6),  # round-off of the estimate in single precision
        spin=spin,
        ledgers=tuple(dict.fromkeys(n for b in equations.budgets.values() for n in b.ledgers)),
    )


def _ages(cosmology: Cosmology, redshifts: tuple[float, float]) -> np.ndarray:
    """Ages [Gyr] at two redshifts, shape (2,) or (2, universe), in each universe that differs from the others."""
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x)) for x in jax.tree.leaves(cosmology)))
    different = np.unique(np.stack(columns, -1), axis=0)  # halos of a population share theirs
    each = jax.tree.unflatten(jax.tree.structure(cosmology), list(different.T))
    with jax.ensure_compile_time_eval():  # a concrete history may be met while something else is traced
        return np.asarray(_ages_of_many()(each, np.asarray(redshifts))).T


@functools.cache
def _ages_of_many() -> Callable:
    return jax.jit(jax.vmap(age, (0, None)))


def check_times(history: HaloHistory, outputs: Outputs) -> None:
    """Refuse outputs that a concrete history does not reach; a traced one is not looked at."""
    if isinstance(history.t_start, jax.core.Tracer) or isinstance(history.time, jax.core.Tracer):
        return
    start, end = np.max(np.asarray(history.t_start)), np.min(np.asarray(history.time)[..., -1])
    if not start < end:
        raise InputError(
            f"halo starts at {start:.4g} Gyr, after its last node at {end:.4g} Gyr; lower the mass of start"
        )
    if outputs.redshifts is None:
        return
    first, last = _ages(history.cosmology, (outputs.redshifts[0], outputs.redshifts[-1]))
    if np.min(first) <= start:
        raise InputError(
            f"halo starts at {start:.4g} Gyr, but its baryons are asked for at redshift {outputs.redshifts[0]:g}"
            f" ({np.min(first):.4g} Gyr); ask for later times, or lower the mass of start"
        )
    if np.max(last) > end * (1 + 1e-3):
        raise InputError(
            f"halo ends at {end:.4g} Gyr, but its baryons are asked for at redshift {outputs.redshifts[-1]:g}"
            f" ({np.max(last):.4g} Gyr); follow the halo further, or ask for earlier times"
        )
