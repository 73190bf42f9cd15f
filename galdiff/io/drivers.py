"""Drivers of networks from files."""

import pathlib
from collections.abc import Sequence

import h5py
import numpy as np
from jaxtyping import Float

from galdiff.core.buildable import buildable
from galdiff.core.hdf5 import read_dataset
from galdiff.errors import InputError
from galdiff.io.tables import read_columns


@buildable(reads=True)
def read_drivers(path: str | pathlib.Path, columns: Sequence[str] | None = None) -> Float[np.ndarray, "sample driver"]:
    """Drivers [1] from columns of a table, from an .npy file, or from the dataset `drivers` of an HDF5 or NPZ file.

    Args:
      path: of the file; with columns, any that `galdiff.io.tables` reads.
      columns: of a table, in the order in which the network was trained with them; None for the other files.

    Raises:
      InputError: no such file or dataset, or not a table of finite numbers.
    """
    path = pathlib.Path(path)
    if columns is not None:
        return _finite(path, np.stack(list(read_columns(path, dict.fromkeys(columns)).values()), -1))
    if path.suffix in (".csv", ".ecsv", ".parquet", ".zarr"):
        raise InputError(f"{path}: is a table; name the columns that go in: input.columns=[NAME, ...]")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give one with a dataset 'drivers'")
    try:
        if path.suffix == ".npy":
            found = np.load(path)
        elif path.suffix == ".npz":
            found = np.load(path)["drivers"]
        else:
            with h5py.File(path) as file:
                found = read_dataset(file["drivers"])
    except InputError:
        raise
    except (KeyError, OSError, ValueError) as error:
        raise InputError(f"{path}: holds no dataset 'drivers' that can be read ({error})") from error
    return _finite(path, found)


def _finite(path: pathlib.Path, found: np.ndarray) -> np.ndarray:
    if found.ndim != 2 or found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise InputError(f"{path}: drivers are {found.dtype}{found.shape}; give finite numbers (sample, driver)")
    return found
