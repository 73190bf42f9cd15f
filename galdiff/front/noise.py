"""The noise that settings ask for."""

from typing import Any

import numpy as np
from omegaconf import DictConfig

from galdiff.errors import InputError
from galdiff.ifu.counting import detector_of
from galdiff.ifu.instrument import Instrument
from galdiff.io.tables import read_columns
from galdiff.observing.noise import EXPOSURE

SKY_UNITS = {"wave": "Angstrom", "flux": "1e-20 erg / (s cm2 Angstrom arcsec2)"}


def noise_of(noise: DictConfig, instrument: Instrument) -> dict[str, Any]:
    """Arguments of `with_noise` beside the seed.

    Args:
      noise: settings, as in conf/simulate.yaml.
      instrument: the spectrograph.

    Raises:
      InputError: the instrument says nothing of its detector, or of how its spaxels share noise, where that is asked
        for; a table of the sky that cannot be read.
    """
    shared = {"mode": noise.mode, "sigmas": _sigmas(instrument) if noise.covariance else None}
    if noise.mode != EXPOSURE or noise.snr is None:
        level = {name: noise[name] for name in ("snr", "reference", "wave_ref", "background")}
        return {**shared, "mode": "photon" if noise.mode == EXPOSURE else noise.mode, **level}
    detector_of(instrument)
    return {**shared, "exposure_s": noise.exposure_s, "n_exposures": noise.n_exposures, "sky": _sky(noise.sky)}


def _sky(path: str | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Wavelengths [Angstrom] and brightness [1e-20 erg/s/cm2/Angstrom/arcsec2] of a table, or None."""
    if path is None:
        return None
    table = read_columns(path, SKY_UNITS)
    wave, flux = table["wave"], table["flux"]
    if not (np.diff(wave) > 0).all() or not (flux >= 0).all():
        raise InputError(f"noise.sky is {path}: give increasing wavelengths (wave) and flux that is never negative")
    return wave, flux


def _sigmas(instrument: Instrument) -> tuple[float, float]:
    """Sigma of the correlation along (y, x) [spaxel]."""
    if instrument.correlation_arcsec == 0:
        raise InputError(
            f"noise.covariance is true, but {instrument.name} does not say how its spaxels share noise; give"
            " instrument.correlation_arcsec, the sigma of a Gaussian [arcsec], or noise.covariance=false"
        )
    sizes = (instrument.spaxel_y_arcsec, instrument.spaxel_x_arcsec)
    y, x = (instrument.correlation_arcsec / size for size in sizes)
    return y, x
