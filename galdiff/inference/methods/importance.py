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
from jax.scipy.special import gammaln, logsumexp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from galdiff.core.record import quantity, record
from galdiff.inference.methods.model import Method, degeneracies, result_of
from galdiff.inference.methods.optimum import check_count, climb, spread
from galdiff.inference.posterior import Posterior, galaxy_axis, stacked
from galdiff.inference.result import Result, reasons_against

NU = 5  # degrees of freedom of the components
FROM_PRIOR = 0.05  # share of the draws
WIDER = 1.2  # of the first proposal than the density at its maxima
LAST = 2  # rounds of draws from the adapted mixture
MANY, BATCH = 1000, 25  # numbers of data, above which so many draws go side by side
SHRINK = 0.1  # of the covariance of a component towards the mean of all


@record
class Mixture:
    """Components of a proposal in standard normal numbers of the priors; the last is the prior."""

    ln_share: Float[Array, "component"] = quantity("", "ln of the share of the draws")
    centre: Float[Array, "component unknown"] = quantity("", "of each")
    root: Float[Array, "component unknown unknown"] = quantity("", "Cholesky factor of its scale matrix")


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

    def one_round(proposal: Mixture, now: tuple[Array, Array]) -> tuple[Mixture, tuple[Array, Array, Array]]:
        i, key = now
        u = draw(proposal, key, draws)
        height = log_densities(posterior, u)
        ratio = height - ln_density(proposal, u)
        after = adapted(proposal, u, clipped(ratio), chosen, fresh & (i == 0))
        after = jax.tree.map(lambda new, old: jnp.where(i < rounds, new, old), after, proposal)
        return after, (u, height, proposal)

    n_rounds = rounds + LAST
    rounds_of = (jnp.arange(n_rounds), jax.random.split(key, n_rounds))
    mixture, (u, height, proposals) = jax.lax.scan(one_round, mixture, rounds_of)
    u, height = u.reshape(n_rounds * draws, -1), height.reshape(-1)
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


def from_maxima(at: Array, height: Array, covariance: Array) -> Mixture:
    """Components at points [1], shape (start, unknown), with the shares that Gaussian approximations give them."""
    root = _roots(covariance * WIDER**2)
    size = height + jnp.log(jnp.abs(jnp.diagonal(root, axis1=-2, axis2=-1))).sum(-1)
    size = jnp.where(jnp.isfinite(size), size, -jnp.inf)
    return _with_prior(jax.nn.log_softmax(jnp.maximum(size, size.max() - 7.0)), at, root)


def adapted(mixture: Mixture, u: Array, ln_w: Array, key: PRNGKeyArray, fresh: ArrayLike) -> Mixture:
    """One step of expectation maximisation on weighted draws [1], shape (draw, unknown).

    The component of the prior stays. A fresh one, with one component a maximum, gets components around draws that are
    taken by their weights, each of half the mean covariance, so that they can part to follow a bent density.
    """
    w = jax.nn.softmax(ln_w)
    n, k = u.shape[1], mixture.ln_share.shape[0] - 1
    each, far = _each(mixture, u)
    mine = jax.nn.softmax(each[:-1], 0) * w  # (component, draw)
    share = mine.sum(1)
    pull = mine * (NU + n) / (NU + far[:-1])
    centre = (pull @ u) / jnp.maximum(pull.sum(1), 1e-30)[:, None]
    away = u - centre[:, None]
    sums = jnp.einsum("kd,kdi,kdj->kij", pull, away, away)
    mean, eye = sums.sum(0), 1e-6 * jnp.eye(n, dtype=u.dtype)
    own = sums / jnp.maximum(share, 1e-30)[:, None, None]
    root = _roots((1 - SHRINK) * own + SHRINK * mean + eye)
    alive = (share > 1e-3) & jnp.isfinite(root).all((1, 2))
    ln_share = jax.nn.log_softmax(jnp.where(alive, jnp.log(jnp.maximum(share, 1e-30)), -20.0))
    kept = lambda new, old: jnp.where(alive.reshape(-1, *[1] * (new.ndim - 1)), new, old[:-1])  # noqa: E731
    after = _with_prior(ln_share, kept(centre, mixture.centre), kept(root, mixture.root))
    around = u[jax.random.choice(key, u.shape[0], (k,), p=w)]
    begun = _with_prior(jnp.full(k, -jnp.log(k), u.dtype), around, _roots(jnp.broadcast_to(mean / 2 + eye, root.shape)))
    return jax.tree.map(lambda first, other: jnp.where(fresh, first, other), begun, after)


