"""Passbands by name, from speclite's published curves, and from files."""

import pathlib
from typing import Any

import numpy as np

from galdiff.core.air import air_to_vacuum
from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.photometry.curves import columns, listed, published
from galdiff.photometry.passband import Passband

MEDIA = ("air", "vacuum")


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
        return Passband(name, *published(name))
    wave, transmission = columns(path, unit)
    return Passband(path.stem, np.asarray(air_to_vacuum(wave) if medium == "air" else wave), transmission)


def load_passbands(names: Any) -> list[Passband]:
    """Passbands by their names or paths, as `load_passband`.

    Raises:
      InputError: names that are no list, or a name that is no passband.
    """
    return [load_passband(name) for name in listed(names)]
