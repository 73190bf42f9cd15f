"""Figures of a template mismatch: maps of one galaxy, biases of all, and the correction beside the true one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE, robust_limits

ANGSTROM = "\N{ANGSTROM SIGN}"
ROWS = (("log10_age", "log$_{10}$ age/Gyr", "magma"), ("log10_z", "log$_{10}$ Z", "viridis"))
COLOURS = {"as it is": "tab:red", "corrected": "tab:blue", "of the truth": "0.5"}


def plot_galaxy(
    true: Any, found: Mapping[str, Any], snr: np.ndarray, snr_min: float, centres: tuple[np.ndarray, np.ndarray]
) -> Figure:
    """Age and metallicity of the first galaxy: the truth, and the errors of the fits with each library.

    Args:
      true, found: maps (galaxy, y, x) as `log10_age` and `log10_z`, the fits by the name of the library.
      snr: per pixel, (galaxy, y, x); spaxels below snr_min are left blank.
      centres: of the spaxels along x and y [arcsec].
    """
    half_x, half_y = (abs(c[-1]) + abs(c[1] - c[0]) / 2 for c in centres)
    used = np.where(snr[0] > snr_min, 1.0, np.nan)
    figure = Figure(figsize=(3.1 * (len(found) + 1) + 0.6, 6.2), layout="constrained", dpi=DPI)
    axes = figure.subplots(2, len(found) + 1, sharex=True, sharey=True)
    for row, (field, label, colours) in zip(axes, ROWS, strict=True):
        truth = getattr(true, field)[0]
        errors = {name: getattr(maps, field)[0] - truth for name, maps in found.items()}
        limits = robust_limits(np.stack([e * used for e in errors.values()]), cut=2.0, symmetric=True)
        style = dict(origin="lower", extent=(-half_x, half_x, -half_y, half_y))
        drawn = row[0].imshow(truth * used, cmap=colours, **style)
        figure.colorbar(drawn, ax=row[0], label=label, location="left")
        row[0].set_title("truth", fontsize=TEXT)
        for axis, (name, error) in zip(row[1:], errors.items(), strict=True):
            drawn = axis.imshow(error * used, cmap="RdBu_r", vmin=limits[0], vmax=limits[1], **style)
            axis.set_title(f"library {name}: mean error {np.nanmean(error * used):+.3f}", fontsize=TEXT)
        figure.colorbar(drawn, ax=row[1:], label=f"error of {label}", extend="both")
    for axis in axes.flat:
        axis.set_xlim(half_x, -half_x)
        axis.tick_params(labelsize=SMALL)
    for axis in axes[-1]:
        axis.set_xlabel("East [arcsec]", fontsize=TEXT)
    return figure


def plot_biases(true: Any, found: Mapping[str, Any], used: np.ndarray) -> Figure:
    """Errors of spaxels [dex] against the truth, galaxy by galaxy, and the mean error of each galaxy.

    Args:
      true, found: as in `plot_galaxy`; used: spaxels that count, (galaxy, y, x).
    """
    figure = Figure(figsize=(9.0, 6.4), layout="constrained", dpi=DPI)
    axes = figure.subplots(2, 2, width_ratios=(2, 1), sharey="row")
    for row, (field, label, _) in zip(axes, ROWS, strict=True):
        truth = getattr(true, field)
        for k, (name, maps) in enumerate(found.items()):
            error = np.where(used, getattr(maps, field) - truth, np.nan)
            row[0].plot(truth[used], error[used], ".", ms=2.5, alpha=0.5, color=COLOURS[name])
            means, at = np.nanmean(error, (1, 2)), np.arange(len(truth)) + 1 + 0.2 * (k - 1)
            row[1].plot(at, means, "o", ms=5, color=COLOURS[name], label=f"library {name}")
        row[0].set(xlabel=f"true {label}", ylabel=f"error of {label} [dex]")
        row[1].set(xlabel="galaxy held out", title="mean of each", xticks=np.arange(len(truth)) + 1)
        row[1].set_xlim(0.4, len(truth) + 0.6)
        for axis in row:
            axis.axhline(0.0, color="0.3", lw=0.7)
    axes[0, 1].legend(fontsize=SMALL)
    axes[0, 0].set_title("each spaxel held out", fontsize=TEXT)
    return figure


def plot_correction(
    wave: np.ndarray, rows: Sequence[tuple[str, np.ndarray, np.ndarray]], band: tuple[float, float]
) -> Figure:
    """Ratios of corrected to uncorrected spectra beside those of true to uncorrected ones.

    Args:
      wave: rest frame [Angstrom], (wave,).
      rows: name of a population, its true ratio and the learned one (wave,), both of mean 1 in the band.
      band: that is observed [Angstrom].
    """
    figure = Figure(figsize=(9.0, 2.2 * len(rows)), layout="constrained", dpi=DPI)
    figure.suptitle("what the spectra of the library are multiplied with", fontsize=TITLE)
    axes = figure.subplots(len(rows), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    seen = (wave >= band[0]) & (wave <= band[1])
    for axis, (name, true, learned) in zip(axes, rows, strict=True):
        axis.plot(wave[seen], true[seen], color="0.2", lw=0.8, label="truth over library")
        axis.plot(wave[seen], learned[seen], color="tab:blue", lw=0.9, label="learned")
        rms = float(np.sqrt(np.mean((learned[seen] - true[seen]) ** 2)))
        before = float(np.sqrt(np.mean((true[seen] - 1) ** 2)))
        axis.set_title(f"{name}: rms of the mismatch {before:.4f}, left {rms:.4f}", fontsize=TEXT)
        axis.tick_params(labelsize=SMALL)
    axes[0].set_ylim(*robust_limits(np.stack([x[seen] for _, *pair in rows for x in pair]), cut=0.1))
    axes[0].legend(fontsize=SMALL, ncols=2)
    axes[-1].set_xlabel(f"rest wavelength in vacuum [{ANGSTROM}]", fontsize=TEXT)
    return figure
