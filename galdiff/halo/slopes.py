"""Slopes for which a cubic through the masses of a halo increases everywhere."""

from typing import Any

import jax.numpy as jnp

# A halo that has stopped growing still gains 0.1% per e-fold of time: rates stay positive, also in single precision.
MIN_SLOPE = 1e-3  # of ln m_vir against ln t
# Slopes up to 2.5 secants keep a Hermite cubic increasing with a slope above a quarter of the secant (3 would touch 0).
_STEEPEST = 2.5


def limit_slopes(ln_t: Any, ln_m: Any, slopes: Any, xp: Any = jnp) -> Any:
    """Slopes for which the Hermite cubic through (ln t, ln m) increases everywhere.

    Args:
      ln_t: nodes, increasing, on the last axis; ln_m: values (..., node), increasing.
      slopes: wished slopes d ln m / d ln t.
      xp: numpy or jax.numpy.

    Returns:
      Slopes between MIN_SLOPE and 2.5 times the smaller of the two neighbouring secants.
    """
    secant = xp.diff(ln_m, axis=-1) / xp.diff(ln_t, axis=-1)
    inner = xp.minimum(secant[..., 1:], secant[..., :-1])
    steepest = _STEEPEST * xp.concatenate([secant[..., :1], inner, secant[..., -1:]], -1)
    return xp.maximum(xp.minimum(slopes, steepest), MIN_SLOPE)
