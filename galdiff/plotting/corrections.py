"""What a correction found: relations before and after, rates against the truth, which part of it mattered."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, NullFormatter

STYLES = ({"color": "C1", "ls": "--"}, {"color": "C0", "ls": "-"}, {"color": "0.2", "ls": ":"})
TICKS = (30, 100, 300)  # km/s
BINS = 20  # of galaxies by virial velocity, at most
LEVELS = (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10, 20, 50)
LABELS = {
    "mvir": r"$\log_{10} M_{\rm vir}/M_\odot$",
    "mstar": r"$\log_{10} M_\star/M_\odot$",
    "mstar_over_mvir": r"$\log_{10} M_\star/M_{\rm vir}$",
    "mism_over_mstar": r"$\log_{10} M_{\rm ism}/M_\star$",
    "zism": r"$\log_{10} Z_{\rm ism}/Z_\odot$",
    "zstar": r"$\log_{10} Z_\star/Z_\odot$",
    "sfr": r"$\log_{10}$ SFR [$M_\odot$/yr]",
}


def plot_relations(found: Mapping, data: Any, redshifts: Sequence[float], names: Sequence[tuple[str, str]]) -> Figure:
    """Scaling relations of data (points) and models (lines).

    Args:
      found: `Relation`s by label, axes (relation, redshift, centre); three at most.
      data: with x, mean and error, same axes.
      redshifts: of the columns; names: (x, y) of the rows.
    """
    n_y, n_x = len(names), len(redshifts)
    figure = Figure(figsize=(2.6 * n_x + 1, 2.1 * n_y), layout="constrained")
    axes: Any = figure.subplots(n_y, n_x, squeeze=False, sharey="row")
    for i, j in np.ndindex(n_y, n_x):
        ax = axes[i, j]
        ax.errorbar(data.x[i, j], data.mean[i, j], data.error[i, j], fmt=".", color="k", ms=4, lw=0.8, label="data")
        for (label, each), style in zip(found.items(), STYLES, strict=False):
            ax.plot(data.x[i, j], each.mean[i, j], label=label, **style)
        ax.set(xlabel=LABELS[names[i][0]], ylabel=LABELS[names[i][1]] if j == 0 else "")
        if i == 0:
            ax.set_title(f"z = {redshifts[j]:g}")
    axes[0, 0].legend(fontsize=7, frameon=False)
    return figure


def plot_rates(
    rates: Mapping[str, np.ndarray], v_vir: np.ndarray, redshifts: Sequence[float], names: Sequence[str]
) -> Figure:
    """Rates against virial velocity: the median in bins, and for the second model the range of its galaxies.

    Args:
      rates: by label, axes (rate, halo, redshift); three at most.
      v_vir: (halo, redshift) [km/s].
      redshifts: of the columns; names: of the rows.
    """
    figure = Figure(figsize=(2.8 * len(redshifts) + 1, 2.4 * len(names)), layout="constrained")
    axes: Any = figure.subplots(len(names), len(redshifts), squeeze=False, sharey="row")
    for i, j in np.ndindex(len(names), len(redshifts)):
        ax, v = axes[i, j], v_vir[:, j]
        low, high = np.percentile(v, [5, 95])
        n = min(BINS, max(len(v) // 3, 1))
        edges = np.quantile(v, np.linspace(0, 1, n + 1))
        which = np.clip(np.searchsorted(edges, v) - 1, 0, n - 1)
        middle = np.sqrt(edges[1:] * edges[:-1])
        for (label, each), style in zip(rates.items(), STYLES, strict=False):
            q = np.array([np.percentile(each[i, which == k, j], [5, 50, 95]) for k in range(n)])
            ax.loglog(middle, q[:, 1], label=label, **style)
            if style is STYLES[1]:
                ax.fill_between(middle, q[:, 0], q[:, 2], color=style["color"], alpha=0.2, lw=0)
        ax.axvspan(v.min(), low, color="0.9", lw=0)
        ax.axvspan(high, v.max(), color="0.9", lw=0)
        ax.set(xlabel=r"$V_{\rm vir}$ [km/s]", ylabel=names[i] if j == 0 else "")
        ax.set_xticks([t for t in TICKS if v.min() < t < v.max()])
        ax.set_yticks([t for t in LEVELS if ax.get_ylim()[0] < t < ax.get_ylim()[1]])
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(FormatStrFormatter("%g"))
        if i == 0:
            ax.set_title(f"z = {redshifts[j]:g}")
    axes[0, 0].legend(fontsize=7, frameon=False)
    return figure


def plot_ablation(chi2: Mapping[str, float]) -> Figure:
    """chi2 per point of several models, as bars."""
    figure = Figure(figsize=(1.2 * len(chi2) + 2, 3), layout="constrained")
    ax: Any = figure.subplots()
    bars = ax.bar(list(chi2), list(chi2.values()), color="C0")
    ax.bar_label(bars, fmt="%.2f", fontsize=8)
    ax.axhline(1, color="0.3", lw=0.8, ls=":")
    ax.set(ylabel=r"$\chi^2$ per point")
    return figure


def plot_learning(curves: Mapping[str, Mapping[int, float]], before: float) -> Figure:
    """chi2 of points that were not seen against the number of points that were.

    Args:
      curves: chi2 by number of points, by label.
      before: of the model that nothing was adapted in.
    """
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    ax: Any = figure.subplots()
    for (label, curve), style in zip(curves.items(), ("C0o-", "C1s--"), strict=False):
        ax.loglog(list(curve), list(curve.values()), style, label=label)
    ax.axhline(before, color="0.4", lw=0.8, ls=":", label="checkpoint as it is")
    ax.set(xlabel="points of data", ylabel=r"$\chi^2$ per unseen point")
    ax.legend(fontsize=8, frameon=False)
    return figure
