"""A fit of the cooling function beside the table that it was made from."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from galdiff.baryons.cooling import CoolingFit, log10_lambda
from galdiff.baryons.cooling_fit import COLUMNS, residuals

DPI = 110
PROMISED = 0.03  # dex


def plot_cooling_fit(made: CoolingFit, log10_t: np.ndarray, values: np.ndarray, real: np.ndarray) -> Figure:
    """Table and fit for all metallicities, between them too, and the residuals.

    Args:
      made: the fit.
      log10_t, values, real: the table, as of `galdiff.baryons.cooling_fit.measured`.
    """
    figure = Figure(figsize=(8, 8), layout="constrained", dpi=DPI)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    fine = np.linspace(3.7, 8.8, 800)
    for z in np.arange(-2.75, 0.5, 0.5):
        top.plot(fine, log10_lambda(fine, z, made), color="0.8", lw=0.8)
    left = residuals(made, log10_t, values, real)
    for j, z in enumerate(COLUMNS):
        colour = matplotlib.colormaps["viridis"](j / len(COLUMNS))
        top.plot(fine, log10_lambda(fine, z, made), color=colour, lw=1.2, label=f"{z:+.1f}")
        top.plot(log10_t[real[:, j]], values[real[:, j], j], ".", color=colour, ms=4)
        bottom.plot(log10_t, left[:, j], ".-", color=colour, ms=3, lw=0.5)
    top.set(ylim=(-24.6, -20.2), ylabel=r"log $\Lambda_N$ [erg cm$^3$ s$^{-1}$]")
    top.legend(title="[Fe/H]", ncols=2, loc="upper right")
    top.set_title("Sutherland & Dopita (1993): table (points) and fit (lines; grey: between the columns)", fontsize=10)
    for level in (-PROMISED, PROMISED):
        bottom.axhline(level, color="k", lw=0.8, ls=":")
    bottom.set(xlabel="log T [K]", ylabel="fit - table [dex]", ylim=(-0.04, 0.04))
    return figure
