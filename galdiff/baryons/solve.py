"""Integrate budgets in ln t on a fixed grid in lock step; with steps of the galaxy's own see `adaptive`.

All that does not depend on the contents is a table, made once for all steps. It runs in lax.scan, with the cooling
function kept for the way back: half the cost of a gradient through diffrax's recursive checkpoints.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.baryons.cooling import KEPT
from galdiff.baryons.patankar import NODES, Contents, Flows, Inverse, patankar_advance
from galdiff.core.budget import Budget

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
    none = jax.tree.map(jnp.zeros_like, {q: inner(budgets[q], contents[q]) for q in budgets})
    (last, error), every = jax.lax.scan(advance, (contents, none), nodes)
    relative = jax.tree.map(jnp.divide, error, {q: inner(budgets[q], last[q]) for q in budgets})
    worst = functools.reduce(jnp.maximum, jax.tree.leaves(relative))
    if len(wanted) == 1:
        return jax.tree.map(lambda x: x[None], last), worst
    return jax.tree.map(lambda x: x[np.asarray(wanted) - 1], every), worst


def inner(budget: Budget, contents: dict[str, Array]) -> dict[str, Array]:
    """Contents of a budget [its unit], of any shape, without ledgers."""
    return {name: contents[name] for name in budget.reservoirs if name not in budget.ledgers}


def _local_error(budgets: dict[str, Budget], contents: Contents, companion: Contents, inverse: Inverse) -> Contents:
    """Error of a step of the third order from its distance d to the companion of the second: |d| max |d/x|^(1/4).

    The power stands for 1/3, as the local errors are of the fourth and third order, and is two square roots; the
    maximum is over the donors of a budget. Contents are sums of flows, so errors of steps add up. Over the last
    contents the sum is the error in dex within a factor of three where the equations are stiff, and mostly three to
    thirty times above it elsewhere.
    """

    def one(budget: Any, now: Any, second: Any, per_second: Any) -> dict[str, Any]:
        apart = {name: jnp.abs(now[name] - second[name]) for name in inner(budget, now)}
        worst = functools.reduce(jnp.maximum, [apart[name] * per for name, per in per_second.items()])
        return {name: d * jnp.sqrt(jnp.sqrt(worst)) for name, d in apart.items()}

    fixed = jax.lax.stop_gradient((contents, companion, inverse))
    return {q: one(b, *(part[q] for part in fixed)) for q, b in budgets.items()}
