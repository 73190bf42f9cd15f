"""The analytic library beside measured spectra; for looking at, where those may not be published."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from galdiff.sps.analytic.calibration import SpectraComparison, Summary

DPI = 70
AGES = (0.1, 0.5, 1.5, 5.0, 12.0)  # Gyr
SHOWN = ("g-r", "lg_ml", "Dn4000", "Hbeta", "Mgb", "Fe5270", "NaD", "Hdelta_A")


def plot_population_spectra(found: SpectraComparison, metallicity: float, ages: Sequence[float] = AGES) -> Figure:
    """Measured and modelled spectra of the nearest metallicity, a panel for each age [Gyr]."""
    i = int(np.abs(found.mets - metallicity).argmin())
    figure = Figure(figsize=(15, 20), dpi=DPI)
    axes = figure.subplots(len(ages), 1, sharex=True)
    for ax, age in zip(axes, ages, strict=True):
        j = int(np.abs(found.ages - age).argmin())
        scale = np.median(found.data[i, j])
        ax.plot(found.wave, found.data[i, j] / scale, "k", lw=0.9, label="MILES")
        ax.plot(found.wave, found.model[i, j] / scale, "r", lw=0.9, label="analytic")
        ax.set_title(f"Z = {found.mets[i]:.4g}, {found.ages[j]:.3g} Gyr", fontsize=9)
    axes[0].legend()
    figure.tight_layout()
    return figure


def plot_population_trends(found: SpectraComparison, summary: Summary) -> Figure:
    """Colours, mass-to-light ratios and indices against age: measured (dashed) and modelled, by metallicity."""
    theirs, ours = summary(found.data), summary(found.model)
    figure = Figure(figsize=(18, 9), dpi=DPI)
    axes = figure.subplots(2, 4)
    for ax, name in zip(axes.flat, SHOWN, strict=True):
        for i, z in enumerate(found.mets):
            ax.semilogx(found.ages, theirs[name][i], f"C{i}--", lw=1)
            ax.semilogx(found.ages, ours[name][i], f"C{i}-", label=f"{z:.4g}")
        ax.set_title(name)
    axes[0, 0].legend()
    figure.tight_layout()
    return figure
