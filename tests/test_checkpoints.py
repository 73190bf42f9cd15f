"""Checkpoints: what comes back, what is kept, and that a damaged one is never taken for a sound one."""

import gc
import os
import pathlib
import shutil
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from galdiff.errors import InputError
from galdiff.runtime import data_mesh
from galdiff.train.checkpoints import Checkpoints

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def leave_nothing_unawaited():
    """Orbax leaves the other reads of a broken checkpoint behind; they are collected here, not in the next test."""
    yield
    gc.collect()


def parts(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "physics": {"a.b": jnp.asarray(rng.normal()), "c": jnp.asarray(rng.normal(size=(40, 30)))},
        "optimiser": {"count": jnp.asarray(seed, jnp.int32), "mu": jnp.asarray(rng.normal(size=700), jnp.float32)},
    }


def equal(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.fixture
def folder(tmp_path):
    """Steps 1 and 2."""
    with Checkpoints(tmp_path / "run", last=2) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, parts(step), meta={"config": "x: 1"}, loss=1.0 / step)
    return tmp_path / "run"


def test_what_was_saved_comes_back_bit_for_bit(folder):
    with Checkpoints(folder) as checkpoints:
        for step in (1, 2):
            found = checkpoints.restore(parts(), step)
            assert equal(found.parts, parts(step))
            assert (found.step, found.meta["config"], found.meta["loss"]) == (step, "x: 1", 1.0 / step)
        only = checkpoints.restore({"physics": parts()["physics"]})
        assert only.parts.keys() == {"physics"}


def test_the_newest_and_the_best_are_kept(tmp_path):
    with Checkpoints(tmp_path, last=2, best=1) as checkpoints:
        for step, loss in enumerate([5.0, 1.0, 3.0, 4.0, 9.0]):
            checkpoints.save(step, parts(), meta={}, loss=loss)
        checkpoints.wait()
        assert checkpoints.steps() == [1, 3, 4]


def test_an_empty_folder_holds_nothing(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(parts()) is None
        assert checkpoints.meta() is None


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_byte_anywhere_is_noticed_or_harmless(folder, tmp_path, place):
    caught = 0
    for k, path in enumerate(sorted(p for p in (folder / "2").rglob("*") if p.is_file() and p.stat().st_size)):
        copy = tmp_path / f"copy{k}"
        shutil.copytree(folder, copy)
        damaged = copy / path.relative_to(folder)
        content = bytearray(damaged.read_bytes())
        content[int(place * (len(content) - 1))] ^= 0xFF
        damaged.write_bytes(content)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with Checkpoints(copy) as checkpoints:
                found = checkpoints.restore(parts())
        assert equal(found.parts, parts(found.step))  # whichever it is, it is what was written
        if found.step == 1:
            caught += 1
            named = [str(w.message) for w in said if "damaged; the one before is used" in str(w.message)]
            assert not named or "step 2" in named[0]
    assert caught >= 2


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_cut_file_falls_back_to_the_step_before(folder, damage):
    largest = max((p for p in (folder / "2" / "physics").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    if damage == "truncate":
        os.truncate(largest, largest.stat().st_size // 2)
    else:
        largest.unlink()
    with Checkpoints(folder) as checkpoints:
        with pytest.warns(UserWarning, match="checkpoint of step 2 .* is damaged; the one before is used"):
            found = checkpoints.restore(parts())
        assert equal(found.parts, parts(1))
        with pytest.raises(InputError, match="no sound checkpoint: step 2"):
            checkpoints.restore(parts(), 2)


def test_a_half_written_step_is_not_taken(folder):
    shutil.copytree(folder / "2", folder / "3.orbax-checkpoint-tmp")
    with Checkpoints(folder) as checkpoints:
        assert checkpoints.restore(parts()).step == 2


def test_numbers_that_are_none_are_never_written(folder):
    broken = parts()
    broken["physics"]["c"] = broken["physics"]["c"].at[3, 4].set(jnp.nan)
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(InputError, match=r"step 3 would hold NaN or infinity in physics\.c"):
            checkpoints.save(3, broken, meta={}, loss=1.0)
        with pytest.raises(InputError, match="in the loss"):
            checkpoints.save(3, parts(), meta={}, loss=float("nan"))
        assert checkpoints.steps() == [1, 2]


def test_another_architecture_gives_a_list_of_what_differs(folder):
    other = {"physics": {"a.b": jnp.zeros(()), "c": jnp.zeros((40, 31)), "d": jnp.zeros(2)}}
    with Checkpoints(folder) as checkpoints, pytest.raises(InputError) as raised:
        checkpoints.restore(other)
    text = str(raised.value)
    assert "physics.c: float64[40, 30] in the checkpoint, float64[40, 31] in the model" in text
    assert "physics.d: not in the checkpoint" in text


def test_a_checkpoint_moves_between_meshes(tmp_path):
    by_row = NamedSharding(data_mesh(2), PartitionSpec("data"))
    saved = parts(3)
    saved["physics"]["c"] = jax.device_put(saved["physics"]["c"], by_row)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, saved, meta={}, loss=1.0)
        checkpoints.wait()
        one = checkpoints.restore(parts())
        assert len(one.parts["physics"]["c"].sharding.device_set) == 1
        assert equal(one.parts, parts(3))
        two = checkpoints.restore(jax.device_put(parts(), NamedSharding(data_mesh(2), PartitionSpec())))
        assert len(two.parts["physics"]["c"].sharding.device_set) == 2
        assert equal(two.parts, parts(3))


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    code = (
        f"import resource, sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n"
        "from test_checkpoints import *\n"
        "c = Checkpoints(sys.argv[1])\n"
        "c.save(1, parts(1), meta={}, loss=1.0); c.wait()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try:\n"
        "    c.save(2, parts(2), meta={}, loss=1.0); c.wait()\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1", "JAX_ENABLE_COMPILATION_CACHE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "checkpoint of step 2 cannot be written" in done.stdout, done.stderr[-500:]
    assert "step 1 is intact" in done.stdout
    with Checkpoints(tmp_path / "run") as checkpoints:
        found = checkpoints.restore(parts())
    assert found.step == 1
    assert equal(found.parts, parts(1))
