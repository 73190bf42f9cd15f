"""Pictures of the baryon history of one galaxy: contents, flows, metals, energies and loadings against time."""

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from galdiff.errors import InputError
from galdiff.observables.history_columns import Column, columns
from galdiff.plotting.figures import DPI, SMALL, TEXT, lay_out, robust_limits
from galdiff.records import BaryonHistory
from galdiff.units import Z_SUN

# Colours that the colour-blind can tell apart (Okabe & Ito 2008); the dashes help in grey.
BLACK, ORANGE, SKY, GREEN, BLUE, RED, PINK = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
SOLID, DASHED, DOTTED, MIXED = "-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.4, 1.2, 1.4))
MARKS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 15.0)  # redshifts that may be marked
DECADES = 6.5  # of a panel at most: what starts from nothing does not squeeze the rest
PLAIN_WIDTH = 1.2  # of the dashed lines without corrections
FEWEST_DECADES = 1.2  # at least one tick is named
PANEL, REDSHIFTS = (3.8, 2.42), 0.36  # inch: width and height; height of the redshifts above the first row


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve: its column, how it is called and drawn."""

    column: str
    name: str
    colour: str
    dashes: str | tuple = SOLID
    width: float = 1.7


@dataclasses.dataclass(frozen=True)
class HistoryPanel:
    """Curves that share an axis."""

    title: str
    axis: str
    lines: tuple[Line, ...]
    logarithmic: bool = True


PANELS = (
    HistoryPanel("masses", r"$M$ [M$_\odot$]", (
        Line("m_vir", "halo", "0.45", SOLID, 2.4),
        Line("m_cgm", "CGM", BLUE, DASHED),
        Line("m_ism", "ISM", GREEN, MIXED),
        Line("m_stars", "stars", RED),
    )),
    HistoryPanel("mass flows", r"$\dot M$ [M$_\odot$ yr$^{-1}$]", (
        Line("mdot_inflow", "inflow", "0.45", SOLID, 2.4),
        Line("mdot_cooling", "cooling", BLUE, DASHED),
        Line("sfr", "SFR", RED),
        Line("mdot_wind", "wind", ORANGE, MIXED),
        Line("mdot_outflow", "halo outflow", PINK, DOTTED),
    )),
    HistoryPanel("metallicities", r"$\log_{10}\,Z/0.02$ [dex]", (
        Line("log10_z_stars", "stars", RED),
        Line("log10_z_ism", "ISM", GREEN, MIXED),
        Line("log10_z_cgm", "CGM", BLUE, DASHED),
        Line("log10_z_inflow", "inflow", "0.45", DOTTED),
    ), False),
    HistoryPanel("energy flows of the CGM", r"$\dot E$ [erg s$^{-1}$]", (
        Line("edot_inflow", "inflow", "0.45", SOLID, 2.4),
        Line("edot_wind", "wind", ORANGE, MIXED),
        Line("edot_cooling", "cooling", BLUE, DASHED),
        Line("edot_outflow", "halo outflow", PINK, DOTTED),
        Line("edot_dissipation", "dissipation", GREEN, DASHED),
    )),
    HistoryPanel("state of the gas in the halo", "ratio", (
        Line("t_cool_over_t_ff", r"$t_{\rm cool}/t_{\rm ff}$", BLUE),
        Line("t_over_t_vir", r"$T/T_{\rm vir}$", RED, DASHED),
        Line("baryon_fraction", r"$M_{\rm baryon}/M_{\rm vir}$", BLACK, DOTTED),
    )),
    HistoryPanel("loading factors", "ratio", (
        Line("eta_mass", r"$\eta_M$", ORANGE, MIXED),
        Line("eta_outflow", r"$\dot M_{\rm out}/{\rm SFR}$", PINK, DOTTED),
        Line("eta_energy", r"$\eta_E$", RED),
        Line("eta_metal", r"$\eta_Z$", GREEN, DASHED),
    )),
)  # fmt: skip


def plot_history(history: BaryonHistory, *, title: str, plain: BaryonHistory | None = None) -> Figure:
    """Masses, flows, metallicities, energies, state of the CGM and loading factors of one galaxy against cosmic time.

    What a model does not know is left out. Each curve is named at its end, outside the panel.

    Args:
      history: of one galaxy, without leading axes.
      title: above the figure.
      plain: of the same galaxy without corrections, drawn dashed and thin beside the solid lines of the history.

    Returns:
      A figure that belongs to no window; write it with its `savefig`.

    Raises:
      InputError: more than one galaxy.
    """
    if np.ndim(history.time) != 1:
        raise InputError(
            f"time of the history has shape {np.shape(history.time)}; this figure shows one galaxy: take one, or use"
            " plot_population"
        )
    given, other = _shown(history), {} if plain is None else _shown(plain)
    panels = [(p, [line for line in p.lines if line.column in given]) for p in PANELS]
    panels = [(p, lines) for p, lines in panels if lines]
    rows = (len(panels) + 1) // 2
    figure = Figure(dpi=DPI)
    grid = np.atleast_2d(figure.subplots(rows, 2, sharex=True))
    below = 0.55 if plain is None else 0.85
    lay_out(figure, title, PANEL, (0.72, 0.98, below, 0.2 + REDSHIFTS), (1.7, 0.3))
    time, redshift = given["time"].values, given["redshift"].values
    for ax, (panel, lines) in zip(grid.flat, panels, strict=False):
        _draw(ax, panel, lines, given, other)
    if plain is not None:
        keys = [Line2D([], [], color=BLACK, ls=SOLID), Line2D([], [], color=BLACK, ls=DASHED, lw=PLAIN_WIDTH)]
        names = ["with corrections", "the same physics without"]
        figure.legend(keys, names, loc="lower center", ncols=2, fontsize=TEXT, frameon=False)
    for ax in list(grid.flat)[len(panels) :]:
        ax.set_visible(False)
    for column in grid.T:
        lowest = [ax for ax in column if ax.get_visible()][-1]
        lowest.set_xlabel("cosmic time [Gyr]", fontsize=TEXT)
        lowest.tick_params(labelbottom=True)
    lo, hi = robust_limits(time, 0.0)
    grid[0, 0].set_xlim(lo - 0.01 * (hi - lo), hi + 0.01 * (hi - lo))
    for ax in list(grid.flat)[: len(panels)]:
        _redshifts(ax, time, redshift, named=ax in grid[0])
    return figure


def _shown(history: BaryonHistory) -> dict[str, Column]:
    """All columns, and the metallicity of the inflow as the others have it."""
    given = columns(history)
    z_in = given["z_inflow"].values
    logarithm = np.log10(np.where(z_in > 0, z_in, np.nan) / Z_SUN)
    return given | {"log10_z_inflow": Column(logarithm, "dex", f"log10 Z/{Z_SUN}: inflow")}


def _draw(ax: Axes, panel: HistoryPanel, lines: list[Line], given: dict[str, Column], plain: dict[str, Column]) -> None:
    """The curves of a panel and their names; with `plain` all solid, and those dashed."""
    time, ends = given["time"].values, []
    for line in lines:
        values = given[line.column].values
        shown = np.where(np.isfinite(values) & ((values > 0) | (not panel.logarithmic)), values, np.nan)
        dots = "o" if np.isfinite(shown).sum() < 12 else None  # few outputs: show where they are
        ax.plot(time, shown, color=line.colour, ls=SOLID if plain else line.dashes, lw=line.width, marker=dots, ms=3.5)
        if line.column in plain:
            before = plain[line.column].values
            before = np.where(np.isfinite(before) & ((before > 0) | (not panel.logarithmic)), before, np.nan)
            ax.plot(plain["time"].values, before, color=line.colour, ls=DASHED, lw=PLAIN_WIDTH)
        ends.append((line, shown[np.isfinite(shown)][-1:]))
    if panel.logarithmic:
        ax.set_yscale("log")
        ax.yaxis.set_minor_locator(LogLocator(subs=(2, 5), numticks=12))
        ax.yaxis.set_minor_formatter(NullFormatter())
    drawn = [g[line.column].values for g in (given, plain) for line in lines if line.column in g]
    _limit(ax, drawn, panel.logarithmic)
    above = REDSHIFTS / PANEL[1] if ax.get_subplotspec().is_first_row() else 0.0
    ax.set_title(panel.title, fontsize=TEXT, loc="left", fontweight="bold", y=1 + above)
    ax.set_ylabel(panel.axis, fontsize=TEXT)
    ax.tick_params(labelsize=SMALL, direction="in", which="both", right=True)
    ax.grid(color="0.92", lw=0.6)
    _name_ends(ax, [(line, float(last[0])) for line, last in ends if len(last)])


def _limit(ax: Axes, curves: list[np.ndarray], logarithmic: bool) -> None:
    """Show all that is within some decades of the largest."""
    values = np.concatenate([c[np.isfinite(c)] for c in curves])
    values = np.log10(values[values > 0]) if logarithmic else values
    lo, hi = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    lo = max(lo, hi - DECADES)
    lack = max((FEWEST_DECADES if logarithmic else 0.2) - (hi - lo), 0.0)
    lo, hi = lo - lack / 2, hi + lack / 2
    room = 0.06 * (hi - lo)
    ends = np.array([lo - room, hi + room])
    ax.set_ylim(*(10**ends if logarithmic else ends))


def _name_ends(ax: Axes, ends: list[tuple[Line, float]]) -> None:
    """Names right of the panel at the height where each curve ends, pushed apart where they would touch."""
    lo, hi = ax.transData.transform([(0.0, y) for y in ax.get_ylim()])[:, 1]
    at = {line: (ax.transData.transform((0.0, y))[1] - lo) / (hi - lo) for line, y in ends}
    order = sorted(at, key=lambda line: at[line])
    heights = spread([min(max(at[line], 0.0), 1.0) for line in order], 0.085)
    for line, height in zip(order, heights, strict=True):
        ax.annotate(
            line.name, (1.0, min(max(at[line], 0.0), 1.0)), xycoords="axes fraction", xytext=(1.045, height),
            textcoords="axes fraction", color=line.colour, fontsize=SMALL, va="center", ha="left",
            arrowprops=dict(arrowstyle="-", color=line.colour, lw=0.7, shrinkA=1, shrinkB=0), annotation_clip=False,
        )  # fmt: skip


def spread(heights: list[float], gap: float) -> list[float]:
    """Rising heights within 0 and 1 moved as little as it takes to be `gap` apart (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []  # mean of (height - rank gap), number
    for rank, height in enumerate(heights):
        pool = (height - rank * gap, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, n = pools.pop()
            pool = ((mean * n + pool[0] * pool[1]) / (n + pool[1]), n + pool[1])
        pools.append(pool)
    most = 1 - (len(heights) - 1) * gap
    level = [min(max(mean, 0.0), max(most, 0.0)) for mean, n in pools for _ in range(n)]
    return [base + rank * gap for rank, base in enumerate(level)]


def _redshifts(ax: Axes, time: np.ndarray, redshift: np.ndarray, named: bool) -> None:
    """Round redshifts along the top."""
    lo, hi = ax.get_xlim()
    top = ax.twiny()
    top.set_xlim(lo, hi)
    places, names, last = [], [], np.inf
    for z in MARKS:
        if redshift.min() - 1e-9 <= z <= redshift.max() and len(time) > 1:
            # Nearly a straight line in these, so that few outputs do.
            at = float(np.exp(np.interp(-np.log1p(z), -np.log1p(redshift), np.log(time))))
            if (last - at) / (hi - lo) > 0.065:
                places.append(at)
                names.append(f"{z:g}")
                last = at
    top.set_xticks(places, names if named else [""] * len(places), fontsize=SMALL)
    top.tick_params(direction="in", length=3)
    if named:
        top.set_xlabel("redshift", fontsize=TEXT)
