"""Point spread function: its width, how far it reaches, and how finely it has to be sampled.

Moffat (1969): the fraction (1 + r^2/alpha^2)^(1 - beta) of the energy lies beyond r;
alpha = FWHM / (2 sqrt(2^(1/beta) - 1)).
"""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.ifu.instrument import Instrument, output_wave
from galdiff.ifu.spread_functions import PSF, psf_fwhm
from galdiff.units import FWHM_PER_SIGMA

ENERGY_LOST, EDGE = 1e-4, 1e-6  # energy beyond the wings that are kept; brightness there in units of the peak
TAPER = 0.15  # wings fade to zero over this fraction of their radius
CELLS_PER_FWHM, MAX_CELLS = 2.2, 7  # of the sky, at least; in a spaxel and axis, at most
ANCHOR_STEP = 0.08  # largest change of ln(width of an image) between wavelengths at which the PSF is evaluated


@dataclasses.dataclass(frozen=True)
class Wings:
    """How far the PSF reaches."""

    radius: tuple[int, int]  # half-sizes (y, x) of its kernel [spaxel]
    fade: float  # where it begins to fade to zero, in a circle [arcsec]
    cells: tuple[int, int] = (1, 1)  # in a spaxel (y, x); stars are shared between cells


def fwhm_at(psf: PSF, wave: Float[Array, "..."], scale: Float[ArrayLike, ""] = 1.0) -> Float[Array, "..."]:
    """FWHM [arcsec] at the observed wavelength `wave` [Angstrom]; `scale` is a trainable factor."""
    return jnp.asarray(scale * psf_fwhm(psf, jnp.asarray(wave)))


def widest_fwhm(instr: Instrument) -> float:
    """Largest FWHM [arcsec] over the instrument's wavelengths."""
    ends = output_wave(instr)[[0, -1]]  # the width is monotonic, or nearly so
    return float(psf_fwhm(instr.psf, ends).max())


def kernel_radius(instr: Instrument, max_scale: float = 1.0) -> tuple[int, int]:
    """Half-sizes (y, x) of the kernel [spaxel], Python integers: 3 FWHM (Moffat) or 5 sigma (Gaussian), rounded up.

    Args:
      instr: gives the PSF and the spaxels.
      max_scale: largest factor on the FWHM that will be asked for [1].
    """
    psf = instr.psf
    if psf.kind == "none":
        return 0, 0
    reach = widest_fwhm(instr) * max_scale * (3.0 if psf.kind == "moffat" else 5.0 / FWHM_PER_SIGMA)
    ry, rx = (max(1, math.ceil(reach / s - 1e-6)) for s in (instr.spaxel_y_arcsec, instr.spaxel_x_arcsec))
    return ry, rx


def radius_beyond(psf: PSF, fwhm: float, energy: float) -> float:
    """Radius [arcsec] beyond which this fraction of a Moffat's energy [1] lies, for this FWHM [arcsec]."""
    log = min(-math.log(energy) / max(psf.beta - 1.0, 1e-9), 25.0)  # wings of beta near 1 have no end
    return math.sqrt(fwhm**2 / (4.0 * (2.0 ** (1.0 / psf.beta) - 1.0)) * math.expm1(log))


def cells_of(instr: Instrument) -> tuple[int, int]:
    """Cells in a spaxel (y, x): as many as give the narrowest PSF CELLS_PER_FWHM of them, and at most MAX_CELLS.

    Where spaxels are wide against the PSF, an image depends on where in its spaxel a star lies, and a share between
    whole spaxels does not tell. More than MAX_CELLS are not needed: the spaxel is then what widens the image.
    """
    if instr.psf.kind == "none":
        return 1, 1
    narrowest = float(psf_fwhm(instr.psf, output_wave(instr)[[0, -1]]).min())
    y, x = (
        min(max(1, math.ceil(CELLS_PER_FWHM * s / narrowest - 1e-6)), MAX_CELLS)
        for s in (instr.spaxel_y_arcsec, instr.spaxel_x_arcsec)
    )
    return y, x


def wings_of(instr: Instrument, margin: tuple[int, int], max_scale: float = 1.0) -> Wings:
    """Wings that lose less than ENERGY_LOST of the energy and end fainter than EDGE of the peak.

    A Gaussian ends with the margin. A Moffat reaches further; the field sets an end to the kernel, not to the wings,
    where they are longer: no offset beyond field and margin is asked for.

    Args:
      instr: gives the PSF, the field and the spaxels.
      margin: spaxels (y, x) rendered around the field.
      max_scale: largest factor on the FWHM that will be asked for [1].
    """
    psf = instr.psf
    if psf.kind != "moffat":
        return Wings(margin, math.inf, cells_of(instr))
    faint = EDGE ** ((psf.beta - 1.0) / psf.beta)  # energy beyond the radius of that brightness
    fade = radius_beyond(psf, max_scale * widest_fwhm(instr), min(ENERGY_LOST, faint))
    ry = min(math.ceil((1.0 + TAPER) * fade / instr.spaxel_y_arcsec), instr.n_y + margin[0] - 1)
    rx = min(math.ceil((1.0 + TAPER) * fade / instr.spaxel_x_arcsec), instr.n_x + margin[1] - 1)
    return Wings((ry, rx), fade, cells_of(instr))


def anchor_waves(instr: Instrument) -> np.ndarray:
    """Wavelengths at which a chromatic PSF is evaluated, shape (anchor,), observed [Angstrom]; one if achromatic.

    Between them, images are blended. Their width, the FWHM and 0.4 spaxels in quadrature, changes by equal
    factors from one to the next.
    """
    if not instr.psf.chromatic:
        return np.array([instr.psf.wave_ref])
    first, last = (float(w) for w in output_wave(instr)[[0, -1]])
    wave = np.geomspace(first, last, 512)
    width = np.hypot(psf_fwhm(instr.psf, wave), 0.4 * min(instr.spaxel_y_arcsec, instr.spaxel_x_arcsec))
    change = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(np.log(width))))])
    count = 2 + math.floor(change[-1] / ANCHOR_STEP)
    return np.interp(np.linspace(0.0, change[-1], count), change, wave)


def anchor_weights(wave: ArrayLike, anchors: np.ndarray) -> np.ndarray:
    """Weights [1], shape (anchor, wave), linear in wavelength [Angstrom] between anchors; each column sums to 1."""
    wave = np.asarray(wave, np.float64)
    return np.stack([np.interp(wave, anchors, row) for row in np.eye(len(anchors))])
