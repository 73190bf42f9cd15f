"""Broad-band images of a cube: what a camera with a filter would see of it."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff import units
from galdiff.core.air import air_to_vacuum
from galdiff.core.record import quantity, record, static
from galdiff.errors import InputError
from galdiff.photometry.magnitudes import C_ANGSTROM_S
from galdiff.photometry.passband import Passband, band_weights
from galdiff.records import ObservedCube

NANOJANSKY = 1e-32  # erg/s/cm2/Hz


@record
class BandImages:
    """Images of one cube in some passbands."""

    flux: Float[Array, "band y x"] = quantity("nJy", "flux density of each spaxel, photon counting")
    error: Float[Array, "band y x"] = quantity("nJy", "its error, of pixels without covariance")
    surface_brightness: Float[Array, "band y x"] = quantity("mag(AB)/arcsec2", "NaN where the flux is not positive")
    names: tuple[str, ...] = static("passbands", default=())


def band_images(cube: ObservedCube, passbands: Sequence[Passband]) -> BandImages:
    """Images of a cube, one matrix product along its wavelengths; differentiable in its flux.

    Args:
      cube: as an instrument records it, in air or vacuum.
      passbands: that its wavelengths cover.

    Raises:
      InputError: no passband, or one that the cube does not cover.
    """
    if not passbands:
        raise InputError("passbands of an image are empty; give one or more, e.g. load_passband('sdss2010-r')")
    wave = np.asarray(cube.wave, float)
    wave = np.asarray(air_to_vacuum(wave), float) if cube.medium == "air" else wave
    for band in passbands:
        if band.ends[0] < wave[0] or band.ends[1] > wave[-1]:
            raise InputError(
                f"passband {band.name} runs from {band.ends[0]:.0f} to {band.ends[1]:.0f} Angstrom, but the cube from"
                f" {wave[0]:.0f} to {wave[-1]:.0f} (vacuum); choose another passband or instrument"
            )
    to_njy = units.FLUX_UNIT / C_ANGSTROM_S / NANOJANSKY
    weights = jnp.stack([band_weights(band, jnp.asarray(wave)) for band in passbands]) * to_njy
    weights = weights.astype(cube.flux.dtype)
    flux = jnp.einsum("yxw,bw->byx", cube.flux, weights)
    error = jnp.sqrt(jnp.einsum("yxw,bw->byx", cube.variance, weights**2))
    width, height = cube.spaxel_size
    lit = flux > 0
    mag = 31.4 - 2.5 * jnp.log10(jnp.where(lit, flux, 1.0)) + 2.5 * np.log10(width * height)
    names = tuple(band.name for band in passbands)
    return BandImages(flux=flux, error=error, surface_brightness=jnp.where(lit, mag, jnp.nan), names=names)
