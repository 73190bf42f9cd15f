"""All that an observation needs and that depends on neither galaxy nor parameters, laid out once on the host."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from galdiff import units
from galdiff.core.interpolation import expand_nodes
from galdiff.errors import InputError
from galdiff.ifu.bank import BEYOND, prefilter, velocity_nodes
from galdiff.ifu.basis import Attenuation, Basis, build_basis, no_attenuation, separate_attenuation
from galdiff.ifu.deposit import Bins
from galdiff.ifu.finegrid import SHARPENING, FineGrid, fine_grid, resample
from galdiff.ifu.instrument import Instrument, output_wave, output_wave_vacuum, pixel_edges_vacuum
from galdiff.ifu.line_plan import LinePlan
from galdiff.ifu.psf import Wings, kernel_radius, widest_fwhm, wings_of
from galdiff.ifu.response import REACH, PixelPlan, plan_pixels
from galdiff.ifu.spread_functions import lsf_fwhm
from galdiff.ifu.velocity_modes import VelocityModes, velocity_modes
from galdiff.records import SSPGrid

MAX_WIDER = 1.3  # factor on LSF and PSF widths up to which kernels are not cut short
MAX_MARGIN_BYTES = 1 << 30  # of the mass distribution of a field smaller than its PSF
NODE_SPACING = 1.0  # of the velocity nodes by default, in units of the smallest total sigma in the band
MOST_TEMPLATES = 72  # by default
TOLERANCE = 1e-5  # of spectra of unit mean: what templates and modes of velocity may leave out by default
SAMPLES_PER_NATIVE = 3  # fine samples per native sample of the library


@dataclasses.dataclass(frozen=True, kw_only=True)
class Precision:
    """How finely the mass distribution is binned and the library compressed.

    Args:
      rank: templates kept: 32 for a quick look, 96 to 128 for gradients in age and metallicity; by default as many as
        leave TOLERANCE of the spectra out, at most MOST_TEMPLATES.
      h_v_kms: spacing of the velocity nodes; by default NODE_SPACING times the smallest total sigma in the band.
      v_max_kms: largest line-of-sight velocity expected; faster stars are kept at this velocity.
      kernel: how a star is shared between spaxels: nearest, linear, quadratic or cubic.
      interpolation: of the library in log age and log Z: linear or cubic (monotone, continuous slopes).
      a_v_max: largest attenuation [mag]; 0 leaves dust out.
      a_v_modes: rank of the separation of attenuation in A_V and wavelength.
      coverage: what to do with pixels outside the library: "error", or "crop" the wavelength range.
      levels: doublings of the smoothing length of stars that are told apart (`ifu.smoothing`); 0: stars are points.
    """

    rank: int | None = None
    h_v_kms: float | None = None
    v_max_kms: float = 600.0
    kernel: str = "cubic"
    interpolation: str = "linear"
    a_v_max: float = 0.0
    a_v_modes: int = 6
    coverage: str = "error"
    levels: int = 0

    @property
    def tolerance(self) -> float:
        """Residual of spectra of unit mean [1] that needs neither more templates nor more modes of velocity."""
        return TOLERANCE if self.rank is None else 0.0


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """The layout of one observation (host numbers, float64)."""

    instrument: Instrument
    precision: Precision
    redshift: float  # reference; the observation may move by some 1e-2 from it
    pixels: slice  # detector pixels that the library covers
    wave: np.ndarray  # their centres in the instrument's medium [Angstrom]
    wave_vacuum: np.ndarray  # the same in vacuum [Angstrom]
    fwhm_template: np.ndarray  # rest-frame FWHM of the library at each pixel [Angstrom]
    margin: tuple[int, int]  # spaxels (y, x) rendered around the field for the PSF
    wings: Wings  # how far the PSF's kernel reaches
    bins: Bins  # of the field with its margin; the cells of its spaxels on the sky
    layout: PixelPlan
    basis: Basis
    nodes: np.ndarray  # spectra of the population nodes, shape (node, native wave)
    node_wave: np.ndarray  # native wavelengths in the range that is observed [Angstrom]
    native: slice  # which of the library's wavelengths those are
    templates: np.ndarray  # basis templates on the fine axis [Lsun per sample], shape (rank, sample)
    modes: VelocityModes | None  # what is rendered in place of velocity nodes, where that is less
    lines: LinePlan | None = None  # emission lines, where gas shines

    @property
    def grid(self) -> FineGrid:
        """The fine wavelength axis."""
        return self.layout.grid

    @property
    def n_channels(self) -> int:
        """Spectra that the detector's image is made of, in each spaxel."""
        return len(self.bins.v_nodes) * len(self.templates) if self.modes is None else sum(self.modes.kept)


