"""What every format of SSP libraries is: something that knows its own files, or that computes a library."""

import abc
import pathlib
import zipfile
from typing import Any, ClassVar

import h5py

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.records import SSPGrid

HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"


class Reader(abc.ABC):
    """A format of files; one file of `galdiff.sps.readers` each, or of a package that the user trusts.

    Attributes:
      kind: name of the format, as `kind=` of `load_ssp` takes it.
      files: what a path of it is, for messages; "HDF5 (DSPS)".
    """

    kind: ClassVar[str]
    files: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls, reads=True)

    @abc.abstractmethod
    def recognises(self, path: pathlib.Path) -> bool:
        """Whether what lies at an existing path is of this format, and of no other: by what it holds, not its name.

        Raises:
          InputError: the file is damaged.
        """

    @abc.abstractmethod
    def read(self, path: pathlib.Path) -> SSPGrid:
        """The library, in vacuum Angstrom and Lsun/Angstrom per Msun formed; what it takes beyond are keywords.

        Raises:
          InputError: naming the path, the field and the remedy.
        """


class Maker(abc.ABC):
    """A way to compute a library, without a path; one file of `galdiff.sps.readers` each."""

    kind: ClassVar[str]

    @abc.abstractmethod
    def make(self) -> SSPGrid:
        """The library, in vacuum Angstrom and Lsun/Angstrom per Msun formed; what it takes are keywords."""


def hdf5_names(path: pathlib.Path) -> frozenset[str]:
    """Names at the top of an HDF5 file; none for other files and for folders.

    Raises:
      InputError: it begins like HDF5 and cannot be opened, or nothing can be read at all.
    """
    if not _begins(path, HDF5):
        return frozenset()
    try:
        with h5py.File(path, "r") as file:
            return frozenset(file)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error}); it is damaged: fetch it again") from error


def npz_names(path: pathlib.Path) -> frozenset[str]:
    """Names of the arrays of an npz file; none for other files and for folders.

    Raises:
      InputError: it begins like a zip archive and cannot be opened, or nothing can be read at all.
    """
    if not _begins(path, ZIP):
        return frozenset()
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(name.removesuffix(".npy") for name in archive.namelist())
    except Exception as error:  # damaged archives raise nearly everything
        raise InputError(f"{path}: cannot be read as npz ({error}); it is damaged: fetch it again") from error


def _begins(path: pathlib.Path, signature: bytes) -> bool:
    if path.is_dir():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(signature)) == signature
    except OSError as error:
        raise InputError(f"SSP library {path} cannot be read ({error}); check its permissions") from error
