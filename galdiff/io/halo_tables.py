"""Halo histories from HDF5 and NPZ files.

A table file holds `time_gyr` or `redshift` (snapshot), `m_vir_msun` (snapshot) or (halo, snapshot), and where known
`mdot_vir_msun_per_gyr` and `c_nfw` of that shape, `spin` (halo), and `h0_kms_mpc` and `omega_m` of their cosmology;
snapshots in order of growing cosmic time, masses without factors of h. A matrix file holds `halo_matrix`
(halo, 5, node), `ts_full` [Gyr] and `halo_tinit` [Gyr], as `galdiff.halo.tabulated.from_matrix` describes.
"""

import pathlib

import h5py
import jax
import numpy as np

from galdiff.core.buildable import buildable
from galdiff.core.hdf5 import read_dataset
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.history import HistorySettings
from galdiff.halo.tabulated import HaloTable, from_matrix, from_table
from galdiff.records import HaloHistory

COLUMNS = {
    "time": "time_gyr",
    "redshift": "redshift",
    "m_vir": "m_vir_msun",
    "mdot_vir": "mdot_vir_msun_per_gyr",
    "c_nfw": "c_nfw",
    "spin": "spin",
    "h0": "h0_kms_mpc",
    "omega_m": "omega_m",
}
_MATRIX = ("halo_matrix", "ts_full", "halo_tinit")


def _arrays(path: str | pathlib.Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named arrays that a file holds at its top level."""
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"halo file {path} does not exist; check the path")
    try:
        if path.suffix == ".npz":
            with np.load(path) as archive:
                return {name: archive[name] for name in names if name in archive.files}
        with h5py.File(path) as file:
            return {name: read_dataset(file[name]) for name in names if name in file}
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"halo file {path} cannot be read ({error}); it must be NPZ (.npz) or HDF5") from error


def read_halo_table(path: str | pathlib.Path) -> HaloTable:
    """Table of one halo, or of many with common times, with the columns of this module's docstring.

    Raises:
      InputError: for a missing or unreadable file, or one without masses; values are checked by `from_table`.
    """
    found = _arrays(path, tuple(COLUMNS.values()))
    if "m_vir_msun" not in found:
        raise InputError(
            f"halo file {path} has no array m_vir_msun [Msun]; it needs it with time_gyr or redshift (known columns:"
            f" {', '.join(COLUMNS.values())})"
        )
    return HaloTable(**{field: found[name] for field, name in COLUMNS.items() if name in found})


def write_halo_table(path: str | pathlib.Path, table: HaloTable) -> None:
    """Write a table so that `read_halo_table` reads it: NPZ for .npz, else HDF5."""
    columns = {name: getattr(table, field) for field, name in COLUMNS.items() if getattr(table, field) is not None}
    if pathlib.Path(path).suffix == ".npz":
        with open(path, "wb") as file:
            np.savez_compressed(file, **columns)
        return
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[name] = np.asarray(column)


@buildable(reads=True)
def table_history(
    *,
    path: str | pathlib.Path,
    index: int | None = None,
    cosmology: Cosmology,
    settings: HistorySettings = HistorySettings(),  # noqa: B008 - frozen
    mass_loss: str = "running_maximum",
    smoothing: float = 0.0,
    resample: bool = False,
) -> HaloHistory:
    """Smooth history of a halo table in a file.

    Args:
      path: NPZ or HDF5 table.
      index: row of the halo in a table of many; None for all, on a leading axis.
      cosmology, settings, mass_loss, smoothing, resample: as in `galdiff.halo.tabulated.from_table`.
    """
    table = read_halo_table(path)
    n = None if np.ndim(table.m_vir) < 2 else len(table.m_vir)
    if index is not None and n is not None:
        if not 0 <= index < n:
            raise InputError(f"halo index is {index}, but {path} holds {n} haloes; use 0 to {n - 1}")
        rows = {f: np.asarray(getattr(table, f))[index] for f in ("m_vir", "mdot_vir", "c_nfw", "spin")
                if getattr(table, f) is not None}  # fmt: skip
        table = HaloTable(time=table.time, redshift=table.redshift, h0=table.h0, omega_m=table.omega_m, **rows)
    return from_table(
        table, cosmology=cosmology, settings=settings, mass_loss=mass_loss, smoothing=smoothing, resample=resample
    )


def matrix_history(
    *,
    path: str | pathlib.Path,
    index: int | None = None,
    cosmology: Cosmology,
    interpolation: str = "backward",
    settings: HistorySettings = HistorySettings(),  # noqa: B008 - frozen
) -> HaloHistory:
    """Histories of a file in the array layout of Pandya et al. (2026).

    Args:
      path: NPZ or HDF5 with halo_matrix, ts_full and halo_tinit.
      index: one halo of it; None for all, on a leading axis.
      cosmology, interpolation, settings: as in `galdiff.halo.tabulated.from_matrix`.
    """
    found = _arrays(path, _MATRIX)
    if missing := [name for name in _MATRIX if name not in found]:
        raise InputError(f"halo file {path} has no array {', '.join(missing)}; it needs {', '.join(_MATRIX)}")
    histories = from_matrix(
        found["halo_matrix"], found["ts_full"], found["halo_tinit"], cosmology=cosmology, interpolation=interpolation,
        settings=settings,
    )  # fmt: skip
    n = len(found["halo_matrix"])
    if index is None:
        return histories
    if not 0 <= index < n:
        raise InputError(f"halo index is {index}, but {path} holds {n} haloes; use 0 to {n - 1}")
    return jax.tree.map(lambda leaf: leaf[index], histories)
