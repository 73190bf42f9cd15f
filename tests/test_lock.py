"""A lock on the folder of a run: one process works in it, and a second one is told which."""

import os
import runpy
import subprocess
import sys

import hydra
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import simulate_run
from flax import nnx

import galdiff
from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.io.lock import locked
from galdiff.runtime import project_dir
from galdiff.train.checkpoints import Checkpoints
from galdiff.train.data import InMemory
from galdiff.train.folder import claim
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


def test_a_second_run_in_the_folder_of_a_run_is_told_who_holds_it(tmp_path, other):
    held = f"process {other.pid} on .*, since .*, is at work here; wait for it, or choose another output folder"
    with pytest.raises(InputError, match=held), claim(tmp_path, "seed: 0\n"):
        pass
    with pytest.raises(InputError, match=held):  # also a training from Python
        train(task(), TrainingSettings(steps=1), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock"]
    other.kill()
    other.wait()
    with claim(tmp_path, "seed: 0\n"):
        assert train(task(), TrainingSettings(steps=1), tmp_path).step == 1  # its own training may work there
        with pytest.raises(InputError, match=f"process {os.getpid()} on"), claim(tmp_path, "seed: 0\n"):
            pass
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_commands_that_write_at_their_end_hold_the_folder_from_the_start(tmp_path, other):
    for script, overrides in {"populate": ["halo.n=2"], "simulate": simulate_run.SMALL, "finetune": []}.items():
        with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
            config = hydra.compose(script, overrides=[*overrides, f"output={tmp_path}"])
        main = runpy.run_path(str(project_dir("experiments") / f"{script}.py"))["main"]
        with pytest.raises(InputError, match=f"process {other.pid} on"):
            main(config)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_a_record_names_the_packages_of_the_user_that_its_model_needs(tmp_path):
    config = "{model: {_target_: mynet.Net, net: {_target_: flax.nnx.Linear}, n: {_target_: os.system}}}"
    train(task(), TrainingSettings(steps=1), tmp_path, meta={"config": config})
    with Checkpoints(tmp_path / "checkpoints", reading=True) as checkpoints:
        assert checkpoints.meta()["packages"] == ["mynet"]
    with pytest.raises(InputError, match=r"code of your own in mynet; .* packages=\[mynet\] on the command line"):
        galdiff.load(tmp_path)


def test_a_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()} on"), locked(tmp_path):
        pass


def test_two_trainings_do_not_share_a_folder(tmp_path):
    with locked(tmp_path, ".training"), pytest.raises(InputError, match="is at work here; wait for it, or choose"):
        train(task(), TrainingSettings(steps=1), tmp_path)
    assert train(task(), TrainingSettings(steps=1), tmp_path).step == 1
