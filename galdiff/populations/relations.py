"""What light and size of a galaxy follow in a population: dust, bursts, radii and merging of diffsky 0.3.

Arguments are log10 of the stellar mass [dex(Msun)] and of the specific star formation rate [dex(1/yr)].
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.rolling import rolling_line, sigmoid

Parameters = Mapping[str, Float[ArrayLike, ""]]
STEP = 5.0  # k of most steps
AV_ENDS, BURST_ENDS, FREQUENCY_ENDS = (-4.0, 1.5), (-15.0, -2.0), (-10.0, 0.5)
SIZE_SCATTER, SIZES = 0.2, (0.1, 40.0)  # dex; kpc
Relation = Float[Array, "..."]


def monotone(
    u: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike],
    at: tuple[ArrayLike, ArrayLike],
    steps: tuple[ArrayLike, ArrayLike],
    ends: tuple[float, float],
    rising: bool,
) -> Relation:
    """A double sigmoid [unit of ends] that rises in its second argument, and rises or falls in the first.

    Args:
      u: unbounded values at (low, low), (low, high), (high, low), (high, high) of first and second argument.
      at: the arguments, of one shape; steps: where either steps [unit of the arguments]; ends: of all values.
      rising: in the first.
    """

    def above(value: ArrayLike, low: ArrayLike) -> Array:
        return sigmoid(value, 0.0, 0.1, low, ends[1])

    (low_low, low_high, high_low, high_high), (x, y), (x0, y0) = u, at, steps
    first, then = (low_low, high_low) if rising else (high_low, low_low)
    least = above(first, ends[0])
    more = above(then, least)
    base = sigmoid(x, x0, STEP, *((least, more) if rising else (more, least)))
    first, then = (low_high, high_high) if rising else (high_high, low_high)
    least = above(first, base)
    more = above(then, least)
    return sigmoid(y, y0, STEP, base, sigmoid(x, x0, STEP, *((least, more) if rising else (more, least))))


def attenuation(
    p: Parameters, log10_mstar: ArrayLike, log10_ssfr: ArrayLike, redshift: ArrayLike, lg_age_gyr: ArrayLike
) -> Relation:
    """A_V [mag] of stars of some age [dex(Gyr)]; all arguments of shapes that broadcast, `p`: parameters `dust`."""
    names = ("ylo_q", "ylo_ms", "yhi_q", "yhi_ms")
    steps = p["suav_logsm_x0"], p["suav_logssfr_x0"]
    ends = []
    for z in ("ylo", "yhi"):
        low_low, low_high, high_low, high_high = (p[f"suav_logsm_{name}_z_{z}"] for name in names)
        ends.append(
            monotone((low_low, low_high, high_low, high_high), (log10_mstar, log10_ssfr), steps, AV_ENDS, rising=True)
        )
    level = sigmoid(redshift, p["suav_z_x0"], STEP, *ends)
    return jax.nn.softplus(level + sigmoid(lg_age_gyr, -2.5, STEP, p["delta_suav_age"], 0.0))


def dust_slope(p: Parameters, log10_mstar: ArrayLike, log10_ssfr: ArrayLike) -> Relation:
    """Slope of the attenuation curve against that of Calzetti [1]; shapes that broadcast, `p`: parameters `dust`."""
    x0, dead, main = (
        sigmoid(
            log10_mstar,
            p[f"deltapop_logsm_x0_{k}"],
            STEP,
            p[f"deltapop_logsm_ylo_{k}"],
            p[f"deltapop_logsm_yhi_{k}"],
        )
        for k in ("x0", "q", "ms")
    )
    return sigmoid(log10_ssfr, x0, STEP, dead, main)


def unobscured_share(p: Parameters, log10_ssfr: ArrayLike) -> Relation:
    """Share of the light that meets no dust [1], any shape; `p`: parameters `dust`."""
    return sigmoid(log10_ssfr, p["funo_logssfr_x0"], STEP, p["funo_logssfr_ylo"], p["funo_logssfr_yhi"])


def _burst(p: Parameters, name: str, at: tuple[ArrayLike, ArrayLike], ends: tuple[float, float]) -> Array:
    low_low, low_high, high_low, high_high = (
        p[f"{name}_logsm_{end}"] for end in ("ylo_q", "ylo_ms", "yhi_q", "yhi_ms")
    )
    steps = p[f"{name}_logsm_x0"], p[f"{name}_logssfr_x0"]
    return jax.nn.softplus(monotone((low_low, low_high, high_low, high_high), at, steps, ends, rising=False))


def burst_share(p: Parameters, log10_mstar: ArrayLike, log10_ssfr: ArrayLike) -> Relation:
    """Share of the mass in a recent burst [1]; shapes that broadcast, `p`: parameters `bursts`."""
    return _burst(p, "sufb", (log10_mstar, log10_ssfr), BURST_ENDS)


def burst_frequency(p: Parameters, log10_mstar: ArrayLike, log10_ssfr: ArrayLike) -> Relation:
    """Share of galaxies with a recent burst [1]; shapes that broadcast, `p`: parameters `bursts`."""
    return _burst(p, "sufqb", (log10_mstar, log10_ssfr), FREQUENCY_ENDS)


def log10_disc_size(log10_mstar: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]) -> Relation:
    """log10 of the median half-light radius of discs [dex(kpc)], of shapes that broadcast."""
    slope = sigmoid(redshift, 0.7, STEP, 0.21, 0.18)
    return sigmoid(redshift, 1.6, 2.5, 0.81, 0.66) + slope * (jnp.asarray(log10_mstar) - 10.0)


def log10_bulge_size(log10_mstar: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]) -> Relation:
    """log10 of the median half-light radius of bulges [dex(kpc)], of shapes that broadcast."""
    return rolling_line(log10_mstar, (10.0, 0.461), sigmoid(redshift, 1.0, 2.5, 10.2, 11.6), 1.0, (0.14, 0.25))


def disc_share(log10_mstar: Float[ArrayLike, "..."], log10_ssfr: Float[ArrayLike, "..."]) -> Relation:
    """Share of galaxies that are dominated by a disc [1], of shapes that broadcast."""
    most = jnp.clip(0.9 + sigmoid(log10_ssfr, -10.5, 2.0, -0.25, 0.25), 0.0, 0.9)
    return sigmoid(log10_mstar, 10.25, 2.0, most, 0.0)


def merged_share(
    p: Parameters,
    log10_m: Float[ArrayLike, "..."],
    log10_mhost: Float[ArrayLike, "..."],
    time: Float[ArrayLike, "..."],
    infall: Float[ArrayLike, "..."],
) -> Relation:
    """Share of satellites that have merged with their central [1], of shapes that broadcast.

    Args:
      p: published parameters `merging`.
      log10_m: log10 of the mass of the satellite before it fell in, log10_mhost: of its host [dex(Msun)].
      time: when it is seen, infall: when it fell in [Gyr].
    """
    step = sigmoid(log10_m, p["sub_crit"], p["k_t"], p["t_crit_min"], p["t_crit_max"])
    speed = sigmoid(infall, step, p["k_k"], p["k_min"], p["k_max"])
    delay = sigmoid(log10_mhost, p["host_crit"], p["k_t_delay"], p["t_delay_min"], p["t_delay_max"])
    level = sigmoid(time, infall + delay, speed, -0.999999, p["p_max"])
    return jnp.abs(level) * sigmoid(level, 0.05, 20.0, 0.0, 1.0)
