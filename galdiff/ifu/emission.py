"""Emission lines on the detector: each line exactly at its wavelength, as a Gaussian that pixels integrate.

Their light is sorted by spaxel and velocity as that of stars is, and lies in few pixels around each line; no axis of
wavelengths is between.

    flux[k] = sum_l sum_m L[l, m] P[l, m, k],   P = [Phi((b_k - w)/s) - Phi((a_k - w)/s)] / width_k

with w the observed wavelength of line l at velocity node m, (a_k, b_k) the edges of pixel k, and s the width of the
line-spread function and of the gas. Between nodes lines are quintic B-splines in velocity, as spectra of stars are.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from galdiff.core.correction import Correction
from galdiff.core.interpolation import node_weights
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.ifu.bank import BEYOND, prefilter, velocity_nodes
from galdiff.ifu.basis import MAG
from galdiff.ifu.deposit import Bins
from galdiff.ifu.line_plan import LinePlan
from galdiff.ifu.lsf import fwhm_instrument
from galdiff.ifu.per_star import sum_per_star
from galdiff.ifu.plan import MAX_WIDER, Plan
from galdiff.ifu.response import REACH
from galdiff.ifu.spectrograph import of_wave
from galdiff.ifu.spread_functions import lsf_fwhm
from galdiff.light_records import LineLight, LineTable
from galdiff.records import Placement, SkyStars
from galdiff.units import C_KMS, FWHM_PER_SIGMA

FINER = 0.7  # spacing of the velocity nodes over that of the stars': lines are as sharp as the spectrograph


def plan_lines(
    plan: Plan,
    names: Sequence[str],
    wave: Float[np.ndarray, "line"],
    sigma: Float[np.ndarray, "line"],
    dimming: Float[np.ndarray, "line"],
    *,
    levels: int = 0,
    a_v_ratio: float = 1.0,
) -> LinePlan:
    """The lines of a list that fall on the detector, and in how many pixels.

    Args:
      plan: the observation.
      names: of all lines; wave: vacuum, at rest [Angstrom].
      sigma: of their gas [km/s]; dimming: A_line / A_V [1].
      levels: of smoothing that the gas needs, see `Precision`.
      a_v_ratio: attenuation of the lines over that of the stars.
    """
    spacing = FINER * (plan.bins.v_nodes[1] - plan.bins.v_nodes[0])
    bins = dataclasses.replace(plan.bins, v_nodes=velocity_nodes(plan.precision.v_max_kms, spacing), levels=levels)
    at = wave * (1 + plan.redshift)
    on_detector = (at > plan.wave_vacuum[0]) & (at < plan.wave_vacuum[-1])
    kept = np.flatnonzero(on_detector)
    low, high = _reach(plan, bins, at[kept], sigma[kept])
    count = np.searchsorted(plan.wave_vacuum, high) - np.searchsorted(plan.wave_vacuum, low) + 2
    width = min(int(count.max(initial=1)), len(plan.wave))
    chosen = tuple(names[int(k)] for k in kept)
    return LinePlan(chosen, wave[kept], sigma[kept], dimming[kept], tuple(int(k) for k in kept), bins, width, a_v_ratio)


def _reach(plan: Plan, bins: Bins, at: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths [Angstrom] between which lines at `at`, shape (line,), lie with all velocities and wings."""
    beyond = abs(bins.v_nodes[0]) + BEYOND * (bins.v_nodes[1] - bins.v_nodes[0])
    spread = np.hypot(MAX_WIDER * lsf_fwhm(plan.instrument.lsf, at) / FWHM_PER_SIGMA, at * sigma / C_KMS)
    return at * np.exp(-beyond / C_KMS) - REACH * spread, at * np.exp(beyond / C_KMS) + REACH * spread


def first_pixels(plan: Plan, lines: LinePlan, redshift: Float[Array, ""]) -> Int[Array, "line"]:
    """First pixel [from 0] of the window of each line at a redshift [1]."""
    low, _ = _reach(plan, lines.bins, lines.wave * (1 + plan.redshift), lines.sigma)
    edges = jnp.asarray(plan.layout.wave_lower.reshape(-1)[: len(plan.wave)], redshift.dtype)
    moved = jnp.asarray(low, redshift.dtype) * (1 + redshift) / (1 + plan.redshift)
    first = jnp.searchsorted(edges, moved, side="right") - 1
    return jnp.clip(first, 0, len(plan.wave) - lines.width).astype(jnp.int32)


