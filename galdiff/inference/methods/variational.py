"""Variational inference with a Gaussian, or with a flow, judged by importance weights.

The density of a standard normal number that a map has moved is brought near the posterior by gradient steps on the
evidence lower bound (Kucukelbir et al. 2017, JMLR 18, 14). The map begins at the Gaussian approximation of the maximum.
Layers before it, each a triangular matrix and a sinh-arcsinh stretch (Jones & Pewsey 2009, Biometrika 96, 761), bend
it; without layers it is a Gaussian of full rank. A share of the draws comes from the prior, which bounds the weights.
Their Pareto k says whether it may be used (Yao et al. 2018, ICML 80, 5581).
"""

import functools
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from galdiff.errors import InputError
from galdiff.inference.methods.model import Method, condition, degeneracies, result_of
from galdiff.inference.methods.optimum import around_once, best_of, check_count, ends_of, log_densities, spread
from galdiff.inference.mixtures import FROM_PRIOR
from galdiff.inference.posterior import Posterior
from galdiff.inference.result import Result, reasons_against

STARTS, STEPS = 8, 60  # of the fit that finds where the map begins


@final
class Variational(Method):
    """The nearest density of a family, by the Kullback-Leibler divergence.

    Args of the constructor:
      layers: of the flow before the Gaussian; 0 for a Gaussian of full rank.
      steps: of the optimiser; side_by_side: draws of each step; learning_rate: of Adam, falling to zero.
      draws: in the end, resampled by their importance weights.
    """

    def __init__(self, *, layers: int, steps: int, side_by_side: int, learning_rate: float, draws: int) -> None:
        if layers < 0 or layers != int(layers):
            raise InputError(f"layers is {layers}; give a whole number: 0 for a Gaussian, 2 for a flow")
        if not 0.0 < learning_rate < 1.0:
            raise InputError(f"learning_rate is {learning_rate}; give one above 0 and below 1 (0.02)")
        self.layers, self.steps = int(layers), check_count("steps", steps)
        self.side_by_side, self.draws = check_count("side_by_side", side_by_side), check_count("draws", draws)
        self.learning_rate = float(learning_rate)

    def __call__(self, posterior: Posterior, seed: int = 0) -> Result:
        """Draws resampled by their smoothed weights; usable if these are even enough."""
        from blackjax.diagnostics import psis_weights

        starts = jnp.asarray(spread(posterior, seed, STARTS), float)
        there = around_once(posterior, best_of(posterior, ends_of(posterior, starts, "levenberg_marquardt", STEPS)))
        begin, climb, draw = jax.random.split(jax.random.key(seed), 3)
        root = jnp.linalg.cholesky(there.covariance)
        weights = begun(there.at, root, self.layers, begin)
        weights, bound = _climbed(posterior, weights, climb, self.steps, self.side_by_side, self.learning_rate)
        u, ln_q = _drawn(weights, draw, self.draws)
        height = log_densities(posterior, u)
        ratio = jnp.where(jnp.isfinite(height), height - ln_q, -1e30)
        ln_weight, k = psis_weights(ratio)
        share = np.exp(np.asarray(ln_weight, float))
        share = share / share.sum()
        rng = np.random.default_rng(seed)
        which = np.searchsorted(np.cumsum(share), (np.arange(self.draws) + rng.uniform()) / self.draws)
        which = which.clip(0, self.draws - 1)
        evidence = float(jax.nn.logsumexp(ratio) - jnp.log(self.draws))
        diagnostics = {
            "ess": float(1 / np.sum(share**2)),
            "psis_k": float(k),
            "unique_draws": float(np.unique(which).size),
            "ln_evidence": evidence,
            "lower_bound": float(bound),
            "condition": condition(np.asarray(there.hessian)),
        }
        notes = degeneracies(posterior, np.asarray(there.fisher))
        numbers, heights = np.asarray(u)[which][None], np.asarray(height)[which][None]
        reasons = reasons_against(diagnostics)
        return result_of(
            "variational", posterior, jnp.asarray(numbers), jnp.asarray(heights), diagnostics, reasons, notes
        )


def begun(at: Float[Array, "unknown"], root: Float[Array, "unknown unknown"], layers: int, key: PRNGKeyArray) -> Any:
    """Weights of a map that is the Gaussian about a point [1], with a root of its covariance, whatever the layers."""
    n = at.shape[0]
    small = 1e-3 * jax.random.normal(key, (layers, n, n), at.dtype)
    return {
        "at": at,
        "root": root,
        "mix": jnp.tril(small, -1),
        "skew": jnp.zeros((layers, n), at.dtype),
        "ln_tail": jnp.zeros((layers, n), at.dtype),
    }


