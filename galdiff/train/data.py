"""Mini-batches that are functions of the step: nothing to store, so a run resumes where it stopped, bit for bit."""

import abc
import contextlib
import importlib.util
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import h5py
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from galdiff.errors import InputError


class Batch(NamedTuple):
    """Some samples, and how much each counts."""

    samples: Any  # pytree with a leading axis
    weight: Any  # 1, or 0 for what only fills the batch up


class Source(abc.ABC):
    """Samples by number; `batch` draws a permutation of them for every epoch.

    Args of the constructor:
      n: number of samples; batch_size: samples of a batch, all by default; seed: of the permutations.
    """

    def __init__(self, n: int, *, batch_size: int | None = None, seed: int = 0) -> None:
        if n < 1 or (batch_size is not None and batch_size < 1):
            raise InputError(f"data hold {n} samples and batch_size is {batch_size}; both must be at least 1")
        self.n, self.seed = n, seed
        self.batch_size = n if batch_size is None else min(batch_size, n)
        self.per_epoch = -(-n // self.batch_size)

    @abc.abstractmethod
    def rows(self, which: np.ndarray) -> Any:
        """Samples [any unit] of these numbers (n,) (increasing), a pytree with a leading axis."""

    def batch(self, step: int) -> Batch:
        """The batch of a step; the last of an epoch is filled up with samples of weight zero."""
        epoch, batch_on_mesh = divmod(step, self.per_epoch)
        if self.per_epoch == 1:
            return self.all_rows()
        order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
        which = order[batch_on_mesh * self.batch_size : (batch_on_mesh + 1) * self.batch_size]
        return self._filled(np.sort(which), self.batch_size)

    def all_rows(self) -> Batch:
        """Every sample once."""
        return self._filled(np.arange(self.n), self.n)

    def _filled(self, which: np.ndarray, size: int) -> Batch:
        weight = (np.arange(size) < len(which)).astype(np.result_type(float))
        padded = np.concatenate([which, np.repeat(which[-1:], size - len(which))])
        return Batch(samples=self.rows(padded), weight=weight)


class InMemory(Source):
    """Samples in a pytree of arrays with a common leading axis."""

    def __init__(self, samples: Any, *, batch_size: int | None = None, seed: int = 0) -> None:
        lengths = {np.shape(x)[0] if np.ndim(x) else 0 for x in jax.tree.leaves(samples)}
        if len(lengths) != 1 or 0 in lengths:
            raise InputError(f"samples have leading axes of length {sorted(lengths)}; give arrays of one common length")
        super().__init__(lengths.pop(), batch_size=batch_size, seed=seed)
        self.samples = jax.tree.map(np.asarray, samples)

    def rows(self, which: np.ndarray) -> Any:
        """Rows (n, ...) of every array [any unit], for numbers (n,)."""
        return jax.tree.map(lambda x: x[which], self.samples)


class _Stored(Source):
    """Samples in arrays with a common leading axis that are read as they are needed; a subclass opens what holds them.

    Args of the constructor:
      path: of what holds them; fields: names of the arrays.
    """

    kind: str  # what the path must be
    array: str  # what the arrays are called there

    def __init__(
        self, path: str | pathlib.Path, fields: list[str], *, batch_size: int | None = None, seed: int = 0
    ) -> None:
        self.path, self.fields = pathlib.Path(path), tuple(fields)
        if not self.path.exists():
            raise InputError(f"{self.path}: there is no such file; give {self.kind} with {', '.join(fields)}")
        try:
            with self.opened() as group:
                missing = [name for name in fields if not self.is_array(group.get(name))]
                if missing:
                    raise InputError(
                        f"{self.path}: has no {self.array} {', '.join(missing)}; it holds {', '.join(sorted(group))}"
                    )
                lengths = {name: group[name].shape[:1] for name in fields}
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self.path}: cannot be read ({error}); give {self.kind}") from error
        if len(set(lengths.values())) != 1 or () in lengths.values():
            raise InputError(
                f"{self.path}: {self.array}s have leading axes {lengths}; they must have one common length"
            )
        super().__init__(next(iter(lengths.values()))[0], batch_size=batch_size, seed=seed)

    @abc.abstractmethod
    def opened(self) -> contextlib.AbstractContextManager[Any]:
        """What holds the arrays, by name, open for reading; every read opens it anew, so threads share nothing."""

    @abc.abstractmethod
    def is_array(self, found: Any) -> bool:
        """Whether what has a name there is an array; what is not there is None."""

    def rows(self, which: np.ndarray) -> dict[str, np.ndarray]:
        """Rows of every array, by name."""
        unique, back = np.unique(which, return_inverse=True)  # h5py reads increasing rows
        with self.opened() as group:
            return {name: group[name][unique][back] for name in self.fields}


class Hdf5(_Stored):
    """Samples in datasets of an HDF5 file."""

    kind, array = "an HDF5 file", "dataset"

    def opened(self) -> contextlib.AbstractContextManager[Any]:
        """The file."""
        return h5py.File(self.path)

    def is_array(self, found: Any) -> bool:
        """A dataset, not a group."""
        return isinstance(found, h5py.Dataset)


class Zarr(_Stored):
    """Samples in arrays of a Zarr group: a folder, or a .zip of one. Needs the extra `zarr`."""

    kind, array = "a Zarr group (a folder or a .zip)", "array"

    def __init__(
        self, path: str | pathlib.Path, fields: list[str], *, batch_size: int | None = None, seed: int = 0
    ) -> None:
        if importlib.util.find_spec("zarr") is None:
            raise InputError(f"{path}: zarr is not installed: pip install 'galdiff[zarr]'")
        super().__init__(path, fields, batch_size=batch_size, seed=seed)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        """The group at the root."""
        import zarr  # optional

        if self.path.is_file() and not zipfile.is_zipfile(self.path):
            raise OSError("it is neither a folder nor a zip file")
        kind = zarr.storage.ZipStore if self.path.is_file() else zarr.storage.LocalStore
        with kind(self.path, read_only=True) as store:
            yield zarr.open_group(store, mode="r")

    def is_array(self, found: Any) -> bool:
        """An array, not a group."""
        import zarr  # optional

        return isinstance(found, zarr.Array)


def batch_on_mesh(batch: Batch, mesh: Mesh | None) -> Batch:
    """A batch on the axis "data" of a mesh, filled up with weight zero to a whole number per device."""
    if mesh is None:
        return jax.tree.map(jax.numpy.asarray, batch)
    pad = -len(batch.weight) % mesh.shape["data"]
    samples = jax.tree.map(lambda x: np.concatenate([x, np.repeat(x[-1:], pad, 0)]) if pad else x, batch.samples)
    filled = Batch(samples=samples, weight=np.pad(batch.weight, (0, pad)))
    sharding = NamedSharding(mesh, PartitionSpec("data"))

    def spread(x: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(x.shape, sharding, x.__getitem__)

    return jax.tree.map(spread, filled)


def on_all(tree: Any, mesh: Mesh) -> Any:
    """Copies of arrays on all devices of a mesh, also of other processes; all processes give the same arrays."""
    sharding = NamedSharding(mesh, PartitionSpec())

    def copy(x: Any) -> jax.Array:
        own = np.asarray(x)
        return jax.make_array_from_callback(own.shape, sharding, own.__getitem__)

    return jax.tree.map(copy, tree)
