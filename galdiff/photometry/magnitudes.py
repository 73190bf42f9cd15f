"""Magnitudes of a spectrum: observed, in the rest frame, or of one seen from another redshift."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff import units
from galdiff.core.record import quantity, record, static
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.light_records import Epoch, Spectrum
from galdiff.photometry.passband import Passband, band_weights, line_weights

FRAMES = ("observed", "rest")
C_ANGSTROM_S = units.C_KMS * 1e13
FLUX = units.FLUX_OF_ONE_LSUN_AT_ONE_MPC * units.FLUX_UNIT / C_ANGSTROM_S  # erg/s/cm2/Hz per Lsun Angstrom at 1 Mpc
ZERO_POINT = units.AB_ZERO_POINT - 2.5 * math.log10(FLUX)  # mag; as a flux it would vanish in single precision


@record
class Magnitudes:
    """AB magnitudes of a galaxy; NaN where the spectrum does not cover the passband."""

    mag: Float[Array, "band"] = quantity("mag(AB)", "apparent; absolute in the rest frame")
    names: tuple[str, ...] = static("passbands", default=())

    @property
    def maggies(self) -> Float[Array, "band"]:
        """Flux densities per frequency [3631 Jy]."""
        return 10 ** (-0.4 * self.mag)


def ab_magnitude(
    wave: Float[Array, "wave"],
    lum: Float[Array, "... wave"],
    band: Passband,
    redshift: ArrayLike = 0.0,
    distance: ArrayLike = units.TEN_PC_MPC,
    lines: tuple[Float[Array, "line"], Float[Array, "... line"]] | None = None,
) -> Float[Array, "..."]:
    """AB magnitude, photon counting, exact for straight lines between the points of spectrum and passband.

    Args:
      wave: rest-frame vacuum wavelengths [Angstrom].
      lum: luminosity densities there [Lsun/Angstrom].
      band: passband.
      redshift: of the source [1]; distance: luminosity distance [Mpc]; both of shape (). At 0 and 10 pc the magnitude
        is absolute.
      lines: rest wavelengths [Angstrom] and luminosities [Lsun] of narrow lines besides.

    Returns:
      Magnitudes [mag], NaN where the spectrum ends inside the passband or nothing shines.
    """
    stretch = 1 + jnp.asarray(redshift)
    mean = lum @ band_weights(band, wave * stretch) / stretch
    if lines is not None:
        mean = mean + lines[1] @ line_weights(band, lines[0] * stretch)
    lo, hi = band.ends
    covered = (wave[0] * stretch <= lo) & (wave[-1] * stretch >= hi) & (mean > 0)
    modulus = 5 * jnp.log10(distance)
    mag = -2.5 * jnp.log10(jnp.where(covered, mean, 1.0)) + modulus + ZERO_POINT
    return jnp.where(covered, mag, jnp.nan)


def k_correction(
    wave: Float[Array, "wave"],
    lum: Float[Array, "... wave"],
    band: Passband,
    redshift: ArrayLike,
    rest_band: Passband | None = None,
    band_redshift: ArrayLike = 0.0,
) -> Float[Array, "..."]:
    """K-correction K = m - M - DM (Hogg et al. 2002, eq. 2; Blanton & Roweis 2007 for shifted bands).

    Args:
      wave: rest-frame vacuum wavelengths [Angstrom]; lum: luminosity densities there [Lsun/Angstrom].
      band: of the apparent magnitude m at `redshift` [1], of shape ().
      rest_band: of the absolute magnitude M, the same if None, seen from `band_redshift` [1], of shape ().

    Returns:
      K [mag], NaN where the spectrum does not cover a band.
    """
    apparent = ab_magnitude(wave, lum, band, redshift)
    absolute = ab_magnitude(wave, lum, band if rest_band is None else rest_band, band_redshift)
    return apparent - absolute - 2.5 * jnp.log10(1 + jnp.asarray(band_redshift))


class Photometry(Stage):
    """AB magnitudes in some passbands.

    Args of the constructor:
      passbands: `galdiff.photometry.read.load_passband` gives them.
      frame: observed, or rest for absolute magnitudes in the frame of the galaxy.
    """

    def __init__(self, *, passbands: Sequence[Passband], frame: str = "observed") -> None:
        if frame not in FRAMES:
            raise InputError(f"frame of the photometry is '{frame}'; choose observed or rest")
        if not passbands:
            raise InputError("passbands are empty; give one or more, e.g. passbands=[sdss2010-r]")
        self.passbands = tuple(passbands)
        self.frame = frame

    def __call__(self, spectrum: Spectrum, epoch: Epoch, seen: Spectrum | None = None) -> Magnitudes:
        """Magnitudes of the galaxy; those observed are of what is seen of its spectrum, where that is another."""
        rest = self.frame == "rest"
        spectrum = spectrum if rest or seen is None else seen
        redshift, distance = (0.0, units.TEN_PC_MPC) if rest else (epoch.redshift, epoch.luminosity_distance)
        if not isinstance(spectrum.wave, jax.core.Tracer) and not isinstance(redshift, jax.core.Tracer):
            self.check_covered(spectrum.wave, redshift)
        lines = (spectrum.line_wave, spectrum.line_lum)
        each = [ab_magnitude(spectrum.wave, spectrum.lum, band, redshift, distance, lines) for band in self.passbands]
        return Magnitudes(mag=jnp.stack(each), names=tuple(band.name for band in self.passbands))

    def check_covered(self, wave: Float[ArrayLike, "wave"], redshift: ArrayLike = 0.0) -> None:
        """Refuse passbands that rest wavelengths (wave,) [Angstrom] do not cover at a redshift [1]; not traced.

        Raises:
          InputError: naming the passband, and what is covered.
        """
        redshift = 0.0 if self.frame == "rest" else redshift
        stretch = 1 + float(jnp.asarray(redshift))
        lo, hi = (float(np.asarray(wave)[end]) * stretch for end in (0, -1))
        for band in self.passbands:
            if band.ends[0] < lo or band.ends[1] > hi:
                raise InputError(
                    f"passband {band.name} runs from {band.ends[0]:.0f} to {band.ends[1]:.0f} Angstrom, but the"
                    f" spectrum at redshift {stretch - 1:.4g} from {lo:.0f} to {hi:.0f}; choose another passband,"
                    " redshift or library"
                )
