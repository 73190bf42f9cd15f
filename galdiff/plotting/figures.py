"""What all figures share: resolution, fonts, robust limits.

A figure belongs to no window and is not written here: `figure.savefig` inside `io.atomic.atomic_path` does that.
"""

import re

import numpy as np
from matplotlib.patheffects import withStroke

DPI = 150  # of the files
SMALL, TEXT, TITLE = 8.0, 9.0, 11.0  # font sizes [pt]


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
