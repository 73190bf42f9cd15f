"""Hot stars: how they differ from the published tracks, and their light below the Lyman edge.

An atmosphere without wind shines below the Lyman edge like a black body of its effective temperature, times one factor
in each of three ranges that end at the edges of hydrogen and helium,
log10 factor = level - slope width ln(1 + exp((40000 K / Teff - start + gravity (log g - 4)) / width)).
`CONTINUA` is fitted to the photon fluxes q0 and q1 of models with non-LTE, winds and line blanketing: Martins, Schaerer
& Hillier (2005, A&A 436, 1049), tables 1 and 3 (dwarfs and supergiants), with 0.6 of their weight Sternberg, Hoffmann &
Pauldrach (2003, ApJ 599, 1333), table 1 (dwarfs); rms 0.07 dex below 911 and 0.19 dex below 504 Angstrom, where the two
differ by as much at the same temperature. The number of photons below 911 Angstrom depends little on the metallicity
at a given temperature, that below 450 much more (Mokiem et al. 2004, A&A 419, 319): `he_zeta`.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.record import quantity, record
from galdiff.imf.shape import LN10
from galdiff.sps.ionising import EDGES
from galdiff.units import HC_K_ANGSTROM

MASSIVE = (0.9, 1.3)  # log10 mass [Msun] between which the scalars of tracks below come into force
HOT_NODES = np.arange(3.9, 5.11, 0.02)  # log10 Teff [K] of the black bodies
SHORTEST = 91.0  # Angstrom
DARKEST = 1e-32  # Lsun/Angstrom per Msun formed, so that the logarithm of a spectrum exists
# level [dex], slope, start, gravity, width; of 504-912, 228-504 and 91-228 Angstrom
CONTINUA = np.array([[-0.033, 1.949, 1.050, 0.335, 0.041], [0.218, 8.236, 1.067, 0.235, 0.032]])


@record
class HotStarCoefficients:
    """Calibrated scalars of stars above 8 to 20 Msun; logs are base 10, zeta = log10(Z / 0.02)."""

    warmth: Float[Array, ""] = quantity("dex", "shift of log Teff on the main sequence at 30 Msun")
    warmth_zeta: Float[Array, ""] = quantity("", "its slope with zeta")
    warmth_mass: Float[Array, ""] = quantity("", "its slope with log mass")
    late_warmth: Float[Array, ""] = quantity("dex", "further shift at the end of the main sequence, as age^2")
    late_warmth_zeta: Float[Array, ""] = quantity("", "its slope with zeta")
    late_warmth_mass: Float[Array, ""] = quantity("", "its slope with log mass")
    late_light: Float[Array, ""] = quantity("dex", "shift of log luminosity at the end of the main sequence, as age^2")
    late_light_zeta: Float[Array, ""] = quantity("", "its slope with zeta")
    late_light_mass: Float[Array, ""] = quantity("", "its slope with log mass")
    strip_log_m: Float[Array, ""] = quantity("dex", "log mass above which stars are bare before they leave it")
    strip_time: Float[Array, ""] = quantity("", "share of the main sequence after which they are")
    bare_log_m: Float[Array, ""] = quantity("dex", "log mass above which stars burn helium as hot, bare cores")
    bare_log_m_zeta: Float[Array, ""] = quantity("", "its slope with zeta")
    bare_time: Float[Array, ""] = quantity(
        "", "ln of the lifetime of bare cores over that on the main sequence, 40 Msun"
    )
    bare_time_mass: Float[Array, ""] = quantity("", "its slope with log mass")
    bare_log_t: Float[Array, ""] = quantity("dex", "log Teff of bare cores [K]")
    lyman_slope: Float[Array, ""] = quantity("", "ln of the factor on the slope of 504-912 Angstrom")
    he_level: Float[Array, ""] = quantity("dex", "level added below 504 Angstrom")
    he_zeta: Float[Array, ""] = quantity("", "its slope with zeta")
    he2_level: Float[Array, ""] = quantity("dex", "level below 228 Angstrom, added to that of 228-504")
    uv_tilt: Float[Array, ""] = quantity(
        "dex", "light at 1100-1600 above 1600-3400 Angstrom against a black body, 35000 K"
    )
    uv_tilt_theta: Float[Array, ""] = quantity("", "its slope with 40000 K / Teff")
    crowding: Float[Array, ""] = quantity("", "ln of the opacity of Lyman lines that run together, 35000 K")
    crowding_theta: Float[Array, ""] = quantity("", "its slope with 40000 K / Teff")


def massive(log_m: Float[Array, "..."]) -> Float[Array, "..."]:
    """0 below, 1 above the masses of `MASSIVE`, once differentiable; log_m = log10 mass [Msun]."""
    x = jnp.clip((log_m - MASSIVE[0]) / (MASSIVE[1] - MASSIVE[0]), 0.0, 1.0)
    return x * x * (3 - 2 * x)


def warmth(
    c: HotStarCoefficients, log_m: Float[Array, "..."], zeta: Float[Array, "..."], tau: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Shift of log10 Teff [dex] on the main sequence; tau is the age over the lifetime there [1]."""
    x = log_m - 1.5
    early = c.warmth + c.warmth_zeta * zeta + c.warmth_mass * x
    late = c.late_warmth + c.late_warmth_zeta * zeta + c.late_warmth_mass * x
    return massive(log_m) * (early + late * jnp.square(tau))


