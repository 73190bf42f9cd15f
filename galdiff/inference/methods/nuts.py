"""The No-U-Turn sampler of numpyro, begun and scaled by the Gaussian approximation of the density."""

from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.inference.methods.model import Method, condition, degeneracies, result_of
from galdiff.inference.methods.optimum import around_once, best_of, check_count, ends_of, spread
from galdiff.inference.posterior import Posterior
from galdiff.inference.result import Result, reasons_against

STARTS, STEPS = 8, 60  # of the fit that finds where the chains begin
APART = 1.0  # of the first points of chains, in standard deviations


@final
class Nuts(Method):
    """Hamiltonian Monte Carlo (Hoffman & Gelman 2014, JMLR 15, 1593); chains run side by side.

    Args of the constructor:
      chains: two or more; warmup, draws: steps of each, before and after which draws count.
      target_accept: share of the steps that are taken, 0.8 by custom; higher is slower and diverges less.
    """

    def __init__(self, *, chains: int, warmup: int, draws: int, target_accept: float) -> None:
        self.chains, self.warmup = check_count("chains", chains), check_count("warmup", warmup)
        self.draws = check_count("draws", draws)
        if chains < 2:
            raise InputError("chains is 1; give 2 or more, as R-hat compares them (4)")
        if not 0.5 <= target_accept < 1.0:
            raise InputError(f"target_accept is {target_accept}; give 0.5 or more, and below 1 (0.8)")
        self.target_accept = target_accept

    def __call__(self, posterior: Posterior, seed: int = 0) -> Result:
        """Draws of all chains."""
        ends = ends_of(posterior, jnp.asarray(spread(posterior, seed, STARTS), float), "levenberg_marquardt", STEPS)
        there = around_once(posterior, best_of(posterior, ends))
        keys = jax.random.split(jax.random.key(seed))
        root = jnp.linalg.cholesky(there.covariance)
        begin = there.at + APART * jax.random.normal(keys[0], (self.chains, len(posterior.unknowns)), float) @ root.T
        draws, potential, extra = self._run(posterior, begin, there.covariance, keys[1])
        diagnostics = chain_diagnostics(draws) | {
            "divergent": float(np.mean(extra["diverging"])),
            "steps": float(np.mean(extra["num_steps"])),
            "condition": condition(np.asarray(there.hessian)),
        }
        notes = degeneracies(posterior, np.asarray(there.fisher))
        reasons = reasons_against(diagnostics)
        return result_of("nuts", posterior, jnp.asarray(draws), -potential, diagnostics, reasons, notes)

    def _run(self, posterior: Posterior, begin: Array, covariance: Array, key: Array) -> tuple[Any, Any, Any]:
        from numpyro.infer import MCMC, NUTS

        kernel = NUTS(
            potential_fn=lambda u: -posterior.log_density(u),
            inverse_mass_matrix=covariance,
            dense_mass=True,
            target_accept_prob=self.target_accept,
        )
        chains = dict(num_chains=self.chains, chain_method="vectorized", progress_bar=False)
        sampler = MCMC(kernel, num_warmup=self.warmup, num_samples=self.draws, **chains)
        fields = ("potential_energy", "diverging", "num_steps")
        sampler.run(key, init_params=begin, extra_fields=fields)
        draws = sampler.get_samples(group_by_chain=True)
        extra = jax.device_get(sampler.get_extra_fields(group_by_chain=True))
        return jax.device_get(draws), extra["potential_energy"], extra


def chain_diagnostics(draws: Float[np.ndarray, "chain draw unknown"]) -> dict[str, float]:
    """Worst split R-hat and effective sample size of all unknowns, and number and share of draws that differ [1]."""
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    flat = draws.reshape(-1, draws.shape[-1])
    different = np.unique(flat, axis=0).shape[0]
    known = {"unique_draws": float(different), "moved": different / flat.shape[0]}
    if different < 2 or not (draws.std(1) > 0).all():
        return {"r_hat": 1e9, "ess": 0.0} | known  # a chain that stands still tells nothing
    return {"r_hat": float(split_gelman_rubin(draws).max()), "ess": float(effective_sample_size(draws).min())} | known
