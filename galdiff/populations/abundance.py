"""How many haloes there are, how many live in a larger one, and how they cluster: the fits of diffsky 0.3.

Masses are peak masses in Msun, volumes comoving Mpc^3, without factors of h. Subhaloes count all that ever fell in.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.rolling import rolling_line, sigmoid, triweight_cdf

Parameters = Mapping[str, Float[ArrayLike, ""]]
PIVOT, ROLL_Z, ROLL_M = 13.0, 3.0, 1.2  # of the mass function
MU_AT, MU_ROLL_AT, MU_ROLL, STEEPEST = -1.0, -0.35, 10.0, -3.1  # of the subhaloes, in log10 of the mass ratio
BIAS_NODES, BIAS_AT = np.array([10.5, 12.0, 14.0, 14.5, 15.0, 15.5]), 12.0


def _roll(p: Parameters, name: str, x: ArrayLike, at: float) -> Array:
    return rolling_line(
        x, (at, p[f"{name}_ytp"]), p[f"{name}_x0"], p[f"{name}_k"], (p[f"{name}_ylo"], p[f"{name}_yhi"])
    )


def log10_cumulative(
    p: Parameters, log10_m: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """log10 of the number of haloes above a mass [dex(1/Mpc^3)], of shapes that broadcast.

    Args:
      p: published parameters `halo_mass_function`.
      log10_m: log10 of the mass [dex(Msun)]; redshift: redshift [1].
    """
    level, pivot, high = (_roll(p, name, redshift, ROLL_Z) for name in ("ytp", "x0", "hi"))
    low = sigmoid(redshift, p["lo_x0"], p["lo_k"], p["lo_ylo"], p["lo_yhi"])
    return rolling_line(log10_m, (PIVOT, level), pivot, ROLL_M, (low, high))


def density(p: Parameters, log10_m: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Number of haloes per dex of mass [1/Mpc^3/dex]; arguments as of `log10_cumulative`, shapes that broadcast."""
    pivot, high = (_roll(p, name, redshift, ROLL_Z) for name in ("x0", "hi"))
    low = sigmoid(redshift, p["lo_x0"], p["lo_k"], p["lo_ylo"], p["lo_yhi"])
    m = jnp.asarray(log10_m)
    share = sigmoid(m, pivot, ROLL_M, 0.0, 1.0)
    slope = low + (high - low) * (share + ROLL_M * share * (1 - share) * (m - PIVOT))
    return -slope * np.log(10.0) * 10 ** log10_cumulative(p, m, redshift)


def log10_subhaloes(
    p: Parameters, log10_mhost: Float[ArrayLike, "..."], log10_mu: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """log10 of the mean number of subhaloes of a host above a mass ratio [dex], of shapes that broadcast.

    Args:
      p: published parameters `subhaloes`.
      log10_mhost: log10 of the mass of the host [dex(Msun)]; log10_mu: of that of the subhalo over it [dex], below 0.
    """
    level, slope = (_roll(p, name, log10_mhost, PIVOT) for name in ("level", "slope"))
    return rolling_line(log10_mu, (MU_AT, level), MU_ROLL_AT, MU_ROLL, (slope, STEEPEST))


def step(x: ArrayLike, x0: ArrayLike, h: ArrayLike, low: ArrayLike, high: ArrayLike) -> Float[Array, "..."]:
    """From low to high [any unit] within 3 h about x0, smooth to order 3, of shapes that broadcast."""
    first, last = jnp.asarray(low), jnp.asarray(high)
    return first + (last - first) * triweight_cdf((jnp.asarray(x) - x0) / h)


def _three(x: Array, at: np.ndarray, y: Array) -> Array:
    first, last = (at[0] + at[1]) / 2, (at[1] + at[2]) / 2
    low = step(x, first, (at[1] - at[0]) / 3, y[..., 0], y[..., 1])
    high = step(x, last, (at[2] - at[1]) / 3, y[..., 1], y[..., 2])
    return step(x, at[1], (last - first) / 3, low, high)


def six_steps(x: Float[ArrayLike, "..."], at: np.ndarray, y: Float[Array, "... 6"]) -> Float[Array, "..."]:
    """Smooth curve through values y [any unit] at six nodes `at`, shape (6,), of diffsky."""
    x = jnp.asarray(x)
    middle = step(x, at[2], (at[3] - at[1]) / 3, _three(x, at[:3], y[..., :3]), _three(x, at[2:5], y[..., 2:5]))
    return step(x, (at[4] + at[5]) / 2, (at[5] - at[4]) / 3, middle, y[..., 5])


def log10_bias(p: Parameters, log10_m: Float[ArrayLike, "..."], redshift: Float[ArrayLike, ""]) -> Float[Array, "..."]:
    """log10 of the linear bias of haloes [dex], at masses [dex(Msun)] of any shape and one redshift [1].

    `p`: published parameters `halo_bias`. The slope in mass only rises with it.
    """
    slopes = jnp.stack([jnp.asarray(p[f"hb_s{i}"], float) for i in range(6)])
    growth = jnp.concatenate([slopes[:1], jnp.diff(slopes)])
    low, high = (
        sigmoid(BIAS_NODES, p["hb_x0_lgm_us"], p["hb_k_lgm_us"], p[f"hb_ylo_lgm_us_z{z}"], p[f"hb_yhi_lgm_us_z{z}"])
        for z in ("lo", "hi")
    )
    early = step(redshift, p["hb_dus_z_x0"], p["hb_dus_z_k"], low, high) * (jnp.asarray(redshift) - 10.0)
    nodes = jnp.cumsum(jnp.logaddexp(jnp.log(jnp.expm1(growth)) + early, 0.0))
    level = jnp.asarray(p["hb_ytp"]) + jnp.asarray(redshift) * step(
        redshift, p["hb_ytp_z_x0"], p["hb_ytp_z_k"], p["hb_ytp_z_lo"], p["hb_ytp_z_hi"]
    )
    return level + six_steps(log10_m, BIAS_NODES, nodes) * (jnp.asarray(log10_m) - BIAS_AT)
