"""Stars of one age and metallicity: main sequence, subgiants, red giants, helium burning, asymptotic giants.

After the main sequence the number of stars in a phase is its duration times the rate at which stars leave the main
sequence (the fuel-consumption argument of Renzini & Buzzoni 1986 and Maraston 1998, MNRAS 300, 872). The ascent of the
red giant branch follows HPT eqs. 31-39; later phases have simple laws whose scalars are calibrated.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.sps.analytic import evolution as evo
from galdiff.sps.analytic.imf import Imf, number_density

LOG_T_SUN, LOG_G_SUN = float(np.log10(5772.0)), 4.438  # IAU 2015 B3
N_MS, N_SUBGIANT, N_RGB, N_HELIUM, N_AGB = 44, 6, 14, 3, 10
MS_FLOOR = 0.05  # lowest mass on the main sequence [Msun]
MASS_TABLE = np.geomspace(0.5, 130.0, 400)  # for the inverse of the lifetime [Msun]
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
    clump_warmth: Float[Array, ""] = quantity("dex", "log Teff of the clump above the giant branch at Z = 0.02")
    clump_warmth_zeta: Float[Array, ""] = quantity(
        "", "growth of ln(warmth) per -zeta: towards blue horizontal branches"
    )
    helium_share: Float[Array, ""] = quantity("", "ln of helium-burning over main-sequence time at 3 Msun")
    helium_share_mass: Float[Array, ""] = quantity("", "its slope with ln mass")
    helium_bright: Float[Array, ""] = quantity(
        "dex", "log luminosity of helium burning above the turn-off's, massive stars"
    )
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


def giant_log_t(c: TrackCoefficients, log_l, log_m, zeta):
    """log10 Teff [K] of red giants: a bent line in log L [Lsun], shifted by mass [Msun] and zeta [dex]."""
    x = log_l - 1.75
    knee = jax.nn.softplus(4 * (x - 0.5)) / 4
    shift = c.giant_mass * log_m + c.giant_zeta * zeta + c.giant_zeta2 * zeta**2 + c.giant_zeta_l * zeta * x
    return c.giant_log_t + c.giant_slope * x + c.giant_knee_slope * knee + shift


def _turnoff(age: Array, zeta: Array) -> Array:
    """ln of the mass [Msun] that leaves the main sequence at `age` (met, age) [Gyr]; held inside MASS_TABLE."""
    ln_m = jnp.asarray(np.log(MASS_TABLE), age.dtype)
    ln_t = jnp.log(evo.main_sequence_time(jnp.exp(ln_m), zeta[:, None]))
    flip = lambda lt, x: jnp.interp(x, lt[::-1], ln_m[::-1])  # noqa: E731
    return jax.vmap(flip)(ln_t, jnp.log(age))


def _inside(imf: Imf, ln_lo: Array, ln_hi: Array) -> Array:
    """Share of a cell in ln mass that lies between the cut-offs of the mass function."""
    lo, hi = jnp.maximum(ln_lo, jnp.log(imf.m_lo)), jnp.minimum(ln_hi, jnp.log(imf.m_hi))
    width = ln_hi - ln_lo
    return jnp.clip((hi - lo) / jnp.where(width > 0, width, 1.0), 0.0, 1.0)


def _gravity(log_m, log_l, log_t):
    return LOG_G_SUN + log_m - log_l + 4 * (log_t - LOG_T_SUN)


def _warm(c: TrackCoefficients, log_m, zeta):
    cool = jax.nn.sigmoid((-0.155 - log_m) / 0.05)  # below 0.7 Msun
    return c.ms_warmth + c.ms_warmth_zeta * zeta + c.dwarf_warmth * cool


def _log_t(log_l, radius):
    return LOG_T_SUN + 0.25 * (log_l - 2 * jnp.log10(radius))


def main_sequence(c: TrackCoefficients, age: Array, zeta: Array, imf: Imf) -> StarPoints:
    """Main sequence from MS_FLOOR to the turn-off, in cells that narrow towards the turn-off."""
    ln_to = _turnoff(age, zeta)[..., None]
    u = np.linspace(0.0, 1.0, N_MS + 1) ** 2
    reach = ln_to - np.log(MS_FLOOR)
    ln_hi, ln_lo = ln_to - reach * u[:-1], ln_to - reach * u[1:]
    ln_m = (ln_hi + ln_lo) / 2
    m, z = jnp.exp(ln_m), zeta[:, None, None]
    m_fit = jnp.maximum(m, 0.1)
    tau = jnp.clip(age[..., None] / evo.main_sequence_time(m_fit, z), 0.0, 1.0)
    log_l0, log_l1 = (jnp.log10(f(m_fit, z)) for f in (evo.zams_luminosity, evo.turnoff_luminosity))
    log_r0, log_r1 = (jnp.log10(f(m_fit, z)) for f in (evo.zams_radius, evo.turnoff_radius))
    log_l = log_l0 + (log_l1 - log_l0) * (c.ms_brightening * tau + (1 - c.ms_brightening) * tau**2)
    log_r = log_r0 + (log_r1 - log_r0) * (c.ms_expansion * tau + (1 - c.ms_expansion) * tau**3)
    log_l = log_l + 2.5 * jnp.log10(m / m_fit)  # below 0.1 Msun stars hardly shine
    log_m = ln_m / jnp.log(10.0)
    log_t = _log_t(log_l, 10**log_r) + _warm(c, log_m, z)
    number = number_density(imf, m) * m * (ln_hi - ln_lo) * _inside(imf, ln_lo, ln_hi)
    return StarPoints(number=number, log_l=log_l, log_t=log_t, log_g=_gravity(log_m, log_l, log_t))


@record
class _Phase:
    """Points of a phase: time since the end of the main sequence, time spent, light and temperature."""

    start: Array = quantity("Gyr", "time since the end of the main sequence when the point begins")
    time: Array = quantity("Gyr", "time spent at the point")
    log_l: Array = quantity("dex", "log10 luminosity [Lsun]")
    log_t: Array = quantity("dex", "log10 effective temperature [K]")


def _subgiants(c, m, log_m, zeta) -> _Phase:
    share = (np.arange(N_SUBGIANT) + 0.5) / N_SUBGIANT
    gap = evo.giant_branch_time(m, zeta) - evo.main_sequence_time(m, zeta)
    time = gap * jnp.exp(c.subgiant_time) / N_SUBGIANT * np.ones(N_SUBGIANT)
    l0 = jnp.log10(evo.turnoff_luminosity(m, zeta))
    l1 = giant_base(m, zeta)
    log_l = l0 + (l1 - l0) * share
    t0 = _log_t(l0, evo.turnoff_radius(m, zeta)) + _warm(c, log_m, zeta)
    log_t = t0 + (giant_log_t(c, l1, log_m, zeta) - t0) * share**1.5
    return _Phase(start=jnp.cumsum(time, -1) - time, time=time, log_l=log_l, log_t=log_t)


def giant_base(m, zeta):
    """log10 luminosity [Lsun] at the base of the giant branch, at most 0.4 dex above the turn-off."""
    cap = jnp.log10(evo.turnoff_luminosity(m, zeta)) + 0.4
    return jnp.minimum(jnp.log10(evo.giant_base_luminosity(m, zeta)), cap)


def _red_giants(c, m, log_m, zeta) -> _Phase:
    base = giant_base(m, zeta)
    degenerate = jax.nn.sigmoid((evo.helium_flash_mass(zeta) - m) / 0.12)
    tip = base + 0.1 + (jnp.maximum(c.rgb_tip + c.rgb_tip_zeta * zeta - base, 0.1) - 0.1) * degenerate
    edges = base + (tip - base) * np.linspace(0.0, 1.0, N_RGB + 1)
    log_a = jnp.maximum(-4.8, jnp.minimum(-5.7 + 0.8 * m, -4.1 + 0.14 * m))  # HPT eq. 43, per Myr
    log_d = 5.37 + 0.135 * zeta  # HPT eq. 38
    left = 10 ** (-log_a - log_d + GIANT_ASCENT / 6 * (log_d - edges)) / GIANT_ASCENT * 1e-3  # time to infinity [Gyr]
    time = (left[..., :-1] - left[..., 1:]) * jnp.exp(c.rgb_time)
    log_l = (edges[..., 1:] + edges[..., :-1]) / 2
    start = jnp.cumsum(time, -1) - time
    return _Phase(start=start, time=time, log_l=log_l, log_t=giant_log_t(c, log_l, log_m, zeta))


def _helium_burning(c, m, log_m, zeta) -> _Phase:
    """Red clump or horizontal branch, then (massive stars) the blue loop."""
    massive = jax.nn.sigmoid((m - evo.helium_flash_mass(zeta)) / 0.12)
    ratio = jnp.exp(c.helium_share + c.helium_share_mass * (log_m - 0.477) * 2.302585)
    total = jnp.exp(c.clump_time) * (1 - massive) + massive * ratio * evo.main_sequence_time(m, zeta)
    blue = jax.nn.sigmoid(c.loop_share + c.loop_share_zeta * zeta) * jax.nn.sigmoid((log_m - 0.6) / 0.06)
    low = c.clump_log_l + c.clump_log_l_zeta * zeta
    high = jnp.log10(evo.turnoff_luminosity(m, zeta)) + c.helium_bright
    log_l = low * (1 - massive) + high * massive + np.linspace(-0.05, 0.05, N_HELIUM)
    spread = np.linspace(0.5, 1.5, N_HELIUM)
    warmth = c.clump_warmth * jnp.exp(-c.clump_warmth_zeta * zeta) * (1 - massive) + c.clump_warmth * massive
    red_t = giant_log_t(c, log_l, log_m, zeta) + warmth * spread
    blue_t = c.loop_log_t + c.loop_log_t_mass * (log_m - 0.7) + 0.08 * (spread - 1)
    blue_t = jnp.broadcast_to(jnp.maximum(blue_t, red_t), red_t.shape)
    time = jnp.concatenate([(1 - blue) * np.ones(N_HELIUM), blue * np.ones(N_HELIUM)], -1) * total / N_HELIUM
    both = lambda a, b: jnp.concatenate([a, b], -1)  # noqa: E731
    start = jnp.cumsum(time, -1) - time
    return _Phase(start=start, time=time, log_l=both(log_l, log_l), log_t=both(red_t, blue_t))


def _asymptotic_giants(c, m, log_m, zeta) -> _Phase:
    exists = jax.nn.sigmoid((0.88 - log_m) / 0.03)  # up to about 7.6 Msun
    massive = jax.nn.sigmoid((m - evo.helium_flash_mass(zeta)) / 0.12)
    helium = (c.clump_log_l + c.clump_log_l_zeta * zeta) * (1 - massive)
    base = helium + (jnp.log10(evo.turnoff_luminosity(m, zeta)) + c.helium_bright) * massive + 0.3
    tip = jnp.maximum(c.agb_tip + c.agb_tip_mass * log_m, base + 0.2)
    log_l = base + (tip - base) * (np.arange(N_AGB) + 0.5) / N_AGB
    crowd = 10 ** (-c.agb_crowding * (log_l - base))
    crowd = crowd / crowd.sum(-1, keepdims=True)
    time = exists * jnp.exp(c.agb_time + c.agb_time_mass * log_m * 2.302585) * crowd
    start = jnp.cumsum(time, -1) - time
    return _Phase(start=start, time=time, log_l=log_l, log_t=giant_log_t(c, log_l, log_m, zeta) + c.agb_warmth)


def evolved_stars(c: TrackCoefficients, age: Array, zeta: Array, imf: Imf) -> StarPoints:
    """All stars past the main sequence; their initial masses lie just above the turn-off."""
    z = zeta[:, None, None]
    ln_to = _turnoff(age, zeta)
    m = jnp.exp(ln_to)[..., None]
    log_m = jnp.log10(m)
    phases = [f(c, m, log_m, z) for f in (_subgiants, _red_giants, _helium_burning, _asymptotic_giants)]
    offset = jnp.cumsum(jnp.stack([p.time.sum(-1) for p in phases], -1), -1)
    offset = jnp.concatenate([jnp.zeros_like(offset[..., :1]), offset[..., :-1]], -1)
    start = jnp.concatenate([p.start + offset[..., k, None] for k, p in enumerate(phases)], -1)
    time, log_l, log_t = (
        jnp.concatenate([getattr(p, name) for p in phases], -1) for name in ("time", "log_l", "log_t")
    )
    full = age[..., None]
    since = jnp.clip(full - start - time / 2, 0.05 * full, None)  # when these stars left the main sequence
    shape = since.shape
    flat = lambda x: _turnoff(x.reshape(shape[0], -1), zeta).reshape(shape)  # noqa: E731
    ln_m = flat(since)
    rate = (flat(since * 0.98) - flat(since * 1.02)) / 0.04  # -d ln m / d ln t
    width = rate * time / since
    number = number_density(imf, jnp.exp(ln_m)) * jnp.exp(ln_m) * width
    number = number * _inside(imf, ln_m - width / 2, ln_m + width / 2)
    return StarPoints(number=number, log_l=log_l, log_t=log_t, log_g=_gravity(ln_m / jnp.log(10.0), log_l, log_t))


def star_points(
    c: TrackCoefficients, ages_gyr: Float[Array, "age"], metallicities: Float[Array, "met"], imf: Imf
) -> StarPoints:
    """Representative stars of each population.

    Args:
      c: calibrated scalars.
      ages_gyr: ages [Gyr].
      metallicities: metal mass fractions.
      imf: mass function; numbers are per solar mass formed.
    """
    zeta = evo.track_zeta(metallicities)
    age = jnp.broadcast_to(ages_gyr, (zeta.shape[0], ages_gyr.shape[0]))
    parts = (main_sequence(c, age, zeta, imf), evolved_stars(c, age, zeta, imf))
    return jax.tree.map(lambda *x: jnp.concatenate(x, -1), *parts)
