"""Numbers of files that may hold anything: real and, where one is meant, one."""

from typing import Any

import h5py
import numpy as np

from galdiff.errors import InputError


def real(values: Any, where: str) -> np.ndarray:
    """Values as they are stored [as stored], of any shape; text, dates, complex and true/false are refused.

    Raises:
      InputError: they are no real numbers.
    """
    found = np.asarray(values)
    if found.dtype.kind not in "fiu":
        kind = "no" if isinstance(values, h5py.Empty) else found.dtype
        raise InputError(f"{where} holds {kind} entries that are no real numbers; repair it")
    return found


def numeric(values: Any, where: str) -> np.ndarray:
    """The same as float64, in the unit [as stored] and shape they have.

    Raises:
      InputError: they are no real numbers.
    """
    found = real(values, where)
    with np.errstate(all="ignore"):  # damaged numbers of more than double precision
        return found.astype(np.float64)


def scalar(value: Any, where: str) -> float:
    """One number [as stored], also where it stands in an array, or in one of equal numbers.

    Raises:
      InputError: it is no finite number, or more than one.
    """
    found = numeric(value, where).ravel()
    if not found.size or not (found == found[0]).all():
        shown = ", ".join(f"{x:.6g}" for x in found[:3]) + (", ..." if found.size > 3 else "")
        raise InputError(f"{where} holds {found.size} numbers ({shown or 'none'}); expected one, repair it")
    if not np.isfinite(found[0]):
        raise InputError(f"{where} = {found[0]} is no finite number; repair it")
    return float(found[0])
