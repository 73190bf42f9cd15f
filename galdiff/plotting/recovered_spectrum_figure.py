"""Fits of one spectrum from several starts: paths over the loss, loss against step, spectra with residuals."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from galdiff.inference.fit import Fit

DPI = 160


def plot_recovered_spectrum(
    fit: Fit, surface: tuple[np.ndarray, ...], spectra: Mapping[str, np.ndarray], truth: np.ndarray
) -> Figure:
    """Paths over the loss, loss against step, and spectra with residuals.

    Args:
      fit: all fits, leading axis start.
      surface: of `galdiff.inference.one_spaxel.loss_map`.
      spectra: wave [Angstrom] and fluxes of the observed, started and recovered spectra, at a common scale.
      truth: log10(age/Gyr), log10 Z, (2,).
    """
    figure = Figure(figsize=(11, 9), layout="constrained", dpi=DPI)
    grid = figure.add_gridspec(3, 2, height_ratios=(3.2, 1.7, 0.9), width_ratios=(1.35, 1))
    colours = matplotlib.color_sequences["tab10"]
    _draw_paths(figure, figure.add_subplot(grid[0, 0]), fit, surface, truth, colours)
    _draw_losses(figure.add_subplot(grid[0, 1]), fit, truth, colours)
    axes = [figure.add_subplot(grid[1, :])]
    axes.append(figure.add_subplot(grid[2, :], sharex=axes[0]))
    _draw_spectra(axes, spectra, colours)
    return figure


def _draw_paths(
    figure: Any, axis: Any, fit: Fit, surface: tuple[np.ndarray, ...], truth: np.ndarray, colours: Any
) -> None:
    ages, mets, distance = surface
    levels = np.arange(-6.0, -0.49, 0.25)
    filled = axis.contourf(
        10**ages, 10**mets, np.log10(distance + 1e-12), levels, cmap="Greys", extend="both", alpha=0.7
    )
    figure.colorbar(filled, ax=axis, label="log$_{10}$ cosine distance", pad=0.01, ticks=np.arange(-6, 0))
    for path, best, colour in zip(10 ** np.asarray(fit.path), 10 ** np.asarray(fit.params), colours, strict=False):
        axis.plot(*path.T, "-", lw=1.6, color=colour, marker=".", ms=4)
        axis.plot(*path[0], "o", ms=8, color=colour, mec="w", mew=1.2)
        axis.plot(*best, "s", ms=5, color=colour, mec="w", mew=0.8)
    axis.plot(*10**truth, "*", ms=17, color="gold", mec="k", mew=1.0, zorder=5, label="truth")
    axis.plot([], [], "o", color="0.5", mec="w", ms=8, label="start")
    axis.plot([], [], "s", color="0.5", mec="w", ms=6, label="recovered")
    axis.set(xscale="log", yscale="log", xlabel="age [Gyr]", ylabel="metallicity Z", title="paths of the fits")
    axis.set(xlim=(10 ** ages[0], 10 ** ages[-1]), ylim=(10 ** mets[0], 10 ** mets[-1]))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.legend(loc="lower left", framealpha=0.9, fontsize=9)


def _draw_losses(axis: Any, fit: Fit, truth: np.ndarray, colours: Any) -> None:
    for losses, colour in zip(np.asarray(fit.losses), colours, strict=False):
        axis.semilogy(np.arange(len(losses)), losses, color=colour, lw=1.4)
    errors = np.abs(np.asarray(fit.params) - truth).max(0)
    text = f"largest error: {errors[0]:.1e} dex in age, {errors[1]:.1e} dex in Z"
    axis.set(xlabel="step", ylabel="cosine distance", title="loss", xlim=(0, fit.losses.shape[1] - 1))
    axis.text(0.97, 0.97, text, transform=axis.transAxes, ha="right", va="top", fontsize=9)
    axis.grid(alpha=0.3)


def _draw_spectra(axes: Any, spectra: Mapping[str, np.ndarray], colours: Any) -> None:
    wave, observed = spectra["wave"], spectra["observed"]
    for start, recovered, colour in zip(spectra["starts"], spectra["recovered"], colours, strict=False):
        axes[0].plot(wave, start, lw=0.7, color=colour, alpha=0.75)
        axes[1].plot(wave, 100 * (recovered / observed - 1), lw=0.7, color=colour)
    axes[0].plot(wave, observed, lw=1.0, color="k", label="observed")
    axes[0].plot([], [], lw=0.9, color="0.5", label="starts")
    axes[0].set(
        ylabel="flux density / mean",
        title="spectra, scaled to the same mean; below, recovered / observed - 1",
        xlim=(wave[0], wave[-1]),
    )
    axes[0].legend(frameon=False, ncols=2, fontsize=9)
    axes[0].tick_params(labelbottom=False)
    axes[1].axhline(0.0, color="k", lw=0.6)
    axes[1].set(xlabel="observed wavelength [$\\mathrm{\\AA}$]", ylabel="residual [%]")
