"""The direct engine: every star's own spectrum, one after another. Exact; the oracle of the compressed engine.

A star's spectrum is interpolated in the library, dimmed, shifted along the fine ln-wavelength axis by its exact
velocity (cubic B-spline between samples) and added to its spaxels; the spectrograph acts on the sums.
"""

import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.ndimage import spline_filter1d

from galdiff.core.correction import Correction, NoCorrection
from galdiff.core.interpolation import node_weights
from galdiff.core.kernels import bspline_weights
from galdiff.core.stage import Stage
from galdiff.core.variables import Table, table
from galdiff.ifu.basis import MAG
from galdiff.ifu.deposit import in_chunks, over_cells
from galdiff.ifu.emission import line_profiles, recorded_lines
from galdiff.ifu.field import field_corner, with_a_v
from galdiff.ifu.finegrid import resample
from galdiff.ifu.plan import Plan
from galdiff.ifu.response import apply_response, response
from galdiff.ifu.smoothing import refine
from galdiff.ifu.spectrograph import (
    LSF_HOOK,
    THROUGHPUT_HOOK,
    blurred_pixels,
    line_spread,
    lsf_correction_of,
    of_wave,
    to_flux,
    width_factor,
)
from galdiff.light_records import LineLight
from galdiff.records import ObservedCube, Placement, SkyStars
from galdiff.units import C_KMS

EDGE = 4  # samples of the spline beyond the shifted spectrum


def coadd(
    stars: SkyStars,
    corner: tuple,
    size: tuple,
    plan: Plan,
    nodes: Float[Array, "node sample"],
    k: Float[Array, "sample"],
) -> Float[Array, "spaxel sample"]:
    """Sum of shifted spectra in each spaxel.

    Args:
      stars: stars on the sky.
      corner, size: lower-left corner of the field and spaxel size (x, y) [kpc].
      plan: the observation.
      nodes: B-spline coefficients of the node spectra on the fine axis, between three zeros on each side
        [Lsun/Msun per sample].
      k: A_wave / A_V at the same samples; not used where the plan has no dust.

    Returns:
      Luminosity per sample [Lsun], shape (spaxel, reach + samples + reach) with `reach(plan)` more at each end.
    """
    bins, extra = plan.bins, reach(plan)
    v_max = bins.v_max

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def add(total: Any, star: Any) -> tuple:
        one = jax.tree.map(lambda x: x[0], star)
        lg_age, lgmet = (jnp.log10(jnp.maximum(x, jnp.finfo(x.dtype).tiny)) for x in (one.age, one.metallicity))
        n, w = node_weights(lg_age, lgmet, bins.lg_ages, bins.lgmets, bins.interpolation)
        spectrum = jnp.matmul(one.mass * w, nodes[n], precision="highest")  # ends in three zeros on each side
        if plan.precision.a_v_max > 0:
            spectrum = spectrum * jnp.exp(-MAG * one.a_v * k)
        samples = jnp.clip(one.v_los, -v_max, v_max) / (C_KMS * plan.grid.step)
        first, b = bspline_weights(samples + 0.5, "cubic")
        shifted = functools.reduce(jnp.add, [b[t] * spectrum[3 - t : spectrum.size - t] for t in range(4)])

        def at_cells(total: Any, spaxel: Array, a: Array) -> Array:
            for s, share in zip(spaxel[0], a[0], strict=True):
                start = (s, first[0] + extra)
                row = jax.lax.dynamic_slice(total, start, (1, shifted.size))
                total = jax.lax.dynamic_update_slice(total, row + share * shifted, start)
            return total

        return over_cells(total, at_cells, star, corner, size, bins), None

    empty = jnp.zeros((bins.n_cells, plan.grid.n + 2 * extra), stars.mass.dtype)
    total = jax.lax.scan(add, empty, in_chunks(stars, 1))[0]
    return refine(total, bins).reshape(bins.n_y * bins.n_x, -1)


def reach(plan: Plan) -> int:
    """Samples by which the fastest star is shifted, and room for the spline."""
    return int(np.ceil(plan.bins.v_max / plan.grid.step_kms)) + EDGE


class DirectSpectrograph(Stage):
    """Cube by the direct engine; its time grows with the number of stars times that of wavelengths.

    Args:
      plan: the observation; its rank and velocity nodes play no part.
      curve: A_wave / A_V on the library's wavelengths, where the plan has dust.
      lsf_scale, psf_scale: factors on the instrument's widths, trainable.
      lsf_correction, throughput: corrections as in `Templates` and `Spectrograph`.
    """

    hooks: ClassVar = {"lsf_correction": LSF_HOOK, "throughput": THROUGHPUT_HOOK}

    def __init__(
        self,
        *,
        plan: Plan,
        curve: Any = None,
        lsf_scale: float = 1.0,
        psf_scale: float = 1.0,
        lsf_correction: Correction | None = None,
        throughput: Correction | None = None,
    ) -> None:
        self.plan = plan
        self.lsf_correction = lsf_correction_of(lsf_correction)
        self.throughput = NoCorrection() if throughput is None else throughput
        self.lsf_scale, self.psf_scale = width_factor(lsf_scale), width_factor(psf_scale)
        fine = spline_filter1d(resample(plan.node_wave, plan.nodes, plan.grid), order=3, axis=-1, mode="mirror")
        self.nodes: Table = table(np.pad(fine, ((0, 0), (3, 3))), jnp.result_type(float))
        k = np.zeros(plan.grid.n) if curve is None else np.asarray(curve(plan.grid.wave))
        self.k: Table = table(np.pad(k, 3), jnp.result_type(float))

    def __call__(
        self, observed_stars: SkyStars, placement: Placement, line_light: LineLight | None = None
    ) -> ObservedCube:
        plan = self.plan
        stars = with_a_v(observed_stars, plan.bins)
        fine = coadd(stars, *field_corner(plan.bins, placement), plan, self.nodes[...], self.k[...])
        sigma = line_spread(plan, self.lsf_scale.bounded, placement.redshift, self.lsf_correction)
        operator = response(plan.layout, sigma, placement.redshift)
        recorded = apply_response(operator, fine, (0,), plan.layout.n_pixel, offset=reach(plan))[0]
        planes = recorded.reshape(plan.bins.n_y, plan.bins.n_x, -1)
        if line_light is not None and plan.lines is not None:
            scale, z = self.lsf_scale.bounded, placement.redshift
            profiles = line_profiles(plan, plan.lines, scale, z, self.lsf_correction)
            planes = planes + recorded_lines(plan, plan.lines, line_light, profiles, z)
        lum = blurred_pixels(plan, planes, self.psf_scale.bounded)
        return to_flux(plan, of_wave(self.throughput, lum, plan), placement)
