"""Picture of a recovered population: its counts, the way of the parameters, and where they end."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from galdiff.inference.population_fit import Axis
from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE

TRUE, BEGUN, FOUND = "black", "#c8553d", "#3b6fb6"


def plot_population(
    axes: Sequence[Axis],
    counts: Mapping[str, np.ndarray],
    path: Mapping[str, np.ndarray],
    table: Mapping[str, Mapping[str, float]],
    losses: np.ndarray,
) -> Figure:
    """Counts along each axis, and each free parameter by step.

    Args:
      axes: of the histogram.
      counts: of the mock (truth), of the model at the start and where it was recovered, all of shape (bins).
      path: each free parameter before each step (step,) [its unit].
      table: truth, start, recovered and uncertainty of each [its unit].
      losses: before each step (step,) [1].
    """
    columns = max(len(axes), len(path) + 1, 2)
    figure = Figure(figsize=(2.6 * columns, 5.6), dpi=DPI, layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False)
    for k, axis in enumerate(axes):
        panel = panels[0, k]
        others = tuple(j for j in range(len(axes)) if j != k)
        for name, colour, style in (("truth", TRUE, "-"), ("start", BEGUN, ":"), ("recovered", FOUND, "-")):
            label = {"truth": "mock", "start": "start", "recovered": "recovered"}[name]
            panel.stairs(counts[name].sum(others), axis.edges, color=colour, ls=style, lw=1.4, label=label)
        panel.set_xlabel(f"{axis.name.replace('-', ' - ')} [mag]", fontsize=TEXT)
        panel.tick_params(labelsize=SMALL)
    panels[0, 0].set_ylabel("galaxies", fontsize=TEXT)
    panels[0, 0].legend(fontsize=SMALL, frameon=False)
    for k, (name, values) in enumerate(path.items()):
        panel, row = panels[1, k], table[name]
        panel.plot(values, color=FOUND, lw=1.4)
        panel.axhline(row["truth"], color=TRUE, lw=0.9)
        if np.isfinite(row["uncertainty"]):
            band = (row["recovered"] - row["uncertainty"], row["recovered"] + row["uncertainty"])
            panel.axhspan(*band, color=FOUND, alpha=0.2, lw=0)
        panel.set_xlabel("step", fontsize=TEXT)
        panel.set_title(name.rpartition(".")[2], fontsize=SMALL)
        panel.tick_params(labelsize=SMALL)
    last = panels[1, len(path)]
    last.semilogy(losses, color=FOUND, lw=1.4)
    last.set_xlabel("step", fontsize=TEXT)
    last.set_title("loss per galaxy", fontsize=SMALL)
    last.tick_params(labelsize=SMALL)
    for panel in (*panels[0, len(axes) :], *panels[1, len(path) + 1 :]):
        panel.set_axis_off()
    figure.suptitle("A population recovered from magnitudes and colours", fontsize=TITLE)
    return figure
