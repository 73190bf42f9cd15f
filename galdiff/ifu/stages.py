"""The compressed engine as stages: deposit, compress, render.

    mass_distribution = Deposit(observed_stars, placement)    mass in [y, x, v, node, A_V]
    spectra           = Synthesis(mass_distribution)          coefficients of the basis templates
    bank              = Templates(placement)                  the templates as the spectrograph records them
    cube              = Spectrograph(spectra, bank, placement)

A bank made once can be passed to the pipeline as an input, which spares its computation in repeated calls.
"""

import functools
import math
from collections.abc import Iterable, Iterator
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.stage import Stage
from galdiff.core.variables import Physical, Table, physical, table
from galdiff.errors import InputError
from galdiff.ifu.bank import build_bank
from galdiff.ifu.deposit import Bins, deposit
from galdiff.ifu.field import field_corner, with_a_v
from galdiff.ifu.instrument import aperture_mask
from galdiff.ifu.lsf import added_sigma, fwhm_instrument
from galdiff.ifu.plan import MAX_WIDER, Plan
from galdiff.ifu.psf import anchor_waves, anchor_weights, convolve, fwhm_at, psf_kernel, variance_to_subtract
from galdiff.records import Bank, MassDistribution, ObservedCube, Placement, SkyStars, SpectralCube
from galdiff.units import FLUX_OF_ONE_LSUN_AT_ONE_MPC


class Deposit(Stage):
    """Sort stars into bins of sky position, velocity, population and attenuation."""

    def __init__(self, *, bins: Bins) -> None:
        self.bins = bins

    def __call__(self, observed_stars: SkyStars, placement: Placement) -> MassDistribution:
        bins = self.bins
        corner, size = field_corner(bins, placement)
        stars = with_a_v(observed_stars, bins)
        gx, gy = (stars.x - corner[0]) / size[0], (stars.y - corner[1]) / size[1]
        inside = (gx >= 0) & (gx < bins.n_x) & (gy >= 0) & (gy < bins.n_y)
        beyond = jnp.abs(stars.v_los) > bins.v_nodes[-3]
        if bins.attenuation.a_v_max > 0:
            beyond |= jnp.asarray(stars.a_v) > bins.attenuation.a_v_max
        return MassDistribution(
            mass=deposit(stars, corner, size, bins),
            v_nodes=jnp.asarray(bins.v_nodes, stars.mass.dtype),
            lost=jnp.sum(jnp.where(inside, 0, stars.mass)),
            clipped=jnp.sum(jnp.where(inside & beyond, stars.mass, 0)),
        )


class Synthesis(Stage):
    """Turn mass in population nodes into coefficients of the basis templates."""

    def __init__(self, *, plan: Plan) -> None:
        self.coefficients: Table = table(plan.basis.coefficients, jnp.result_type(float))

    def __call__(self, mass_distribution: MassDistribution) -> SpectralCube:
        y, x, v, n, q = mass_distribution.mass.shape
        c = self.coefficients[...].reshape(n * q, -1)
        coef = jnp.matmul(mass_distribution.mass.reshape(-1, n * q), c, precision="highest")
        return SpectralCube(coef=coef.reshape(y, x, v, -1))


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


# Widths beyond MAX_WIDER would be cut short.
LSF_HOOK = Hook(drivers=("ln wave/5000 Angstrom",), offset=(0.0,), scale=(0.4,), n_out=1, bound=math.log(MAX_WIDER))
THROUGHPUT_HOOK = LSF_HOOK._replace(bound=1.0)


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


def width_factor(value: float) -> Physical:
    """A trainable factor on a published width."""
    return physical(value, lo=0.2, hi=2 * MAX_WIDER, unit="1", prior="one: the instrument as published")


