"""How well a model describes a table: chi2 per measurement, and figures."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from galdiff.cases.table_rows import TableRows
from galdiff.io.atomic import atomic_path
from galdiff.plotting.tables_figure import plot_pulls, plot_targets


def report(
    said: Mapping[str, np.ndarray],
    rows: TableRows,
    parts: Mapping[str, np.ndarray],
    names: Sequence[str],
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Draw and measure.

    Args:
      said: predictions (row, target) by stage, the last one the result.
      rows: measurements; parts: numbers of the rows that train and that are held out; names: of the targets.
      folder: of the run.

    Returns:
      chi2 per measurement and pulls of every stage and part; how many values are measured, limits, or missing.
    """
    last = list(said.values())[-1]
    measured = (rows.weight > 0) & (rows.limit == 0)
    figures = {
        "targets.png": plot_targets(last, rows.y, rows.error, measured, parts, names),
        "pulls.png": plot_pulls((last - rows.y) / rows.error, measured, parts),
    }
    for name, figure in figures.items():
        with atomic_path(folder / name, True) as path:
            figure.savefig(path, format="png")
    counts = {
        "measured": int(measured.sum()),
        "limits": int(((rows.weight > 0) & (rows.limit != 0)).sum()),
        "missing": int((rows.weight == 0).sum()),
    }
    scores = {
        name: {part: _score(x, rows, measured, which) for part, which in parts.items()} for name, x in said.items()
    }
    return {"values": counts, "stages": scores}


def _score(said: np.ndarray, rows: TableRows, measured: np.ndarray, which: np.ndarray) -> dict[str, float | int]:
    """chi2 per measurement, mean and scatter of the pulls, of some rows."""
    pull = ((said - rows.y) / rows.error)[which][measured[which]]
    if not len(pull):
        return {"measurements": 0}
    return {
        "measurements": len(pull),
        "chi2": float(np.mean(pull**2)),
        "pull_mean": float(pull.mean()),
        "pull_std": float(pull.std()),
    }
