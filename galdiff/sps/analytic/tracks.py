"""Stars of one age and metallicity: main sequence, subgiants, red giants, helium burning, asymptotic giants.

After the main sequence the number of stars in a phase is its duration times the rate at which stars leave the main
sequence (the fuel-consumption argument of Renzini & Buzzoni 1986 and Maraston 1998, MNRAS 300, 872). The ascent of the
red giant branch follows HPT eqs. 31-39; later phases have simple laws whose scalars are calibrated. Stars above 8 to 20
Msun have scalars of their own, see `hot_stars.py`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.imf.shape import LN10, Imf, number_density
from galdiff.sps.analytic.hot_stars import HotStarCoefficients, bare, dimming, stripped, warmth
from galdiff.sps.analytic.tables import LN_TIMES, LOG_T_SUN, TrackTables, log_t_of

LOG_G_SUN = 4.438  # [cm/s2], IAU 2015 B3
N_SUBGIANT, N_RGB, N_HELIUM, N_AGB = 6, 14, 3, 10
GIANT_COOLEST = 3.49  # log Teff [K] below which no giant falls: Levesque et al. (2005, ApJ 628, 973) for supergiants
GIANT_ASCENT = 5  # 1 - 1/p = 5/6: p = 6 for low-mass stars (HPT section 5.2)


@record
class TrackCoefficients:
    """Calibrated scalars of the evolution of stars; logs are base 10, zeta = log10(Z / 0.02)."""

    ms_brightening: Float[Array, ""] = quantity("", "share of the brightening on the main sequence linear in time")
    ms_expansion: Float[Array, ""] = quantity("", "share of the expansion on the main sequence linear in time")
    ms_warmth: Float[Array, ""] = quantity("dex", "shift of log Teff on the main sequence and subgiant branch")
    ms_warmth_zeta: Float[Array, ""] = quantity("", "its slope with zeta")
    dwarf_warmth: Float[Array, ""] = quantity("dex", "shift of log Teff of dwarfs below 0.7 Msun")
    subgiant_time: Float[Array, ""] = quantity("", "ln of the factor on the duration of the subgiant branch")
    rgb_time: Float[Array, ""] = quantity("", "ln of the factor on the duration of the red giant branch")
    rgb_tip: Float[Array, ""] = quantity("dex", "log luminosity of the tip [Lsun]")
    rgb_tip_zeta: Float[Array, ""] = quantity("", "its slope with zeta")
    giant_log_t: Float[Array, ""] = quantity("dex", "log Teff of a giant of 1 Msun and log L = 1.75 at Z = 0.02")
    giant_slope: Float[Array, ""] = quantity("", "slope of log Teff with log L below the knee")
    giant_knee_slope: Float[Array, ""] = quantity("", "slope added above the knee at log L = 2.25")
    giant_mass: Float[Array, ""] = quantity("", "slope of log Teff with log mass")
    giant_zeta: Float[Array, ""] = quantity("", "slope of log Teff with zeta")
    giant_zeta2: Float[Array, ""] = quantity("", "curvature of log Teff with zeta")
    giant_zeta_l: Float[Array, ""] = quantity("", "slope of log Teff with zeta and log L")
    clump_time: Float[Array, ""] = quantity("", "ln of the helium-burning time of low-mass stars [Gyr]")
    clump_log_l: Float[Array, ""] = quantity("dex", "log luminosity of the red clump at Z = 0.02")
    clump_log_l_zeta: Float[Array, ""] = quantity("", "its slope with zeta")
    clump_warmth: Float[Array, ""] = quantity("dex", "ln of the log Teff [dex] of the clump above the giant branch")
    clump_warmth_zeta: Float[Array, ""] = quantity("", "growth of clump_warmth with -zeta: horizontal branch")
    helium_share: Float[Array, ""] = quantity("", "ln of helium-burning over main-sequence time at 3 Msun")
    helium_share_mass: Float[Array, ""] = quantity("", "its slope with ln mass")
    helium_bright: Float[Array, ""] = quantity("dex", "log luminosity of helium burning above the turn-off's, 3 Msun")
    helium_bright_mass: Float[Array, ""] = quantity("", "its slope with log mass, from 3 to 16 Msun")
    loop_share: Float[Array, ""] = quantity("", "logit of the share of helium burning spent in the blue, massive stars")
    loop_share_zeta: Float[Array, ""] = quantity("", "its slope with zeta")
    loop_log_t: Float[Array, ""] = quantity("dex", "log Teff of blue loops at 5 Msun")
    loop_log_t_mass: Float[Array, ""] = quantity("", "its slope with log mass")
    agb_time: Float[Array, ""] = quantity("", "ln of the time on the asymptotic giant branch [Gyr]")
    agb_time_mass: Float[Array, ""] = quantity("", "its slope with ln mass")
    agb_tip: Float[Array, ""] = quantity("dex", "log luminosity of the tip of the asymptotic branch at 1 Msun")
    agb_tip_mass: Float[Array, ""] = quantity("", "its slope with log mass")
    agb_crowding: Float[Array, ""] = quantity("", "dN/dlnL ~ L^-crowding on the asymptotic branch")
    agb_warmth: Float[Array, ""] = quantity("dex", "log Teff of the asymptotic branch above the red giant branch")


@record
class StarPoints:
    """Representative stars of populations."""

    number: Float[Array, "met age point"] = quantity("1/Msun", "stars per solar mass formed")
    log_l: Float[Array, "met age point"] = quantity("dex", "log10 luminosity [Lsun]")
    log_t: Float[Array, "met age point"] = quantity("dex", "log10 effective temperature [K]")
    log_g: Float[Array, "met age point"] = quantity("dex", "log10 surface gravity [cm/s2]")


def giant_log_t(c: TrackCoefficients, log_l: Array, log_m: Array, zeta: Array) -> Array:
    """log10 Teff [K] of red giants: a bent line in log L [Lsun], shifted by mass [Msun] and zeta [dex], one shape."""
    x = log_l - 1.75
    knee = jax.nn.softplus(4 * (x - 0.5)) / 4
    shift = c.giant_mass * log_m + c.giant_zeta * zeta + c.giant_zeta2 * zeta**2 + c.giant_zeta_l * zeta * x
    log_t = c.giant_log_t + c.giant_slope * x + c.giant_knee_slope * knee + shift
    coolest = GIANT_COOLEST - 0.03 * zeta
    return coolest + jax.nn.softplus((log_t - coolest) / 0.02) * 0.02


def _inside(imf: Imf, ln_lo: Array, ln_hi: Array) -> Array:
    """Share of a cell in ln mass that lies between the cut-offs of the mass function."""
    lo, hi = jnp.maximum(ln_lo, jnp.log(imf.m_lo)), jnp.minimum(ln_hi, jnp.log(imf.m_hi))
    width = ln_hi - ln_lo
    return jnp.clip((hi - lo) / jnp.where(width > 0, width, 1.0), 0.0, 1.0)


def _gravity(log_m: Array, log_l: Array, log_t: Array) -> Array:
    return LOG_G_SUN + log_m - log_l + 4 * (log_t - LOG_T_SUN)


def _warm(c: TrackCoefficients, log_m: Array, zeta: Array) -> Array:
    cool = jax.nn.sigmoid((-0.155 - log_m) / 0.05)  # below 0.7 Msun
    return c.ms_warmth + c.ms_warmth_zeta * zeta + c.dwarf_warmth * cool


def main_sequence(c: TrackCoefficients, hot: HotStarCoefficients, t: TrackTables, imf: Imf) -> StarPoints:
    """Main sequence up to the turn-off."""
    ln_m = (t.ln_hi + t.ln_lo) / 2
    log_m = ln_m / LN10
    log_l = t.log_l_zams + t.log_l_gain * (c.ms_brightening * t.tau + (1 - c.ms_brightening) * t.tau**2)
    log_r = t.log_r_zams + t.log_r_gain * (c.ms_expansion * t.tau + (1 - c.ms_expansion) * t.tau**3)
    log_t = log_t_of(log_l, log_r) + _warm(c, log_m, t.zeta) + warmth(hot, log_m, t.zeta, t.tau)
    log_t = log_t + stripped(hot, log_m, t.zeta, t.tau) * (hot.bare_log_t - log_t)
    log_l = log_l + dimming(hot, log_m, t.zeta, t.tau)
    m = jnp.exp(ln_m)
    number = number_density(imf, m) * m * (t.ln_hi - t.ln_lo) * _inside(imf, t.ln_lo, t.ln_hi)
    return StarPoints(number=number, log_l=log_l, log_t=log_t, log_g=_gravity(log_m, log_l, log_t))


@record
class _Phase:
    """Points of a phase: time spent, light and temperature, in the order in which a star passes them."""

    time: Array = quantity("Gyr", "time spent at the point")
    log_l: Array = quantity("dex", "log10 luminosity [Lsun]")
    log_t: Array = quantity("dex", "log10 effective temperature [K]")


def _subgiants(c: TrackCoefficients, hot: HotStarCoefficients, t: TrackTables) -> _Phase:
    share = (np.arange(N_SUBGIANT, dtype=np.float32) + 0.5) / N_SUBGIANT
    log_m = jnp.log10(t.m)
    log_l = t.log_l_end + (t.log_l_base - t.log_l_end) * share
    start = t.log_t_end + _warm(c, log_m, t.zeta) + warmth(hot, log_m, t.zeta, 1.0)
    end = giant_log_t(c, t.log_l_base, log_m, t.zeta)
    time = t.gap_time * jnp.exp(c.subgiant_time) / N_SUBGIANT
    return _Phase(time=jnp.broadcast_to(time, log_l.shape), log_l=log_l, log_t=start + (end - start) * share**1.5)


def _massive(t: TrackTables) -> Array:
    """0 where helium ignites in a flash, 1 where it does not."""
    return jax.nn.sigmoid((t.m - t.flash_mass) / 0.12)


def _red_giants(c: TrackCoefficients, t: TrackTables) -> _Phase:
    base, zeta = t.log_l_base, t.zeta
    tip = jnp.maximum(c.rgb_tip + c.rgb_tip_zeta * zeta - base, 0.1) * (1 - _massive(t)) + 0.1 * _massive(t)
    edges = base + tip * np.linspace(0.0, 1.0, N_RGB + 1, dtype=np.float32)
    log_a = jnp.maximum(-4.8, jnp.minimum(-5.7 + 0.8 * t.m, -4.1 + 0.14 * t.m))  # HPT eq. 43, per Myr
    log_d = 5.37 + 0.135 * zeta  # HPT eq. 38
    left = 10 ** (-log_a - log_d + GIANT_ASCENT / 6 * (log_d - edges)) / GIANT_ASCENT * 1e-3  # time to infinity [Gyr]
    time = (left[..., :-1] - left[..., 1:]) * jnp.exp(c.rgb_time)
    log_l = (edges[..., 1:] + edges[..., :-1]) / 2
    return _Phase(time=time, log_l=log_l, log_t=giant_log_t(c, log_l, jnp.log10(t.m), zeta))


def _helium_light(c: TrackCoefficients, t: TrackTables) -> Array:
    """log10 luminosity of core helium burning [Lsun]."""
    low = c.clump_log_l + c.clump_log_l_zeta * t.zeta
    bright = c.helium_bright + c.helium_bright_mass * jnp.clip(jnp.log10(t.m) - 0.477, -0.3, 0.727)
    return low * (1 - _massive(t)) + (t.log_l_end + bright) * _massive(t)


def _helium_burning(c: TrackCoefficients, hot: HotStarCoefficients, t: TrackTables) -> _Phase:
    """Red clump or horizontal branch, then (massive stars) the blue loop; or all of it as a bare, hot core."""
    log_m, massive = jnp.log10(t.m), _massive(t)
    bared = bare(hot, log_m, t.zeta)
    ratio = jnp.exp(c.helium_share + c.helium_share_mass * (log_m - 0.477) * LN10)
    ratio = ratio + bared * (jnp.exp(hot.bare_time + hot.bare_time_mass * (log_m - 1.6)) - ratio)
    total = jnp.exp(c.clump_time) * (1 - massive) + massive * ratio * t.ms_time
    blue = jax.nn.sigmoid(c.loop_share + c.loop_share_zeta * t.zeta) * jax.nn.sigmoid((log_m - 0.6) / 0.06)
    blue = blue + bared * (1 - blue)
    steps = np.linspace(-1.0, 1.0, N_HELIUM, dtype=np.float32)
    log_l = _helium_light(c, t) + 0.05 * steps
    warmth = jnp.exp(c.clump_warmth - c.clump_warmth_zeta * t.zeta * (1 - massive))
    red_t = giant_log_t(c, log_l, log_m, t.zeta) + warmth * (1 + 0.5 * steps)
    blue_t = jnp.maximum(c.loop_log_t + c.loop_log_t_mass * (log_m - 0.7) + 0.04 * steps, red_t)
    blue_t = blue_t + bared * (hot.bare_log_t + 0.04 * steps - blue_t)
    time = [jnp.broadcast_to(total * part / N_HELIUM, log_l.shape) for part in (1 - blue, blue)]
    both = lambda a, b: jnp.concatenate([a, b], -1)  # noqa: E731
    return _Phase(time=both(*time), log_l=both(log_l, log_l), log_t=both(red_t, blue_t))


def _asymptotic_giants(c: TrackCoefficients, t: TrackTables) -> _Phase:
    log_m = jnp.log10(t.m)
    exists = jax.nn.sigmoid((0.88 - log_m) / 0.03)  # up to about 7.6 Msun
    base = _helium_light(c, t) + 0.3
    reach = jnp.maximum(c.agb_tip + c.agb_tip_mass * log_m - base, 0.2)
    log_l = base + reach * (np.arange(N_AGB, dtype=np.float32) + 0.5) / N_AGB
    crowd = 10 ** (-c.agb_crowding * (log_l - base))
    time = exists * jnp.exp(c.agb_time + c.agb_time_mass * log_m * LN10) * crowd / crowd.sum(-1, keepdims=True)
    return _Phase(time=time, log_l=log_l, log_t=giant_log_t(c, log_l, log_m, t.zeta) + c.agb_warmth)


def _look_up(table: Array, ln_time: Array) -> Array:
    """Linear interpolation of (met, time) tables at ln times (met, age, point)."""
    first, last = float(LN_TIMES[0]), float(LN_TIMES[-1])
    x = jnp.clip((ln_time - first) / (last - first) * (LN_TIMES.size - 1), 0.0, LN_TIMES.size - 1.001)
    low = jnp.floor(x).astype(jnp.int32)
    pick = lambda index: jnp.take_along_axis(table, index.reshape(index.shape[0], -1), 1).reshape(x.shape)  # noqa: E731
    return pick(low) * (1 - x + low) + pick(low + 1) * (x - low)


def evolved_stars(c: TrackCoefficients, hot: HotStarCoefficients, t: TrackTables, imf: Imf) -> StarPoints:
    """All stars past the main sequence; their initial masses lie just above the turn-off."""
    phases = [_subgiants(c, hot, t), _red_giants(c, t), _helium_burning(c, hot, t), _asymptotic_giants(c, t)]
    time, log_l, log_t = (
        jnp.concatenate([getattr(p, name) for p in phases], -1) for name in ("time", "log_l", "log_t")
    )
    since = t.age - (jnp.cumsum(time, -1) - time / 2)  # when these stars left the main sequence
    since = jnp.maximum(since, 0.05 * t.age)
    ln_m = _look_up(t.ln_m_of_time, jnp.log(since))
    width = _look_up(t.rate_of_time, jnp.log(since)) * time / since  # in ln mass
    number = number_density(imf, jnp.exp(ln_m)) * jnp.exp(ln_m) * width
    number = number * _inside(imf, ln_m - width / 2, ln_m + width / 2)
    return StarPoints(number=number, log_l=log_l, log_t=log_t, log_g=_gravity(ln_m / LN10, log_l, log_t))


def star_points(c: TrackCoefficients, hot: HotStarCoefficients, tables: TrackTables, imf: Imf) -> StarPoints:
    """Representative stars of each population, numbers per solar mass formed."""
    parts = (main_sequence(c, hot, tables, imf), evolved_stars(c, hot, tables, imf))
    return jax.tree.map(lambda *x: jnp.concatenate(x, -1), *parts)
