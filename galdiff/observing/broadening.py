"""Motions of stars and the width of an instrument, in the spectrum of a whole galaxy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.light_records import Epoch, Spectrum
from galdiff.observing.galaxy_lines import drawn_lines
from galdiff.units import C_KMS, FWHM_PER_SIGMA

Wave = Float[Array, "wave"]
REACH, N_NODES = 4.5, 37  # of the Gaussian: how far [sigma], and how many points: four to each sigma
LEAST = 1e-3  # km/s: the square root of a width has a slope everywhere


def broadened(wave: Wave, lum: Wave, sigma: Float[ArrayLike, "*wave"]) -> Wave:
    """A spectrum seen through a Gaussian in velocity, by a sum over 37 shifts.

    Features must be wider than a sixth of sigma, as those of a library are; energy is kept, but for the ends of the
    spectrum, which go on level.

    Args:
      wave: wavelength [Angstrom], increasing; lum: spectrum there [any unit per Angstrom].
      sigma: dispersion [km/s], one or one for each wavelength.

    Returns:
      Spectrum of the shape and unit of lum.
    """
    nodes = np.linspace(-REACH, REACH, N_NODES)
    share = np.exp(-(nodes**2) / 2)
    width = jnp.broadcast_to(jnp.asarray(sigma, wave.dtype), wave.shape) / C_KMS
    shift = jnp.exp(width[:, None] * jnp.asarray(nodes, wave.dtype))  # of wavelength: what is there comes here
    return (jnp.interp(wave[:, None] * shift, wave, lum) * shift) @ jnp.asarray(share / share.sum(), wave.dtype)


def instrument_sigma(
    wave: Wave, redshift: Float[ArrayLike, ""], fwhm: float, fwhm_library: float
) -> Float[Array, "wave"]:
    """Dispersion [km/s] that an instrument adds to spectra of a library, in quadrature; none where it is the sharper.

    Args:
      wave: rest-frame wavelength [Angstrom]; redshift: of the galaxy [1].
      fwhm: of the instrument [Angstrom, observed].
      fwhm_library: of the library [Angstrom, at rest].
    """
    instrument = fwhm / (1 + jnp.asarray(redshift))
    extra = jnp.maximum(instrument**2 - fwhm_library**2, 0.0)
    return jnp.sqrt(jnp.where(extra > 0, extra, 1e-30)) / wave * (C_KMS / FWHM_PER_SIGMA)


def with_lines(spectrum: Spectrum, sigma: Float[ArrayLike, ""]) -> Wave:
    """Continuum and lines [Lsun/Angstrom] on the wavelengths of a spectrum; lines of gas of a dispersion [km/s]."""
    return spectrum.lum + drawn_lines(spectrum.wave, spectrum.line_wave, spectrum.line_lum, sigma)


class Broadening(Stage):
    """The continuum as moving stars and an instrument show it; lines stay narrow until they are drawn.

    Args of the constructor:
      sigma_v: velocity dispersion of the stars along the line of sight [km/s].
      fwhm: of the instrument [Angstrom, observed]; 0 for none.
      fwhm_library: of the spectra of the library [Angstrom, at rest], of which the instrument's counts beyond.
    """

    def __init__(self, *, sigma_v: float, fwhm: float, fwhm_library: float) -> None:
        for name, value in (("fwhm", fwhm), ("fwhm_library", fwhm_library)):
            if not 0.0 <= value < 1e4:
                raise InputError(f"{name} of the broadening is {value} Angstrom; give 0 or more, below 1e4")
        self.sigma_v = physical(sigma_v, lo=0.0, hi=2000.0, unit="km/s")
        self.fwhm = fwhm
        self.fwhm_library = fwhm_library

    def __call__(self, spectrum: Spectrum, epoch: Epoch) -> Spectrum:
        """The broadened spectrum."""
        instrument = instrument_sigma(spectrum.wave, epoch.redshift, self.fwhm, self.fwhm_library)
        sigma = jnp.sqrt(self.sigma_v.bounded**2 + instrument**2 + LEAST**2)
        return dataclasses.replace(spectrum, lum=broadened(spectrum.wave, spectrum.lum, sigma))


class NoBroadening(Stage):
    """The spectrum as sharp as the library."""

    def __call__(self, spectrum: Spectrum) -> Spectrum:
        """The same spectrum."""
        return spectrum
