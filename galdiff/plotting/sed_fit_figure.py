"""Picture of a fit to photometry: data and model, residuals, and the history of star formation with its band."""

import dataclasses

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE

DATA, MODEL, BAND = "black", "#c8553d", "#3b6fb6"
SHARES = ((0.025, 0.975, 0.2), (0.16, 0.84, 0.4))  # of the draws, and how strong a band is drawn
STEPS = 40  # in time


@dataclasses.dataclass(frozen=True, eq=False)
class FittedSed:
    """What is shown of one galaxy.

    Attributes:
      pivot: of the bands [Angstrom], (band,).
      flux, error: measured [maggies], (band,); limit: -1 for an upper limit, 0 for a measurement, NaN for none.
      model: at draws [maggies], (draw, band).
      age: of points [Gyr], (point,); mass: formed there [Msun], (draw, point); time: age of the universe then [Gyr].
    """

    pivot: Float[np.ndarray, "band"]
    flux: Float[np.ndarray, "band"]
    error: Float[np.ndarray, "band"]
    limit: Float[np.ndarray, "band"]
    model: Float[np.ndarray, "draw band"]
    age: Float[np.ndarray, "point"]
    mass: Float[np.ndarray, "draw point"]
    time: float


def plot_fit(fit: FittedSed, title: str) -> Figure:
    """Three panels of one galaxy, below each other."""
    figure = Figure(figsize=(7.2, 7.2), dpi=DPI, layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, height_ratios=(2.0, 0.8, 1.3))
    order = np.argsort(fit.pivot)
    x = fit.pivot[order] / 1e4
    lo, mid, hi = np.quantile(fit.model, [0.16, 0.5, 0.84], axis=0)[:, order] * 3631e6
    flux, error, limit = (a[order] for a in (fit.flux * 3631e6, fit.error * 3631e6, fit.limit))
    seen, above = limit == 0, limit == -1
    top.errorbar(x, mid, [mid - lo, hi - mid], fmt="s", color=MODEL, ms=7, mfc="none", label="model, 68 %")
    top.errorbar(x[seen], flux[seen], error[seen], fmt="o", color=DATA, ms=4, label="data")
    if above.any():
        place = dict(uplims=True, fmt="v", color=DATA, ms=4, label="upper limit")
        top.errorbar(x[above], flux[above], 0.3 * flux[above], **place)
    middle.axhline(0.0, color="0.7", lw=0.8)
    pull = (flux - mid) / error
    middle.plot(x[seen], pull[seen], "o", color=DATA, ms=4)
    middle.plot(x[above], pull[above], "v", color=DATA, ms=4)
    most = max(3.0, 1.1 * float(np.abs(pull[seen]).max(initial=0.0)))
    top.set(xscale="log", yscale="log")
    middle.set(xscale="log", ylim=(-most, most), xlim=top.get_xlim())
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if top.get_xlim()[0] < t < top.get_xlim()[1]]
    for axes in (top, middle):
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.tick_params(labelsize=SMALL)
    middle.set_xlabel(r"observed wavelength [$\mu$m]", fontsize=TEXT)
    top.set_ylabel(r"flux density [$\mu$Jy]", fontsize=TEXT)
    middle.set_ylabel("residual [error]", fontsize=TEXT)
    top.set_title(title, fontsize=TITLE)
    top.legend(fontsize=SMALL, frameon=False)
    draw_history(bottom, fit.age, fit.mass, fit.time)
    return figure


def draw_history(
    axes: Axes, age: Float[np.ndarray, "point"], mass: Float[np.ndarray, "draw point"], time: float
) -> None:
    """Rate of star formation [Msun/yr] against look-back time, as bands of the draws; arguments as in `FittedSed`."""
    edges = np.linspace(0.0, time, STEPS + 1)
    ends = np.r_[0.0, (age[1:] + age[:-1]) / 2, time]
    formed = np.concatenate([np.zeros((len(mass), 1)), np.cumsum(mass, -1)], -1)
    keep = np.r_[True, np.diff(ends) > 0]  # points before the beginning lie on top of each other
    rates = np.stack([np.diff(np.interp(edges, ends[keep], row[keep])) for row in formed]) / np.diff(edges) / 1e9
    middle = (edges[1:] + edges[:-1]) / 2
    for lo, hi, strength in SHARES:
        axes.fill_between(middle, *np.quantile(rates, [lo, hi], axis=0), color=BAND, alpha=strength, lw=0)
    axes.plot(middle, np.median(rates, 0), color=BAND, lw=1.4)
    axes.set(xlim=(time, 0.0), ylim=(0, None))
    axes.set_xlabel("look-back time from the epoch [Gyr]", fontsize=TEXT)
    axes.set_ylabel(r"stars formed [$M_\odot$/yr]", fontsize=TEXT)
    axes.tick_params(labelsize=SMALL)
