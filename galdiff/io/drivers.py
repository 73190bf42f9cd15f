"""Drivers of networks from files."""

import pathlib

import h5py
import numpy as np
from jaxtyping import Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError


@buildable(reads=True)
def read_drivers(path: str | pathlib.Path) -> Float[np.ndarray, "sample driver"]:
    """Drivers [1] from an .npy file, or from the dataset `drivers` of an HDF5 or NPZ file.

    Raises:
      InputError: no such file or dataset, or not a table of finite numbers.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give one with a dataset 'drivers'")
    try:
        if path.suffix == ".npy":
            found = np.load(path)
        elif path.suffix == ".npz":
            found = np.load(path)["drivers"]
        else:
            with h5py.File(path) as file:
                found = np.asarray(file["drivers"])
    except (KeyError, OSError, ValueError) as error:
        raise InputError(f"{path}: holds no dataset 'drivers' that can be read ({error})") from error
    if found.ndim != 2 or found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise InputError(f"{path}: drivers are {found.dtype}{found.shape}; give finite numbers (sample, driver)")
    return found
