"""Published curves of transmission, and those of files, as they are; without JAX, to be checked before it is loaded."""

import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from galdiff.errors import InputError

SHORTEST = 912.0  # Angstrom: where a passband ends below, its wavelengths are in another unit


def listed(names: Any) -> list[str]:
    """Names and paths of passbands.

    Raises:
      InputError: names that are no list.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        said = "null" if names is None else repr(names)
        raise InputError(f"passbands is {said}; give a list, as [sdss2010-r,lsst2023-i]")
    return [str(name) for name in names]


def check_names(names: Any) -> None:
    """Refuse what is no list of names and paths of passbands.

    Raises:
      InputError: names that are no list, or a name that is no passband.
    """
    for name in listed(names):
        path = pathlib.Path(name).expanduser()
        _ = columns(path) if path.is_file() else published(name)


def published(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths [Angstrom] and transmissions [1] of a passband of speclite, shape (knot,).

    Raises:
      InputError: no such name.
    """
    from speclite import filters

    try:
        found = filters.load_filter(name)
    except (ValueError, OSError, RuntimeError) as error:
        groups = ", ".join(filters.filter_group_names)
        raise InputError(f"passband '{name}' is no file and no name of speclite; groups there: {groups}") from error
    return np.asarray(found.wavelength, float), np.asarray(found.response, float)


def columns(path: pathlib.Path, unit: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths [Angstrom] and transmissions [1] of a file, shape (knot,).

    Raises:
      InputError: no two columns of numbers, or wavelengths that are in another unit.
    """
    from astropy import units as u
    from astropy.table import Table

    kind = {".ecsv": "ascii.ecsv", ".xml": "votable", ".vot": "votable", ".votable": "votable"}.get(path.suffix.lower())
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", category=u.UnitsWarning
            )  # Angstrom, which most VOTables of passbands have
            table: Any = Table.read(path, format=kind or "ascii")
        columns = [c for c in table.colnames if table[c].dtype.kind in "fiu"][:2]
        given = unit or (table[columns[0]].unit if columns else None) or "Angstrom"
        factor = u.Unit(given).to(u.Angstrom)
    except (ValueError, OSError, TypeError) as error:
        said = str(error).strip().partition("\n")[0]  # astropy goes on with all formats that it guessed
        raise InputError(f"passband {path} cannot be read ({said}); give two columns, ECSV or a VOTable") from error
    if len(columns) < 2:
        raise InputError(f"passband {path} has {len(columns)} columns of numbers; it needs wavelength, transmission")
    wave = np.asarray(table[columns[0]], float) * factor
    if wave.size and np.max(wave) < SHORTEST:
        raise InputError(
            f"passband {path} ends at {np.max(wave):.4g} Angstrom; if its wavelengths are in micron or nm, say so: an"
            " ECSV file has units, or load_passband(path, unit='nm')"
        )
    return wave, np.asarray(table[columns[1]], float)