class Templates(Stage):
    """The basis templates as the spectrograph records them, at every velocity node.

    Args:
      plan: the observation.
      lsf_scale: factor on the instrument's FWHM; trainable, kernels are complete up to 1.3.
      lsf_correction: of that FWHM along the wavelength, see `LSF_HOOK`.
    """

    hooks: ClassVar = {"lsf_correction": LSF_HOOK}

    def __init__(self, *, plan: Plan, lsf_scale: float = 1.0, lsf_correction: Correction | None = None) -> None:
        self.plan = plan
        self.lsf_scale = width_factor(lsf_scale)
        self.lsf_correction = lsf_correction_of(lsf_correction)
        self.templates: Table = table(plan.templates, jnp.result_type(float))

    def __call__(self, placement: Placement) -> Bank:
        sigma = line_spread(self.plan, self.lsf_scale.bounded, placement.redshift, self.lsf_correction)
        n_nodes = len(self.plan.bins.v_nodes)
        return build_bank(self.plan.layout, self.templates[...], n_nodes, sigma, placement.redshift)


class Spectrograph(Stage):
    """Render spectra on the detector and blur them by the point spread function.

    Args:
      plan: the observation.
      psf_scale: factor on the instrument's PSF FWHM; trainable, kernels are complete up to 1.3.
      throughput: correction of the recorded flux along the wavelength, see `THROUGHPUT_HOOK`.
    """

    hooks: ClassVar = {"throughput": THROUGHPUT_HOOK}

    def __init__(self, *, plan: Plan, psf_scale: float = 1.0, throughput: Correction | None = None) -> None:
        self.plan = plan
        self.psf_scale = width_factor(psf_scale)
        self.throughput = NoCorrection() if throughput is None else throughput

    def __call__(self, spectra: SpectralCube, bank: Bank, placement: Placement) -> ObservedCube:
        plan = self.plan
        y, x = spectra.coef.shape[:2]
        channels = spectra.coef.reshape(y, x, -1)
        response = bank.response.reshape(channels.shape[-1], -1)
        lum = sum_bands(
            (jnp.einsum("yxc,ck->yxk", blurred, response[:, band] * weight, precision="highest"), band)
            for blurred, band, weight in blur(plan, channels, self.psf_scale.bounded)
        )
        return to_flux(plan, of_wave(self.throughput, lum, plan), placement)


def sum_bands(parts: Iterable[tuple[Array, slice]]) -> Float[Array, "y x wave"]:
    """Sum of pieces of the shape (y, x, band), each over a band of pixels (a slice) [unit of the pieces].

    The bands are in order and the last ends the cube.
    """
    parts = list(parts)
    n_wave = parts[-1][1].stop
    padded = [jnp.pad(part, ((0, 0), (0, 0), (band.start, n_wave - band.stop))) for part, band in parts]
    return functools.reduce(jnp.add, padded)


def blur(plan: Plan, channels: Float[Array, "y x c"], scale: Float[Array, ""]) -> Iterator[tuple[Array, slice, Array]]:
    """Blur by the PSF at its anchor wavelengths and cut the margin.

    Yields, for each anchor, the blurred channels [their unit], shape (y_in, x_in, c), the pixels it serves (a slice)
    and its weight there.
    """
    instr, precision = plan.instrument, plan.precision
    if instr.psf.kind == "none":
        yield channels, slice(0, len(plan.wave)), jnp.ones(len(plan.wave), channels.dtype)
        return
    anchors = anchor_waves(instr)
    weights = anchor_weights(plan.wave, anchors)
    less = variance_to_subtract(instr, precision.kernel)
    planes = jnp.moveaxis(channels, -1, 0)
    for anchor, weight in zip(anchors, weights, strict=True):
        served = weight.nonzero()[0]
        band = slice(int(served[0]), int(served[-1]) + 1)
        kernel = psf_kernel(instr, fwhm_at(instr.psf, jnp.asarray(anchor, scale.dtype), scale), plan.margin, less=less)
        yield (
            jnp.moveaxis(convolve(planes, kernel.astype(planes.dtype), plan.margin), 0, -1),
            band,
            jnp.asarray(weight[band], channels.dtype),
        )


def to_flux(plan: Plan, lum: Float[Array, "y x wave"], placement: Placement) -> ObservedCube:
    """Flux density at the observer from luminosity per observed Angstrom [Lsun/Angstrom]; noiseless."""
    instr = plan.instrument
    inside = aperture_mask(instr)
    flux = lum * (FLUX_OF_ONE_LSUN_AT_ONE_MPC / placement.luminosity_distance**2)
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