def make_plan(
    ssp: SSPGrid,
    instrument: Instrument,
    redshift: float,
    precision: Precision | None = None,
    attenuation_curve: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Plan:
    """Lay out an observation.

    Args:
      ssp: the library.
      instrument: the spectrograph.
      redshift: of the galaxy.
      precision: how finely to work.
      attenuation_curve: A_wave / A_V at rest wavelengths [Angstrom] of any shape; needed where precision.a_v_max > 0.

    Raises:
      InputError: the library does not cover the instrument's range at this redshift, or the PSF is wider than the
        field and its margin would not fit in memory.
    """
    precision = precision or Precision()
    pixels = covered_pixels(ssp, instrument, redshift, precision)
    wave, wave_vacuum, widths = (of(instrument)[pixels] for of in (output_wave, output_wave_vacuum, _widths))
    edges = np.lib.stride_tricks.sliding_window_view(pixel_edges_vacuum(instrument), 2)[pixels]
    fwhm_template = np.interp(wave_vacuum / (1 + redshift), ssp.ssp_wave, ssp.ssp_fwhm)
    fwhm_inst = lsf_fwhm(instrument.lsf, wave_vacuum)
    widest = MAX_WIDER * fwhm_inst / units.FWHM_PER_SIGMA
    total = np.maximum(fwhm_inst, (1 + redshift) * fwhm_template) / units.FWHM_PER_SIGMA / wave_vacuum
    v_nodes = velocity_nodes(precision.v_max_kms, precision.h_v_kms or NODE_SPACING * float(total.min()) * units.C_KMS)
    margin = kernel_radius(instrument, MAX_WIDER)
    wings = wings_of(instrument, margin, MAX_WIDER)
    _check_margin(instrument, margin, len(v_nodes) * ssp.ssp_flux.shape[0] * ssp.ssp_flux.shape[1])
    grid, use = _fine_axis(ssp, edges, REACH * widest, redshift, v_nodes)
    native, flux = np.asarray(ssp.ssp_wave, np.float64)[use], np.asarray(ssp.ssp_flux)[..., use]
    nodes = np.asarray(expand_nodes(flux, ssp.ssp_lg_age_gyr, ssp.ssp_lgmet, precision.interpolation), np.float64)
    attenuation = _attenuation(attenuation_curve, native, precision)
    rank = min(precision.rank or MOST_TEMPLATES, flux[..., 0].size, len(native))
    basis = build_basis(nodes, flux[..., 0].size, rank, attenuation, precision.tolerance)
    bins = _bins(ssp, instrument, margin, wings.cells, v_nodes, precision, attenuation)
    templates = resample(native, basis.templates, grid)
    wider = _least_widening(wave_vacuum, fwhm_inst, (1 + redshift) * fwhm_template, widths, grid)
    return Plan(
        instrument=instrument,
        precision=precision,
        redshift=redshift,
        pixels=pixels,
        wave=wave,
        wave_vacuum=wave_vacuum,
        fwhm_template=fwhm_template,
        margin=margin,
        wings=wings,
        bins=bins,
        layout=plan_pixels(edges, widths, widest, redshift, grid),
        basis=basis,
        nodes=nodes,
        node_wave=native,
        native=slice(use.start, use.start + len(native)),
        templates=templates,
        modes=velocity_modes(basis, templates, bins, prefilter(len(v_nodes)), grid.stride, wider, precision.tolerance),
    )


def _fine_axis(
    ssp: SSPGrid, edges: np.ndarray, reach: Any, redshift: float, v_nodes: np.ndarray
) -> tuple[FineGrid, slice]:
    """Fine axis that serves the pixels at all velocities, and the library's samples that it needs."""
    shift = np.exp((v_nodes[-1] + BEYOND * (v_nodes[1] - v_nodes[0]) + 50.0) / units.C_KMS)
    wave = np.asarray(ssp.ssp_wave)
    lo = max((edges[0, 0] - reach[0]) / (1 + redshift) / shift, float(wave[0]))
    hi = min((edges[-1, 1] + reach[-1]) / (1 + redshift) * shift, float(wave[-1]))
    use = slice(max(np.searchsorted(wave, lo) - 4, 0), np.searchsorted(wave, hi) + 4)
    native = wave.astype(np.float64)[use]
    finest = float(np.min(np.diff(native) / native[1:])) * units.C_KMS / SAMPLES_PER_NATIVE
    return fine_grid(lo, hi, v_nodes[1] - v_nodes[0], finest), use


def _bins(
    ssp: SSPGrid,
    instrument: Instrument,
    margin: tuple[int, int],
    cells: tuple[int, int],
    v_nodes: np.ndarray,
    precision: Precision,
    attenuation: Attenuation,
) -> Bins:
    """Bins of the field with its margin."""
    return Bins(
        n_y=(instrument.n_y + 2 * margin[0]) * cells[0],
        n_x=(instrument.n_x + 2 * margin[1]) * cells[1],
        spaxel_arcsec=(instrument.spaxel_x_arcsec / cells[1], instrument.spaxel_y_arcsec / cells[0]),
        v_nodes=v_nodes,
        lg_ages=np.asarray(ssp.ssp_lg_age_gyr, float),
        lgmets=np.asarray(ssp.ssp_lgmet, float),
        interpolation=precision.interpolation,
        kernel=precision.kernel,
        attenuation=attenuation,
        levels=precision.levels,
    )


def _least_widening(
    wave: np.ndarray, fwhm: np.ndarray, fwhm_template: np.ndarray, width: np.ndarray, grid: FineGrid
) -> float:
    """The least sigma by which line spread and pixels widen the sharpened templates [fine samples].

    `wave`, `fwhm`, `fwhm_template` and the pixels' `width` have the shape (wave,) [Angstrom, observed].
    """
    added = np.sqrt(np.maximum(fwhm**2 - fwhm_template**2, 0) / units.FWHM_PER_SIGMA**2 + width**2 / 12)
    return float(np.hypot(np.min(added / wave) / grid.step, SHARPENING))


def _check_margin(instrument: Instrument, margin: tuple[int, int], per_spaxel: int) -> None:
    """A PSF wider than the field must not ask for a margin whose mass distribution is larger than MAX_MARGIN_BYTES."""
    if instrument.psf.kind == "none":
        return
    width, y, x = widest_fwhm(instrument), instrument.n_y, instrument.n_x
    field = y * instrument.spaxel_y_arcsec, x * instrument.spaxel_x_arcsec
    rendered = y + 2 * margin[0], x + 2 * margin[1]
    needed = rendered[0] * rendered[1] * per_spaxel * np.dtype(np.float32).itemsize
    if width > max(field) and needed > MAX_MARGIN_BYTES:
        raise InputError(
            f"instrument.psf.fwhm_arcsec is {instrument.psf.fwhm_arcsec:g} arcsec (widest {width:.3g}), wider than"
            f" the field of {field[1]:.3g} x {field[0]:.3g} arcsec: light of {rendered[1]} x {rendered[0]} spaxels"
            f" reaches it, {needed / 1e9:.3g} GB; give a narrower PSF, larger spaxels or a larger field"
        )


def _widths(instrument: Instrument) -> np.ndarray:
    """Pixel widths in the instrument's own medium [Angstrom]: the flux density is per Angstrom of that medium."""
    wave = output_wave(instrument)
    if instrument.grid == "linear":
        return np.full(len(wave), instrument.wave_step)
    half = instrument.wave_step / 2 * (np.log(10.0) if instrument.grid == "log10" else 1.0)
    return wave * 2 * np.sinh(half)


def covered_pixels(ssp: SSPGrid, instrument: Instrument, redshift: float, precision: Precision) -> slice:
    """Pixels inside the library, with room for the largest velocity; arguments and errors are those of `make_plan`."""
    bounds = pixel_edges_vacuum(instrument)
    room = np.exp(precision.v_max_kms / units.C_KMS)
    lo, hi = float(ssp.ssp_wave[0]) * (1 + redshift) * room, float(ssp.ssp_wave[-1]) * (1 + redshift) / room
    inside = np.flatnonzero((bounds[:-1] >= lo) & (bounds[1:] <= hi))
    name = f"{instrument.name} records {bounds[0]:.0f}-{bounds[-1]:.0f} Angstrom (vacuum)"
    library = f"library '{ssp.name}' covers {lo:.0f}-{hi:.0f} Angstrom at redshift {redshift:g}"
    if len(inside) < 2:
        raise InputError(f"{name}, but {library}: they do not overlap; choose another library, redshift or instrument")
    if len(inside) < instrument.n_wave:
        if precision.coverage != "crop":
            raise InputError(
                f"{name}, but {library}; choose another library or redshift, narrow the instrument's wave range,"
                " or set precision.coverage=crop"
            )
        warnings.warn(f"{name}, but {library}: {instrument.n_wave - len(inside)} pixels are cut off", stacklevel=3)
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _attenuation(curve: Any, wave: np.ndarray, precision: Precision) -> Attenuation:
    if precision.a_v_max == 0.0:
        return no_attenuation(len(wave))
    if curve is None:
        raise InputError(
            f"precision.a_v_max is {precision.a_v_max} mag, but no attenuation curve is given;"
            " name one (dust.curve), or set a_v_max to 0"
        )
    return separate_attenuation(np.asarray(curve(wave), np.float64), precision.a_v_max, precision.a_v_modes)
