"""Growth of one halo as a power law of time with a rolling index: diffmah (Hearin et al. 2021, OJAp 4, 7)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.powers import log10, logistic
from galdiff.core.record import quantity, record

ROLL = 3.5  # k of eq. 2: how fast the index rolls per dex of time


@record
class DiffmahParams:
    """Parameters of one history, or of many with a leading axis; defaults are those of a typical 10^12 Msun halo."""

    logm0: Float[Array, ""] | float = quantity("dex", "log10 of the mass today [Msun], before any peak", default=12.0)
    logtc: Float[Array, ""] | float = quantity("dex", "log10 of the time [Gyr] when the index rolls", default=0.05)
    early_index: Float[Array, ""] | float = quantity("", "power of time long before", default=2.6137643)
    late_index: Float[Array, ""] | float = quantity("", "power of time long after", default=0.12692805)
    t_peak: Float[Array, ""] | float = quantity("Gyr", "time when growth ends; inf for never", default=np.inf)


def growth_index(
    params: DiffmahParams, time: Float[ArrayLike, "..."], t_today: Float[ArrayLike, ""]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Rolling index and the slope of the history, both before any peak.

    Args:
      params: one history.
      time: cosmic time [Gyr], positive.
      t_today: age of the universe today [Gyr].

    Returns:
      alpha(t) (Hearin et al. 2021, eq. 2) and d log M / d log t = alpha + (dalpha/dlog10 t) log10(t/t_today) [1].
    """
    log_t = jnp.log10(jnp.asarray(time))
    late_share = jax.nn.sigmoid(ROLL * (log_t - params.logtc))
    drop = params.late_index - params.early_index
    index = params.early_index + drop * late_share
    slope = index + drop * ROLL * late_share * (1 - late_share) * (log_t - jnp.log10(t_today))
    return index, slope


def log10_mass(
    params: DiffmahParams, time: Float[ArrayLike, "..."], t_today: Float[ArrayLike, ""]
) -> Float[Array, "..."]:
    """log10 of the mass [Msun] at `time` [Gyr], eq. 1: log M0 + alpha(t) log10(t / t_today), constant after t_peak."""
    # of the time itself: a program that asks for its logarithm elsewhere takes it once
    time = jnp.asarray(time)
    peak, today = (jnp.log10(jnp.asarray(x, jnp.result_type(x, time))) for x in (params.t_peak, t_today))
    log_t = log10(time)
    log_t = jnp.where(log_t > peak, peak, log_t)
    drop = params.late_index - params.early_index
    index = params.early_index + drop * logistic(ROLL * (log_t - params.logtc))
    return params.logm0 + index * (log_t - today)


def accretion_rate(
    params: DiffmahParams, time: Float[ArrayLike, "..."], t_today: Float[ArrayLike, ""]
) -> Float[Array, "..."]:
    """Derivative of the mass [Msun/Gyr] at `time` [Gyr]; zero after t_peak."""
    time = jnp.asarray(time)
    rate = 10 ** log10_mass(params, time, t_today) / time * growth_index(params, time, t_today)[1]
    return jnp.where(time > params.t_peak, 0.0, rate)
