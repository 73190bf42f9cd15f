"""Samples in files: the batches of memory, and the same training."""

import importlib.util

import h5py
import jax
import numpy as np
import pytest
import zarr
from training_case import SETTINGS, samples, task

from galdiff.errors import InputError
from galdiff.runtime import data_mesh
from galdiff.train.data import Hdf5, InMemory, Zarr
from galdiff.train.loop import TrainingSettings, train


def hdf5(folder, arrays):
    with h5py.File(folder / "x.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file.create_group("z")
    return folder / "x.h5"


def group(store, arrays):
    with store:
        root = zarr.open_group(store, mode="w")
        for name, values in arrays.items():
            root[name] = values
        root.create_group("z")
    return store


def zarr_folder(folder, arrays):
    group(zarr.storage.LocalStore(folder / "x.zarr"), arrays)
    return folder / "x.zarr"


def zarr_zip(folder, arrays):
    group(zarr.storage.ZipStore(folder / "x.zip", mode="w"), arrays)
    return folder / "x.zip"


KINDS = {"hdf5": (Hdf5, hdf5), "zarr": (Zarr, zarr_folder), "zipped": (Zarr, zarr_zip)}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def test_a_file_gives_the_batches_of_memory(kind, tmp_path):
    source, write = kind
    arrays = {"x": np.random.default_rng(0).normal(size=(9, 3, 2)), "i": np.arange(9, dtype=np.int32)}
    file = source(write(tmp_path, arrays), ["x", "i"], batch_size=4, seed=1)
    memory = InMemory(arrays, batch_size=4, seed=1)
    for step in range(5):
        jax.tree.map(np.testing.assert_array_equal, file.batch(step), memory.batch(step))
    assert file.batch(0).samples["i"].dtype == np.int32


def test_a_file_that_does_not_hold_the_samples_is_refused(kind, tmp_path):
    source, write = kind
    path = write(tmp_path, {"x": np.zeros((9, 3)), "y": np.zeros(4)})
    for name in ("q", "z"):  # neither there, nor an array
        with pytest.raises(InputError, match=f"has no (dataset|array) {name}; it holds x, y, z"):
            source(path, [name])
    with pytest.raises(InputError, match="one common length"):
        source(path, ["x", "y"])
    with pytest.raises(InputError, match=r"there is no such file; give an? (HDF5|Zarr)"):
        source(tmp_path / "nothing", ["x"])
    wrong = tmp_path / "wrong"
    wrong.write_text("no arrays")
    with pytest.raises(InputError, match=r"wrong: cannot be read .*; give an? (HDF5|Zarr)"):
        source(wrong, ["x"])


def test_a_folder_that_is_no_group_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read .*; give a Zarr group"):
        Zarr(tmp_path, ["x"])


def test_a_training_on_a_mesh_reads_files_to_the_numbers_of_memory(tmp_path):
    data, settings = samples(), TrainingSettings(**{**SETTINGS, "steps": 8})
    logs = {}
    for name, source in [
        ("memory", InMemory(data, batch_size=15, seed=1)),
        *((n, of(write(tmp_path, data), ["x", "y"], batch_size=15, seed=1)) for n, (of, write) in KINDS.items()),
    ]:
        train(task(source=source), settings, tmp_path / name, mesh=data_mesh(2))
        logs[name] = (tmp_path / name / "metrics.jsonl").read_text()
    assert len(logs["memory"].splitlines()) == 8
    assert set(logs.values()) == {logs["memory"]}


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"zarr is not installed: pip install 'galdiff\[zarr\]'"):
        Zarr(tmp_path, ["x"])
