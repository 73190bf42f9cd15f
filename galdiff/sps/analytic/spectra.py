"""Spectra of stars: a Planck continuum times exp(-opacity) of named features.

The strength of a feature is a smooth law of temperature, gravity and metallicity around the Sun,
ln a = ln_strength + theta x + theta2 x^2 + gravity (log g - 4.44) + zeta log10(Z / 0.02), x = 5040 K / Teff - 0.873
(for the continuum bumps a itself). What lines block comes out again elsewhere: the bolometric luminosity is kept. Below
the Lyman edge a star is a black body times the factors of `hot_stars.py`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.sps.analytic import hot_stars
from galdiff.sps.analytic.features import N_SIGNED, profiles
from galdiff.sps.ionising import EDGES
from galdiff.units import HC_K_ANGSTROM

THETA_SUN = 5040.0 / 5772.0
WAVE_LIMITS = (1000.0, 25000.0)  # range within which luminosity is counted above the Lyman edge [Angstrom]
LYMAN_EDGE = EDGES[0]
IONISING_POWER = 60.0  # lambda / FWHM below the Lyman edge
NORM_WAVE = np.geomspace(*WAVE_LIMITS, 500)
LOG_T_NODES = np.concatenate([np.arange(3.40, 3.86, 0.02), np.arange(3.88, 4.80, 0.04)])
LOG_G_NODES = np.array([-0.5, 1.25, 3.0, 4.75])
LAWS = ("ln_strength", "theta", "theta2", "gravity", "zeta")


@record
class SpectrumCoefficients:
    """Strength laws of the features, in the order of `features.NAMES`."""

    laws: Float[Array, "feature 5"] = quantity("", "ln_strength, theta, theta2, gravity, zeta of each feature")


def default_wave() -> np.ndarray:
    """Vacuum wavelengths (wave,) [Angstrom] with 2.1 pixels per resolution element of `default_fwhm`."""
    fine = np.linspace(np.log(WAVE_LIMITS[0]), np.log(WAVE_LIMITS[1]), 20001)
    count = np.concatenate([[0.0], np.cumsum(2.1 * _resolving_power(np.exp(fine[1:])) * np.diff(fine))])
    return np.concatenate(
        [_ionising_wave(), np.exp(np.interp(np.linspace(0.0, count[-1], int(count[-1]) + 1), count, fine))]
    )


def _ionising_wave() -> np.ndarray:
    """Wavelengths below WAVE_LIMITS (short,) [Angstrom], with one on either side of each edge."""
    parts, start = [], hot_stars.SHORTEST
    for end, power in (*((edge, IONISING_POWER) for edge in EDGES[::-1]), (WAVE_LIMITS[0], 400.0)):
        closed = end in EDGES
        parts.append(np.geomspace(start, end * (1 - 1e-5 * closed), int(2.1 * power * np.log(end / start)) + 2))
        start = end * (1 + 1e-5)
    return np.concatenate(parts)[:-1]


def _resolving_power(wave: np.ndarray) -> np.ndarray:
    """lambda / FWHM: 2000 from 3500 to 9300 Angstrom, 400 in the ultraviolet and infrared, 60 below the Lyman edge."""
    step = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    above = 400.0 + 1600.0 * step((np.log(wave / 3350.0)) / 0.008) * step((np.log(9700.0 / wave)) / 0.008)
    return np.where(wave < LYMAN_EDGE, IONISING_POWER, above)


def default_fwhm(wave: np.ndarray) -> np.ndarray:
    """Resolution FWHM [Angstrom] of the embedded library at a vacuum wavelength [Angstrom], same shape."""
    return wave / _resolving_power(np.asarray(wave))


def strengths(
    c: SpectrumCoefficients, teff: Float[Array, "star"], log_g: Float[Array, "star"], zeta: Float[Array, ""]
) -> Float[Array, "star feature"]:
    """Strength of each feature in stars of one metallicity; teff [K], log_g [dex], zeta = log10(Z / 0.02)."""
    x = 5040.0 / teff - THETA_SUN
    one = jnp.ones_like(x)
    law = jnp.stack([one, x, x**2, log_g - 4.44, one * zeta], -1) @ c.laws[:-N_SIGNED].T
    positive = jnp.exp(3.5 - jax.nn.softplus(3.5 - law))  # levels off at e^3.5
    held = 0.4 * jnp.tanh(x / 0.4)  # continua of stars far from the calibrated ones are left alone
    signed = jnp.stack([one, held, held**2, log_g - 4.44, one * zeta], -1) @ c.laws[-N_SIGNED:].T
    return jnp.concatenate([positive, jnp.tanh(signed)], -1)


@record
class AtmosphereTables:
    """Continua and opacity profiles that no coefficient touches, tabulated once on the host."""

    teff: Float[Array, "star"] = quantity("K", "effective temperature of the kinds of star")
    log_g: Float[Array, "star"] = quantity("dex", "gravity of the kinds of star [cm/s2]")
    share: Float[Array, "star"] = quantity("", "share of a black body's luminosity inside WAVE_LIMITS")
    ln_planck: Float[Array, "star long"] = quantity("", "ln of the Planck function per wavelength, up to a constant")
    profiles: Float[Array, "feature long"] = quantity("", "opacity profiles above the Lyman edge")
    ultraviolet: Float[Array, "3 long"] = quantity("", "profiles and window of `hot_stars.ultraviolet_profiles`")
    black_body: Float[Array, "hot short"] = quantity("1/Angstrom", "black bodies below the Lyman edge")
    in_range: Float[Array, "3 short"] = quantity("", "which of the three ranges a wavelength is in")
    norm_ln_planck: Float[Array, "star norm"] = quantity("", "ln_planck on NORM_WAVE")
    norm_profiles: Float[Array, "feature norm"] = quantity("", "profiles on NORM_WAVE")
    norm_ultraviolet: Float[Array, "3 norm"] = quantity("", "ultraviolet on NORM_WAVE")
    norm_weight: Float[Array, "norm"] = quantity("Angstrom", "quadrature weights of NORM_WAVE")


def _ln_planck(wave: np.ndarray, teff: np.ndarray) -> np.ndarray:
    x = HC_K_ANGSTROM / (wave * teff[:, None])
    return -5 * np.log(wave / 5500.0) - x - np.log(-np.expm1(-x))


def _planck_share(teff: np.ndarray) -> np.ndarray:
    def below(limit: float) -> np.ndarray:  # luminosity share at wavelengths below the limit
        x = HC_K_ANGSTROM / (limit * teff[:, None])
        n = np.arange(1.0, 60.0)
        series = np.exp(-n * x) * (x**3 / n + 3 * x**2 / n**2 + 6 * x / n**3 + 6 / n**4)
        return series.sum(-1) * 15 / np.pi**4

    return below(WAVE_LIMITS[1]) - below(WAVE_LIMITS[0])


def atmosphere_tables(wave: Float[np.ndarray, "wave"], fwhm: Float[np.ndarray, "wave"]) -> AtmosphereTables:
    """Tables for the kinds of star LOG_T_NODES x LOG_G_NODES; wave, resolution fwhm [Angstrom]."""
    log_t, log_g = (x.reshape(-1) for x in np.meshgrid(LOG_T_NODES, LOG_G_NODES, indexing="ij"))
    teff = 10**log_t
    short, wave, fwhm = wave[wave < LYMAN_EDGE], wave[wave >= LYMAN_EDGE], fwhm[wave >= LYMAN_EDGE]
    values: dict[str, Any] = dict(
        teff=teff,
        log_g=log_g,
        share=_planck_share(teff),
        ln_planck=_ln_planck(wave, teff),
        profiles=profiles(wave, fwhm),
        ultraviolet=hot_stars.ultraviolet_profiles(wave),
        black_body=hot_stars.black_bodies(short),
        in_range=hot_stars.in_range(short),
        norm_ln_planck=_ln_planck(NORM_WAVE, teff),
        norm_profiles=profiles(NORM_WAVE, NORM_WAVE * 0.0065),
        norm_ultraviolet=hot_stars.ultraviolet_profiles(NORM_WAVE),
        norm_weight=np.gradient(NORM_WAVE),
    )
    return AtmosphereTables(**values)


def star_spectra(
    c: SpectrumCoefficients, hot: hot_stars.HotStarCoefficients, t: AtmosphereTables, zeta: Float[Array, ""]
) -> Float[Array, "star long"]:
    """Spectra [1/Angstrom] of all kinds of star above the Lyman edge, for unit luminosity; zeta = log10(Z / 0.02)."""
    a, uv = strengths(c, t.teff, t.log_g, zeta), hot_stars.ultraviolet(hot, t.teff)
    norm = jnp.exp(t.norm_ln_planck - a @ t.norm_profiles) * t.norm_weight
    window = norm * t.norm_ultraviolet[2]
    kept = window.sum(-1) / (window * jnp.exp(-uv @ t.norm_ultraviolet[:2])).sum(-1)
    changed = 1 + t.ultraviolet[2] * (jnp.exp(-uv @ t.ultraviolet[:2]) * kept[:, None] - 1)
    return jnp.exp(t.ln_planck - a @ t.profiles) * changed * (t.share / norm.sum(-1))[:, None]
