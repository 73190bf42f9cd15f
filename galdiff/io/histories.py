"""Baryon histories as xarray Datasets in the units of the literature, and as HDF5 files that give them back exactly.

A file holds the arrays as they are, in the units of galdiff, each with attributes `units` and `long_name`; nested names
are groups: `contents/mass/stars`, `flows/energy/wind`, `diagnostics/sfr`.
"""

import contextlib
import dataclasses
import errno
import pathlib
import shutil
import typing
from collections.abc import Iterator, Mapping, Sequence

import h5py
import numpy as np

from galdiff import runtime
from galdiff.core.hdf5 import read_dataset
from galdiff.core.record import unit_of
from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path
from galdiff.io.cube_dataset import import_xarray
from galdiff.observables.history_columns import PUBLIC, columns, leaves
from galdiff.records import LEDGERS, BaryonHistory, Diagnostics

if typing.TYPE_CHECKING:
    import xarray

FORMAT, VERSION = "galdiff baryon history", 1
SAME_TIME = 1e-6  # relative; galaxies share one axis of time within this
SPARE = 2**22  # bytes that stay free on the disk


def to_dataset(
    history: BaryonHistory, parameters: typing.Any = None, ids: Sequence | np.ndarray | None = None
) -> "xarray.Dataset":
    """A history as an xarray Dataset with dims (t) or (galaxy, t), in Msun/yr, erg, erg/s, Gyr, kpc, km/s, K, float64.

    Args:
      history: of one galaxy, or of many on a leading axis.
      parameters: parameters of the model (`Pandya23().parameters()`, any record or mapping), one or one per galaxy;
        they become variables such as parameter_eta_mass_log10_a.
      ids: names of the galaxies; their numbers by default.

    Returns:
      Variables as in `galdiff.observables.history_columns.columns`, each with units and long_name; coordinates time and
      redshift, along t alone where all galaxies share them; error and solved once per galaxy.

    Raises:
      InputError: xarray is not installed, or the arrays have other axes.
    """
    xarray = import_xarray()
    made = columns(history)
    shape = made["time"].values.shape
    if not 1 <= len(shape) <= 2:
        raise InputError(
            f"time of the history has shape {shape}; a Dataset needs (t) or (galaxy, t): make one of the axes"
        )
    axes = ("galaxy", "t")[2 - len(shape) :]
    short = len(shape) == 2 and all(_shared(made[name].values) for name in ("time", "redshift"))
    variables: dict[str, tuple] = {}
    coordinates: dict[str, tuple] = {}
    for name, column in made.items():
        values, dims = column.values, axes[: column.values.ndim] if column.values.ndim < len(shape) else axes
        if short and name in ("time", "redshift"):
            values, dims = values[0], ("t",)
        attributes = dict(units=column.unit, long_name=column.meaning)
        into = coordinates if name in ("time", "redshift") else variables
        into[name] = (dims, values, attributes)
    for name, values, unit, words in _numbers(parameters, "parameter"):
        if values.shape not in ((), shape[:-1]):
            raise InputError(f"{name} has shape {values.shape}; give one number, or one per galaxy {shape[:-1]}")
        variables[name] = (axes[: values.ndim], values, dict(units=unit or "1", long_name=words))
    if len(shape) == 2:
        coordinates["galaxy"] = (("galaxy",), np.arange(shape[0]) if ids is None else np.asarray(ids))
    return xarray.Dataset(variables, coordinates, dict(title=FORMAT, galdiff=runtime.version_of("galdiff")))


def _shared(rows: np.ndarray) -> bool:
    return len(rows) > 0 and bool((np.abs(rows - rows[0]) <= SAME_TIME * (1 + np.abs(rows[0]))).all())


def _numbers(tree: typing.Any, name: str) -> Iterator[tuple[str, np.ndarray, str, str]]:
    """Leaves of records and mappings: name, values, unit, meaning."""
    if tree is None:
        return
    if dataclasses.is_dataclass(tree):
        for field in dataclasses.fields(tree):
            value, meaning = getattr(tree, field.name), field.metadata.get("meaning", "")
            if dataclasses.is_dataclass(value) or isinstance(value, Mapping):
                yield from _numbers(value, f"{name}_{field.name}")
            elif value is not None:
                yield f"{name}_{field.name}", np.asarray(value), unit_of(type(tree), field.name), meaning
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _numbers(value, f"{name}_{key}")
    else:
        yield name, np.asarray(tree), "", name


