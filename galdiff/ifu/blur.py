"""Images of points through the point spread function: kernels averaged over the spaxel, and their convolution.

Gaussian: sigma = FWHM / 2.354820. Moffat (1969): P(r) = (beta - 1)/(pi alpha^2) (1 + r^2/alpha^2)^-beta with
alpha = FWHM / (2 sqrt(2^(1/beta) - 1)).
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.kernels import unshared
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.psf import TAPER, Wings
from galdiff.units import FWHM_PER_SIGMA

SUB = 11  # points per spaxel and axis that the plain kernel is averaged over
MIN_FWHM = 1.1  # [cell]; shares of narrower PSFs would have negative lobes of tens of per cent
GAUSS_POINTS = 6  # of the Gauss-Legendre rule over a cell, per axis


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
    """Kernel that turns shares of a point between cells of spaxels into its image through the PSF.

    The energy in a spaxel at each distance from a cell, with the widening by the assignment undone
    (`core.kernels.unshared`), so that images of points are right on average over their places within a cell, and with
    the cubic assignment nearly so at each.
    The energy of the whole profile is 1; what lies outside the kernel is lost. Differentiable in fwhm and beta.

    Args:
      instr: gives the kind of PSF and the spaxel sizes.
      fwhm: FWHM [arcsec]; below MIN_FWHM cells it counts as that.
      wings: how far it reaches and the cells in a spaxel, static.
      assignment: how points are shared: nearest, linear, quadratic or cubic.
      beta: Moffat exponent [1]; the instrument's own where None.

    Returns:
      (2 ry + 1) cells along y and (2 rx + 1) along x, at distances a cell apart, symmetric about zero.
    """
    fwhm = jnp.asarray(fwhm)
    kind = instr.psf.kind
    if kind == "none":
        return jnp.ones((1, 1), fwhm.dtype)
    if kind == "gaussian":
        ky, kx = gaussian_kernels(instr, fwhm, wings, assignment)
        return ky[:, None] * kx[None, :]
    beta = jnp.asarray(instr.psf.beta if beta is None else beta, fwhm.dtype)
    cell = instr.spaxel_y_arcsec / wings.cells[0], instr.spaxel_x_arcsec / wings.cells[1]
    half = [r * c + c - 1 for r, c in zip(wings.radius, wings.cells, strict=True)]
    image = _moffat_image(jnp.maximum(fwhm, MIN_FWHM * max(cell)), beta, wings.fade, half, cell)
    uy, ux = (
        jnp.asarray(unshared((2 * r + 1) * c, assignment) @ _sums((2 * r + 1) * c, c), fwhm.dtype)
        for r, c in zip(wings.radius, wings.cells, strict=True)
    )
    return jnp.matmul(jnp.matmul(uy, image, precision="highest"), ux.T, precision="highest")


def gaussian_kernels(
    instr: Instrument, fwhm: Float[ArrayLike, ""], wings: Wings, assignment: str
) -> tuple[Float[Array, "ky"], Float[Array, "kx"]]:
    """The two factors of `blur_kernel` of a Gaussian [1], along y and x; arguments as there."""
    fwhm = jnp.asarray(fwhm)
    kernels = []
    spaxels = instr.spaxel_y_arcsec, instr.spaxel_x_arcsec
    for spaxel, cells, radius in zip(spaxels, wings.cells, wings.radius, strict=True):
        undo = jnp.asarray(unshared((2 * radius + 1) * cells, assignment), fwhm.dtype)
        image = _gaussian_image(jnp.maximum(fwhm / spaxel, MIN_FWHM / cells), cells, radius)
        kernel = jnp.matmul(undo, image, precision="highest")
        kernels.append(kernel * (cells / kernel.sum()))
    return kernels[0], kernels[1]


def convolve_separable(
    image: Float[Array, "y x c"],
    kernels: tuple[Float[Array, "ky"], Float[Array, "kx"]],
    margin: tuple[int, int],
    cells: tuple[int, int] = (1, 1),
) -> Float[Array, "y_in x_in c"]:
    """The same as `convolve` for the product of two kernels, by two matrix products.

    Args:
      image: rendered with a margin on each side [any unit].
      kernels: along y and x, as `gaussian_kernels` makes them.
      margin: spaxels (y, x) around the field.
      cells: of the image and of the kernels in a spaxel (y, x).
    """
    y, x = (
        _band(k.astype(image.dtype), n, m, c)
        for k, n, m, c in zip(kernels, image.shape[:2], margin, cells, strict=True)
    )
    rows = jnp.einsum("sy,yxc->sxc", y, image, precision="highest")
    return jnp.einsum("tx,sxc->stc", x, rows, precision="highest")


def _band(kernel: Float[Array, "k"], size: int, margin: int, cells: int) -> Float[Array, "spaxel cell"]:
    """Matrix [1] of a kernel from `size` cells to the spaxels inside the margin."""
    radius = (kernel.size // cells - 1) // 2
    spaxel, cell = np.arange(margin, size // cells - margin)[:, None], np.arange(size)
    apart = spaxel - cell // cells
    index = (apart + radius) * cells + cells - 1 - cell % cells
    return jnp.where(np.abs(apart) <= radius, kernel[np.clip(index, 0, kernel.size - 1)], 0)


def convolve(
    image: Float[Array, "..."],
    kernel: Float[Array, "..."],
    margin: tuple[int, int],
    axes: tuple[int, int] = (-2, -1),
    cells: tuple[int, int] = (1, 1),
) -> Float[Array, "..."]:
    """Convolve by FFT, from cells to spaxels, and cut off the margin.

    Args:
      image: rendered with a margin on each side, any unit; so light from outside the field comes in.
      kernel: PSF (ky, kx), as `psf_kernel` or `blur_kernel` makes it. It may reach further than the margin: beyond
        the image there is no light. With the axes of the image, each of its planes has a kernel of its own.
      margin: spaxels (y, x) around the field.
      axes: which axes of the image are y and x; (0, 1) for a cube [y, x, wave], which needs no transposition.
      cells: of the image and of the kernel in a spaxel (y, x).

    Returns:
      Image in spaxels without its margin. Exact: the transform is long enough that nothing kept has wrapped around.
    """
    own = axes if kernel.ndim == image.ndim else (0, 1)
    sizes = [image.shape[axis] // c for axis, c in zip(axes, cells, strict=True)]
    radius = [(kernel.shape[axis] // c - 1) // 2 for axis, c in zip(own, cells, strict=True)]
    shape = tuple(_fast_size(max(n, n - m + r, 2 * r + 1)) for n, m, r in zip(sizes, margin, radius, strict=True))
    others = [i for i in range(image.ndim) if i not in {axis % image.ndim for axis in axes}]

    def part(of: Array, where: tuple[int, int], first: tuple[int, int]) -> Array:
        """Transform of every cells-th number from the first on."""
        for axis, start, step in zip(where, first, cells, strict=True):
            of = jax.lax.slice_in_dim(of, start, None, step, axis)
        return jnp.fft.rfft2(of, shape, axes=where)

    def product(y: int, x: int) -> Array:
        """Light of one cell of each spaxel, which lies on the other side of the spaxel's centre in the kernel."""
        transfer = part(kernel, own, (cells[0] - 1 - y, cells[1] - 1 - x))
        transfer = transfer if kernel.ndim == image.ndim else jnp.expand_dims(transfer, others)
        return part(image, axes, (y, x)) * transfer

    total = functools.reduce(jnp.add, (product(y, x) for y in range(cells[0]) for x in range(cells[1])))
    full = jnp.fft.irfft2(total, shape, axes=axes)
    cut = [slice(None)] * image.ndim
    for axis, m, r, n in zip(axes, margin, radius, sizes, strict=True):
        cut[axis] = slice(r + m, r + n - m)
    return full[tuple(cut)].astype(image.dtype)


