"""Opacity profiles of named features, as functions of wavelength alone; their strengths are in `spectra.py`.

A profile times its strength is an optical depth. Lines are Gaussians (or damping wings) of unit area times the
equivalent width of `lines.py`; molecular bands are ramps that end at a band head (wavelengths of the heads: Pearse &
Gaydon 1976, The Identification of Molecular Spectra; TiO as in Valenti et al. 1998, ApJ 498, 851, table 1).
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from galdiff.core.air import air_to_vacuum
from galdiff.sps.analytic import lines
from galdiff.units import FWHM_PER_SIGMA

BALMER = tuple((wave, width, "vacuum") for wave, width in lines.hydrogen(2, 17))
PASCHEN = tuple((wave, width, "vacuum") for wave, width in lines.hydrogen(3, 18))
LYMAN = tuple((wave, width, "vacuum") for wave, width in lines.hydrogen(1, 3))

# name: lines, Gaussian width of the line itself [Angstrom], half width of damping wings [Angstrom] or 0
LINES = {
    "balmer_core": (BALMER, 2.5, 0.0),
    "balmer_wing": (BALMER, 0.0, 9.0),
    "paschen": (PASCHEN, 5.0, 0.0),
    "lyman": (LYMAN, 0.0, 8.0),
    "helium": (lines.parse(lines.HELIUM), 1.0, 0.0),
    "ca_hk_core": (lines.parse(lines.CA_HK), 2.0, 0.0),
    "ca_hk_wing": (lines.parse(lines.CA_HK), 0.0, 7.0),
    "iron": (lines.parse(lines.IRON), 0.3, 0.0),
    "calcium": (lines.parse(lines.CALCIUM), 0.3, 0.0),
    "ca_4227": (lines.parse(lines.CA_4227), 0.8, 0.0),
    "magnesium": (lines.parse(lines.MAGNESIUM), 0.4, 0.0),
    "mg_b": (lines.parse(lines.MG_B), 1.2, 0.0),
    "mg_blue": (lines.parse(lines.MG_BLUE), 1.2, 0.0),
    "ionised": (lines.parse(lines.IONISED), 0.3, 0.0),
    "silicon_aluminium": (lines.parse(lines.SILICON_ALUMINIUM), 0.6, 0.0),
    "sodium_d": (lines.parse(lines.SODIUM_D), 1.0, 0.0),
    "alkali_red": (lines.parse(lines.ALKALI_RED), 0.8, 0.0),
    "ca_triplet": (lines.parse(lines.CA_TRIPLET), 1.0, 0.0),
    "ca_triplet_wing": (lines.parse(lines.CA_TRIPLET), 0.0, 4.0),
    "magnesium_uv": (lines.parse(lines.MAGNESIUM_UV), 6.0, 0.0),
    "iron_uv": (lines.parse(lines.IRON_UV), 12.0, 0.0),
    "ch_g_band": (lines.parse("4288 .7,4294 1.,4299 1.2,4304 1.4,4309 1.4,4313 1.,4323 .7,4330 .4"), 3.0, 0.0),
}

# name: (band head in air, length in the direction in which the band fades [Angstrom], depth)
BANDS = {
    "cn": ((3883.4, -40.0, 1.0), (4216.0, -75.0, 0.3), (3590.0, -40.0, 0.6)),
    "c2": ((4737.0, -80.0, 1.0), (5165.0, -90.0, 0.9), (5635.0, -90.0, 0.5)),
    "mgh": ((5211.0, -170.0, 1.0), (4845.0, -70.0, 0.3), (5621.0, -60.0, 0.2)),
    "cah": ((6946.0, -80.0, 1.0), (6880.0, -110.0, 0.8), (6385.0, 35.0, 0.5)),
    "tio_blue": (
        (4584.0, 90.0, 0.4),
        (4761.0, 150.0, 0.7),
        (4954.0, 160.0, 1.0),
        (5167.0, 220.0, 1.2),
        (5448.0, 150.0, 0.9),
        (5598.0, 100.0, 0.4),
        (5759.0, 90.0, 0.5),
        (5847.0, 160.0, 0.8),
    ),
    "tio_red": (
        (6158.0, 230.0, 1.0),
        (6651.0, 180.0, 0.9),
        (7054.0, 330.0, 1.4),
        (7589.0, 260.0, 0.9),
        (8432.0, 200.0, 0.7),
        (8860.0, 250.0, 0.5),
        (9209.0, 200.0, 0.5),
    ),
    "feh": ((9896.0, 120.0, 1.0), (11940.0, 250.0, 0.6)),
    "co": ((22935.0, 1800.0, 1.0), (15780.0, 900.0, 0.35), (16190.0, 900.0, 0.35)),
}

# smooth bumps [Angstrom centre, width in ln wavelength] of the continuum; strength may have either sign
BUMPS = {
    "continuum_3600": (3600.0, 0.05),
    "continuum_3900": (3900.0, 0.05),
    "continuum_4300": (4300.0, 0.06),
    "continuum_4800": (4800.0, 0.065),
    "continuum_5400": (5400.0, 0.07),
    "continuum_6100": (6100.0, 0.075),
    "continuum_6900": (6900.0, 0.075),
    "continuum_7800": (7800.0, 0.08),
    "continuum_8800": (8800.0, 0.08),
    "h_minus_dip": (16400.0, 0.2),
}
WATER = ((14000.0, 0.045, 1.0), (18900.0, 0.05, 1.2), (11500.0, 0.03, 0.3))  # centre, width in ln wavelength, depth
SMOOTH = ("balmer_edge", "paschen_edge", "metal_break", "metal_uv", "water")
NAMES = (*LINES, *BANDS, *SMOOTH, *BUMPS)
N_SIGNED = len(BUMPS)  # the last of NAMES: strength enters linearly


def to_vacuum(wave: float) -> float:
    """Vacuum wavelength [Angstrom] of a wavelength in air."""
    return float(air_to_vacuum(np.asarray(wave)))


def _line_group(wave: np.ndarray, sigma: np.ndarray, group: Any, width: float, wing: float) -> np.ndarray:
    centre = np.array([line[0] if len(line) == 3 else to_vacuum(line[0]) for line in group])[:, None]
    if wing:
        half = np.sqrt(wing**2 + (1.177 * sigma) ** 2)
        shape = half / np.pi / ((wave - centre) ** 2 + half**2)
    else:
        s = np.sqrt(sigma**2 + width**2)
        shape = np.exp(-0.5 * ((wave - centre) / s) ** 2) / s / np.sqrt(2 * np.pi)
    return np.array([line[1] for line in group]) @ shape


def _band(wave: np.ndarray, sigma: np.ndarray, band: Any) -> np.ndarray:
    head, length, depth = to_vacuum(band[0]), band[1], band[2]
    fade = np.exp(-1.5 * np.clip((wave - head) / length, 0.0, 60.0))
    return depth * fade * expit((wave - head) * np.sign(length) / (0.7 * sigma + 2.0))


def _edge(wave: np.ndarray, limit: float, width: float) -> np.ndarray:
    """Bound-free opacity below a series limit, ~ wave^3; the merging lines round it off redwards."""
    return (wave / limit) ** 3 * expit(-(wave - limit * (1 + 4.0 * width)) / (limit * width))


def _bump(wave: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.exp(-0.5 * (np.log(wave / centre) / width) ** 2)


def _held(wave: np.ndarray, name: str) -> np.ndarray:
    """The outermost continuum bumps stay level beyond their centre, so that nothing jumps where the data end."""
    if name == "continuum_3600":
        return np.maximum(wave, BUMPS[name][0])
    return np.minimum(wave, BUMPS[name][0]) if name == "continuum_8800" else wave


def _smooth(wave: np.ndarray) -> list[np.ndarray]:
    blue = np.logaddexp(0.0, np.log(3900.0 / wave) / 0.05) * 0.05
    return [
        _edge(wave, 3646.9, 0.004),
        _edge(wave, 8206.0, 0.004),
        expit(np.log(3990.0 / wave) / 0.006) * np.minimum(3990.0 / wave, 1.3),
        np.expm1(2 * blue),
        sum(depth * _bump(wave, centre, width) for centre, width, depth in WATER),
    ]


def profiles(wave: Float[np.ndarray, "wave"], fwhm: Float[np.ndarray, "wave"]) -> Float[np.ndarray, "feature wave"]:
    """Opacity profiles of NAMES at the given resolution.

    Args:
      wave: vacuum wavelength [Angstrom].
      fwhm: resolution FWHM [Angstrom].
    """
    sigma = fwhm / FWHM_PER_SIGMA
    rows = [_line_group(wave, sigma, *group) for group in LINES.values()]
    rows += [np.sum([_band(wave, sigma, band) for band in group], 0) for group in BANDS.values()]
    rows += _smooth(wave)
    rows += [_bump(_held(wave, name), *bump) for name, bump in BUMPS.items()]
    return np.stack(rows)
