"""Scaling relations as tables of points: ECSV with columns relation, redshift, x, mean, error."""

import pathlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from astropy.table import Table

from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path
from galdiff.observables.scaling import RELATIONS, Observed

COLUMNS = ("relation", "redshift", "x", "mean", "error")
NAMES = tuple(f"{y}({x})" for x, y in RELATIONS)  # as in the column `relation`


def write_relations(path: str | pathlib.Path, data: Observed, redshifts: Sequence[float], overwrite: bool) -> None:
    """One row for each point of finite error.

    Args:
      path: ending in .ecsv.
      data: the points; redshifts: of its second axis; overwrite: replace a file.
    """
    where = np.argwhere(np.isfinite(np.asarray(data.error)))
    table = Table(
        [[NAMES[i] for i, _, _ in where], [float(redshifts[j]) for _, j, _ in where]]
        + [np.asarray(values)[tuple(where.T)] for values in (data.x, data.mean, data.error)],
        names=COLUMNS,
    )
    for name in COLUMNS[2:]:
        table[name].unit = "dex"
    with atomic_path(pathlib.Path(path), overwrite) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


def read_relations(path: str | pathlib.Path) -> tuple[Observed, tuple[float, ...]]:
    """Points and their redshifts, falling; what a relation lacks at a redshift has an infinite error.

    Raises:
      InputError: no such file, a column or relation that is not known, or numbers that make no sense.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give a table with columns {', '.join(COLUMNS)}")
    try:
        table = Table.read(path, format="ascii.ecsv")
    except Exception as reason:  # astropy raises many kinds
        raise InputError(f"{path}: is no ECSV table ({str(reason).splitlines()[0]})") from reason
    if missing := [name for name in COLUMNS if name not in table.colnames]:
        raise InputError(f"{path}: has no column '{missing[0]}'; it needs {', '.join(COLUMNS)}")
    if unknown := sorted({str(r) for r in table["relation"]} - {*NAMES}):
        raise InputError(f"{path}: relation is '{unknown[0]}'; choose some of {', '.join(NAMES)}")
    numbers = np.array([np.asarray(table[name], float) for name in COLUMNS[1:]])
    if not len(table) or not np.isfinite(numbers).all() or not (numbers[3] > 0).all() or not (numbers[0] >= 0).all():
        raise InputError(f"{path}: needs rows of finite numbers, error above 0 [dex] and redshift at least 0")
    redshifts = tuple(sorted(set(numbers[0].tolist()), reverse=True))
    groups: dict[tuple[int, int], list] = {}
    for name, (z, *point) in zip(table["relation"], numbers.T, strict=True):
        groups.setdefault((NAMES.index(str(name)), redshifts.index(z)), []).append(point)
    shape = (len(NAMES), len(redshifts), max(map(len, groups.values())))
    x, mean, error = np.zeros(shape), np.zeros(shape), np.full(shape, np.inf)
    for (i, j), points in groups.items():
        rows = np.array(sorted(points)).T
        x[i, j], mean[i, j] = rows[0, -1], rows[1, -1]
        x[i, j, : rows.shape[1]], mean[i, j, : rows.shape[1]], error[i, j, : rows.shape[1]] = rows
    return Observed(*(jnp.asarray(values) for values in (x, mean, error))), redshifts
