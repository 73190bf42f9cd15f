"""Integrate budgets in ln t: on a fixed grid in lock step, or with steps of the galaxy's own.

On the grid all that does not depend on the contents is a table, made once for all steps. It runs in lax.scan, with the
cooling function kept for the way back: half the cost of a gradient through diffrax's recursive checkpoints. Adaptive
steps, for the few galaxies that need them, are diffrax's. Both take the same `ModifiedPatankar` steps.
"""

import functools
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float

from galdiff.baryons.cooling import KEPT
from galdiff.baryons.patankar import NODES, Contents, Flows, Inverse, ModifiedPatankar, patankar_advance
from galdiff.core.budget import Budget


class FlowTerm(diffrax.AbstractTerm):
    """dm/dt = S f: the vector field is the flows, and the solver knows S."""

    flows: Callable[[Any, Contents, Any], Flows]

    def vf(self, t: Any, y: Any, args: Any) -> Any:
        """Flows per unit of t."""
        return self.flows(t, y, args)

    def contr(self, t0: Any, t1: Any, **kwargs: Any) -> Any:
        """Length of a step."""
        return t1 - t0

    def prod(self, vf: Any, control: Any) -> Any:
        """Flows times step."""
        return jax.tree.map(lambda f: f * control, vf)


GRADING = 0.25  # steps are even in t^0.25 [1]: they shrink as errors grow late, and the last ones are not forgotten


def step_counts(edges: Float[np.ndarray, "edge"], n_steps: int) -> tuple[int, ...]:
    """Share n_steps, at least one each, between the intervals of ln(edges); edges [Gyr] increase."""
    length = np.diff(np.log(edges))
    counts = np.ones(len(length), int)
    while counts.sum() < n_steps:
        counts[np.argmax(length / counts)] += 1
    return tuple(int(c) for c in counts)


def grid_times(
    edges: Float[Array, "edge"], counts: tuple[int, ...], grading: float = GRADING
) -> Float[Array, "step+1"]:
    """Times [Gyr] of a grid between edges that lands on them, as precise as the edges.

    Args:
      edges: first the start, then what to land on; an edge before the start makes steps of no length.
      counts: number of steps in each interval.
      grading: power of t [1] in which steps are even; 0 for ln t.
    """
    ln_t = jnp.log(jnp.maximum(edges, edges[0]))
    parts = [ln_t[:1]]
    for k, count in enumerate(counts):
        share, length = jnp.asarray(np.arange(1, count + 1) / count, ln_t.dtype), ln_t[k + 1] - ln_t[k]
        if grading:  # of (t / t_k)^grading
            inner = jnp.log1p(share[:-1] * jnp.expm1(grading * length)) / grading
            parts += [ln_t[k] + inner, ln_t[k + 1 : k + 2]]
        else:
            parts.append(ln_t[k] + share * length)
    return jnp.exp(jnp.concatenate(parts))


def stage_times(times: Float[Array, "step+1"]) -> tuple[Float[Array, "node step"], Float[Array, "node step"]]:
    """Times [Gyr] at which the scheme asks for flows, and dt/dstep [Gyr] there."""
    ln_t = jnp.log(times)
    step = jnp.diff(ln_t)
    at = jnp.exp(jnp.stack([ln_t[:-1] + c * step for c in NODES]))
    return at, at * step


def solve_on_grid(
    flows: Callable[[Contents, Any], Flows],
    budgets: dict[str, Budget],
    contents: Contents,
    known_rates: Any,
    pace: Float[Array, "node step"],
    wanted: tuple[int, ...],
) -> tuple[Contents, Float[Array, ""]]:
    """Contents after the wanted numbers of steps, and an estimate of their error.

    Args:
      flows: flows [1/Gyr] of (contents, known_rates at one node).
      budgets: quantity -> budget.
      contents: at the start.
      known_rates: pytree whose leaves begin with the axes (node, step) of `stage_times`.
      pace: dt/dstep [Gyr] at the nodes.
      wanted: numbers of steps, increasing; the last is all of them.

    Returns:
      Contents with a new first axis, and the estimated error of the last ones [dex], see `_local_error`.
    """

    @functools.partial(jax.checkpoint, policy=jax.checkpoint_policies.save_only_these_names(KEPT))
    def step(now: Any, here: Any) -> tuple:
        def moved(node: Any, y: Any) -> Any:
            known_rates, dt = here[node]
            return jax.tree.map(lambda f: f * dt, flows(y, known_rates))

        y, companion, per_companion = patankar_advance(budgets, moved, now)
        return y, _local_error(budgets, y, companion, per_companion)

    def advance(carry: Any, here: Any) -> tuple[Any, Any]:
        y, error = step(carry[0], here)
        return (y, jax.tree.map(jnp.add, carry[1], error)), (y if len(wanted) > 1 else None)

    nodes = tuple(jax.tree.map(lambda x, k=k: x[k], (known_rates, pace)) for k in range(len(NODES)))
    none = jax.tree.map(jnp.zeros_like, {q: _inner(budgets[q], contents[q]) for q in budgets})
    (last, error), every = jax.lax.scan(advance, (contents, none), nodes)
    relative = jax.tree.map(jnp.divide, error, {q: _inner(budgets[q], last[q]) for q in budgets})
    worst = functools.reduce(jnp.maximum, jax.tree.leaves(relative))
    if len(wanted) == 1:
        return jax.tree.map(lambda x: x[None], last), worst
    return jax.tree.map(lambda x: x[np.asarray(wanted) - 1], every), worst


