"""What several models say of one population, and where they differ."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, NullFormatter

from galdiff.plotting.corrections import TICKS

PANELS = (
    ("m_vir", "m_stars", r"$M_{\rm vir}$ [$M_\odot$]", r"$M_\star$ [$M_\odot$]"),
    ("m_stars", "sfr", r"$M_\star$ [$M_\odot$]", r"SFR [$M_\odot$/yr]"),
    ("v_vir", "eta_mass", r"$V_{\rm vir}$ [km/s]", "mass loading"),
)


def plot_ensemble(
    mean: Mapping[str, np.ndarray], std: Mapping[str, np.ndarray] | None, redshifts: Sequence[float]
) -> Figure:
    """Galaxies of a population, with the scatter between models as bars.

    Args:
      mean, std: columns by name [units of the literature], axes (galaxy, redshift); std None for one model.
      redshifts: of the second axis, each with a colour.
    """
    panels = [p for p in PANELS if p[0] in mean and p[1] in mean]
    figure = Figure(figsize=(4 * len(panels), 3.4), layout="constrained")
    for ax, (x, y, x_label, y_label) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        for k, z in enumerate(redshifts):
            a, b = mean[x][:, k], mean[y][:, k]
            every = slice(None, None, max(1, len(a) // 300))
            bars = None if std is None or y not in std else std[y][every, k]
            ax.errorbar(a[every], b[every], bars, fmt=".", ms=2, lw=0.6, color=f"C{k}", label=f"z = {z:g}")
        ax.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
        if x == "v_vir":  # less than a decade
            low, high = ax.get_xlim()
            ax.set_xticks([t for t in TICKS if low < t < high], minor=False)
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    figure.axes[0].legend(fontsize=8, frameon=False)
    return figure
