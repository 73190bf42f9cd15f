"""Picture of a fit to a spectrum: data, model by its parts, residuals, and the history of star formation."""

import dataclasses

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE, robust_limits
from galdiff.plotting.sed_fit_figure import BAND, DATA, MODEL, draw_history

LINES, MASKED = "#2a8f6f", "0.9"


@dataclasses.dataclass(frozen=True, eq=False)
class FittedSpectrum:
    """What is shown of one galaxy.

    Attributes:
      wave: observed vacuum wavelength [Angstrom], (pixel,).
      flux, error: measured [1e-20 erg/s/cm2/Angstrom], (pixel,); used: pixels that count.
      continuum, lines: of the model, as calibrated [1e-20 erg/s/cm2/Angstrom], (draw, pixel).
      pull: what remains over the error, of the middle of the draws, (pixel,).
      age: of points [Gyr], (point,); mass: formed there [Msun], (draw, point); time: age of the universe then [Gyr].
      pivot, maggies, maggies_error: photometry, (band,), and maggies_model, (draw, band); empty for none.
    """

    wave: Float[np.ndarray, "pixel"]
    flux: Float[np.ndarray, "pixel"]
    error: Float[np.ndarray, "pixel"]
    used: Float[np.ndarray, "pixel"]
    continuum: Float[np.ndarray, "draw pixel"]
    lines: Float[np.ndarray, "draw pixel"]
    pull: Float[np.ndarray, "pixel"]
    age: Float[np.ndarray, "point"]
    mass: Float[np.ndarray, "draw point"]
    time: float
    pivot: Float[np.ndarray, "band"]
    maggies: Float[np.ndarray, "band"]
    maggies_error: Float[np.ndarray, "band"]
    maggies_model: Float[np.ndarray, "draw band"]


def plot_spectrum_fit(fit: FittedSpectrum, title: str) -> Figure:
    """Three panels of one galaxy below each other, and a fourth for photometry."""
    bands = fit.pivot.size > 0
    figure = Figure(figsize=(9.0, 9.0 if bands else 7.4), dpi=DPI, layout="constrained")
    panels = figure.subplots(3 + bands, 1, height_ratios=(2.2, 0.8, *((1.1,) * bands), 1.2))
    top, middle, bottom = panels[0], panels[1], panels[-1]
    seen = fit.used > 0
    flux = np.where(seen, fit.flux, np.nan)
    unit, power = 1e-20, int(np.floor(np.log10(np.nanmedian(np.abs(flux)))))
    scale = 10.0**-power
    x = fit.wave
    top.step(x, flux * scale, where="mid", color=DATA, lw=0.6, label="data")
    lo, hi = np.quantile(fit.continuum + fit.lines, [0.16, 0.84], axis=0) * scale
    top.fill_between(x, lo, hi, color=MODEL, alpha=0.3, lw=0)
    continuum, lines = np.median(fit.continuum, 0), np.median(fit.lines, 0)
    top.plot(x, (continuum + lines) * scale, color=MODEL, lw=0.9, label="stars and gas")
    top.plot(x, continuum * scale, color=BAND, lw=0.9, label="stars, as calibrated")
    top.plot(x, lines * scale, color=LINES, lw=0.9, label="lines of gas")
    shown = robust_limits(flux[seen] * scale, 0.1)
    top.set_ylim(min(-0.05 * shown[1], shown[0]), 1.25 * shown[1])
    middle.plot(x[seen], fit.pull[seen], ".", ms=1.5, color=DATA)
    middle.axhline(0.0, color=MODEL, lw=0.8)
    middle.set_ylim(-6, 6)
    for start, end in _runs(~seen):
        for axes in (top, middle):
            axes.axvspan(x[start], x[end], color=MASKED, lw=0, zorder=-1)
    top.set_ylabel(f"flux density [1e{power + int(np.log10(unit))} erg/s/cm$^2$/$\\AA$]", fontsize=TEXT)
    middle.set_ylabel("residual [error]", fontsize=TEXT)
    middle.set_xlabel(r"observed wavelength in vacuum [$\AA$]", fontsize=TEXT)
    middle.sharex(top)
    top.set_xlim(x[0], x[-1])
    top.set_title(title, fontsize=TITLE)
    top.legend(fontsize=SMALL, frameon=False, ncols=4, loc="upper left")
    if bands:
        _photometry(panels[2], fit)
    draw_history(bottom, fit.age, fit.mass, fit.time)
    for axes in panels:
        axes.tick_params(labelsize=SMALL)
    return figure


def _photometry(axes, fit: FittedSpectrum) -> None:  # type: ignore[no-untyped-def]
    order = np.argsort(fit.pivot)
    x = fit.pivot[order] / 1e4
    lo, mid, hi = np.quantile(fit.maggies_model, [0.16, 0.5, 0.84], axis=0)[:, order] * 3631e6
    place = dict(fmt="s", color=MODEL, ms=7, mfc="none", label="model, 68 %")
    axes.errorbar(x, mid, [mid - lo, hi - mid], **place)
    flux, error = fit.maggies[order] * 3631e6, fit.maggies_error[order] * 3631e6
    axes.errorbar(x, flux, error, fmt="o", color=DATA, ms=4, label="photometry")
    axes.set(xscale="log", yscale="log", xlabel=r"observed wavelength [$\mu$m]", ylabel=r"flux density [$\mu$Jy]")
    axes.legend(fontsize=SMALL, frameon=False)


def _runs(masked: np.ndarray) -> list[tuple[int, int]]:
    """First and last pixel of each run."""
    ends = np.flatnonzero(np.diff(np.r_[0, masked.astype(int), 0]))
    return [(int(a), int(b) - 1) for a, b in zip(ends[::2], ends[1::2], strict=True)]
