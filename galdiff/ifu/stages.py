"""The compressed engine as stages: deposit, compress, render.

    mass_distribution = Deposit(observed_stars, placement)    mass in [y, x, v, node, A_V]
    spectra           = Synthesis(mass_distribution)          coefficients of the basis templates
    bank              = Templates(placement)                  the templates as the spectrograph records them
    cube              = Spectrograph(spectra, bank, placement)

With emission lines, the spectrograph also reads line_light = LineDeposit(sky_emitters, line_table, placement).
A bank made once can be passed to the pipeline as an input, which spares its computation in repeated calls.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.correction import Correction, NoCorrection
from galdiff.core.stage import Stage
from galdiff.core.variables import Table, table
from galdiff.ifu.bank import build_bank
from galdiff.ifu.deposit import Bins, deposit
from galdiff.ifu.emission import line_profiles, recorded_lines
from galdiff.ifu.field import field_corner, with_a_v
from galdiff.ifu.plan import Plan
from galdiff.ifu.spectrograph import (
    LSF_HOOK,
    THROUGHPUT_HOOK,
    blur,
    blurred_nodes,
    blurred_pixels,
    line_spread,
    lsf_correction_of,
    of_wave,
    sum_bands,
    to_flux,
    width_factor,
)
from galdiff.light_records import LineLight
from galdiff.records import Bank, MassDistribution, ObservedCube, Placement, SkyStars, SpectralCube


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
        beyond = jnp.abs(stars.v_los) > bins.v_max
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
        bank = build_bank(self.plan.layout, self.templates[...], n_nodes, sigma, placement.redshift, self.plan.modes)
        if self.plan.lines is None:
            return bank
        scale, z = self.lsf_scale.bounded, placement.redshift
        return dataclasses.replace(bank, lines=line_profiles(self.plan, self.plan.lines, scale, z, self.lsf_correction))


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

    def __call__(
        self, spectra: SpectralCube, bank: Bank, placement: Placement, line_light: LineLight | None = None
    ) -> ObservedCube:
        plan, (y, x, v, rank) = self.plan, spectra.coef.shape
        modes = plan.modes if bank.response.ndim == 2 else None  # None: the bank has nodes
        late = modes is not None and blurred_nodes(plan)
        channels = spectra.coef.reshape(y, x, -1) if modes is None or late else modes.coefficients(spectra.coef)

        def seen(blurred: Float[Array, "y x channel"]) -> Float[Array, "y x channel"]:
            return modes.coefficients(blurred.reshape(*blurred.shape[:2], v, rank)) if modes and late else blurred

        # The barrier keeps a bank that was closed over, hence a constant, from being multiplied out by the compiler.
        response = jax.lax.optimization_barrier(bank.response).reshape(-1, len(plan.wave))
        lum = sum_bands(
            (jnp.einsum("yxc,ck->yxk", seen(blurred), response[:, band] * weight, precision="highest"), band)
            for blurred, band, weight in blur(plan, channels, self.psf_scale.bounded)
        )
        if line_light is not None and plan.lines is not None and bank.lines is not None:
            sharp = recorded_lines(plan, plan.lines, line_light, bank.lines, placement.redshift)
            lum = lum + blurred_pixels(plan, sharp, self.psf_scale.bounded)
        return to_flux(plan, of_wave(self.throughput, lum, plan), placement)
