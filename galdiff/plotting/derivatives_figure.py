"""Derivatives of a spectrum by autodiff and by differences."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from galdiff.plotting.figures import DPI
from galdiff.sps.derivatives import DerivativeComparison

NAMES = {"age": "age [Gyr]", "metallicity": "metallicity Z"}


def plot_derivatives(wave: np.ndarray, results: Mapping[str, DerivativeComparison], title: str) -> Figure:
    """Derivatives above, their difference below; one column for each parameter.

    Args:
      wave: vacuum wavelength (wave,) [Angstrom].
      results: of age [Gyr] and metallicity.
      title: above the figure.
    """
    figure = Figure(figsize=(11, 6.5), layout="constrained", dpi=DPI)
    axes = figure.subplots(2, 2, sharex=True, height_ratios=(2, 1))
    for column, (key, result) in zip(axes.T, results.items(), strict=True):
        unit = "Lsun / $\\mathrm{\\AA}$ / Msun" + (" / Gyr" if key == "age" else " per unit Z")
        column[0].plot(wave, result.autodiff, lw=1.2, color="C0", label="autodiff")
        column[0].plot(wave, result.differences, lw=1.0, color="C1", ls=(0, (4, 4)), label="central differences")
        column[0].axhline(0.0, lw=0.5, color="0.6")
        column[0].set(title=f"derivative in {NAMES[key]}", ylabel=f"derivative [{unit}]")
        column[0].ticklabel_format(axis="y", scilimits=(-2, 2))
        column[0].legend(frameon=False)
        column[1].plot(wave, result.error, lw=0.5, color="0.2")
        column[1].set(xlabel="wavelength [$\\mathrm{\\AA}$, vacuum]", ylabel="difference / max derivative")
        if wave[-1] > 4 * wave[0]:
            column[1].set_xscale("log")
    figure.suptitle(title)
    return figure
