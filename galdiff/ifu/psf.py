"""Point spread function: kernels averaged over the spaxel, and their convolution with an image or a cube.

Gaussian: sigma = FWHM / 2.354820. Moffat (1969): P(r) = (beta - 1)/(pi alpha^2) (1 + r^2/alpha^2)^-beta with
alpha = FWHM / (2 sqrt(2^(1/beta) - 1)).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.kernels import VARIANCE
from galdiff.ifu.instrument import Instrument, output_wave
from galdiff.ifu.spread_functions import PSF, psf_fwhm
from galdiff.units import FWHM_PER_SIGMA

SUB = 11  # points per spaxel and axis that the kernel is averaged over
MIN_VARIANCE = 1e-4  # [spaxel^2]; what is left when a kernel is as wide as the PSF: practically a point


def fwhm_at(psf: PSF, wave: Float[Array, "..."], scale: Float[ArrayLike, ""] = 1.0) -> Float[Array, "..."]:
    """FWHM [arcsec] at the observed wavelength `wave` [Angstrom]; `scale` is a trainable factor."""
    return jnp.asarray(scale * psf_fwhm(psf, jnp.asarray(wave)))


def kernel_radius(instr: Instrument, max_scale: float = 1.0) -> tuple[int, int]:
    """Half-sizes (y, x) of the kernel [spaxel], Python integers: 3 FWHM (Moffat) or 5 sigma (Gaussian), rounded up.

    Args:
      instr: gives the PSF and the spaxels.
      max_scale: largest factor on the FWHM that will be asked for [1].
    """
    psf = instr.psf
    if psf.kind == "none":
        return 0, 0
    ends = output_wave(instr)[[0, -1]]  # the width is monotonic, or nearly so
    width = psf_fwhm(psf, ends)
    reach = float(width.max()) * max_scale * (3.0 if psf.kind == "moffat" else 5.0 / FWHM_PER_SIGMA)
    ry, rx = (max(1, math.ceil(reach / s - 1e-6)) for s in (instr.spaxel_y_arcsec, instr.spaxel_x_arcsec))
    return ry, rx


def variance_to_subtract(instr: Instrument, assignment: str) -> tuple[float, float]:
    """Variance (y, x) [arcsec^2] that sharing particles between spaxels has already added; see `core.kernels`.

    Zero for other than Gaussian PSFs, which do not add up by their variances.
    """
    if instr.psf.kind != "gaussian":
        return 0.0, 0.0
    v = VARIANCE[assignment]
    return v * instr.spaxel_y_arcsec**2, v * instr.spaxel_x_arcsec**2


def psf_kernel(
    instr: Instrument,
    fwhm: Float[ArrayLike, ""],
    radius: tuple[int, int],
    *,
    beta: Float[ArrayLike, ""] | None = None,
    less: tuple[float, float] = (0.0, 0.0),
    sub: int = SUB,
) -> Float[Array, "ky kx"]:
    """PSF averaged over sub x sub points of each spaxel, with sum 1; differentiable in fwhm and beta.

    Args:
      instr: gives the kind of PSF and the spaxel sizes.
      fwhm: FWHM [arcsec].
      radius: half-sizes (y, x) [spaxel], static; the kernel is (2 ry + 1, 2 rx + 1).
      beta: Moffat exponent [1]; the instrument's own where None.
      less: variance (y, x) taken off a Gaussian [arcsec^2], from `variance_to_subtract`.
      sub: points per spaxel and axis; 1 takes the value at the centre, as RUBIX does.
    """
    fwhm = jnp.asarray(fwhm)
    kind = instr.psf.kind
    if kind == "none":
        return jnp.ones((1, 1), fwhm.dtype)
    y = _sub_points(radius[0], instr.spaxel_y_arcsec, sub).astype(fwhm.dtype)
    x = _sub_points(radius[1], instr.spaxel_x_arcsec, sub).astype(fwhm.dtype)
    if kind == "gaussian":
        ky = _gaussian(y, fwhm, less[0], instr.spaxel_y_arcsec)
        kx = _gaussian(x, fwhm, less[1], instr.spaxel_x_arcsec)
        return ky[:, None] * kx[None, :]
    beta = jnp.asarray(instr.psf.beta if beta is None else beta, fwhm.dtype)
    alpha2 = fwhm**2 / (4.0 * (2.0 ** (1.0 / beta) - 1.0))
    r2 = y[:, :, None, None] ** 2 + x[None, None] ** 2
    kernel = ((1.0 + r2 / alpha2) ** -beta).mean((1, 3))
    return kernel / kernel.sum()


def convolve(
    image: Float[Array, "..."],
    kernel: Float[Array, "ky kx"],
    radius: tuple[int, int],
    axes: tuple[int, int] = (-2, -1),
) -> Float[Array, "..."]:
    """Convolve by FFT and cut off the margin.

    Args:
      image: rendered with a margin of `radius` on each side, any unit; so light from outside the field comes in.
      kernel: PSF, as `psf_kernel` makes it.
      radius: half-sizes (y, x) of the kernel [spaxel].
      axes: which axes of the image are y and x; (0, 1) for a cube [y, x, wave], which needs no transposition.

    Returns:
      Image without its margin. Exact: the transform is long enough that nothing kept has wrapped around.
    """
    ny, nx = (image.shape[axis] for axis in axes)
    shape = (_fast_size(ny), _fast_size(nx))
    others = [i for i in range(image.ndim) if i not in {axis % image.ndim for axis in axes}]
    transfer = jnp.expand_dims(jnp.fft.rfft2(kernel, shape), others)
    full = jnp.fft.irfft2(jnp.fft.rfft2(image, shape, axes=axes) * transfer, shape, axes=axes)
    cut = [slice(None)] * image.ndim
    for axis, r, n in zip(axes, radius, (ny, nx), strict=True):
        cut[axis] = slice(2 * r, n)
    return full[tuple(cut)].astype(image.dtype)


def anchor_waves(instr: Instrument, count: int = 4) -> np.ndarray:
    """Wavelengths at which a chromatic PSF is evaluated, shape (anchor,), observed [Angstrom]; one if achromatic."""
    wave = output_wave(instr)
    if not instr.psf.chromatic:
        return np.array([instr.psf.wave_ref])
    return np.geomspace(wave[0], wave[-1], count)


def anchor_weights(wave: ArrayLike, anchors: np.ndarray) -> np.ndarray:
    """Weights [1], shape (anchor, wave), linear in wavelength [Angstrom] between anchors; each column sums to 1."""
    wave = np.asarray(wave, np.float64)
    return np.stack([np.interp(wave, anchors, row) for row in np.eye(len(anchors))])


def _sub_points(radius: int, spaxel: float, sub: int) -> Float[Array, "k sub"]:
    """Offsets [arcsec] of the sub-points of each spaxel from the centre of the kernel."""
    centre = np.arange(-radius, radius + 1)[:, None]
    return jnp.asarray((centre + (np.arange(sub) - (sub - 1) / 2) / sub) * spaxel)


def _gaussian(points: Float[Array, "k sub"], fwhm: Float[Array, ""], less: float, spaxel: float) -> Float[Array, "k"]:
    variance = (fwhm / FWHM_PER_SIGMA) ** 2 - less
    floor = MIN_VARIANCE * spaxel**2
    variance = jnp.where(variance > floor, variance, floor)
    # subtracting the largest exponent keeps a very narrow PSF from underflowing everywhere
    exponent = -0.5 * points**2 / variance
    kernel = jnp.exp(exponent - jax.lax.stop_gradient(exponent.max())).mean(1)
    return kernel / kernel.sum()


def _fast_size(n: int) -> int:
    """Smallest length of at least n whose only prime factors are 2, 3 and 5."""
    while True:
        m = n
        for p in (2, 3, 5):
            while m % p == 0:
                m //= p
        if m == 1:
            return n
        n += 1