def mapped(weights: Any, z: Float[Array, "unknown"]) -> tuple[Float[Array, "unknown"], Float[Array, ""]]:
    """Where the map takes standard normal numbers [1], and ln of how it stretches volume there."""
    stretch = jnp.zeros((), z.dtype)
    for i in range(weights["mix"].shape[0]):
        mix = weights["mix"][i]
        z = z + jnp.tril(mix, -1) @ z
        inner = (jnp.arcsinh(z) + weights["skew"][i]) * jnp.exp(weights["ln_tail"][i])
        stretch += (weights["ln_tail"][i] + jnp.log(jnp.cosh(inner)) - 0.5 * jnp.log1p(z**2)).sum()
        z = jnp.sinh(inner)[::-1]
    root = jnp.tril(weights["root"])
    return weights["at"] + root @ z, stretch + jnp.log(jnp.abs(jnp.diagonal(root))).sum()


@functools.partial(jax.jit, static_argnames=("steps", "n"))
def _climbed(
    posterior: Posterior, weights: Any, key: PRNGKeyArray, steps: int, n: int, rate: float
) -> tuple[Any, Float[Array, ""]]:
    """Weights after gradient steps, and the evidence lower bound in the last tenth of them."""
    optimiser = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(optax.cosine_decay_schedule(rate, steps)))
    size = weights["at"].shape[0]
    scale = jnp.diagonal(weights["root"])  # Adam's steps are alike for all: count them in widths of the posterior

    def whole(free: Any) -> Any:
        return {
            **free,
            "at": weights["at"] + scale * free["at"],
            "root": weights["root"] @ (jnp.eye(size, dtype=scale.dtype) + jnp.tril(free["root"])),
        }

    def minus_bound(free: Any, key: Array) -> Array:
        half = jax.random.normal(key, (max(n // 2, 1), size), scale.dtype)
        u, stretch = jax.vmap(lambda z: mapped(whole(free), z))(jnp.concatenate([half, -half]))
        height = jax.vmap(posterior.log_density)(u)
        return -jnp.mean(jnp.maximum(height, -1e20) + stretch) - size / 2 * (1 + jnp.log(2 * jnp.pi))

    def step(state: tuple, key: Array) -> tuple:
        free, memory = state
        value, slope = jax.value_and_grad(minus_bound)(free, key)
        sound = jnp.isfinite(value) & jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(slope)]).all()
        moves, after = optimiser.update(slope, memory, free)
        moved = optax.apply_updates(free, moves)
        keep = lambda new, old: jnp.where(sound, new, old)  # noqa: E731
        return jax.tree.map(keep, (moved, after), (free, memory)), -value

    free = {**weights, "at": jnp.zeros(size, scale.dtype), "root": jnp.zeros((size, size), scale.dtype)}
    bounds: Array
    (free, _), bounds = jax.lax.scan(step, (free, optimiser.init(free)), jax.random.split(key, steps))
    return whole(free), bounds[-max(steps // 10, 1) :].mean()


def unmapped(weights: Any, u: Float[Array, "unknown"]) -> Float[Array, "unknown"]:
    """Standard normal numbers [1] that the map takes to given ones, same shape."""
    solve = functools.partial(jax.scipy.linalg.solve_triangular, lower=True)
    z = solve(jnp.tril(weights["root"]), u - weights["at"])
    for i in reversed(range(weights["mix"].shape[0])):
        z = jnp.sinh(jnp.arcsinh(z[::-1]) * jnp.exp(-weights["ln_tail"][i]) - weights["skew"][i])
        z = solve(jnp.eye(z.size, dtype=z.dtype) + jnp.tril(weights["mix"][i], -1), z)
    return z


@functools.partial(jax.jit, static_argnames="n")
def _drawn(weights: Any, key: PRNGKeyArray, n: int) -> tuple[Array, Array]:
    """Draws [1], shape (draw, unknown), of which a share is from the prior, and ln of the density of the mixture."""
    ln_normal = lambda z: -0.5 * (z**2).sum(-1) - z.shape[-1] / 2 * jnp.log(2 * jnp.pi)  # noqa: E731
    z = jax.random.normal(key, (n, weights["at"].shape[0]), weights["at"].dtype)
    few = round(FROM_PRIOR * n)
    u = jnp.concatenate([z[:few], jax.vmap(lambda z: mapped(weights, z)[0])(z[few:])])
    back = jax.vmap(functools.partial(unmapped, weights))(u)
    stretch = jax.vmap(lambda z: mapped(weights, z)[1])(back)
    ln_flow = jnp.nan_to_num(ln_normal(back) - stretch, nan=-jnp.inf, neginf=-jnp.inf)
    return u, jnp.logaddexp(jnp.log1p(-FROM_PRIOR) + ln_flow, jnp.log(FROM_PRIOR) + ln_normal(u))
