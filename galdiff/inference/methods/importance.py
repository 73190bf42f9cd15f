"""Importance sampling from mixtures of Student's t around the maxima of the density, adapted in some rounds.

Population Monte Carlo with mixtures (Cappe et al. 2008, Stat. Comput. 18, 447), begun at the Gaussian approximations of
all maxima; a share of the draws comes from the prior, which bounds the weights. Draws of all rounds count. The weights
are smoothed, and judged, by the generalised Pareto fit of their tail (Vehtari et al. 2024, JMLR 25, 72).
"""

import collections
import functools
from collections.abc import Callable, Sequence
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from galdiff.core.record import quantity, record
from galdiff.inference.methods.model import Method, degeneracies, result_of
from galdiff.inference.methods.optimum import check_count, climb, spread
from galdiff.inference.mixtures import Mixture, adapted, clipped, draw, from_maxima, ln_density, ln_density_of_all
from galdiff.inference.posterior import Posterior, galaxy_axis, stacked
from galdiff.inference.result import Result, reasons_against

LAST = 2  # rounds of draws from the adapted mixture
MANY, BATCH = 1000, 25  # numbers of data, above which so many draws go side by side


@record
class Weighted:
    """Draws of all rounds."""

    u: Float[Array, "draw unknown"] = quantity("", "standard normal numbers")
    log_density: Float[Array, "draw"] = quantity("", "ln of the density of data and unknowns")
    ln_weight: Float[Array, "draw"] = quantity("", "smoothed, with a sum of 1")
    psis_k: Float[Array, ""] = quantity("", "shape of the tail of the weights")
    ln_evidence: Float[Array, ""] = quantity("", "ln of the mean density of the data over the prior")
    evidence_error: Float[Array, ""] = quantity("", "of ln_evidence")


@record
class Begun:
    """Where a proposal begins."""

    mixture: Mixture = quantity("", "around all maxima")
    fisher: Float[Array, "unknown unknown"] = quantity("", "information of the data at the highest")


@final
class Importance(Method):
    """Weighted draws around the maxima, resampled.

    Args of the constructor:
      starts: of the fits that find the maxima, and components of the mixture; steps: of each fit, at most.
      rounds: in which the mixture is adapted; draws: of each, and twice that from what it ends with.
      attempts: what is not usable goes on with the rounds, so many times in all.
    """

    def __init__(self, *, starts: int, steps: int, rounds: int, draws: int, attempts: int) -> None:
        self.starts, self.steps = check_count("starts", starts), check_count("steps", steps)
        self.rounds, self.draws = check_count("rounds", rounds), check_count("draws", draws)
        self.attempts = check_count("attempts", attempts)

    def __call__(self, posterior: Posterior, seed: int = 0) -> Result:
        """Draws of one posterior."""
        return self.many([posterior], seed, 1)[0]

    def many(
        self,
        posteriors: Sequence[Posterior],
        seed: int = 0,
        together: int = 16,
        done: Callable[[int], None] = lambda n: None,
    ) -> list[Result]:
        """Draws of posteriors of one model and likelihood, some side by side in one program.

        Args:
          posteriors: none of which changes the draws of another.
          seed: of all; together: how many run side by side.
          done: told of galaxies as they are done.
        """
        width = min(check_count("together", together), len(posteriors))
        starts = jnp.asarray(spread(posteriors[0], seed, self.starts), float)
        rng, key = np.random.default_rng(seed), jax.random.key(seed)
        mixtures: list[Mixture] = []
        fishers: list[np.ndarray] = []
        for first in range(0, len(posteriors), width):
            begun = jax.device_get(
                _begun(stacked(_filled(posteriors[first : first + width], width)), starts, self.steps)
            )
            mixtures += [_row(begun.mixture, i) for i in range(width)]
            fishers += list(begun.fisher)
        results: dict[int, Result] = {}
        tried = np.zeros(len(posteriors), int)
        queue = collections.deque(range(len(posteriors)))
        while queue:
            now = [queue.popleft() for _ in range(min(width, len(queue)))]
            which = _filled(now, width)
            keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.asarray(tried[which]))
            proposals = jax.tree.map(lambda *rows: np.stack(rows), *(mixtures[n] for n in which))
            together_now = stacked([posteriors[n] for n in which])
            found = _adapted(together_now, proposals, keys, tried[which] == 0, self.rounds, self.draws)
            weights, after = jax.device_get(found)
            for i, n in enumerate(now):
                mixtures[n] = _row(after, i)
                results[n] = _result(posteriors[n], _row(weights, i), fishers[n], rng)
                tried[n] += 1
                again = not results[n].usable and tried[n] < self.attempts
                queue.extend([n] if again else [])
                done(int(not again))
        return [results[n] for n in range(len(posteriors))]


def _filled(items: Sequence, width: int) -> list:
    """Items, and the last of them again up to a width, so that a program of that width serves."""
    return [*items, *[items[-1]] * (width - len(items))]


def _row(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda x: x[i], tree)


