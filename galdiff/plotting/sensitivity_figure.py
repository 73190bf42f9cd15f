"""Pictures of Jacobians: heat maps over a population, dependence on halo mass, one halo in time, and their check."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galdiff.inference.sensitivity import mean_in_bins
from galdiff.plotting.figures import DPI, SMALL, TEXT, TITLE, robust_limits

DIVERGING, RISING = "RdBu_r", "magma"
HYPERCUBE, BASELINE, PIVOT = "#6f8fb8", "#b2182b", "#3a3a3a"
COLOURS = ("#31688e", "#e0a100", "#b2182b", "#35b779")  # depletion, mass, energy, metals
DOTS = 1500  # drawn per panel
LABELS = {
    "contents.mass.stars": r"$M_\ast$",
    "contents.mass.ism": r"$M_{\rm ISM}$",
    "contents.mass.cgm": r"$M_{\rm CGM}$",
    "contents.energy.heat": r"$E_{\rm CGM}$",
    "metallicity.stars": r"$Z_\ast$",
    "metallicity.ism": r"$Z_{\rm ISM}$",
    "metallicity.cgm": r"$Z_{\rm CGM}$",
    "diagnostics.sfr": "SFR",
    "diagnostics.t_cool": r"$t_{\rm cool}$",
    "diagnostics.temperature": r"$T_{\rm CGM}$",
    "flows.mass.inflow": r"$\dot M_{\rm in}$",
    "flows.mass.cooling": r"$\dot M_{\rm cool}$",
    "flows.mass.wind": r"$\dot M_{\rm wind}$",
    "flows.mass.outflow": r"$\dot M_{\rm out,halo}$",
    "star_formation.log10_a": r"$A_{\rm SF}$",
    "star_formation.alpha0": r"$\alpha_{\rm SF}$",
    "eta_mass.log10_a": r"$A_{\rm M}$",
    "eta_mass.alpha0": r"$\alpha_{\rm M}$",
    "eta_energy.log10_a": r"$A_{\rm E}$",
    "eta_energy.alpha0": r"$\alpha_{\rm E}$",
    "eta_metal.log10_a": r"$A_{\rm Z}$",
    "eta_metal.alpha0": r"$\alpha_{\rm Z}$",
    "yields.f_recycle": r"$f_{\rm rec}$",
    "yields.metal_yield": r"$y_Z$",
}


def label(name: str) -> str:
    """Short label of an output or a parameter."""
    return LABELS.get(name, name)


def plot_heat_maps(
    panels: Mapping[str, np.ndarray], outputs: Sequence[str], parameters: Sequence[str], title: str
) -> Figure:
    """Outputs against parameters, one panel for each title; panels that are nowhere negative have a scale of their own.

    Args:
      panels: title -> axes (output, parameter), [dex per unit of the parameter]: d log10(output)/d parameter averaged
        in some way.
      outputs, parameters: names.
      title: above the figure.
    """
    size = (2.2 + len(panels) * (0.62 * len(parameters) + 0.6), 1.7 + 0.42 * len(outputs))
    figure = Figure(figsize=size, layout="constrained", dpi=DPI)
    figure.suptitle(title, fontsize=TITLE)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    signed = [p for p in panels.values() if np.nanmin(p) < 0]
    most = max((robust_limits(p, 0.0, symmetric=True)[1] for p in signed), default=1.0)
    for ax, (name, mean) in zip(axes, panels.items(), strict=True):
        rising = not np.nanmin(mean) < 0
        top = float(np.nanmax(mean)) or 1.0 if rising else most
        image = ax.imshow(
            mean, cmap=RISING if rising else DIVERGING, vmin=0 if rising else -top, vmax=top, aspect="auto"
        )
        for (row, column), value in np.ndenumerate(mean):
            # Dark ends: of both signs of the diverging map, the low one of the rising one.
            dark = value < 0.6 * top if rising else abs(value) > 0.6 * top
            ax.text(
                column, row, _two_digits(value), ha="center", va="center", fontsize=SMALL,
                color="white" if dark else "black",
            )  # fmt: skip
        ax.set_title(name, fontsize=TEXT)
        ax.set_xticks(range(len(parameters)), [label(p) for p in parameters], fontsize=TEXT)
        ax.set_yticks(range(len(outputs)), [label(o) for o in outputs], fontsize=TEXT)
        ax.tick_params(length=0)
        if rising or name == [n for n, p in panels.items() if np.nanmin(p) < 0][-1]:  # signed panels share one
            figure.colorbar(image, ax=ax, pad=0.015, fraction=0.04).ax.tick_params(labelsize=SMALL)
    return figure


def _two_digits(value: float) -> str:
    text = f"{value:.2f}"
    return "0" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def plot_mass_dependence(
    masses: np.ndarray,
    jacobian: np.ndarray,
    baseline: np.ndarray,
    parameters: Sequence[str],
    pivot: float,
    title: str,
) -> Figure:
    """Derivatives of one output against halo mass: a panel for each parameter, and a map of all of them.

    Args:
      masses: log10 M_vir [Msun] (galaxy,).
      jacobian: (galaxy, parameter), over the hypercube and at the baseline.
      baseline: whether a galaxy has the baseline parameters (galaxy,).
      parameters: names.
      pivot: log10 M_vir of halos whose V_vir is that of the pivot of the power laws.
      title: above the figure.
    """
    columns = max((len(parameters) + 1) // 2, 1)
    figure = Figure(figsize=(3.1 * columns, 8.4), layout="constrained", dpi=DPI)
    figure.suptitle(title, fontsize=TITLE)
    grid = figure.add_gridspec(3, columns, height_ratios=(1, 1, 1.05))
    order = [p for p in parameters if p.endswith("log10_a")]
    order = order + [p for p in parameters if p not in order]
    first: Axes | None = None
    for k, name in enumerate(order):
        ax = figure.add_subplot(grid[k // columns, k % columns], sharex=first)
        first = first or ax
        _points(ax, masses, jacobian[:, parameters.index(name)], baseline, pivot)
        ax.set_title(label(name), fontsize=TEXT, loc="left", fontweight="bold")
        if k // columns == 1:
            ax.set_xlabel(r"$\log_{10} M_{\rm vir}(z=0)$ [M$_\odot$]", fontsize=SMALL)
    if first is not None:
        handles, names = first.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=TEXT)
    _stripe(figure, figure.add_subplot(grid[2, :]), masses, np.abs(jacobian), parameters, pivot)
    return figure


def _points(ax: Axes, x: np.ndarray, y: np.ndarray, baseline: np.ndarray, pivot: float) -> None:
    """Galaxies and their means in bins of mass, over the hypercube and at the baseline."""
    every = max(len(x) // DOTS, 1)
    for which, colour, name, size in ((~baseline, HYPERCUBE, "hypercube", 3.4), (baseline, BASELINE, "baseline", 2.4)):
        if not which.any():
            continue
        ax.plot(x[which][::every], y[which][::every], ".", ms=size, mew=0, color=colour, alpha=0.55, rasterized=True)
        centre, mean, _ = mean_in_bins(x[which], y[which])
        ax.plot(centre, mean, "-", color=colour if name == "baseline" else "#2f4b6e", lw=1.8, label=f"{name}, mean")
    ax.axhline(0.0, color="0.5", lw=0.6)
    ax.axvline(pivot, color=PIVOT, lw=0.9, ls=(0, (4, 3)), label=r"$V_{\rm vir} = V_0$, the pivot")
    lo, hi = robust_limits(y, 1.0)
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    ax.set_ylim(lo - 0.06 * (hi - lo), hi + 0.06 * (hi - lo))
    ax.tick_params(labelsize=SMALL, direction="in", top=True, right=True)


def _stripe(figure: Figure, ax: Axes, masses: Any, size: Any, parameters: Sequence[str], pivot: float) -> None:
    """Mean size of the derivative in bins of mass, each parameter over its own largest."""
    rows = [p for p in parameters if p.endswith("log10_a")] + [p for p in parameters if not p.endswith("log10_a")]
    table = []
    for name in rows:
        _, mean, edges = mean_in_bins(masses, size[:, parameters.index(name)], 0.1)
        table.append(mean / (np.nanmax(mean) or 1.0))
    image = ax.pcolormesh(edges, np.arange(len(rows) + 1), np.array(table), cmap=RISING, vmin=0, vmax=1)
    ax.axvline(pivot, color="white", lw=1.0, ls=(0, (4, 3)))
    ax.invert_yaxis()
    ax.set_yticks(np.arange(len(rows)) + 0.5, [label(p) for p in rows], fontsize=TEXT)
    ax.set_xlabel(r"$\log_{10} M_{\rm vir}(z=0)$ [M$_\odot$]", fontsize=TEXT)
    ax.set_title("mean size of the derivative, each row over its largest", fontsize=TEXT, loc="left")
    ax.tick_params(labelsize=SMALL, length=0)
    figure.colorbar(image, ax=ax, pad=0.01, fraction=0.02).ax.tick_params(labelsize=SMALL)


def plot_agreement(exact: np.ndarray, differences: np.ndarray, relative: np.ndarray, title: str) -> Figure:
    """Autodiff against central differences, and a histogram of their relative differences.

    Args:
      exact, differences: derivatives [per unit of the parameter], any shape.
      relative: relative differences of those that are large enough to have one (value,).
      title: above the figure.
    """
    figure = Figure(figsize=(10.0, 4.6), layout="constrained", dpi=DPI)
    figure.suptitle(title, fontsize=TITLE)
    left, right = figure.subplots(1, 2)
    a, d = exact.ravel(), differences.ravel()
    every = max(len(a) // 20000, 1)
    most = 1.15 * float(np.nanmax(np.abs(d)))
    left.plot([-most, most], [-most, most], color="0.55", lw=0.8, zorder=0)
    left.plot(d[::every], a[::every], ".", ms=2.2, mew=0, color=COLOURS[0], alpha=0.5, rasterized=True)
    for set_scale, set_limits in ((left.set_xscale, left.set_xlim), (left.set_yscale, left.set_ylim)):
        set_scale("symlog", linthresh=1e-3, linscale=0.6)
        set_limits(-most, most)
    left.set(aspect="equal")
    ticks = [-1, -1e-2, 0, 1e-2, 1]
    words = [f"{t:g}".replace("-", "\N{MINUS SIGN}") for t in ticks]
    left.set_xticks(ticks, words)
    left.set_yticks(ticks, words)
    left.set(xlabel="central differences, d log$_{10}$(output) / d parameter", ylabel="autodiff")
    size = np.log10(np.maximum(relative, 1e-12))  # the first bin holds all that are smaller
    right.hist(size, bins=np.arange(np.floor(size.min()), np.ceil(size.max()) + 0.1, 0.1), color=COLOURS[0])
    marks = np.percentile(relative, [50, 99])
    for value, name, style in zip(marks, ("median", "99%"), ("-", (0, (4, 3))), strict=True):
        right.axvline(np.log10(value), color=BASELINE, ls=style, lw=1.3, label=f"{name}: {value:.1e}")
    right.set(xlabel=r"$\log_{10}$ |autodiff $-$ differences| / |differences|", ylabel="derivatives", yscale="log")
    right.legend(frameon=False, fontsize=TEXT)
    return figure


def plot_one_halo(
    redshift: np.ndarray, jacobian: np.ndarray, outputs: Sequence[str], parameters: Sequence[str], title: str
) -> Figure:
    """Derivatives of some outputs of one halo against redshift; amplitudes solid, slopes dashed.

    Args:
      redshift: (t,), falling.
      jacobian: (t, output, parameter) [per unit of the parameter].
      outputs, parameters: names.
      title: above the figure.
    """
    columns = min(len(outputs), 4)
    rows = -(-len(outputs) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.3 * rows + 0.9), layout="constrained", dpi=DPI)
    figure.suptitle(title, fontsize=TITLE)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    kinds = list(dict.fromkeys(p.partition(".")[0] for p in parameters))
    for ax, output in zip(grid.flat, range(len(outputs)), strict=False):
        for k, name in enumerate(parameters):
            colour = COLOURS[kinds.index(name.partition(".")[0]) % len(COLOURS)]
            style = (0, (4, 2)) if name.endswith("alpha0") else "-"
            ax.plot(1 + redshift, jacobian[:, output, k], color=colour, ls=style, lw=1.5, label=label(name))
        ax.axhline(0.0, color="0.5", lw=0.6)
        ax.set_xscale("log")
        ax.set_xlim(1 + redshift[0], 1 + redshift[-1])
        marks = [z for z in (0, 0.5, 1, 2, 3, 5, 8) if redshift[-1] <= z + 0.01 and z <= redshift[0]]
        ax.set_xticks([1 + z for z in marks], [f"{z:g}" for z in marks])
        ax.minorticks_off()
        ax.set_title(label(outputs[output]), fontsize=TEXT, loc="left", fontweight="bold")
        ax.tick_params(labelsize=SMALL, direction="in", top=True, right=True)
    for ax in grid[-1]:
        ax.set_xlabel("redshift", fontsize=TEXT)
    for ax in grid.flat[len(outputs) :]:
        ax.set_axis_off()
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=TEXT)
    return figure
