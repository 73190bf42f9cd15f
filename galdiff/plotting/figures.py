"""What all figures share: resolution, fonts, robust limits.

A figure belongs to no window and is not written here: `figure.savefig` inside `io.atomic.atomic_path` does that.
"""

import re

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

DPI = 150  # of the files
SMALL, TEXT, TITLE = 8.0, 9.0, 11.0  # font sizes [pt]
EDGE = 0.08  # inch between a title and what is around it


def robust_limits(values: np.ndarray, cut: float = 0.5, symmetric: bool = False) -> tuple[float, float]:
    """Range between percentiles `cut` and 100 - `cut` of the finite values, never empty; (0, 1) where there are none.

    Args:
      values: any shape; NaN is left out.
      cut: [percent] at each end.
      symmetric: about zero.
    """
    finite = np.asarray(values, float)[np.isfinite(values)]
    if finite.size == 0:
        return (-1.0, 1.0) if symmetric else (0.0, 1.0)
    if symmetric:
        most = float(np.percentile(np.abs(finite), 100 - cut)) or 1.0
        return -most, most
    lo, hi = (float(x) for x in np.percentile(finite, [cut, 100 - cut]))
    if hi - lo <= 1e-6 * max(abs(lo), abs(hi)):  # one value: some room around it
        room = 0.05 * abs(lo) or 1.0
        lo, hi = lo - room, hi + room
    return lo, hi


def outline(colour: str = "black", width: float = 1.8) -> list:
    """Path effect that keeps text readable on any image."""
    return [withStroke(linewidth=width, foreground=colour)]


def typeset(text: str) -> str:
    """Text for a figure: masses such as 10^12.1 Msun as formulae, and what would begin a formula as it is."""
    return re.sub(r"10\^([\d.+-]+) Msun", r"$10^{\1}\\,{\\rm M}_\\odot$", text.replace("$", r"\$"))


def lay_out(
    figure: Figure,
    title: str,
    panel: tuple[float, float],
    margins: tuple[float, float, float, float],
    gaps: tuple[float, float],
) -> None:
    """Give a figure with one grid of panels its size, and a title that wraps; all in inch, whatever the panels hold.

    Matplotlib's own layouts measure every text, which takes as long as to draw the figure.

    Args:
      figure: its panels are there.
      title: above all.
      panel: width and height of each.
      margins: left, right, bottom, and top below the title; for texts.
      gaps: between columns, and between rows.
    """
    grid = figure.axes[0].get_gridspec()
    (wide, tall), (left, right, bottom, top) = panel, margins
    width = left + grid.ncols * wide + (grid.ncols - 1) * gaps[0] + right
    figure.set_size_inches(width, 1.0)
    text = figure.suptitle(typeset(title), fontsize=TITLE)
    if text.get_window_extent().width > 0.97 * figure.bbox.width:
        text.set_wrap(True)  # measured at each draw
    top += text.get_window_extent().height / figure.dpi + 2 * EDGE
    height = bottom + grid.nrows * tall + (grid.nrows - 1) * gaps[1] + top
    figure.set_size_inches(width, height)
    text.set_y(1 - EDGE / height)
    edges = {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - top / height}
    figure.subplots_adjust(**edges, wspace=gaps[0] / wide, hspace=gaps[1] / tall)
