"""The Gaussian approximation at the most probable point, judged by importance weights."""

from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.inference.methods.model import Method, condition, degeneracies, result_of
from galdiff.inference.methods.optimum import (
    around_once,
    best_of,
    check_count,
    classified,
    ends_of,
    log_densities,
    spread,
)
from galdiff.inference.posterior import Posterior
from galdiff.inference.result import Result, reasons_against


@final
class Laplace(Method):
    """Second derivatives of the density at its maximum, in standard normal numbers of the priors.

    Args of the constructor:
      starts, steps: of the fits that find the maximum.
      draws: from the Gaussian; they are not weighted, but the Pareto k of their weights says if that is right.
    """

    def __init__(self, *, starts: int, steps: int, draws: int) -> None:
        self.starts, self.steps, self.draws = (
            check_count(name, n) for name, n in (("starts", starts), ("steps", steps), ("draws", draws))
        )

    def __call__(self, posterior: Posterior, seed: int = 0) -> Result:
        """Draws from the Gaussian; usable if the end is a maximum inside the priors, and the Gaussian fits."""
        from blackjax.diagnostics import psis_weights

        starts = jnp.asarray(spread(posterior, seed, self.starts), float)
        there = around_once(
            posterior, best_of(posterior, ends_of(posterior, starts, "levenberg_marquardt", self.steps))
        )
        root = jnp.linalg.cholesky(there.covariance)
        z = jax.random.normal(jax.random.key(seed), (self.draws, len(posterior.unknowns)), float)
        u = there.at + z @ root.T
        height = log_densities(posterior, u)
        ratio = jnp.where(jnp.isfinite(height), height - gaussian(z, root), -1e30)
        ln_weight, k = psis_weights(ratio)
        end, said = classified(there, posterior.unknowns.names)
        diagnostics = {
            "ess": float(1 / jnp.sum(jnp.exp(2 * ln_weight))),
            "psis_k": float(k),
            "unique_draws": float(self.draws),
            "ln_evidence": float(there.log_density - gaussian(jnp.zeros_like(z[:1]), root)[0]),
            "condition": condition(np.asarray(there.hessian)),
        }
        reasons = reasons_against(diagnostics) + (() if end == "minimum" else (said,))
        notes = degeneracies(posterior, np.asarray(there.fisher))
        return result_of("laplace", posterior, u[None], height[None], diagnostics, reasons, notes)


def gaussian(z: Float[Array, "draw unknown"], root: Float[Array, "unknown unknown"]) -> Float[Array, "draw"]:
    """ln of the density [1] of draws that are z standard deviations from the centre, along the columns of a root."""
    n = z.shape[1]
    return -0.5 * ((z**2).sum(-1) + n * jnp.log(2 * jnp.pi)) - jnp.log(jnp.diagonal(root)).sum()
