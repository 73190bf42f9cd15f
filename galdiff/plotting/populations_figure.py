"""Pictures of a population: its scaling relations at the output redshifts, with their kernel-regression means."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galdiff.errors import InputError
from galdiff.observables.relations import centres_in_steps, kernel_regression, log10_summary, scott_bandwidth
from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE, robust_limits
from galdiff.records import BaryonHistory

# From late to early, each darker than the next and told apart by the colour-blind; the dashes help in grey.
COLOURS = ("#440154", "#31688e", "#35b779", "#e0a100", "#e57373")
DASHES = ("-", (0, (5, 1.6)), (0, (6, 1.4, 1.2, 1.4)), (0, (1.2, 1.2)), (0, (3, 1, 1, 1, 1, 1)))
MOST = 5  # redshifts in a figure, where none are chosen
DOTS = 600  # galaxies drawn per redshift
FEWEST = 5  # galaxies of a mean
LABELS = {
    "mvir": r"$\log_{10} M_{\rm vir}$ [M$_\odot$]",
    "mstar": r"$\log_{10} M_\star$ [M$_\odot$]",
    "sfr": r"$\log_{10}$ SFR [M$_\odot$ yr$^{-1}$]",
    "mstar_over_mvir": r"$\log_{10} M_\star/M_{\rm vir}$",
    "mism_over_mstar": r"$\log_{10} M_{\rm ISM}/M_\star$",
    "zstar": r"$\log_{10} Z_\star/0.02$",
    "zism": r"$\log_{10} Z_{\rm ISM}/0.02$",
    "baryons_over_mvir": r"$\log_{10} M_{\rm baryon}/M_{\rm vir}$",
}
RELATIONS = {
    "stars in halos": ("mvir", "mstar_over_mvir"),
    "gas in galaxies": ("mstar", "mism_over_mstar"),
    "star-forming main sequence": ("mstar", "sfr"),
    "metals of the stars": ("mstar", "zstar"),
    "metals of the ISM": ("mstar", "zism"),
    "baryons in halos": ("mvir", "baryons_over_mvir"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Overlay:
    """Data drawn over a relation: x, y, error [dex] and whose they are."""

    relation: str  # of RELATIONS
    x: np.ndarray
    y: np.ndarray
    error: np.ndarray
    name: str


def plot_population(
    histories: BaryonHistory,
    *,
    title: str,
    redshifts: Sequence[float] | None = None,
    data: Sequence[Overlay] = (),
) -> Figure:
    """Scaling relations of a population: galaxies as dots, the mean as a line, one standard deviation as a band.

    Args:
      histories: of many galaxies on a leading axis, at common redshifts; those that are not solved are left out, and
        the figure says how many.
      title: above the figure.
      redshifts: which outputs to show; None for all, or five of them from last to first.
      data: measurements to draw over.

    Returns:
      A figure that belongs to no window; write it with its `savefig`.

    Raises:
      InputError: one galaxy alone, redshifts that are not common or not among the outputs, or no solved galaxy.
    """
    solved = np.asarray(histories.solved, bool)
    shown = chosen_outputs(histories, redshifts)
    figure = Figure(figsize=(12.0, 7.4), layout="constrained", dpi=DPI)
    lost = f", {int((~solved).sum())} without a solution left out" if not solved.all() else ""
    figure.suptitle(f"{title} ({int(solved.sum())} galaxies{lost})", fontsize=TITLE, wrap=True)
    grid = figure.subplots(2, 3)
    handles = {}
    for ax, (name, (x_name, y_name)) in zip(grid.flat, RELATIONS.items(), strict=True):
        x, y = (np.asarray(log10_summary(histories, n), np.float64)[solved] for n in (x_name, y_name))
        for k, (output, redshift) in reversed(list(enumerate(shown.items()))):
            line = _relation(ax, x[:, output], y[:, output], k % len(COLOURS))
            handles[f"z = {redshift:.3g}"] = line
        over = [o for o in data if o.relation == name]
        _limit(ax, x[:, list(shown)], y[:, list(shown)], over)
        for overlay in over:
            handles[overlay.name] = ax.errorbar(
                overlay.x, overlay.y, overlay.error, fmt="s", color="black", mfc="white", ms=4.5, lw=1, zorder=9
            )
        ax.set_title(name, fontsize=TEXT, loc="left", fontweight="bold")
        ax.set_xlabel(LABELS[x_name], fontsize=TEXT)
        ax.set_ylabel(LABELS[y_name], fontsize=TEXT)
        ax.tick_params(labelsize=SMALL, direction="in", top=True, right=True)
    names = [f"z = {z:.3g}" for z in shown.values()] + [o.name for o in data]
    figure.legend(
        [handles[n] for n in names], names, loc="outside lower center", ncols=len(names), fontsize=TEXT, frameon=False,
        handlelength=3.2,
    )  # fmt: skip
    return figure


def chosen_outputs(histories: BaryonHistory, redshifts: Sequence[float] | None) -> Mapping[int, float]:
    """Outputs to draw, from late to early: {place on the axis of time: redshift}."""
    z = np.asarray(histories.redshift, np.float64)
    if z.ndim != 2:
        raise InputError(
            f"redshift of the histories has shape {z.shape}; a population is (galaxy, t): use plot_history"
        )
    z = z[np.asarray(histories.solved, bool)]
    if not len(z):
        raise InputError(f"none of the {len(histories.solved)} galaxies is solved; there is nothing to draw")
    common = np.abs(z - z[:1]).max(0) < 1e-3
    known = {int(k): float(z[0, k]) for k in np.flatnonzero(common)[::-1]}
    if not known:
        raise InputError("galaxies have no redshift in common; ask for histories with Outputs(redshifts=...)")
    if redshifts is None:
        places = list(known)
        picks = np.unique(np.linspace(0, len(places) - 1, min(MOST, len(places))).round().astype(int))
        return {places[k]: known[places[k]] for k in picks}
    found = {}
    for asked in sorted(redshifts):
        place = min(known, key=lambda k: abs(known[k] - asked))
        if abs(known[place] - asked) > 1e-3 * (1 + asked):
            some = ", ".join(f"{v:.4g}" for v in known.values())
            raise InputError(
                f"redshift {asked} is not among the outputs that all galaxies share ({some}); choose those"
            )
        found[place] = known[place]
    return found


def _relation(ax: Axes, x: np.ndarray, y: np.ndarray, k: int) -> Any:
    """Dots, mean and band at one redshift; the line, for the legend."""
    colour, use = COLOURS[k], np.isfinite(x) & np.isfinite(y)
    x, y = x[use], y[use]
    every = max(len(x) // DOTS, 1)
    ax.plot(
        x[::every], y[::every], ls="none", marker=".", ms=2.6, mew=0, color=colour, alpha=0.45, rasterized=True,
        zorder=1,
    )  # fmt: skip
    if len(x) < FEWEST:
        return ax.plot(x, y, color=colour, ls="none", marker="o", ms=4)[0]
    h = float(scott_bandwidth(x))
    mean = kernel_regression(x, y, centres_in_steps(x, h / 3), h)
    centre, middle, std = np.asarray(mean.x), np.asarray(mean.mean), np.asarray(mean.std)
    ax.fill_between(centre, middle - std, middle + std, color=colour, alpha=0.16, lw=0, zorder=2)
    return ax.plot(centre, middle, color=colour, ls=DASHES[k], lw=2.0, zorder=5 - 0.1 * k)[0]


def _limit(ax: Axes, x: np.ndarray, y: np.ndarray, data: list[Overlay]) -> None:
    """Room for nearly all galaxies and all data."""
    for values, ours, set_limits in ((x, [o.x for o in data], ax.set_xlim), (y, [o.y for o in data], ax.set_ylim)):
        lo, hi = robust_limits(values, 0.3)
        lo, hi = min([lo, *map(np.min, ours)]), max([hi, *map(np.max, ours)])
        set_limits(lo - 0.05 * (hi - lo), hi + 0.05 * (hi - lo))
