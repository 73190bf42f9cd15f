"""Point spread function: kernels averaged over the spaxel, and their convolution with an image or a cube.

Gaussian: sigma = FWHM / 2.354820. Moffat (1969): P(r) = (beta - 1)/(pi alpha^2) (1 + r^2/alpha^2)^-beta with
alpha = FWHM / (2 sqrt(2^(1/beta) - 1)); the fraction (1 + r^2/alpha^2)^(1 - beta) of the energy lies beyond r.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.kernels import unshared
from galdiff.ifu.instrument import Instrument, output_wave
from galdiff.ifu.spread_functions import PSF, psf_fwhm
from galdiff.units import FWHM_PER_SIGMA

SUB = 11  # points per spaxel and axis that the kernel is averaged over
MIN_FWHM = 1.1  # [spaxel]; shares of narrower PSFs would have negative lobes of tens of per cent
GAUSS_POINTS = 6  # of the Gauss-Legendre rule over a spaxel, per axis
ENERGY_LOST, EDGE = 1e-4, 1e-6  # energy beyond the wings that are kept; brightness there in units of the peak
TAPER = 0.15  # wings fade to zero over this fraction of their radius
TILE_ENERGY = 2e-3  # energy beyond the margin of a tile, at most, where that costs no more than twice the margin


@dataclasses.dataclass(frozen=True)
class Wings:
    """How far the PSF reaches."""

    radius: tuple[int, int]  # half-sizes (y, x) of its kernel [spaxel]
    fade: float  # where it begins to fade to zero, in a circle [arcsec]


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
    return math.sqrt(
        fwhm**2 / (4.0 * (2.0 ** (1.0 / psf.beta) - 1.0)) * math.expm1(min(log, 25.0))
    )  # beta near 1: no end


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
        return Wings(margin, math.inf)
    faint = EDGE ** ((psf.beta - 1.0) / psf.beta)  # energy beyond the radius of that brightness
    fade = radius_beyond(psf, max_scale * widest_fwhm(instr), min(ENERGY_LOST, faint))
    ry = min(math.ceil((1.0 + TAPER) * fade / instr.spaxel_y_arcsec), instr.n_y + margin[0] - 1)
    rx = min(math.ceil((1.0 + TAPER) * fade / instr.spaxel_x_arcsec), instr.n_x + margin[1] - 1)
    return Wings((ry, rx), fade)


def wings_of_tile(instr: Instrument, margin: tuple[int, int]) -> Wings:
    """Wings, and with them the margin, of the tiles of a field: equal in all tiles, or their seams would show.

    Args:
      instr: gives the PSF and the spaxels.
      margin: spaxels (y, x) around the whole field; that of a Moffat's tile is up to twice as wide.
    """
    psf, spaxel = instr.psf, (instr.spaxel_y_arcsec, instr.spaxel_x_arcsec)
    if psf.kind != "moffat":
        return Wings(margin, math.inf)
    wanted = (1.0 + TAPER) * radius_beyond(psf, widest_fwhm(instr), TILE_ENERGY)
    ry, rx = (max(m, min(2 * m, math.ceil(wanted / s))) for m, s in zip(margin, spaxel, strict=True))
    return Wings((ry, rx), min(ry * spaxel[0], rx * spaxel[1]) / (1.0 + TAPER))


def psf_kernel(
    instr: Instrument,
    fwhm: Float[ArrayLike, ""],
    radius: tuple[int, int],
    *,
    beta: Float[ArrayLike, ""] | None = None,
    sub: int = SUB,
) -> Float[Array, "ky kx"]:
    """PSF averaged over sub x sub points of each spaxel, with sum 1; differentiable in fwhm and beta.

    Args:
      instr: gives the kind of PSF and the spaxel sizes.
      fwhm: FWHM [arcsec].
      radius: half-sizes (y, x) [spaxel], static; the kernel is (2 ry + 1, 2 rx + 1).
      beta: Moffat exponent [1]; the instrument's own where None.
      sub: points per spaxel and axis; 1 takes the value at the centre, as RUBIX does.
    """
    fwhm = jnp.asarray(fwhm)
    kind = instr.psf.kind
    if kind == "none":
        return jnp.ones((1, 1), fwhm.dtype)
    y = _sub_points(radius[0], instr.spaxel_y_arcsec, sub).astype(fwhm.dtype)
    x = _sub_points(radius[1], instr.spaxel_x_arcsec, sub).astype(fwhm.dtype)
    if kind == "gaussian":
        ky, kx = _gaussian(y, fwhm), _gaussian(x, fwhm)
        return ky[:, None] * kx[None, :]
    beta = jnp.asarray(instr.psf.beta if beta is None else beta, fwhm.dtype)
    alpha2 = fwhm**2 / (4.0 * (2.0 ** (1.0 / beta) - 1.0))
    r2 = y[:, :, None, None] ** 2 + x[None, None] ** 2
    kernel = ((1.0 + r2 / alpha2) ** -beta).mean((1, 3))
    return kernel / kernel.sum()


def blur_kernel(
    instr: Instrument,
    fwhm: Float[ArrayLike, ""],
    wings: Wings,
    assignment: str,
    *,
    beta: Float[ArrayLike, ""] | None = None,
) -> Float[Array, "ky kx"]:
    """Kernel that turns shares of a point between spaxels into its image through the PSF.

    The profile averaged over spaxels, with the widening by the assignment undone (`core.kernels.unshared`), so that
    images of points are right on average over their places within a spaxel, and with the cubic assignment nearly so
    at each.
    The energy of the whole profile is 1; what lies outside the kernel is lost. Differentiable in fwhm and beta.

    Args:
      instr: gives the kind of PSF and the spaxel sizes.
      fwhm: FWHM [arcsec]; below MIN_FWHM spaxels it counts as that.
      wings: how far it reaches, static.
      assignment: how points are shared: nearest, linear, quadratic or cubic.
      beta: Moffat exponent [1]; the instrument's own where None.
    """
    fwhm = jnp.asarray(fwhm)
    kind = instr.psf.kind
    if kind == "none":
        return jnp.ones((1, 1), fwhm.dtype)
    spaxel = instr.spaxel_y_arcsec, instr.spaxel_x_arcsec
    dtype = fwhm.dtype
    uy, ux = (jnp.asarray(unshared(2 * r + 1, assignment), dtype) for r in wings.radius)
    if kind == "gaussian":
        points = (_sub_points(r, s, SUB).astype(dtype) for r, s in zip(wings.radius, spaxel, strict=True))
        ky, kx = (
            jnp.matmul(u, _gaussian(p, jnp.maximum(fwhm, MIN_FWHM * s)), precision="highest")
            for u, p, s in zip((uy, ux), points, spaxel, strict=True)
        )
        return (ky / ky.sum())[:, None] * (kx / kx.sum())[None, :]
    fwhm = jnp.maximum(fwhm, MIN_FWHM * max(spaxel))
    beta = jnp.asarray(instr.psf.beta if beta is None else beta, dtype)
    image = _moffat_image(fwhm, beta, wings, spaxel)
    return jnp.matmul(jnp.matmul(uy, image, precision="highest"), ux, precision="highest")


def convolve(
    image: Float[Array, "..."],
    kernel: Float[Array, "ky kx"],
    margin: tuple[int, int],
    axes: tuple[int, int] = (-2, -1),
) -> Float[Array, "..."]:
    """Convolve by FFT and cut off the margin.

    Args:
      image: rendered with a margin on each side, any unit; so light from outside the field comes in.
      kernel: PSF, as `psf_kernel` or `blur_kernel` makes it; odd lengths. It may reach further than the margin:
        beyond the image there is no light.
      margin: spaxels (y, x) around the field.
      axes: which axes of the image are y and x; (0, 1) for a cube [y, x, wave], which needs no transposition.

    Returns:
      Image without its margin. Exact: the transform is long enough that nothing kept has wrapped around.
    """
    sizes = [image.shape[axis] for axis in axes]
    radius = [(k - 1) // 2 for k in kernel.shape]
    shape = tuple(_fast_size(max(n, n - m + r, 2 * r + 1)) for n, m, r in zip(sizes, margin, radius, strict=True))
    others = [i for i in range(image.ndim) if i not in {axis % image.ndim for axis in axes}]
    transfer = jnp.expand_dims(jnp.fft.rfft2(kernel, shape), others)
    full = jnp.fft.irfft2(jnp.fft.rfft2(image, shape, axes=axes) * transfer, shape, axes=axes)
    cut = [slice(None)] * image.ndim
    for axis, m, r, n in zip(axes, margin, radius, sizes, strict=True):
        cut[axis] = slice(r + m, r + n - m)
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


def _gaussian(points: Float[Array, "k sub"], fwhm: Float[Array, ""]) -> Float[Array, "k"]:
    # subtracting the largest exponent keeps a very narrow PSF from underflowing everywhere
    exponent = -0.5 * (points * FWHM_PER_SIGMA / fwhm) ** 2
    kernel = jnp.exp(exponent - jax.lax.stop_gradient(exponent.max())).mean(1)
    return kernel / kernel.sum()


def _moffat_image(
    fwhm: Float[Array, ""], beta: Float[Array, ""], wings: Wings, spaxel: tuple[float, float]
) -> Float[Array, "ky kx"]:
    """Energy in each spaxel [1] of a Moffat that fades and whose energy in the whole plane is 1."""
    points, weights = np.polynomial.legendre.leggauss(GAUSS_POINTS)
    y2, x2 = (
        jnp.asarray(((np.arange(r + 1)[:, None] + points / 2) * s) ** 2, fwhm.dtype)
        for r, s in zip(wings.radius, spaxel, strict=True)
    )
    rule, fade2 = jnp.asarray(weights / 2, fwhm.dtype), wings.fade**2
    alpha2 = fwhm**2 / (4.0 * (2.0 ** (1.0 / beta) - 1.0))
    r2 = y2[:, :, None, None] + x2[None, None]
    profile = (1.0 + r2 / alpha2) ** -beta * _taper(r2 / fade2)
    quadrant = jnp.einsum("yaxb,a,b->yx", profile, rule, rule) * (spaxel[0] * spaxel[1])
    # energy inside of where it begins to fade, and of the ring where it fades, over r^2
    ring = np.polynomial.legendre.leggauss(32)
    s2 = jnp.asarray(1.0 + 0.5 * (ring[0] + 1.0) * ((1.0 + TAPER) ** 2 - 1.0), fwhm.dtype)
    faded = ((1.0 + s2 * fade2 / alpha2) ** -beta * _taper(s2)) @ jnp.asarray(ring[1], fwhm.dtype)
    core = (1.0 - (1.0 + fade2 / alpha2) ** (1.0 - beta)) * alpha2 / (beta - 1.0)
    energy = math.pi * (core + 0.5 * ((1.0 + TAPER) ** 2 - 1.0) * fade2 * faded)
    half = jnp.concatenate([quadrant[:0:-1], quadrant]) / energy
    return jnp.concatenate([half[:, :0:-1], half], axis=1)


def _taper(r2: Float[Array, "..."]) -> Float[Array, "..."]:
    """Factor [1] that falls from 1 to 0 between the squared radii 1 and (1 + TAPER)^2, in units of `Wings.fade`."""
    return jnp.cos(0.5 * math.pi * jnp.clip((jnp.sqrt(jnp.maximum(r2, 1.0)) - 1.0) / TAPER, 0.0, 1.0)) ** 2


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
