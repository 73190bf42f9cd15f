"""The spectrograph as one banded operator from the fine ln-wavelength axis to detector pixels.

    out_k = int L_obs(l) K_k(l) dl,   K_k(l) = [Phi((l - a_k)/s_k) - Phi((l - b_k)/s_k)] / width_k

with Phi the normal CDF, (a_k, b_k) the edges of pixel k and s_k the sigma of the line-spread function at the pixel
(added width: the template's own resolution is already removed). It holds redshift, flux-conserving resampling to any
pixel grid, air or vacuum, and the line-spread function at once. Blocks of pixels see a window of the fine axis, so
that applying the operator is a chain of small matrix products.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.ifu.finegrid import SHARPENING, FineGrid

BLOCK = 64  # pixels per block
REACH = 5.5  # half-width of a kernel beyond the pixel [sigma]; the tail left out is 4e-8
GUARD = 8  # spare samples on each side of a window, for widths and redshifts that move


@dataclasses.dataclass(frozen=True, eq=False)
class PixelPlan:
    """Where blocks of pixels look on the fine axis, for redshifts near a reference (host numbers, float64)."""

    lower: np.ndarray  # pixel edges as fractional sample numbers relative to the window, shape (block, BLOCK)
    upper: np.ndarray
    wave_lower: np.ndarray  # pixel edges, observed frame, vacuum [Angstrom], shape (block, BLOCK)
    wave_upper: np.ndarray
    width: np.ndarray  # pixel width in the instrument's medium [Angstrom], shape (block, BLOCK)
    start: np.ndarray  # first sample of each window, shape (block,)
    length: int  # samples per window
    n_pixel: int
    redshift: float
    grid: FineGrid


def plan_pixels(edges: np.ndarray, width: np.ndarray, sigma: np.ndarray, redshift: float, grid: FineGrid) -> PixelPlan:
    """Lay out the blocks.

    Args:
      edges: lower and upper edge of each pixel, observed frame, vacuum [Angstrom], shape (wave, 2).
      width: pixel widths in the instrument's own medium [Angstrom], shape (wave,).
      sigma: largest line-spread sigma that will be asked for [Angstrom], shape (wave,).
      redshift: reference redshift.
      grid: fine axis, rest frame.
    """
    n_pixel = len(edges)
    pad = -n_pixel % BLOCK

    def blocked(x: Any) -> Any:
        return np.concatenate([x, np.repeat(x[-1:], pad, 0)]).reshape(-1, BLOCK)

    def sample(wave: Any) -> Any:
        return (np.log(wave) - np.log1p(redshift) - grid.log_start) / grid.step

    lo, hi, wide = blocked(edges[:, 0]), blocked(edges[:, 1]), blocked(width)
    reach = REACH * np.hypot(blocked(sigma), SHARPENING * grid.step * hi)
    start = np.floor(sample((lo - reach).min(1))).astype(int) - GUARD
    stop = np.ceil(sample((hi + reach).max(1))).astype(int) + GUARD
    return PixelPlan(
        lower=sample(lo) - start[:, None],
        upper=sample(hi) - start[:, None],
        wave_lower=lo,
        wave_upper=hi,
        width=wide,
        start=start,
        length=int((stop - start).max()) + 1,
        n_pixel=n_pixel,
        redshift=redshift,
        grid=grid,
    )


@record
class Response:
    """Kernel weights of every block of pixels."""

    kernel: Float[Array, "block pixel sample"] = quantity("1/Angstrom", "pixel-averaged line-spread kernel")
    start: Float[Array, "block"] = quantity("sample", "first sample of each block's window (integer)")


def response(plan: PixelPlan, sigma: Float[Array, "wave"], redshift: Float[Array, ""]) -> Response:
    """Weights of the operator; differentiable in sigma and redshift.

    Args:
      plan: layout of pixels and windows.
      sigma: line-spread sigma to add at each pixel [Angstrom, observed frame], shape (wave,); zero is allowed.
      redshift: systemic redshift; moving it from the plan's slides the windows along the fine axis.
    """
    grid = plan.grid
    # ln(1+z) relative to the plan keeps the precision of float32
    moved = jnp.log1p((redshift - plan.redshift) / (1 + plan.redshift)) / grid.step
    whole = jax.lax.stop_gradient(jnp.floor(moved))
    part = (moved - whole)[..., None, None]
    pad = plan.lower.size - plan.n_pixel
    s2 = jnp.pad(sigma, (0, pad), mode="edge").reshape(plan.lower.shape) ** 2
    centre = 0.5 * (plan.wave_lower + plan.wave_upper)
    s = jnp.sqrt(s2 + (SHARPENING * grid.step * centre) ** 2)[..., None]
    i = np.arange(plan.length)

    def above(edge_sample: Any, edge_wave: Any) -> Any:
        """Phi of the distance of each sample above an edge."""
        shift = (i - jnp.asarray(edge_sample, s.dtype)[..., None] + part) * grid.step
        return jax.scipy.special.ndtr(edge_wave[..., None] * jnp.expm1(shift) / s)

    kernel = (above(plan.lower, plan.wave_lower) - above(plan.upper, plan.wave_upper)) / plan.width[..., None]
    return Response(kernel=kernel, start=jnp.asarray(plan.start, jnp.int32) - whole.astype(jnp.int32))


def apply_response(
    resp: Response, fine: Float[Array, "row sample"], shifts: tuple[int, ...], n_pixel: int, offset: int = 0
) -> Float[Array, "shift row wave"]:
    """Record spectra, each also Doppler-shifted by whole samples.

    Args:
      resp: the operator.
      fine: luminosity per sample on the fine axis [Lsun], shape (row, sample).
      shifts: samples by which each copy is moved to the red.
      n_pixel: pixels of the detector.
      offset: samples that `fine` has before sample 0 of the axis.

    Returns:
      Recorded luminosity density per observed Angstrom, shape (shift, row, wave).
    """
    length = resp.kernel.shape[-1]
    reach = max(abs(min(shifts)), abs(max(shifts)))
    margin = length + reach
    padded = jnp.pad(fine, ((0, 0), (margin, margin)), mode="edge")  # an end would ring in velocity

    def one_block(_: None, block: Any) -> tuple[None, Array]:
        kernel, start = block
        window = jax.lax.dynamic_slice_in_dim(padded, start + offset + margin - reach, length + 2 * reach, axis=1)
        moved = jnp.stack([window[:, reach - s : reach - s + length] for s in shifts])
        return None, jnp.einsum("srl,pl->srp", moved, kernel, precision="highest")

    _, blocks = jax.lax.scan(one_block, None, (resp.kernel, resp.start))
    return jnp.moveaxis(blocks, 0, 2).reshape(len(shifts), fine.shape[0], -1)[..., :n_pixel]
