"""Tempered sequential Monte Carlo of blackjax, with the evidence (Del Moral, Doucet & Jasra 2006, JRSS B 68, 411)."""

import functools
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.inference.methods.model import Method, degeneracies, information, result_of
from galdiff.inference.methods.nuts import chain_diagnostics
from galdiff.inference.methods.optimum import check_count
from galdiff.inference.posterior import Posterior
from galdiff.inference.result import Result, reasons_against

STRIDE = 2.38  # of a random walk over the square root of the number of unknowns (Roberts, Gelman & Gilks 1997)
MOST = 200  # steps in temperature, after which a run is given up


@record
class Tempered:
    """One population of particles at the end."""

    u: Any = quantity("", "standard normal numbers, (particle, unknown)")
    log_density: Any = quantity("", "ln of the density of data and unknowns, (particle,)")
    ln_evidence: Any = quantity("", "ln of the mean density of the data over the prior")
    inverse_temperature: Any = quantity("", "1 where it came to the end")
    steps: Any = quantity("", "in temperature")
    accepted: Any = quantity("", "share of the moves of the last step")


@final
class Smc(Method):
    """Particles that go from the prior to the posterior in steps; independent populations prove the result.

    Args of the constructor:
      populations: two or more, which run side by side and have to agree.
      particles: of each.
      moves: of a random walk after each step.
      keep: effective share of the particles [1] by which steps in temperature are chosen.
    """

    def __init__(self, *, populations: int, particles: int, moves: int, keep: float) -> None:
        self.populations = check_count("populations", populations)
        self.particles, self.moves = check_count("particles", particles), check_count("moves", moves)
        if populations < 2:
            raise InputError("populations is 1; give 2 or more, as R-hat compares them (4)")
        if not 0.1 <= keep < 1.0:
            raise InputError(f"keep is {keep}; give a share from 0.1 up to, but not, 1 (0.7)")
        self.keep = float(keep)

    def __call__(self, posterior: Posterior, seed: int = 0) -> Result:
        """All particles; ln_evidence is the mean of the populations, with the error of the mean."""
        keys = jax.random.split(jax.random.key(seed), self.populations)
        found = _tempered(posterior, keys, self.particles, self.moves, self.keep)
        evidence = np.asarray(found.ln_evidence, float)
        diagnostics = chain_diagnostics(np.asarray(found.u, float)) | {
            "ln_evidence": float(np.logaddexp.reduce(evidence) - np.log(evidence.size)),
            "evidence_error": float(evidence.std(ddof=1) / np.sqrt(evidence.size)),
            "steps": float(np.max(found.steps)),
            "accepted": float(np.mean(found.accepted)),
        }
        reasons = reasons_against(diagnostics)
        if np.min(found.inverse_temperature) < 1.0:
            reasons += (f"a population had not come to the posterior after {MOST} steps; take keep=0.5",)
        best = found.u.reshape(-1, len(posterior.unknowns))[int(np.argmax(found.log_density))]
        notes = degeneracies(posterior, np.asarray(_information(posterior, jnp.asarray(best))))
        return result_of("smc", posterior, found.u, found.log_density, diagnostics, reasons, notes)


_information = jax.jit(information)


@functools.partial(jax.jit, static_argnames=("particles", "moves", "keep"))
def _tempered(posterior: Posterior, keys: PRNGKeyArray, particles: int, moves: int, keep: float) -> Tempered:
    one = functools.partial(tempered, posterior, particles=particles, moves=moves, keep=keep)
    return jax.vmap(lambda key: one(key))(keys)


def tempered(posterior: Posterior, key: PRNGKeyArray, *, particles: int, moves: int, keep: float) -> Tempered:
    """One population, of standard normal numbers [1] from the prior."""
    from blackjax.mcmc import random_walk
    from blackjax.smc import adaptive_tempered, resampling

    n = len(posterior.unknowns)
    step = random_walk.build_additive_step()

    def walk(key: Array, state: Any, density: Any, root: Array) -> tuple[Any, Any]:
        return step(key, state, density, lambda k, u: root @ jax.random.normal(k, u.shape, u.dtype))

    def likelihood(u: Array) -> Array:
        value = posterior.log_likelihood(u)
        return jnp.where(jnp.isfinite(value), value, -1e30)

    kernel = adaptive_tempered.build_kernel(
        posterior.unknowns.log_prior, likelihood, walk, random_walk.init, resampling.systematic, keep
    )

    def stepped(carry: tuple) -> tuple:
        key, state, evidence, count, _ = carry
        key, now = jax.random.split(key)
        spread = jnp.cov(state.particles, rowvar=False, aweights=state.weights).reshape(n, n)
        root = jnp.linalg.cholesky(spread + 1e-9 * jnp.eye(n, dtype=spread.dtype)) * (STRIDE / n**0.5)
        state, info = kernel(now, state, moves, {"root": root[None]})
        moved = info.update_info.is_accepted.mean(dtype=zero.dtype)
        return key, state, evidence + info.log_likelihood_increment, count + 1, moved

    begin, key = jax.random.split(key)
    state = adaptive_tempered.init(posterior.unknowns.sample(begin, particles))
    zero = jnp.zeros((), state.particles.dtype)
    carry = (key, state._replace(tempering_param=zero), zero, 0, zero)
    carry = jax.lax.while_loop(lambda c: (c[1].tempering_param < 1.0) & (c[3] < MOST), stepped, carry)
    _, state, evidence, count, accepted = stepped(carry)  # resampled and moved once more, at the end
    height = jax.vmap(posterior.log_density)(state.particles)
    return Tempered(
        u=state.particles,
        log_density=height,
        ln_evidence=evidence,
        inverse_temperature=state.tempering_param,
        steps=count,
        accepted=accepted,
    )
