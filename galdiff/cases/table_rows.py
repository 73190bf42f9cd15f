"""Rows of a user's table: what was measured, and the halo of each."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.cosmology import Cosmology, age
from galdiff.errors import InputError
from galdiff.halo import diffmah
from galdiff.halo.diffmah_population import mean_params
from galdiff.halo.history import LOG10_MASSES, HistorySettings, from_diffmah
from galdiff.inference.losses import Noise
from galdiff.io.tables import read_columns
from galdiff.records import HaloHistory

DIFFMAH = ("logm0", "logtc", "early_index", "late_index")
HALVINGS = 40


class TableRows(NamedTuple):
    """Measurements, all (row, target); where a value is missing its weight is 0."""

    y: Any
    error: Any
    limit: Any
    weight: Any


def read_rows(path: str, columns: Mapping[str, Any], unit: str | None, noise: Noise) -> TableRows:
    """Measurements of a table.

    Args:
      path: of the table.
      columns: target and error, lists; limit and weight, names or None.
      unit: of the targets; None to take them as they are.
      noise: says whether limits are understood.

    Raises:
      InputError: an error not above 0, a limit that is none, a weight below 0, or no measurement at all.
    """
    of_error = "dex" if unit is not None and unit.startswith("dex") else unit
    wanted: dict[str, str | None] = dict.fromkeys(columns["target"], unit)
    wanted |= {name: of_error for name in columns["error"] if isinstance(name, str)}
    wanted |= {columns[key]: None for key in ("limit", "weight") if columns[key] is not None}
    found = read_columns(path, wanted)
    y = np.stack([found[name] for name in columns["target"]], -1)
    full = lambda x: found[x] if isinstance(x, str) else np.full(len(y), float(x))  # noqa: E731
    error = np.stack([full(x) for x in columns["error"]], -1)
    weight = np.ones(len(y)) if columns["weight"] is None else found[columns["weight"]]
    limit = np.zeros(len(y)) if columns["limit"] is None else found[columns["limit"]]
    there = np.isfinite(y) & np.isfinite(error) & np.isfinite(weight)[:, None]
    for name, bad, rule in (
        (", ".join(map(str, columns["error"])), (error <= 0).any(1), "errors above 0"),
        (columns["weight"], weight < 0, "weights of 0 or more"),
        (columns["limit"], ~np.isin(limit, (-1, 0, 1)), "-1 for upper limits, 1 for lower ones, 0 else"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            value = error[row].min() if "errors" in rule else (weight if "weights" in rule else limit)[row]
            raise InputError(f"{path}: '{name}' is {value:g} in row {row + 1}; give {rule}")
    if columns["limit"] is not None and not noise.limits:
        raise InputError(
            f"case.limit is '{columns['limit']}', but {type(noise).__name__} knows no limits; choose"
            " case/loss=censored or case/loss=student_t"
        )
    if not (there & (weight > 0)[:, None]).any():
        raise InputError(
            f"{path}: no finite value of {', '.join(columns['target'])} with an error; check these columns"
        )
    return TableRows(
        np.where(there, y, 0.0),
        np.where(there, error, 1.0),
        np.broadcast_to(limit[:, None], y.shape),
        np.where(there, weight[:, None], 0.0),
    )


def halos_of(
    path: str, halo: Mapping[str, str], redshift: str | float, cosmology: Cosmology, settings: HistorySettings
) -> tuple[np.ndarray, HaloHistory]:
    """Redshift (row) and halo of each row, followed to the lowest redshift of all.

    Args:
      path: of the table.
      halo: {log10_mvir: NAME} at the redshift of the row, or diffmah parameters {logm0: NAME, ...}.
      redshift: a number or a column.
      cosmology, settings: of the halos.

    Raises:
      InputError: unknown keys, values that are missing or out of range.
    """
    if not ("log10_mvir" in halo) ^ ("logm0" in halo) or set(halo) - {"log10_mvir", *DIFFMAH}:
        raise InputError(
            f"case.halo has the keys {', '.join(halo) or 'none'}; give log10_mvir, or logm0 and some of"
            f" {', '.join(DIFFMAH[1:])}"
        )
    units = {"log10_mvir": "dex(Msun)", "logm0": "dex(Msun)"}
    wanted: dict[str, str | None] = {name: units.get(key) for key, name in halo.items()}
    wanted |= {redshift: None} if isinstance(redshift, str) else {}
    found = read_columns(path, wanted)
    for name, values in found.items():
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise InputError(f"{path}: column '{name}' is {values[row]} in row {row + 1}; drop rows without a halo")
    n = len(next(iter(found.values())))
    z = found[redshift] if isinstance(redshift, str) else np.full(n, float(redshift))
    if z.min() < 0 or z.max() > settings.first_redshift / 2:
        raise InputError(
            f"{path}: redshifts go from {z.min():g} to {z.max():g}; give 0 to {settings.first_redshift / 2:g}"
        )
    mass = found[halo.get("log10_mvir", halo.get("logm0", ""))]
    if mass.min() < LOG10_MASSES[0] or mass.max() > LOG10_MASSES[1]:
        bad = mass.min() if mass.min() < LOG10_MASSES[0] else mass.max()
        raise InputError(
            f"{path}: a halo has log10 of its mass {bad:g} dex(Msun); give {LOG10_MASSES[0]:g} to {LOG10_MASSES[1]:g}"
        )
    today = mass_today(mass, z, cosmology) if "log10_mvir" in halo else jnp.asarray(mass)
    params = mean_params(today)
    given = {key: jnp.asarray(found[halo[key]]) for key in DIFFMAH[1:] if key in halo}
    named = {key: given.get(key, getattr(params, key)) for key in DIFFMAH[1:]}
    made = diffmah.DiffmahParams(logm0=today, **named)
    return z, from_diffmah(made, cosmology=cosmology, observed_redshift=float(z.min()), settings=settings)


def mass_today(
    log10_mvir: Float[np.ndarray, "row"], redshift: Float[np.ndarray, "row"], cosmology: Cosmology
) -> Float[Array, "row"]:
    """log10 of the mass at redshift 0 [Msun] of typical halos that have log10_mvir at a redshift, by bisection."""
    time, end = age(cosmology, jnp.asarray(redshift)), age(cosmology, 0.0)
    low = jnp.asarray(log10_mvir, float)
    high = jnp.full_like(low, 17.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = diffmah.log10_mass(mean_params(middle), time, end) < log10_mvir
        low, high = jnp.where(below, middle, low), jnp.where(below, high, middle)
    return jnp.where(jnp.asarray(redshift) == 0, jnp.asarray(log10_mvir, float), (low + high) / 2)
