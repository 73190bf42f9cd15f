"""Draws from a posterior as a file that arviz opens, and as a table."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from galdiff.inference.result import Result

SHARES = {"lo95": 0.025, "lo68": 0.16, "median": 0.5, "hi68": 0.84, "hi95": 0.975}


def as_netcdf(result: Result, attributes: Mapping[str, str | float]) -> Callable[[pathlib.Path], None]:
    """Writer of a NetCDF file with the groups posterior, sample_stats and unconstrained, laid out as InferenceData.

    Args:
      result: to write; names of unknowns are those of variables, with their units.
      attributes: of the file, besides the diagnostics.
    """
    import xarray as xr

    dims = ("chain", "draw")
    of = lambda values: {  # noqa: E731
        one.name: (dims, values[..., i], {"units": one.unit, "prior": one.prior.words()})
        for i, one in enumerate(result.each)
    }
    said: dict[str, Any] = {
        "method": result.method,
        "usable": int(result.usable),
        "reasons": "; ".join(result.reasons),
        "notes": "; ".join(result.notes),
        "inference_library": "galdiff",
    }
    coords = {"chain": np.arange(result.draws.shape[0]), "draw": np.arange(result.draws.shape[1])}
    groups = {
        "posterior": xr.Dataset(of(result.draws), coords),
        "sample_stats": xr.Dataset({"lp": (dims, result.log_density)}, coords),
        "unconstrained": xr.Dataset(of(result.numbers), coords),
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update({**said, **{k: float(v) for k, v in result.diagnostics.items()}, **attributes})
    return lambda path: tree.to_netcdf(path, engine="h5netcdf")


def table_header(result: Result) -> list[str]:
    """Columns of `table_row`: id, whether usable, quantiles of each unknown, diagnostics, reasons."""
    quantiles = [f"{one.name}_{share}" for one in result.each for share in SHARES]
    return ["id", "usable", *quantiles, *result.diagnostics, "reasons"]


def table_row(name: str, result: Result) -> list[Any]:
    """A row of one galaxy; the values of one that is not usable are there to look at, and are to be left out."""
    values = result.quantiles(tuple(SHARES.values()))
    numbers = [f"{x:.6g}" for x in (*values.reshape(-1), *result.diagnostics.values())]
    return [name, int(result.usable), *numbers, "; ".join(result.reasons)]


def as_markdown(results: Mapping[str, Result]) -> str:
    """A table to read: median and 68 % interval of each unknown, a row a galaxy."""
    first = next(iter(results.values()))
    heads = [f"{one.name}{'' if one.unit == '1' else f' [{one.unit}]'}" for one in first.each]
    lines = ["| id | " + " | ".join(heads) + " | usable |", "|---" * (len(heads) + 2) + "|"]
    for name, result in results.items():
        cells = [f"{mid:.3g} (+{hi - mid:.2g} -{mid - lo:.2g})" for lo, mid, hi in result.quantiles()]
        said = "yes" if result.usable else f"no: {'; '.join(result.reasons)}"
        lines.append(f"| {name} | {' | '.join(cells)} | {said} |")
    return "\n".join(lines) + "\n"