def _result(posterior: Posterior, found: Weighted, fisher: np.ndarray, rng: np.random.Generator) -> Result:
    weight = np.exp(np.asarray(found.ln_weight, float))
    total = weight.sum()
    sound = bool(np.isfinite(total) and total > 0)
    weight = weight / total if sound else np.full(weight.shape, 1 / weight.size)
    n = weight.size
    drawn = np.searchsorted(np.cumsum(weight), (np.arange(n) + rng.uniform()) / n).clip(0, n - 1)  # systematic
    diagnostics = {
        "ess": float(1 / np.sum(weight**2)) if sound else 0.0,
        "psis_k": float(found.psis_k),
        "unique_draws": float(np.unique(drawn).size),
        "ln_evidence": float(found.ln_evidence),
        "evidence_error": float(found.evidence_error),
    }
    u, height = np.asarray(found.u)[drawn], np.asarray(found.log_density)[drawn]
    notes = degeneracies(posterior, fisher)
    reasons = reasons_against(diagnostics)
    return result_of("importance", posterior, jnp.asarray(u)[None], height[None], diagnostics, reasons, notes)


@functools.partial(jax.jit, static_argnames="steps")
def _begun(together: Posterior, starts: Array, steps: int) -> Begun:
    one = functools.partial(begin_at_maxima, starts=starts, steps=steps)
    return jax.vmap(one, in_axes=(galaxy_axis(together),))(together)


@functools.partial(jax.jit, static_argnames=("rounds", "draws"))
def _adapted(
    together: Posterior, mixtures: Mixture, keys: Array, fresh: ArrayLike, rounds: int, draws: int
) -> tuple[Weighted, Mixture]:
    one = functools.partial(weighted, rounds=rounds, draws=draws)
    return jax.vmap(one, in_axes=(galaxy_axis(together), 0, 0, 0))(together, mixtures, keys, fresh)


def begin_at_maxima(posterior: Posterior, starts: Float[Array, "start unknown"], steps: int) -> Begun:
    """The first proposal, from fits that begin at `starts` [1]."""
    ends = climb(posterior, starts, steps)
    height = jax.vmap(posterior.log_density)(ends.u)
    fisher = ends.fisher[jnp.argmax(height)] - jnp.eye(starts.shape[1], dtype=starts.dtype)
    return Begun(mixture=from_maxima(ends.u, height, jnp.linalg.inv(ends.fisher)), fisher=fisher)


def weighted(
    posterior: Posterior, mixture: Mixture, key: PRNGKeyArray, fresh: ArrayLike, *, rounds: int, draws: int
) -> tuple[Weighted, Mixture]:
    """Weighted draws [1], shape (draw, unknown), of one posterior, and the proposal after its rounds.

    `fresh` says that the proposal is not adapted yet.
    """
    from blackjax.diagnostics import psis_weights

    chosen, key = jax.random.split(key)

    n_rounds = rounds + LAST
    all_u = jnp.zeros((n_rounds * draws, mixture.centre.shape[1]), mixture.centre.dtype)

    def one_round(state: tuple, now: tuple[Array, Array]) -> tuple[tuple, tuple[Array, Mixture]]:
        proposal, all_u, all_ratio = state
        i, key = now
        u = draw(proposal, key, draws)
        height = log_densities(posterior, u)
        all_u = jax.lax.dynamic_update_slice(all_u, u, (i * draws, 0))
        all_ratio = jax.lax.dynamic_update_slice(all_ratio, height - ln_density(proposal, u), (i * draws,))
        after = adapted(proposal, all_u, clipped(all_ratio), chosen, fresh & (i == 0))
        after = jax.tree.map(lambda new, old: jnp.where(i < rounds, new, old), after, proposal)
        return (after, all_u, all_ratio), (height, proposal)

    rounds_of = (jnp.arange(n_rounds), jax.random.split(key, n_rounds))
    begin = (mixture, all_u, jnp.full(n_rounds * draws, -jnp.inf, all_u.dtype))
    (mixture, u, _), (height, proposals) = jax.lax.scan(one_round, begin, rounds_of)
    height = height.reshape(-1)
    ratio = height - ln_density_of_all(proposals, u)
    ratio = jnp.where(jnp.isfinite(ratio), ratio, -1e30)
    ln_weight, k = psis_weights(ratio)
    n = u.shape[0]
    evidence = logsumexp(ratio) - jnp.log(n)
    error = jnp.sqrt(jnp.maximum(jnp.mean(jnp.exp(2 * (ratio - evidence))) - 1, 0.0) / n)
    return (
        Weighted(u=u, log_density=height, ln_weight=ln_weight, psis_k=k, ln_evidence=evidence, evidence_error=error),
        mixture,
    )


def log_densities(posterior: Posterior, u: Float[Array, "draw unknown"]) -> Float[Array, "draw"]:
    """ln of the density [1] at draws; some at a time where the data are many, whose models would fill the memory."""
    much = sum(x.size for x in jax.tree.leaves(posterior.data)) > MANY
    return jax.lax.map(posterior.log_density, u, batch_size=BATCH) if much else jax.vmap(posterior.log_density)(u)