def write_history(history: BaryonHistory, path: str | pathlib.Path, *, overwrite: bool = False) -> None:
    """Write a history of one or many galaxies to HDF5, whole or not at all; `read_history` gives it back bit for bit.

    Raises:
      InputError: the file exists and overwrite is False, or the disk refuses.
    """
    found = [(place, np.asarray(array), unit, meaning) for place, array, unit, meaning in leaves(history)]
    with atomic_path(path, overwrite) as temporary:
        check_room(temporary, sum(array.nbytes for _, array, _, _ in found))
        with h5py.File(temporary, "w", track_order=True) as file:
            sign(file, FORMAT)
            file.attrs["ledgers"] = list(history.ledgers)
            for place, array, unit, meaning in found:
                describe_dataset(file.create_dataset(place, data=array), unit, meaning)


def sign(file: h5py.File, form: str) -> None:
    """What a file is, and in which version."""
    file.attrs.update(format=form, format_version=VERSION, galdiff=runtime.version_of("galdiff"))


def describe_dataset(dataset: h5py.Dataset, unit: str, meaning: str) -> None:
    """Unit, meaning, and for those who read the file without galdiff the factor to the unit of the literature."""
    public, factor = PUBLIC.get(unit, (unit, 1.0))
    dataset.attrs.update(units=unit or "1", long_name=meaning, public_units=public, to_public_units=factor)


def check_room(path: str | pathlib.Path, n_bytes: int) -> None:
    """Refuse to start what the disk cannot hold: a file that HDF5 cannot close may take the process with it.

    Raises:
      OSError: ENOSPC.
    """
    free = shutil.disk_usage(pathlib.Path(path).parent).free
    if n_bytes + SPARE > free:
        raise OSError(errno.ENOSPC, f"no space: {n_bytes + SPARE:,} bytes needed, {free:,} free")


def read_history(path: str | pathlib.Path) -> BaryonHistory:
    """The history in a file of `write_history`, NumPy arrays of the types that were written.

    Raises:
      InputError: no such file, no HDF5, cut short, or not a baryon history.
    """
    with open_history(path) as file:
        return load_history(file, path, ...)


@contextlib.contextmanager
def open_history(path: str | pathlib.Path, form: str = FORMAT) -> Iterator[h5py.File]:
    """Open a file of histories to read; whatever HDF5 cannot read becomes InputError."""
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"history file {path} does not exist; check the path")
    try:
        file = h5py.File(path)
    except OSError as error:
        raise InputError(
            f"history file {path} is no HDF5 file, or cut short ({_line(error)}); write it again"
        ) from error
    with file:
        found, version = str(file.attrs.get("format", "unknown")), file.attrs.get("format_version", 0)
        if not found.startswith(form):
            raise InputError(f"{path} holds '{found}', not a '{form}'; give a file of that kind")
        if version > VERSION:
            raise InputError(f"{path} has format {version}, newer than {VERSION} known here; update galdiff")
        try:
            yield file
        except (OSError, KeyError, RuntimeError) as error:
            raise InputError(f"history file {path} is damaged ({_line(error)}); write it again") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def load_history(file: h5py.File, path: str | pathlib.Path, rows: typing.Any) -> BaryonHistory:
    """The history in an open file, or some rows of it."""

    def value(node: typing.Any) -> typing.Any:
        if isinstance(node, h5py.Group):
            return {name: value(inner) for name, inner in node.items()}
        return read_dataset(node, rows)

    diagnostics = _known(file, Diagnostics, "diagnostics/", path)
    fields = {name: value(file[name]) for name in _known(file, BaryonHistory, "", path) if name != "diagnostics"}
    history = BaryonHistory(
        **fields,
        ledgers=_ledgers(file),
        diagnostics=Diagnostics(**{name: value(file[f"diagnostics/{name}"]) for name in diagnostics}),
    )
    n_t = np.shape(history.time)
    for place, array, _, _ in leaves(history):
        if np.shape(array) not in (n_t, n_t[:-1]):
            raise InputError(f"{path}: {place} has shape {np.shape(array)}, but time {n_t}; write the file again")
    return history


def _ledgers(file: h5py.File) -> tuple[str, ...]:
    """Ledgers that the file names; older ones do not, and have those that were always known."""
    named = file.attrs.get("ledgers")
    return LEDGERS if named is None else tuple(map(str, named))


def _known(file: h5py.File, cls: type, group: str, path: str | pathlib.Path) -> list[str]:
    """Fields of a record that the file holds."""
    found = []
    for field in dataclasses.fields(cls):
        if group + field.name in file:
            found.append(field.name)
        elif field.default is dataclasses.MISSING:
            raise InputError(f"{path} has no '{group}{field.name}'; it is incomplete: write it again")
    return found
