"""Pictures of draws from a posterior: all pairs of unknowns, and the way of the chains."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galdiff.plotting.figures import DPI, SMALL, TEXT, robust_limits

COLOUR, CHAINS = "#3b6fb6", ("#3b6fb6", "#c8553d", "#2a8f6f", "#b5651d", "#7b4fa3", "0.4")
BINS, SIDE = 24, 1.5  # inches of a panel


def plot_corner(draws: Float[np.ndarray, "draw unknown"], labels: Sequence[str], title: str) -> Figure:
    """Histograms of the unknowns and of all their pairs; lines at the 16th, 50th and 84th percentile.

    Args:
      draws: of the same weight [units as labelled].
      labels: of the unknowns; title: of the figure.
    """
    n = len(labels)
    figure = Figure(figsize=(SIDE * n + 1.0, SIDE * n + 1.0), dpi=DPI, layout="constrained")
    panels = np.asarray(figure.subplots(n, n, squeeze=False))
    limits = [robust_limits(column, 0.3) for column in draws.T]
    for i in range(n):
        for j in range(n):
            axes: Axes = panels[i, j]
            if j > i:
                axes.axis("off")
                continue
            if i == j:
                axes.hist(draws[:, i], BINS, range=limits[i], color=COLOUR, alpha=0.6)
                for at in np.quantile(draws[:, i], [0.16, 0.5, 0.84]):
                    axes.axvline(at, color="black", lw=0.7, ls="--")
                axes.set_yticks([])
            else:
                axes.hist2d(draws[:, j], draws[:, i], BINS, range=[limits[j], limits[i]], cmap="Blues")
                axes.set_ylim(limits[i])
            axes.set_xlim(limits[j])
            axes.locator_params(nbins=3)
            axes.tick_params(labelsize=SMALL - 2, labelbottom=i == n - 1, labelleft=j == 0 and i > 0)
            axes.tick_params(axis="x", rotation=45)
        panels[i, 0].set_ylabel(labels[i], fontsize=SMALL) if i else None
        panels[n - 1, i].set_xlabel(labels[i], fontsize=SMALL)
    figure.suptitle(title, fontsize=TEXT)
    return figure


def plot_trace(draws: Float[np.ndarray, "chain draw unknown"], labels: Sequence[str], title: str) -> Figure:
    """The unknowns along the chains [units as labelled]."""
    n = len(labels)
    figure = Figure(figsize=(7.2, 1.1 * n + 0.8), dpi=DPI, layout="constrained")
    for axes, label, values in zip(
        np.asarray(figure.subplots(n, 1, sharex=True, squeeze=False))[:, 0],
        labels,
        np.moveaxis(draws, -1, 0),
        strict=True,
    ):
        for k, chain in enumerate(values):
            axes.plot(chain, lw=0.5, color=CHAINS[k % len(CHAINS)])
        axes.set_ylabel(label, fontsize=SMALL)
        axes.tick_params(labelsize=SMALL)
    axes.set_xlabel("draw", fontsize=TEXT)
    figure.suptitle(title, fontsize=TEXT)
    return figure
