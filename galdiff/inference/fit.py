"""Minimise a loss by gradient steps: the best point is kept, steps that are not finite are skipped.

The loop is one compiled scan per block of steps. A fit may run under `jax.vmap` (many starts) or in blocks that report
progress; both give the same numbers.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from galdiff.core.record import quantity, record
from galdiff.errors import InputError


@record
class FitState:
    """Where a fit stands between two steps."""

    params: Any = quantity("", "parameters at which the loss is evaluated next")
    optimiser: Any = quantity("", "state of the optimiser")
    best: Any = quantity("", "parameters of the smallest finite loss so far")
    best_loss: Float[Array, ""] = quantity("", "smallest finite loss so far; infinite before the first")
    skipped: Int[Array, ""] = quantity("", "steps that were not finite and left everything as it was")


@record
class Fit:
    """Outcome of a fit."""

    params: Any = quantity("", "parameters of the smallest loss")
    loss: Float[Array, ""] = quantity("", "smallest loss")
    losses: Float[Array, "step"] = quantity("", "loss at each step, at the parameters before it")
    path: Any | None = quantity(
        "", "parameters before each step, with a leading axis step; where asked for", default=None
    )
    skipped: Int[Array, ""] = quantity("", "steps that were skipped")


def begin(start: Any, optimiser: optax.GradientTransformation) -> FitState:
    """State before the first step; start is a pytree of floating arrays."""
    start = jax.tree.map(jnp.asarray, start)
    loss = jnp.full((), jnp.inf, jnp.result_type(*jax.tree.leaves(start)))
    state = optimiser.init(start)
    return FitState(params=start, optimiser=state, best=start, best_loss=loss, skipped=jnp.zeros((), jnp.int32))


@functools.partial(jax.jit, static_argnames=("loss", "optimiser", "steps", "project", "keep_path"))
def advance(
    loss: Callable[..., Float[Array, ""]],
    state: FitState,
    data: tuple = (),
    *,
    optimiser: optax.GradientTransformation,
    steps: int,
    project: Callable[[Any], Any] | None = None,
    keep_path: bool = False,
) -> tuple[FitState, tuple[Float[Array, "step"], Any]]:
    """Take some steps; arguments as in `minimise`.

    Returns:
      The state after them, and the losses [any unit] and (with keep_path) parameters before each.
    """

    def step(state: FitState, _: Any) -> tuple:
        value, gradient = jax.value_and_grad(loss)(state.params, *data)
        updates, moved = optimiser.update(gradient, state.optimiser, state.params)
        params = optax.apply_updates(state.params, updates)
        params = params if project is None else project(params)
        finite = jnp.isfinite(value) & all_finite(gradient)
        choose = lambda yes, new, old: jax.tree.map(lambda a, b: jnp.where(yes, a, b), new, old)  # noqa: E731
        better = finite & (value < state.best_loss)
        after = FitState(
            params=choose(finite, params, state.params),
            optimiser=choose(finite, moved, state.optimiser),
            best=choose(better, state.params, state.best),
            best_loss=jnp.where(better, value, state.best_loss).astype(state.best_loss.dtype),
            skipped=state.skipped + jnp.where(finite, 0, 1),
        )
        return after, (value, state.params if keep_path else None)

    return jax.lax.scan(step, state, None, length=steps)


def minimise(
    loss: Callable[..., Float[Array, ""]],
    start: Any,
    data: tuple = (),
    *,
    optimiser: optax.GradientTransformation,
    steps: int,
    project: Callable[[Any], Any] | None = None,
    keep_path: bool = False,
    report: Callable[[int, float], None] | None = None,
) -> Fit:
    """Minimise loss(params, *data) [any unit] from a start.

    A step whose loss or gradient is not finite changes nothing, the optimiser's memory included, and is counted. A
    deterministic loss then stays where it is until the fit ends: `skipped` says that the start (or the loss) is at
    fault.

    Args:
      loss: scalar function of the parameters; keep one function object between calls to compile it once.
      start: pytree of floating arrays.
      data: further arguments of the loss, passed as arrays rather than compiled in.
      optimiser: for example `optax.adam(schedule)`.
      steps: number of evaluations.
      project: applied to the parameters after each step, to keep them in bounds.
      keep_path: return the parameters of all steps.
      report: called about twenty times with the steps done and the last loss; not under vmap or jit.

    Raises:
      InputError: fewer than one step, or parameters that are not floating point.
    """
    if steps < 1:
        raise InputError(f"steps is {steps}; a fit needs at least 1")
    kinds = {jnp.result_type(leaf) for leaf in jax.tree.leaves(start)}
    if not kinds or not all(jnp.issubdtype(kind, jnp.floating) for kind in kinds):
        raise InputError(f"start has leaves of type {sorted(map(str, kinds))}; give floating-point arrays")
    options = dict(optimiser=optimiser, project=project, keep_path=keep_path)
    block = steps if report is None else max(steps // 20, 1)
    state, traces = begin(start, optimiser), []
    for first in range(0, steps, block):
        state, trace = advance(loss, state, data, steps=min(block, steps - first), **options)
        traces.append(trace)
        if report is not None:
            report(min(first + block, steps), float(trace[0][-1]))
    losses, path = jax.tree.map(lambda *parts: jnp.concatenate(parts), *traces)
    return Fit(params=state.best, loss=state.best_loss, losses=losses, path=path, skipped=state.skipped)


def all_finite(tree: Any) -> Array:
    """Whether all numbers of a pytree are finite [any unit and shape], a scalar."""
    return functools.reduce(jnp.logical_and, [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)])