def dimming(
    c: HotStarCoefficients, log_m: Float[Array, "..."], zeta: Float[Array, "..."], tau: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Shift of log10 luminosity [dex] on the main sequence, where winds take mass; arguments as `warmth`."""
    late = c.late_light + c.late_light_zeta * zeta + c.late_light_mass * (log_m - 1.5)
    return massive(log_m) * late * tau**2


def stripped(
    c: HotStarCoefficients, log_m: Float[Array, "..."], zeta: Float[Array, "..."], tau: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Share of main-sequence stars of a mass [dex(Msun)] that are bare already [1], smooth; arguments as `warmth`."""
    heavy = jax.nn.sigmoid((log_m - c.strip_log_m - c.bare_log_m_zeta * zeta) / 0.04)
    return heavy * jax.nn.sigmoid((tau - c.strip_time) / 0.02)


def bare(c: HotStarCoefficients, log_m: Float[Array, "..."], zeta: Float[Array, "..."]) -> Float[Array, "..."]:
    """Share of stars of a mass [dex(Msun)] that lose their envelope: 0 to 1, a smooth step."""
    return jax.nn.sigmoid((log_m - c.bare_log_m - c.bare_log_m_zeta * zeta) / 0.03)


def continuum_factors(
    c: HotStarCoefficients, log_t: Float[Array, "..."], log_g: Float[Array, "..."], zeta: Float[Array, "..."]
) -> Float[Array, "... 3"]:
    """Light over that of a black body [1] at 504-912, 228-504 and 91-228 Angstrom.

    Args:
      c: calibrated scalars.
      log_t, log_g: log10 Teff [K] and log10 surface gravity [cm/s2].
      zeta: log10(Z / 0.02).
    """
    theta = 4.0 * 10.0 ** (4.0 - log_t)
    level, slope, start, gravity, width = CONTINUA.T.astype(np.float32)

    def law(k: int, level: Array, slope: Array) -> Array:
        u = (theta - start[k] + gravity[k] * jnp.clip(log_g - 4.0, -1.0, 1.0)) / width[k]
        return level - slope * width[k] * jax.nn.softplus(u)

    hydrogen = law(0, level[0], slope[0] * jnp.exp(c.lyman_slope))
    plateau = (level[1] + c.he_level + c.he_zeta * zeta) * jax.nn.sigmoid((theta - 0.6) / 0.1)  # no more than there is
    helium = law(1, plateau, slope[1])
    logs = jnp.stack([hydrogen, helium, helium + c.he2_level], -1)
    return jnp.exp(jnp.maximum(logs, -25.0) * LN10)


def ultraviolet(c: HotStarCoefficients, teff: Float[Array, "star"]) -> Float[Array, "star 2"]:
    """Strengths [1] of the profiles of `ultraviolet_profiles` in stars of an effective temperature [K]."""
    theta = 4e4 / teff
    fade = jnp.clip((jnp.log10(teff) - 4.0) / 0.2, 0.0, 1.0)
    tilt = -LN10 * (c.uv_tilt + c.uv_tilt_theta * (theta - 1.14)) * fade * fade * (3 - 2 * fade)
    crowd = c.crowding + c.crowding_theta * (theta - 1.14)
    return jnp.stack([tilt, jnp.exp(5.5 - jax.nn.softplus(5.5 - crowd))], -1)


def ultraviolet_profiles(wave: Float[np.ndarray, "long"]) -> Float[np.ndarray, "3 long"]:
    """Opacity profiles above the Lyman edge, smooth in wavelength [Angstrom]: a tilt about 1600, and Lyman lines.

    The third is the window in which both act and keep the light that is in it: 1 below 3000, 0 above 3500.
    """
    u = np.log(1600.0 / wave)
    tilt = np.where(u > 0, u, u * np.exp(-((u / 0.45) ** 2)))
    x = np.clip((3500.0 - wave) / 500.0, 0.0, 1.0)
    return np.stack([tilt, np.maximum(np.log(1080.0 / wave), 0.0) ** 2, x * x * (3 - 2 * x)])


def _share_below(limit: float, teff: np.ndarray) -> np.ndarray:
    """Share of a black body's luminosity at wavelengths below a limit [Angstrom]."""
    x = HC_K_ANGSTROM / (limit * teff[:, None])
    n = np.arange(1.0, 60.0)
    series = np.exp(-n * x) * (x**3 / n + 3 * x**2 / n**2 + 6 * x / n**3 + 6 / n**4)
    return np.asarray(series.sum(-1) * 15 / np.pi**4)


def black_body_shares(log_t: Float[np.ndarray, "star"]) -> Float[np.ndarray, "star 4"]:
    """Shares of a black body's luminosity [1] in the three ranges of `continuum_factors`, and above the Lyman edge.

    log_t = log10 Teff [dex(K)], shape (star,).
    """
    below = [_share_below(edge, 10**log_t) for edge in (*EDGES, SHORTEST)]
    parts = [upper - lower for upper, lower in itertools.pairwise(below)]
    return np.stack([*parts, 1 - below[0]], -1)


def black_bodies(wave: Float[np.ndarray, "short"]) -> Float[np.ndarray, "hot short"]:
    """Spectra [1/Angstrom] of black bodies of HOT_NODES per unit of luminosity; wave [Angstrom] in vacuum."""
    x = HC_K_ANGSTROM / (wave * 10 ** HOT_NODES[:, None])
    ln = np.log(15 / np.pi**4) + 4 * np.log(x) - np.log(wave) - x - np.log(-np.expm1(-x))
    return np.exp(np.maximum(ln, -75.0))


def in_range(wave: Float[np.ndarray, "short"]) -> Float[np.ndarray, "3 short"]:
    """1 where a wavelength below the Lyman edge [Angstrom] is in each of the three ranges, else 0."""
    inside = np.stack([wave >= EDGES[1], (wave < EDGES[1]) & (wave >= EDGES[2]), wave < EDGES[2]])
    return inside.astype(float)
