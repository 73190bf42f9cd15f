"""Spin parameters of a population of haloes (Bullock et al. 2001, ApJ 555, 240)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

MEDIAN, SCATTER = 0.035, 0.50  # of lambda' and ln(lambda'): their section 4.1


def sample_spin(key: PRNGKeyArray, n: int, median: float = MEDIAN, scatter: float = SCATTER) -> Float[Array, "halo"]:
    """Log-normal spins lambda' = J / (sqrt(2) M V R), independent of mass, time and history.

    Args:
      key: random key.
      n: number of haloes.
      median: median spin [1]; scatter: standard deviation of its natural logarithm.

    Returns:
      Spins [1], positive.
    """
    return median * jnp.exp(scatter * jax.random.normal(key, (n,)))
