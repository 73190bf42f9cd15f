"""A library with other stars than a given one: a stand-in for the stars of nature, where a fit must not know them."""

import dataclasses
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.records import SSPGrid

# centre and half width [Angstrom]
MAGNESIUM = ((5176.0, 25.0), (4740.0, 40.0))
IRON = (
    *((4394.0, 26.0), (4536.0, 24.0), (5016.0, 32.0), (5267.0, 20.0), (5334.0, 20.0), (5404.0, 14.0), (5709.0, 13.0)),
)


@buildable
def enhanced(
    library: SSPGrid, *, magnesium: float = 0.2, iron: float = 0.2, tilt: float = -0.1, width: float = 60.0
) -> SSPGrid:
    """A library with other stars: features of magnesium and iron of another depth, and bluer or redder old stars.

    The depth of a feature is ln(flux) over that smoothed in wavelength, so that no light of the continuum is moved. It
    changes with metallicity and the tilt with age, as they would with the abundances of the stars.

    Args:
      library: as it is.
      magnesium, iron: by which share features are deeper at Z = 0.02; half of it at Z = 0.002.
      tilt: d ln(flux) / d ln(wave) added at 10 Gyr, none at 1 Gyr.
      width: sigma of the smoothing [Angstrom].

    Raises:
      InputError: the library does not reach the features.
    """
    wave, flux = np.asarray(library.ssp_wave, float), np.asarray(library.ssp_flux, float)
    centres = [centre for centre, _ in (*MAGNESIUM, *IRON)]
    near = (wave > min(centres) - 10 * width) & (wave < max(centres) + 10 * width)
    if near.sum() < 2:
        raise InputError(f"'{library.name}' has none of the features, {min(centres):g} to {max(centres):g} Angstrom")
    seen, ln_flux = wave[near], np.log(np.maximum(flux[..., near], 1e-30))
    fine = np.arange(seen[0], seen[-1], 1.0)
    even = np.apply_along_axis(lambda row: np.interp(fine, seen, row), -1, ln_flux)
    smooth = gaussian_filter1d(even, width, axis=-1, mode="nearest")
    depth = ln_flux - np.apply_along_axis(lambda row: np.interp(seen, fine, row), -1, smooth)
    strength = np.maximum(1 + 0.5 * (np.asarray(library.ssp_lgmet, float) + 1.7), 0.0)
    change: Any = np.zeros_like(flux)
    for share, bands in ((magnesium, MAGNESIUM), (iron, IRON)):
        inside = sum(np.exp(-0.5 * ((seen - centre) / half) ** 4) for centre, half in bands)
        change[..., near] += share * strength[:, None, None] * inside * depth
    old = np.asarray(library.ssp_lg_age_gyr, float)[None, :, None]
    change += tilt * old * np.log(wave / 5500.0)
    made: Any = flux * np.exp(change)
    return dataclasses.replace(library, ssp_flux=made, name=f"{library.name}, enhanced")
