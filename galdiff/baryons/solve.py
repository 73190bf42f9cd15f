"""Integrate budgets in time: on a fixed grid with all that can be precomputed, or with steps of each halo's own.

Both follow ln t. On the grid the independent variable counts steps, so that what drives the flows is looked up, not
computed, and many halos advance in lock step without a branch; their times differ, their steps do not.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.baryons.patankar import Contents, Flows, ModifiedPatankar
from galdiff.core.budget import Budget

NODES = (0.0, 2 / 3)  # of the scheme, within a step


class FlowTerm(diffrax.AbstractTerm):
    """dm/dt = S f: the vector field is the flows, and the solver knows S."""

    flows: Callable[[Any, Contents, Any], Flows]
    __test__: ClassVar = False

    def vf(self, t, y, args):
        """Flows per unit of t."""
        return self.flows(t, y, args)

    def contr(self, t0, t1, **kwargs):
        """Length of a step."""
        return t1 - t0

    def prod(self, vf, control):
        """Flows times step."""
        return jax.tree.map(lambda f: f * control, vf)


def step_counts(edges: Float[np.ndarray, "edge"], n_steps: int) -> tuple[int, ...]:
    """Share n_steps, at least one each, between the intervals of ln(edges); edges [Gyr] increase."""
    length = np.diff(np.log(edges))
    counts = np.ones(len(length), int)
    while counts.sum() < n_steps:
        counts[np.argmax(length / counts)] += 1
    return tuple(int(c) for c in counts)


def grid_times(edges: Float[Array, "edge *halo"], counts: tuple[int, ...]) -> Float[Array, "step+1 *halo"]:
    """Times [Gyr] of a grid that is uniform in ln t between edges and lands on them.

    Args:
      edges: first the start of each halo, then what all land on; an edge before a start makes steps of no length.
      counts: number of steps in each interval.
    """
    ln_t = jnp.log(jnp.maximum(edges, edges[:1]))
    parts = [ln_t[:1]]
    for k, count in enumerate(counts):
        share = (jnp.arange(1, count + 1, dtype=ln_t.dtype) / count).reshape((-1,) + (1,) * (ln_t.ndim - 1))
        parts.append(ln_t[k] + share * (ln_t[k + 1] - ln_t[k]))
    return jnp.exp(jnp.concatenate(parts))


def stage_times(times: Float[Array, "step+1 *halo"]) -> tuple[Float[Array, "node *halo"], Float[Array, "node *halo"]]:
    """Times [Gyr] at which the scheme asks for flows, two per step, and dt/dstep [Gyr] there."""
    ln_t = jnp.log(times)
    step = jnp.diff(ln_t, axis=0)
    at = jnp.exp(jnp.stack([ln_t[:-1] + c * step for c in NODES], 1))
    pace = at * step[:, None]
    return at.reshape(-1, *times.shape[1:]), pace.reshape(-1, *times.shape[1:])


def solve_on_grid(
    flows: Callable[[Contents, Any], Flows],
    budgets: dict[str, Budget],
    contents: Contents,
    drive: Any,
    pace: Float[Array, "node *halo"],
    wanted: tuple[int, ...],
    adjoint: diffrax.AbstractAdjoint | None = None,
) -> Contents:
    """Contents after the wanted numbers of steps, on a new first axis.

    Args:
      flows: flows [1/Gyr] of (contents, drive at one node).
      budgets: quantity -> budget.
      contents: at the start; leaves of any shape `*halo`.
      drive: pytree whose leaves have a first axis of nodes, two per step (`stage_times`).
      pace: dt/dstep [Gyr] at the nodes.
      wanted: numbers of steps, increasing.
      adjoint: of diffrax; reverse mode with every step kept by default. Forward mode: `diffrax.ForwardMode()`.
    """
    n_steps = pace.shape[0] // len(NODES)
    dtype = pace.dtype

    def per_step(t, now, args):
        drive, pace = args
        step = jnp.floor(t + 1e-3).astype(jnp.int32)
        node = len(NODES) * step + (t - step > 0.5)
        here, dt = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, node, 0, False), (drive, pace))
        return jax.tree.map(lambda f: f * dt, flows(now, here))

    solution = diffrax.diffeqsolve(
        FlowTerm(per_step),
        ModifiedPatankar(budgets),
        t0=jnp.zeros((), dtype),
        t1=jnp.asarray(n_steps, dtype),
        dt0=None,
        y0=contents,
        args=(drive, pace),
        saveat=diffrax.SaveAt(ts=jnp.asarray(wanted, dtype)),
        adjoint=diffrax.RecursiveCheckpointAdjoint(checkpoints=n_steps) if adjoint is None else adjoint,
        stepsize_controller=diffrax.StepTo(ts=jnp.arange(n_steps + 1, dtype=dtype)),
        max_steps=n_steps,
        throw=False,
    )
    return solution.ys
