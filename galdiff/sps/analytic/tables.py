"""What the published fits say about the ages and metallicities of a library, tabulated once on the host."""

from typing import Any

import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.sps.analytic import evolution as evo

LOG_T_SUN = float(np.log10(5772.0))  # IAU 2015 B3
MS_FLOOR = 0.05  # lowest mass on the main sequence [Msun]
N_MS = 44  # cells between MS_FLOOR and the turn-off
MASSES = np.geomspace(0.5, 130.0, 800)  # whose lifetimes are inverted [Msun]
LN_TIMES = np.linspace(np.log(2e-3), np.log(40.0), 800)  # lookup axis, ln of time [Gyr]


@record
class TrackTables:
    """Stars on the main sequence in cells of mass, and at its end, for each metallicity and age."""

    zeta: Float[Array, "met 1 1"] = quantity("dex", "log10(Z / 0.02), held inside the range of the fits")
    age: Float[Array, "age 1"] = quantity("Gyr", "age of the population")
    ln_hi: Float[Array, "met age cell"] = quantity("", "ln of the upper mass of each cell [Msun]")
    ln_lo: Float[Array, "met age cell"] = quantity("", "ln of the lower mass of each cell [Msun]")
    tau: Float[Array, "met age cell"] = quantity("", "age over main-sequence time")
    log_l_zams: Float[Array, "met age cell"] = quantity("dex", "log luminosity at zero age [Lsun]")
    log_l_gain: Float[Array, "met age cell"] = quantity("dex", "log luminosity gained by the end")
    log_r_zams: Float[Array, "met age cell"] = quantity("dex", "log radius at zero age [Rsun]")
    log_r_gain: Float[Array, "met age cell"] = quantity("dex", "log radius gained by the end")
    m: Float[Array, "met age 1"] = quantity("Msun", "turn-off mass")
    flash_mass: Float[Array, "met 1 1"] = quantity("Msun", "largest mass with a helium flash")
    log_l_end: Float[Array, "met age 1"] = quantity("dex", "log luminosity at the end of the main sequence [Lsun]")
    log_t_end: Float[Array, "met age 1"] = quantity("dex", "log Teff at the end of the main sequence [K]")
    log_l_base: Float[Array, "met age 1"] = quantity("dex", "log luminosity at the base of the giant branch [Lsun]")
    ms_time: Float[Array, "met age 1"] = quantity("Gyr", "main-sequence time of the turn-off mass")
    gap_time: Float[Array, "met age 1"] = quantity("Gyr", "from the end of the main sequence to the giant branch")
    ln_m_of_time: Float[Array, "met time"] = quantity("", "ln of the mass [Msun] that ends at LN_TIMES")
    rate_of_time: Float[Array, "met time"] = quantity("", "-d ln mass / d ln time at LN_TIMES; 0 before")


def log_t_of(log_l: Any, log_r: Any) -> Any:
    """log10 Teff [K] from log10 luminosity [Lsun] and log10 radius [Rsun]."""
    return LOG_T_SUN + 0.25 * (log_l - 2 * log_r)


def _lookup(zeta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ln_t = np.log(evo.main_sequence_time(MASSES, zeta[:, None]))
    ln_m = np.stack([np.interp(LN_TIMES, row[::-1], np.log(MASSES[::-1])) for row in ln_t])
    rate = -np.gradient(ln_m, LN_TIMES, axis=-1)
    return ln_m, rate


def track_tables(ages_gyr: Float[np.ndarray, "age"], metallicities: Float[np.ndarray, "met"]) -> TrackTables:
    """Tabulate the published fits; ages [Gyr], metal mass fractions. Arrays are NumPy float64."""
    zeta = evo.track_zeta(np.asarray(metallicities, float))
    age = np.asarray(ages_gyr, float)
    ln_m, rate = _lookup(zeta)
    ln_to = np.stack([np.interp(np.log(age), LN_TIMES, row) for row in ln_m])[..., None]
    z = zeta[:, None, None]
    u = np.linspace(0.0, 1.0, N_MS + 1) ** 2  # cells narrow towards the turn-off
    edges = ln_to - (ln_to - np.log(MS_FLOOR)) * u
    ln_hi, ln_lo = edges[..., :-1], edges[..., 1:]
    middle = np.exp((ln_hi + ln_lo) / 2)
    fit = np.maximum(middle, 0.1)  # the fits end at 0.1 Msun; below, stars hardly shine
    log_l, log_r = np.log10(evo.zams_luminosity(fit, z)), np.log10(evo.zams_radius(fit, z))
    m = np.exp(ln_to)
    end_l, end_r = np.log10(evo.turnoff_luminosity(m, z)), np.log10(evo.turnoff_radius(m, z))
    ms_time = evo.main_sequence_time(m, z)
    values: dict[str, Any] = dict(
        zeta=z,
        age=age[:, None],
        ln_hi=ln_hi,
        ln_lo=ln_lo,
        tau=np.clip(age[:, None] / evo.main_sequence_time(fit, z), 0.0, 1.0),
        log_l_zams=log_l + 2.5 * np.log10(middle / fit),
        log_l_gain=np.log10(evo.turnoff_luminosity(fit, z)) - log_l,
        log_r_zams=log_r,
        log_r_gain=np.log10(evo.turnoff_radius(fit, z)) - log_r,
        m=m,
        flash_mass=evo.helium_flash_mass(z),
        log_l_end=end_l,
        log_t_end=log_t_of(end_l, end_r),
        log_l_base=np.minimum(np.log10(evo.giant_base_luminosity(m, z)), end_l + 0.4),
        ms_time=ms_time,
        gap_time=np.maximum(evo.giant_branch_time(m, z) - ms_time, 1e-5),
        ln_m_of_time=ln_m,
        rate_of_time=rate,
    )
    return TrackTables(**values)
