"""Figures of a fit to a table: predicted against observed, and pulls."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from galdiff.plotting.figures import DPI, SMALL, TEXT

COLOURS = {"train": "tab:blue", "held out": "tab:orange"}
FARTHEST = 5.0  # pulls shown


def plot_targets(
    said: np.ndarray,
    y: np.ndarray,
    error: np.ndarray,
    measured: np.ndarray,
    parts: Mapping[str, np.ndarray],
    names: Sequence[str],
) -> Figure:
    """Predicted against observed, one panel for each target.

    Args:
      said, y, error [units of the targets], measured (bool): axes (row, target).
      parts: numbers of rows by name, train and held out.
      names: of the targets.
    """
    figure = Figure(figsize=(4.0 * len(names), 3.8), layout="constrained", dpi=DPI)
    for k, axes in enumerate(figure.subplots(1, len(names), squeeze=False)[0]):
        for part, which in parts.items():
            rows = which[measured[which, k]]
            options: dict[str, Any] = {"fmt": ".", "ms": 4, "lw": 0.6, "color": COLOURS[part]}
            options["label"] = f"{part}: {len(rows)}"
            axes.errorbar(y[rows, k], said[rows, k], xerr=error[rows, k], **options)
        shown = np.concatenate([y[measured[:, k], k], said[measured[:, k], k]])
        ends = (shown.min(), shown.max()) if len(shown) else (0.0, 1.0)
        axes.plot(ends, ends, color="0.4", lw=0.8)
        axes.set_xlabel(f"{names[k]}, observed", fontsize=TEXT)
        axes.set_ylabel(f"{names[k]}, predicted", fontsize=TEXT)
        axes.legend(fontsize=SMALL)
    return figure


def plot_pulls(pulls: np.ndarray, measured: np.ndarray, parts: Mapping[str, np.ndarray]) -> Figure:
    """Distribution of (predicted - observed) / error beside a normal one.

    Args:
      pulls [1], measured (bool): axes (row, target).
      parts: numbers of rows by name.
    """
    figure = Figure(figsize=(4.6, 3.6), layout="constrained", dpi=DPI)
    axes = figure.subplots()
    x = np.linspace(-FARTHEST, FARTHEST, 201)
    for part, which in parts.items():
        shown = np.clip(pulls[which][measured[which]], -FARTHEST, FARTHEST)
        if len(shown):
            options: dict[str, Any] = {"color": COLOURS[part], "label": part, "histtype": "step"}
            axes.hist(shown, bins=30, range=(-FARTHEST, FARTHEST), density=True, **options)
    axes.plot(x, np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi), color="0.4", lw=0.8, label="normal")
    axes.set_xlabel("(predicted \N{MINUS SIGN} observed) / error", fontsize=TEXT)
    axes.legend(fontsize=SMALL)
    return figure
