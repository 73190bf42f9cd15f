"""A lock on the folder of a run: one process works in it, and a second one is told which."""

import os
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.io.lock import locked
from galdiff.train.data import InMemory
from galdiff.train.loop import Task, TrainingSettings, train

HOLD = """
import sys
from galdiff.io.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


class One(nnx.Module):
    """A model with one number."""

    def __init__(self):
        self.x = physical(0.0, unit="1")


def task() -> Task:
    def loss(model, batch, key):
        return jnp.sum(batch.weight * (model.x.bounded - batch.samples["x"]) ** 2), {}

    return Task(
        model=One(), objective=loss, optimiser=optax.sgd(0.1), source=InMemory({"x": np.ones(1)}), which="physics"
    )


@pytest.fixture
def other(tmp_path):
    """Another process, which holds the folder until it is killed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    yield holder
    holder.kill()
    holder.communicate()


def test_a_second_process_is_told_who_holds_the_folder_until_that_one_dies(tmp_path, other):
    with (
        pytest.raises(InputError, match=f"process {other.pid} on .*, since .*, is at work here; wait for it"),
        locked(tmp_path),
    ):
        pass
    other.kill()
    other.wait()
    with locked(tmp_path):  # what a dead process held is free
        assert str(os.getpid()) in (tmp_path / ".lock").read_text()


def test_a_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()} on"), locked(tmp_path):
        pass


def test_two_trainings_do_not_share_a_folder(tmp_path):
    with locked(tmp_path, ".training"), pytest.raises(InputError, match="is at work here; wait for it, or choose"):
        train(task(), TrainingSettings(steps=1), tmp_path)
    assert train(task(), TrainingSettings(steps=1), tmp_path).step == 1
