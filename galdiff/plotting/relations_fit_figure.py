"""Picture of a fit to scaling relations: points and the bands of the model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE

BAND, DATA = "#3b6fb6", "black"


def plot_relations_fit(
    means: Mapping[str, Float[np.ndarray, "draw centre"]],
    points: Mapping[str, Any],
    axes: Mapping[str, Sequence[str]],
    title: str,
) -> Figure:
    """A panel for each relation, with residuals below.

    Args:
      means: of the model at draws [dex], by relation; points: `RelationPoints` of the data.
      axes: names of x and y of each relation; title: of the figure.
    """
    n = len(means)
    figure = Figure(figsize=(3.4 * n + 0.4, 4.2), dpi=DPI, layout="constrained")
    panels = np.asarray(figure.subplots(2, n, squeeze=False, sharex="col", height_ratios=(2.4, 1.0)))
    for k, (name, found) in enumerate(means.items()):
        data, (top, below) = points[name], panels[:, k]
        error = np.sqrt(np.diag(data.covariance))
        middle = np.median(found, 0)
        for share, strength in ((0.025, 0.2), (0.16, 0.4)):
            lo, hi = np.quantile(found, [share, 1 - share], axis=0)
            top.fill_between(data.x, lo, hi, color=BAND, alpha=strength, lw=0)
            below.fill_between(data.x, (lo - middle) / error, (hi - middle) / error, color=BAND, alpha=strength, lw=0)
        top.plot(data.x, middle, color=BAND, lw=1.2, label="model")
        top.errorbar(data.x, data.mean, error, fmt="o", color=DATA, ms=3.5, lw=1.0, label="data")
        below.plot(data.x, (data.mean - middle) / error, "o", color=DATA, ms=3.5)
        below.axhline(0.0, color="0.7", lw=0.8)
        below.set_ylim(-4, 4)
        top.set_ylabel(f"log$_{{10}}$ {axes[name][1]}", fontsize=TEXT)
        below.set_xlabel(f"log$_{{10}}$ {axes[name][0]}", fontsize=TEXT)
        for panel in (top, below):
            panel.tick_params(labelsize=SMALL)
    panels[1, 0].set_ylabel("residual [error]", fontsize=TEXT)
    panels[0, 0].legend(fontsize=SMALL, frameon=False)
    figure.suptitle(title, fontsize=TITLE)
    return figure
