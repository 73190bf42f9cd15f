"""Integrate budgets in ln t with steps of the galaxy's own, for the few that a grid does not serve.

The steps are diffrax's, and the same Patankar steps as on a grid. This is a file of its own as diffrax takes a second
to load, and most runs do without.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float

from galdiff.baryons.patankar import NODES, Contents, Flows, patankar_advance
from galdiff.baryons.solve import inner
from galdiff.core.budget import Budget


class ModifiedPatankar(diffrax.AbstractAdaptiveSolver):
    """The scheme of `patankar_advance` for diffrax.

    The vector field returns flows per unit of time, `Flows`; the state is `Contents`. The error estimate is the
    distance from the companion.
    """

    budgets: dict[str, Budget]
    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = diffrax.LocalLinearInterpolation

    def order(self, terms: Any) -> int:
        """Order of the method."""
        return 3

    def error_order(self, terms: Any) -> int:
        """Order of the local error of the companion."""
        return 3

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> None:
        """No state is carried from step to step."""
        return None

    def step(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any) -> tuple:
        """One step from t0 to t1."""
        del solver_state, made_jump
        step = terms.contr(t0, t1)

        def moved(node: Any, y: Any) -> Any:
            return jax.tree.map(lambda f: step * f, terms.vf(t0 + NODES[node] * (t1 - t0), y, args))

        y1, companion, _ = patankar_advance(self.budgets, moved, y0)
        error = {
            q: {n: jnp.zeros_like(y) if n in self.budgets[q].ledgers else y - companion[q][n] for n, y in each.items()}
            for q, each in y1.items()
        }
        return y1, error, dict(y0=y0, y1=y1), None, diffrax.RESULTS.successful

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """Flows at one time."""
        return terms.vf(t0, y0, args)


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
        return optx.rms_norm({q: inner(b, scaled[q]) for q, b in budgets.items()})

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
