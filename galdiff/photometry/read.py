"""Passbands by name, from speclite's published curves, and from files."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from galdiff.core.air import air_to_vacuum
from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.photometry.passband import Passband

MEDIA = ("air", "vacuum")
SHORTEST = 912.0  # Angstrom: where a passband ends below, its wavelengths are in another unit


@buildable(reads=True)
def load_passband(name: str, *, medium: str = "vacuum", unit: str | None = None) -> Passband:
    """A passband by its name or path.

    Args:
      name: one of speclite's, group-band as in sdss2010-g, lsst2023-r, Euclid-H, wise2010-W1, bessell-V; or the path of
        a file: two columns of text (wavelength, transmission), ECSV, or a VOTable of the Spanish Virtual Observatory.
      medium: air or vacuum, of the wavelengths of a file.
      unit: of the wavelengths of a file without units; Angstrom if None.

    Raises:
      InputError: no such name or file, a file without two columns of numbers, or a medium that there is not.
    """
    if medium not in MEDIA:
        raise InputError(f"medium of passband {name} is '{medium}'; choose air or vacuum")
    path = pathlib.Path(name).expanduser()
    if not path.is_file():
        return _published(name)
    wave, transmission = _columns(path, unit)
    return Passband(path.stem, np.asarray(air_to_vacuum(wave) if medium == "air" else wave), transmission)


def load_passbands(names: Any) -> list[Passband]:
    """Passbands by their names or paths, as `load_passband`.

    Raises:
      InputError: names that are no list, or a name that is no passband.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        said = "null" if names is None else repr(names)
        raise InputError(f"passbands is {said}; give a list, as [sdss2010-r,lsst2023-i]")
    return [load_passband(str(name)) for name in names]


def _published(name: str) -> Passband:
    from speclite import filters

    try:
        found = filters.load_filter(name)
    except (ValueError, OSError, RuntimeError) as error:
        groups = ", ".join(filters.filter_group_names)
        raise InputError(f"passband '{name}' is no file and no name of speclite; groups there: {groups}") from error
    return Passband(name, np.asarray(found.wavelength, float), np.asarray(found.response, float))


def _columns(path: pathlib.Path, unit: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths [Angstrom] and transmissions of a file."""
    from astropy import units as u
    from astropy.table import Table

    kind = {".ecsv": "ascii.ecsv", ".xml": "votable", ".vot": "votable", ".votable": "votable"}.get(path.suffix.lower())
    try:
        table: Any = Table.read(path, format=kind) if kind else Table.read(path, format="ascii")
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
