"""What a spectrograph does to spectra of any engine: line spread, throughput, PSF, flux on the detector."""

import functools
import math
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.variables import Physical, physical
from galdiff.errors import InputError
from galdiff.ifu.blur import blur_kernel, convolve, convolve_separable, gaussian_kernels
from galdiff.ifu.instrument import aperture_mask
from galdiff.ifu.lsf import added_sigma, fwhm_instrument
from galdiff.ifu.plan import MAX_WIDER, Plan
from galdiff.ifu.psf import anchor_waves, anchor_weights, fwhm_at
from galdiff.records import ObservedCube, Placement
from galdiff.units import FLUX_OF_ONE_LSUN_AT_ONE_MPC

# Widths beyond MAX_WIDER would be cut short.
LSF_HOOK = Hook(drivers=("ln wave/5000 Angstrom",), offset=(0.0,), scale=(0.4,), n_out=1, bound=math.log(MAX_WIDER))
THROUGHPUT_HOOK = LSF_HOOK._replace(bound=1.0)


def line_spread(
    plan: Plan, scale: Float[Array, ""], redshift: Float[Array, ""], correction: Correction
) -> Float[Array, "wave"]:
    """Sigma to add at each pixel [Angstrom]; the template's own resolution is removed.

    Args:
      plan: the observation.
      scale: factor on the instrument's FWHM.
      redshift: systemic redshift.
      correction: of the instrument's FWHM, see `LSF_HOOK`.
    """
    wave = jnp.asarray(plan.wave_vacuum, jnp.result_type(float))
    fwhm = of_wave(correction, fwhm_instrument(plan.instrument, wave, scale), plan)
    variance, _ = added_sigma(wave, fwhm, jnp.asarray(plan.fwhm_template), redshift)
    positive = variance > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)


def of_wave(correction: Correction, values: Float[Array, "... wave"], plan: Plan) -> Float[Array, "... wave"]:
    """Numbers at the pixels of an observation [any unit], corrected by what follows ln(wave / 5000 Angstrom)."""
    drivers = jnp.log(jnp.asarray(plan.wave_vacuum, values.dtype) / 5000.0)[:, None]
    return correction(values[..., None], drivers)[..., 0]


def largest(correction: Correction | None) -> float:
    """Largest |ln(factor)| of a correction [1], as far as it is known."""
    parts = getattr(correction, "corrections", ())
    return getattr(correction, "bound", 0.0) + sum(largest(part) for part in parts)


def lsf_correction_of(correction: Correction | None) -> Correction:
    """The correction of a line spread function, refused where its kernels would be cut short."""
    bound = largest(correction)
    if bound > math.log(MAX_WIDER) * (1 + 1e-9):
        raise InputError(
            f"the bound of the LSF's correction is {bound:g}; kernels hold widths up to {MAX_WIDER} times that of the"
            f" instrument: give at most {math.log(MAX_WIDER):.3f}"
        )
    return NoCorrection() if correction is None else correction


TURN = 2.5  # cost of turning a coefficient into modes, in that of blurring it
FACTORS = (0.2, 2 * MAX_WIDER)  # open bounds of factors on published widths [1]


def width_factor(value: float) -> Physical:
    """A trainable factor on a published width."""
    return physical(value, lo=FACTORS[0], hi=FACTORS[1], unit="1")


def sum_bands(parts: Iterable[tuple[Array, slice]]) -> Float[Array, "y x wave"]:
    """Sum of pieces of the shape (y, x, band), each over a band of pixels (a slice) [unit of the pieces].

    The bands are in order and the last ends the cube.
    """
    parts = list(parts)
    n_wave = parts[-1][1].stop
    padded = [jnp.pad(part, ((0, 0), (0, 0), (band.start, n_wave - band.stop))) for part, band in parts]
    return functools.reduce(jnp.add, padded)


def blur(
    plan: Plan, channels: Float[Array, "y x c"], scale: Float[Array, ""], of_all: bool = True
) -> Iterator[tuple[Array, slice, Array]]:
    """Blur by the PSF at its anchor wavelengths and cut the margin.

    Args:
      plan: the observation.
      channels: of the field with its margin, in the cells of the PSF [any unit].
      scale: factor on the FWHM.
      of_all: whether every channel is seen at all wavelengths; or the channels are the pixels themselves.

    Yields:
      For each anchor, the blurred channels, shape (y_in, x_in, c), the pixels it serves (a slice) and its weight there.
    """
    instr = plan.instrument
    if instr.psf.kind == "none":
        yield channels, slice(0, len(plan.wave)), jnp.ones(len(plan.wave), channels.dtype)
        return
    for anchor, weight in zip(anchor_waves(instr), weights_of(plan), strict=True):
        served = weight.nonzero()[0]
        band = slice(int(served[0]), int(served[-1]) + 1)
        seen = channels if of_all else channels[..., band]
        yield _blurred(plan, seen, anchor, scale), band, jnp.asarray(weight[band], channels.dtype)