def line_profiles(
    plan: Plan, lines: LinePlan, scale: Float[Array, ""], redshift: Float[Array, ""], correction: Correction
) -> Float[Array, "line v pixel"]:
    """What pixels around a line record of one unit of light at a velocity node [1/Angstrom].

    Args:
      plan: the observation; lines: what it records.
      scale: factor on the instrument's FWHM.
      redshift: systemic redshift.
      correction: of the instrument's FWHM, see `spectrograph.LSF_HOOK`.
    """
    dtype = jnp.result_type(scale, redshift)
    wave = jnp.asarray(plan.wave_vacuum, dtype)
    fwhm = of_wave(correction, fwhm_instrument(plan.instrument, wave, scale), plan)
    at = jnp.asarray(lines.wave, dtype) * (1 + redshift)
    spread = jnp.hypot(jnp.interp(at, wave, fwhm) / FWHM_PER_SIGMA, at * jnp.asarray(lines.sigma / C_KMS, dtype))
    v_nodes = lines.bins.v_nodes
    half, step = len(v_nodes) // 2 + BEYOND, v_nodes[1] - v_nodes[0]
    nodes = jnp.asarray(np.expm1(step * np.arange(-half, half + 1) / C_KMS), dtype)
    moved = (redshift - plan.redshift) / (1 + plan.redshift)
    shift = nodes * (1 + moved) + moved  # of the line's wavelength, relative to that of the plan
    pixel = first_pixels(plan, lines, redshift)[:, None] + np.arange(lines.width)
    reference = lines.wave * (1 + plan.redshift)

    def below(edges: np.ndarray) -> Array:
        """Share of a line below the edges of pixels; differences of large numbers are exact in single precision."""
        (high, low), (ref_high, ref_low) = _split(edges.reshape(-1)[: len(plan.wave)]), _split(reference)
        apart = (jnp.asarray(high, dtype)[pixel] - jnp.asarray(ref_high, dtype)[:, None]) + (
            jnp.asarray(low, dtype)[pixel] - jnp.asarray(ref_low, dtype)[:, None]
        )
        from_line = apart[:, None] - jnp.asarray(reference, dtype)[:, None, None] * shift[:, None]
        return jax.scipy.special.ndtr(from_line / spread[:, None, None])

    width = jnp.asarray(plan.layout.width.reshape(-1)[: len(plan.wave)], dtype)[pixel]
    exact = (below(plan.layout.wave_upper) - below(plan.layout.wave_lower)) / width[:, None]
    matrix = jnp.asarray(prefilter(len(v_nodes)), dtype)
    return jnp.einsum("mn,lnk->lmk", matrix, exact, precision="highest")


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers as the nearest ones of single precision, and the rest."""
    nearest = values.astype(np.float32).astype(np.float64)
    return nearest, values - nearest


def recorded_lines(
    plan: Plan,
    lines: LinePlan,
    light: LineLight,
    profiles: Float[Array, "line v pixel"],
    redshift: Float[Array, ""],
) -> Float[Array, "y x wave"]:
    """Luminosity density of the lines per observed Angstrom [Lsun/Angstrom] in each spaxel, without PSF.

    Args:
      plan: the observation; lines: what it records.
      light: of the lines, in spaxels and velocities.
      profiles: from `line_profiles` [1/Angstrom].
      redshift: systemic redshift.
    """
    seen = jnp.einsum("yxvl,lvk->yxlk", light.lum, profiles, precision="highest")
    pixel = first_pixels(plan, lines, redshift)[:, None] + np.arange(lines.width)
    empty = jnp.zeros((*seen.shape[:2], len(plan.wave)), seen.dtype)
    return empty.at[..., pixel].add(seen, mode="promise_in_bounds")


class LineDeposit(Stage):
    """Sort the light of emission lines into spaxels and velocities, behind the dust in front of each emitter.

    Args of the constructor:
      lines: what is recorded.
    """

    def __init__(self, *, lines: LinePlan) -> None:
        self.lines = lines
        self.a_v_ratio = physical(lines.a_v_ratio, lo=0.0, hi=5.0, unit="1")

    def __call__(self, sky_emitters: SkyStars, line_table: LineTable, placement: Placement) -> LineLight:
        per_mass = line_table.lum[..., np.array(self.lines.number, int)].reshape(-1, len(self.lines.number))
        dimming = MAG * self.a_v_ratio.bounded * jnp.asarray(self.lines.dimming, per_mass.dtype)
        tiny = jnp.finfo(per_mass.dtype).tiny

        def rows(stars: SkyStars) -> Array:
            lg_age, lgmet = (jnp.log10(jnp.maximum(x, tiny)) for x in (stars.age, stars.metallicity))
            node, w = node_weights(lg_age, lgmet, line_table.lg_age, line_table.lgmet, "linear")
            lum = stars.mass[:, None] * jnp.einsum("st,stl->sl", w, per_mass[node], precision="highest")
            return lum if stars.a_v is None else lum * jnp.exp(-stars.a_v[:, None] * dimming)

        return LineLight(lum=sum_per_star(sky_emitters, placement, self.lines.bins, len(self.lines.names), rows))