def _sub_points(radius: int, spaxel: float, sub: int) -> Float[Array, "k sub"]:
    """Offsets [arcsec] of the sub-points of each spaxel from the centre of the kernel."""
    centre = np.arange(-radius, radius + 1)[:, None]
    return jnp.asarray((centre + (np.arange(sub) - (sub - 1) / 2) / sub) * spaxel)


def _gaussian(points: Float[Array, "k sub"], fwhm: Float[Array, ""]) -> Float[Array, "k"]:
    # subtracting the largest exponent keeps a very narrow PSF from underflowing everywhere
    exponent = -0.5 * (points * FWHM_PER_SIGMA / fwhm) ** 2
    kernel = jnp.exp(exponent - jax.lax.stop_gradient(exponent.max())).mean(1)
    return kernel / kernel.sum()


def _gaussian_image(fwhm: Float[Array, ""], cells: int, radius: int) -> Float[Array, "k"]:
    """Energy [1] in a spaxel at distances a cell apart; fwhm in spaxels."""
    n = (2 * radius + 1) * cells
    # below zero, where the difference keeps its digits
    below = -jnp.asarray(np.abs((np.arange(n) + 0.5) / cells - n / (2 * cells)), fwhm.dtype)
    per_sigma = FWHM_PER_SIGMA / fwhm
    return jax.scipy.special.ndtr((below + 0.5) * per_sigma) - jax.scipy.special.ndtr((below - 0.5) * per_sigma)


def _sums(size: int, cells: int) -> np.ndarray:
    """Matrix (size, size + cells - 1) that adds up the cells of a spaxel [1] around each distance."""
    first, cell = np.arange(size)[:, None], np.arange(size + cells - 1)
    return ((cell >= first) & (cell < first + cells)).astype(float)


def _moffat_image(
    fwhm: Float[Array, ""], beta: Float[Array, ""], fade: float, reach: list[int], cell: tuple[float, float]
) -> Float[Array, "ky kx"]:
    """Energy in each cell [1], shape (2 reach + 1), of a Moffat that fades and whose energy in the whole plane is 1."""
    points, weights = np.polynomial.legendre.leggauss(GAUSS_POINTS)
    y2, x2 = (
        jnp.asarray(((np.arange(h + 1)[:, None] + points / 2) * s) ** 2, fwhm.dtype)
        for h, s in zip(reach, cell, strict=True)
    )
    rule, fade2 = jnp.asarray(weights / 2, fwhm.dtype), fade**2
    alpha2 = fwhm**2 / (4.0 * (2.0 ** (1.0 / beta) - 1.0))
    r2 = y2[:, :, None, None] + x2[None, None]
    profile = (1.0 + r2 / alpha2) ** -beta * _taper(r2 / fade2)
    quadrant = jnp.einsum("yaxb,a,b->yx", profile, rule, rule) * (cell[0] * cell[1])
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