def _inner(budget: Budget, contents: dict[str, Array]) -> dict[str, Array]:
    return {name: contents[name] for name in budget.reservoirs if name not in budget.ledgers}


def _local_error(budgets: dict[str, Budget], contents: Contents, companion: Contents, inverse: Inverse) -> Contents:
    """Error of a step of the third order from its distance d to the companion of the second: |d| max |d/x|^(1/4).

    The power stands for 1/3, as the local errors are of the fourth and third order, and is two square roots; the
    maximum is over the donors of a budget. Contents are sums of flows, so errors of steps add up. Over the last
    contents the sum is the error in dex within a factor of three where the equations are stiff, and mostly three to
    thirty times above it elsewhere.
    """

    def one(budget: Any, now: Any, second: Any, per_second: Any) -> dict[str, Any]:
        apart = {name: jnp.abs(now[name] - second[name]) for name in _inner(budget, now)}
        worst = functools.reduce(jnp.maximum, [apart[name] * per for name, per in per_second.items()])
        return {name: d * jnp.sqrt(jnp.sqrt(worst)) for name, d in apart.items()}

    fixed = jax.lax.stop_gradient((contents, companion, inverse))
    return {q: one(b, *(part[q] for part in fixed)) for q, b in budgets.items()}


def solve_adaptively(
    flows: Callable[[Array, Contents], Flows],
    budgets: dict[str, Budget],
    contents: Contents,
    edges: Float[Array, "edge"],
    rtol: float,
    *,
    solver: str = "patankar",
    max_steps: int = 8192,
    adjoint: diffrax.AbstractAdjoint | None = None,
) -> tuple[Contents, Array, Array]:
    """Contents at the times, with steps whose error is at most rtol of each content.

    Args:
      flows: flows [1/Gyr] of (time [Gyr], contents).
      budgets: quantity -> budget.
      contents: at edges[0].
      edges: the start, then when contents are wanted [Gyr], not falling; steps land there.
      rtol: tolerance of a step.
      solver: patankar; or stiff, an implicit Runge-Kutta scheme (Kvaerno 2004) that keeps budgets but may go negative.
      max_steps: where to give up.
      adjoint: of diffrax; reverse mode by default. Forward mode: `diffrax.ForwardMode()`.

    Returns:
      Contents with a new first axis, whether the end was reached, and the number of steps taken.
    """
    ln_edges = jnp.log(edges)

    @jax.jit  # met once for all the stages of a step, which are many
    def per_ln_t(s: Any, y: Any, args: Any) -> Any:
        return jax.tree.map(lambda f: f * jnp.exp(s), flows(jnp.exp(s), y))

    def change(s: Any, y: Any, args: Any) -> dict[str, Any]:
        return {q: budgets[q].rates(f) for q, f in per_ln_t(s, y, args).items()}

    def norm(scaled: Any) -> Any:  # ledgers follow from the rest
        return optx.rms_norm({q: _inner(b, scaled[q]) for q, b in budgets.items()})

    if solver == "stiff":
        # With an atol near 0 the root finder rejects half of the steps; Newton's overshoots below zero.
        scheme: diffrax.AbstractSolver = diffrax.Kvaerno3(
            root_finder=diffrax.VeryChord(rtol=rtol, atol=1e-12, norm=norm)
        )
    else:
        scheme = ModifiedPatankar(budgets)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(change) if solver == "stiff" else FlowTerm(per_ln_t),
        scheme,
        t0=ln_edges[0],
        t1=ln_edges[-1],
        dt0=1e-4,
        y0=contents,
        saveat=diffrax.SaveAt(ts=ln_edges[1:]),
        stepsize_controller=_controller(rtol, norm, ln_edges[1:]),
        adjoint=diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        max_steps=max_steps,
        throw=False,
    )
    done = solution.result == diffrax.RESULTS.successful
    return solution.ys, done, solution.stats["num_steps"]


def _controller(rtol: float, norm: Callable, land: Array) -> diffrax.ClipStepSizeController:
    """Steps of relative error rtol that land on the given ln t; gives up where they vanish."""
    least = max(1e-9, 16 * float(jnp.finfo(land.dtype).eps))  # below, rounding would leave t where it is
    orders = dict(pcoeff=0.3, icoeff=0.4)
    pid = diffrax.PIDController(rtol=rtol, atol=1e-30, norm=norm, dtmin=least, force_dtmin=False, **orders)
    return diffrax.ClipStepSizeController(pid, step_ts=land)
