"""Maps of residual line-of-sight velocities; East is left, North is up."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from galdiff.plotting.figures import SMALL, TEXT, robust_limits

COLUMNS = 3


def plot_residuals(
    maps: Mapping[str, np.ndarray], snr: np.ndarray, snr_min: float, centres: tuple[np.ndarray, np.ndarray]
) -> Figure:
    """Velocity maps with one colour scale, in rows of three, each with the contour of one signal to noise.

    Args:
      maps: by title [km/s], shape (y, x).
      snr: per pixel, (y, x); snr_min: of the contour.
      centres: of the spaxels along x and y [arcsec].
    """
    x, y = centres
    half_x, half_y = (abs(c[-1]) + abs(c[1] - c[0]) / 2 for c in centres)
    rows = -(-len(maps) // COLUMNS)
    inside = np.where(snr > snr_min, 1.0, np.nan)
    limits = robust_limits(np.stack([m * inside for m in maps.values()]), cut=1.0, symmetric=True)
    figure = Figure(figsize=(3.0 * COLUMNS + 0.8, 3.1 * rows), layout="constrained", dpi=100)
    axes = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True, sharey=True)
    for axis, (title, image) in zip(axes.flat, maps.items(), strict=False):
        drawn = axis.imshow(
            image, origin="lower", extent=(-half_x, half_x, -half_y, half_y), cmap="RdBu_r", vmin=limits[0],
            vmax=limits[1],
        )  # fmt: skip
        if snr.min() < snr_min < snr.max():
            axis.contour(x, y, snr, levels=[snr_min], colors="k", linewidths=0.8)
        rms = np.sqrt(np.nanmean((image * inside) ** 2)) if np.isfinite(image * inside).any() else np.nan
        axis.set_title(f"{title}: rms {rms:.1f} km/s", fontsize=TEXT)
        axis.set_xlim(half_x, -half_x)
        axis.tick_params(labelsize=SMALL)
    for axis in axes.flat[len(maps) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("East [arcsec]", fontsize=TEXT)
    for axis in axes[:, 0]:
        axis.set_ylabel("North [arcsec]", fontsize=TEXT)
    label = f"line-of-sight velocity [km/s]; contour: S/N {snr_min:g} per pixel"
    figure.colorbar(drawn, ax=axes, label=label, extend="both", shrink=0.9)
    return figure