def blurred_pixels(
    plan: Plan, recorded: Float[Array, "y x wave"], scale: Float[Array, ""]
) -> Float[Array, "y_in x_in wave"]:
    """What is recorded [any unit], blurred by the PSF at each wavelength and without the margin.

    Args:
      plan: the observation.
      recorded: of the field with its margin, in the cells of the PSF.
      scale: factor on the FWHM.
    """
    parts = blur(plan, recorded, scale, of_all=False)
    return sum_bands((blurred * weight, band) for blurred, band, weight in parts)


def blurred_nodes(plan: Plan) -> bool:
    """Whether it takes less to blur coefficients at velocity nodes and turn them into modes in the field alone, than to
    turn them in the field with its margin and blur what is left of them."""
    if plan.instrument.psf.kind != "gaussian":
        return False  # a transform costs more than a turn
    bins, instr, anchors = plan.bins, plan.instrument, len(anchor_waves(plan.instrument))
    cells, spaxels = bins.n_y * bins.n_x, instr.n_y * instr.n_x
    nodes = len(bins.v_nodes) * len(plan.templates)
    late = anchors * nodes * (cells + TURN * spaxels)
    return late < cells * (TURN * nodes + anchors * plan.n_channels)


def _blurred(plan: Plan, channels: Float[Array, "y x c"], anchor: float, scale: Float[Array, ""]) -> Array:
    """Channels [any unit], blurred by the PSF at a wavelength [Angstrom], without the margin."""
    if plan.instrument.psf.kind == "gaussian":
        fwhm = fwhm_at(plan.instrument.psf, jnp.asarray(anchor, scale.dtype), scale)
        kernels = gaussian_kernels(plan.instrument, fwhm, plan.wings, plan.precision.kernel)
        return convolve_separable(channels, kernels, plan.margin, plan.wings.cells)
    kernel = _kernel(plan, anchor, scale).astype(channels.dtype)
    return jnp.moveaxis(convolve(jnp.moveaxis(channels, -1, 0), kernel, plan.margin, cells=plan.wings.cells), 0, -1)


def weights_of(plan: Plan) -> np.ndarray:
    """Weights of the PSF's anchor wavelengths at each pixel [1], shape (anchor, wave)."""
    return anchor_weights(plan.wave, anchor_waves(plan.instrument))


def blur_recorded(
    plan: Plan, recorded: Float[Array, "y x wave"], scale: Float[Array, ""], weights: Float[Array, "anchor wave"]
) -> Float[Array, "y x wave"]:
    """Blur a few wavelengths of what is recorded already, each by its own PSF, and cut the margin.

    Args:
      plan: the observation.
      recorded: of the field with its margin, in its cells [any unit].
      scale: factor on the FWHM.
      weights: of the anchors at those wavelengths [1].
    """
    planes = jnp.moveaxis(recorded, -1, 0)
    kernels = jnp.stack([_kernel(plan, anchor, scale) for anchor in anchor_waves(plan.instrument)])
    kernel = kernels[0] if len(kernels) == 1 else jnp.einsum("aw,ayx->wyx", weights, kernels, precision="highest")
    return jnp.moveaxis(convolve(planes, kernel.astype(planes.dtype), plan.margin, cells=plan.wings.cells), 0, -1)


def _kernel(plan: Plan, wave: float, scale: Float[Array, ""]) -> Float[Array, "ky kx"]:
    """Kernel of the PSF at an observed wavelength [Angstrom]."""
    fwhm = fwhm_at(plan.instrument.psf, jnp.asarray(wave, scale.dtype), scale)
    return blur_kernel(plan.instrument, fwhm, plan.wings, plan.precision.kernel)


def never_negative(lum: Float[Array, "y x wave"]) -> Float[Array, "y x wave"]:
    """Light without what round-off of transforms leaves below zero [unit of lum], same shape.

    The derivative is that of what came in: light is linear in the stars, in dark spaxels too.
    """
    return lum + jax.lax.stop_gradient(jnp.maximum(-lum, 0))


def to_flux(plan: Plan, lum: Float[Array, "y x wave"], placement: Placement) -> ObservedCube:
    """Flux density at the observer from luminosity per observed Angstrom [Lsun/Angstrom]; noiseless."""
    instr = plan.instrument
    inside = aperture_mask(instr)
    flux = never_negative(lum) * (FLUX_OF_ONE_LSUN_AT_ONE_MPC / placement.luminosity_distance**2)
    flux = jnp.where(inside[..., None], flux, 0)
    return ObservedCube(
        flux=flux,
        variance=jnp.zeros_like(flux),
        wave=jnp.asarray(plan.wave, flux.dtype),
        inside=jnp.asarray(inside),
        medium=instr.medium,
        spaxel_arcsec=instr.spaxel_x_arcsec,
        spaxel_y_arcsec=instr.spaxel_y_arcsec,
    )
