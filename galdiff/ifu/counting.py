"""Electrons that an instrument counts in an exposure.

A flux density F [erg/s/cm2/Angstrom] gives F A T(l) 10^(-0.4 k(l)) width l / (h c) electrons per second: A the area of
the telescope, T the throughput without the atmosphere, k its extinction at the zenith. The sky is not dimmed twice.
"""

from typing import Any

import numpy as np

from galdiff import units
from galdiff.errors import InputError
from galdiff.ifu.detector import CURVES, Detector
from galdiff.ifu.instrument import Instrument


def detector_of(instrument: Instrument) -> Detector:
    """The detector of an instrument.

    Raises:
      InputError: its file says nothing of one.
    """
    if instrument.detector is None:
        raise InputError(
            f"noise.mode is exposure, but {instrument.name} has no instrument.detector; choose an instrument that has"
            " one (docs/instruments.md), give those keys, or set noise.snr with another noise.mode"
        )
    return instrument.detector


def ab_flux(mag: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """Flux density [1e-20 erg/s/cm2/Angstrom] of AB magnitudes at wavelengths [Angstrom], same shape."""
    f_nu = 10 ** (-0.4 * (np.asarray(mag, np.float64) - units.AB_ZERO_POINT))
    return f_nu * units.C_KMS * 1e13 / np.asarray(wave, np.float64) ** 2 / units.FLUX_UNIT


def counting(
    instrument: Instrument,
    wave: np.ndarray,
    *,
    exposure_s: float,
    n_exposures: int,
    sky: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Arguments of `galdiff.ifu.noise.detector_variance` for the pixels of an observation.

    Args:
      instrument: with a detector.
      wave: centres of the pixels [Angstrom], shape (wave,).
      exposure_s: time of all exposures [s].
      n_exposures: how many.
      sky: wavelengths [Angstrom] and brightness [1e-20 erg/s/cm2/Angstrom/arcsec2], in place of the instrument's.

    Raises:
      InputError: the instrument has no detector, or the sky's table does not reach over its pixels.
    """
    detector, wave = detector_of(instrument), np.asarray(wave, np.float64)
    through, dimming, mag = (np.interp(wave, detector.wave, getattr(detector, name)) for name in CURVES)
    seen = 10 ** (-0.4 * dimming)
    photons = units.FLUX_UNIT * wave / units.HC_ERG_ANGSTROM * detector.telescope_area_m2 * 1e4 * np.gradient(wave)
    brightness = ab_flux(mag, wave) if sky is None else _at(sky, wave)
    return {
        "sensitivity": photons * through * seen,
        "sky": brightness * instrument.spaxel_x_arcsec * instrument.spaxel_y_arcsec / seen,
        "dark": detector.dark_electron_per_hour / 3600 * detector.pixels,
        "read": detector.read_noise_electron * np.sqrt(detector.pixels),
        "exposure_s": float(exposure_s),
        "n_exposures": int(n_exposures),
    }


def _at(sky: tuple[np.ndarray, np.ndarray], wave: np.ndarray) -> np.ndarray:
    """A table of the sky as means over the pixels, so that no narrow line falls between two of them."""
    at, values = (np.asarray(x, np.float64) for x in sky)
    middle = (wave[1:] + wave[:-1]) / 2
    edges = np.concatenate([[2 * wave[0] - middle[0]], middle, [2 * wave[-1] - middle[-1]]])
    if at[0] > edges[0] or at[-1] < edges[-1]:
        raise InputError(
            f"noise.sky covers {at[0]:.0f}-{at[-1]:.0f} Angstrom, the pixels {edges[0]:.0f}-{edges[-1]:.0f}; give a"
            " table that covers them"
        )
    total = np.concatenate([[0.0], np.cumsum(np.diff(at) * (values[1:] + values[:-1]) / 2)])
    return np.diff(np.interp(edges, at, total)) / np.diff(edges)
