"""The most probable point, from several starts, with its end classified."""

import functools
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.inference.methods.model import Around, Method, around, condition, degeneracies, result_of
from galdiff.inference.posterior import Posterior
from galdiff.inference.result import Result

SOLVERS = ("levenberg_marquardt", "lbfgs")
EDGE = 3.1  # standard normal numbers beyond which a value is at the edge of its prior: one in a thousand
SETTLED = 0.01  # change of the ln of the density that a further step promises
SAME = 0.5  # of the ln of the density, between ends that are one


@final
class Optimum(Method):
    """Maximum of the density in standard normal numbers of the priors.

    Args of the constructor:
      solver: levenberg_marquardt (of the residuals) or lbfgs (of the density).
      starts: spread over the prior as a Latin hypercube, the first in its middle.
      steps: of each start, at most.
    """

    def __init__(self, *, solver: str, starts: int, steps: int) -> None:
        if solver not in SOLVERS:
            raise InputError(f"solver is '{solver}'; choose {' or '.join(SOLVERS)}")
        self.solver, self.starts, self.steps = solver, check_count("starts", starts), check_count("steps", steps)

    def __call__(self, posterior: Posterior, seed: int = 0) -> Result:
        """One draw: the best end. Usable if it is a maximum of the density inside the priors."""
        starts = jnp.asarray(spread(posterior, seed, self.starts))
        ends = ends_of(posterior, starts, self.solver, self.steps)
        best = best_of(posterior, ends)
        there = around_once(posterior, best)
        heights = np.asarray(log_densities(posterior, ends))
        end, said = classified(there, posterior.unknowns.names)
        diagnostics = {
            "log_density": float(there.log_density),
            "starts_there": float(np.sum(heights > heights.max() - SAME)),
            "starts": float(self.starts),
            "condition": condition(np.asarray(there.hessian)),
        }
        reasons = () if end == "minimum" else (said,)
        notes = degeneracies(posterior, np.asarray(there.fisher))
        return result_of(
            "optimum", posterior, best[None, None], there.log_density[None, None], diagnostics, reasons, notes
        )


def check_count(name: str, value: int) -> int:
    """A whole number above zero, or InputError."""
    if value < 1 or value != int(value):
        raise InputError(f"{name} is {value}; give a whole number, 1 or more")
    return int(value)


def spread(posterior: Posterior, seed: int, n: int) -> Float[np.ndarray, "n unknown"]:
    """Starts in standard normal numbers [1]: the middle of the prior, and a Latin hypercube of half its width."""
    others = posterior.unknowns.latin_hypercube(seed, n - 1) if n > 1 else np.zeros((0, len(posterior.unknowns)))
    return np.concatenate([np.zeros((1, len(posterior.unknowns))), others / 2])


@record
class Climbed:
    """Where starts ended."""

    u: Float[Array, "start unknown"] = quantity("", "standard normal numbers")
    fisher: Float[Array, "start unknown unknown"] = quantity("", "information of data and prior there, of residuals")


def climb(posterior: Posterior, starts: Float[Array, "start unknown"], steps: int) -> Climbed:
    """Levenberg-Marquardt from all starts [1] side by side; one that leads to nothing finite stays where it began.

    The slopes are in the program once, which compiles in a fifth of the time that solvers with branches take.
    """
    n = starts.shape[1]
    eye = jnp.eye(n, dtype=starts.dtype)

    def step(state: tuple, _: None) -> tuple[tuple, None]:
        u, height, gradient, fisher, damping = state
        trial = u - jnp.linalg.solve(fisher + damping * jnp.diag(jnp.diagonal(fisher)), gradient)
        r, along = jax.linearize(posterior.residuals, trial)
        slopes = jax.vmap(along)(eye)  # (unknown, residual)
        found = (trial, r @ r, slopes @ r, slopes @ slopes.T)
        better = (found[1] < height) & jnp.isfinite(found[3]).all()
        kept = [jnp.where(better, new, old) for new, old in zip(found, state[:4], strict=True)]
        return (*kept, jnp.clip(jnp.where(better, damping / 5, damping * 4), 1e-8, 1e8)), None

    def one(start: Array) -> Climbed:
        begin = (start, jnp.asarray(jnp.inf, start.dtype), jnp.zeros_like(start), eye, jnp.asarray(0.1, start.dtype))
        (u, _, _, fisher, _), _ = jax.lax.scan(step, begin, length=steps)
        return Climbed(u=u, fisher=fisher)

    return jax.vmap(one)(starts)


@functools.partial(jax.jit, static_argnames=("solver", "steps"))
def ends_of(posterior: Posterior, starts: Float[Array, "start unknown"], solver: str, steps: int) -> Array:
    """Ends of all starts [1], same shape."""
    if solver == "levenberg_marquardt":
        return climb(posterior, starts, steps).u
    minus = jax.jit(lambda u, _: -posterior.log_density(u))  # traced once, though the solver calls it often
    lbfgs: Any = optimistix.LBFGS(rtol=1e-6, atol=1e-6)
    ends = jax.vmap(lambda u: optimistix.minimise(minus, lbfgs, u, max_steps=steps, throw=False).value)(starts)
    return jnp.where(jnp.isfinite(ends).all(-1, keepdims=True), ends, starts)


@jax.jit
def best_of(posterior: Posterior, ends: Float[Array, "end unknown"]) -> Float[Array, "unknown"]:
    """The end of the highest density [1]."""
    return ends[jnp.argmax(jax.vmap(posterior.log_density)(ends))]


@jax.jit
def around_once(posterior: Posterior, u: Float[Array, "unknown"]) -> Around:
    """`around`, compiled, at standard normal numbers [1]."""
    return around(posterior, u)


@jax.jit
def log_densities(posterior: Posterior, u: Float[Array, "n unknown"]) -> Float[Array, "n"]:
    """ln of the density of data and unknowns at standard normal numbers [1]."""
    return jax.vmap(posterior.log_density)(u)


def classified(there: Around, names: tuple[str, ...]) -> tuple[str, str]:
    """What an end is, and a sentence on it: minimum (of minus ln density), bound, saddle or unfinished."""
    hessian, gradient, at = (np.asarray(x, float) for x in (there.hessian, there.gradient, there.at))
    if not (np.isfinite(hessian).all() and np.isfinite(gradient).all()):
        return "unfinished", "the slopes of the density are not finite where the best start ended"
    edge = [names[i] for i in np.flatnonzero(np.abs(at) > EDGE)]
    values, vectors = np.linalg.eigh(hessian)
    if values[0] <= 0:
        worst = names[int(np.argmax(np.abs(vectors[:, 0])))]
        return "saddle", f"the best start ended in a saddle, along {worst}; take more starts or steps"
    if 0.5 * float(gradient @ np.linalg.solve(hessian, gradient)) > SETTLED:
        return "unfinished", "the best start had not ended; take more steps"
    if edge:
        return "bound", f"{', '.join(edge)} ended at the edge of the prior; widen it, or look at the data"
    return "minimum", "the best start ended in a maximum of the density"