def draw(mixture: Mixture, key: PRNGKeyArray, n: int) -> Float[Array, "draw unknown"]:
    """Standard normal numbers of the priors [1]: from the components by their shares."""
    which, normal, chi = jax.random.split(key, 3)
    at = jax.random.categorical(which, mixture.ln_share, shape=(n,))
    z = jax.random.normal(normal, (n, mixture.centre.shape[1]), mixture.centre.dtype)
    stretch = jnp.sqrt(NU / (jax.random.normal(chi, (NU, n, 1), z.dtype) ** 2).sum(0))
    stretch = jnp.where((at == mixture.ln_share.shape[0] - 1)[:, None], 1.0, stretch)  # the prior is normal
    return mixture.centre[at] + jnp.einsum("dij,dj->di", mixture.root[at], z) * stretch


def ln_density(mixture: Mixture, u: Float[Array, "draw unknown"]) -> Float[Array, "draw"]:
    """ln of the density of a proposal [1] at standard normal numbers."""
    return logsumexp(_each(mixture, u)[0], axis=0)


def ln_density_of_all(proposals: Mixture, u: Float[Array, "draw unknown"]) -> Float[Array, "draw"]:
    """ln of the mean density [1] of the proposals of all rounds, a leading axis, at standard normal numbers.

    As if each draw came from all of them: so those of every round count, and no weight is larger than that of the round
    which knows a place best (Cornuet et al. 2012, Scand. J. Stat. 39, 798).
    """
    one = lambda total, proposal: (jnp.logaddexp(total, ln_density(proposal, u)), None)  # noqa: E731
    total, _ = jax.lax.scan(one, jnp.full(u.shape[0], -jnp.inf, u.dtype), proposals)
    return total - jnp.log(proposals.ln_share.shape[0])


def clipped(ln_w: Float[Array, "draw"]) -> Float[Array, "draw"]:
    """ln of weights [1] of which none is far above the mean: truncated at sqrt(n) times it (Ionides 2008)."""
    ln_w = jnp.where(jnp.isfinite(ln_w), ln_w, -1e30)
    n = ln_w.shape[0]
    return jnp.minimum(ln_w, logsumexp(ln_w) - 0.5 * jnp.log(n))


def _each(mixture: Mixture, u: Array) -> tuple[Array, Array]:
    """ln of share times density of every component at draws (component, draw), and squared distances in its widths."""
    n = u.shape[1]
    inverse = jax.scipy.linalg.solve_triangular(
        mixture.root, jnp.broadcast_to(jnp.eye(n, dtype=u.dtype), mixture.root.shape), lower=True
    )
    white = jnp.einsum("kij,dj->kdi", inverse, u) - jnp.einsum("kij,kj->ki", inverse, mixture.centre)[:, None]
    far = (white**2).sum(-1)
    volume = jnp.log(jnp.abs(jnp.diagonal(mixture.root, axis1=-2, axis2=-1))).sum(-1)
    norm = gammaln((NU + n) / 2) - gammaln(NU / 2) - n / 2 * jnp.log(NU * jnp.pi)
    wide = norm - (NU + n) / 2 * jnp.log1p(far[:-1] / NU) - volume[:-1, None]
    prior = -0.5 * (far[-1] + n * jnp.log(2 * jnp.pi))
    return mixture.ln_share[:, None] + jnp.concatenate([wide, prior[None]]), far


def _with_prior(ln_share: Array, centre: Array, root: Array) -> Mixture:
    n = centre.shape[1]
    eye = jnp.eye(n, dtype=root.dtype)
    return Mixture(
        ln_share=jnp.append(ln_share + jnp.log1p(-FROM_PRIOR), jnp.log(FROM_PRIOR)),
        centre=jnp.concatenate([centre, jnp.zeros((1, n), centre.dtype)]),
        root=jnp.concatenate([jnp.where(jnp.isfinite(root), root, eye), eye[None]]),
    )


def _roots(matrices: Array) -> Any:
    return jnp.linalg.cholesky((matrices + matrices.swapaxes(-1, -2)) / 2)
