"""Training: what moves, what is skipped, how a run ends, and that a run that was cut ends as one that was not."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from programs import one_device
from training_case import SETTINGS, Line, model, objective, samples, task

from galdiff.errors import InputError
from galdiff.runtime import data_mesh
from galdiff.train.checkpoints import Checkpoints, by_path
from galdiff.train.data import InMemory, batch_on_mesh
from galdiff.train.log import Log, read_log
from galdiff.train.loop import TrainingSettings, train
from galdiff.train.select import parts_of, trainable

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run that nothing cuts: folder and outcome."""
    folder = tmp_path_factory.mktemp("plain")
    return folder, train(task(), TrainingSettings(**SETTINGS), folder)


def last_parts(folder):
    """Arrays of the newest checkpoint of the small case, by part and path."""
    _, corrections, physics, _ = parts_of(model())
    with Checkpoints(folder / "checkpoints") as checkpoints:
        return checkpoints.restore({"corrections": by_path(corrections), "physics": by_path(physics)})


def test_a_run_learns_and_leaves_metrics_and_checkpoints(plain):
    folder, outcome = plain
    assert (outcome.end, outcome.step, outcome.skipped) == ("finished", 60, 0)
    lines = read_log(folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 61))
    checked = [line["validation"] for line in lines if "validation" in line]
    assert len(checked) == 12
    assert checked[-1] < 0.1 * checked[0]
    assert outcome.best == min(checked)
    assert {"loss", "gradient_norm", "worst", "skipped"} <= set(lines[0])
    assert last_parts(folder).step == 60


@pytest.mark.parametrize(("which", "moved"), [("corrections", {"correction"}), ("physics", {"slope"})])
def test_only_what_is_chosen_moves(which, moved, tmp_path):
    outcome = train(task(which=which), TrainingSettings(steps=2, validate_every=2), tmp_path)
    before, after = (by_path(jax.tree.map(np.asarray, parts_of(m)[1:3])) for m in (model(), outcome.model))
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    assert changed
    assert {path.split(".")[1] for path in changed} == moved


def test_choices_by_pattern_add_up_and_take_away():
    line = model()
    assert trainable(line, ["all", "!corrections"]) == ("slope",)
    assert trainable(line, "*layers.2*") == ("correction.net.layers.2.bias", "correction.net.layers.2.kernel")
    with pytest.raises(InputError, match="'slop' matches none of the 5 parameters"):
        trainable(line, "slop")
    with pytest.raises(InputError, match="nothing is left to train"):
        trainable(line, ["slope", "!physics"])
    with pytest.raises(InputError, match="'corrections' matches none"):
        trainable(Line(), "corrections")


def test_a_run_goes_on_where_it_stopped_bit_for_bit(plain, tmp_path):
    folder, outcome = plain
    short = train(task(), TrainingSettings(**{**SETTINGS, "steps": 25}), tmp_path)  # a step that is validated anyway
    assert short.step == 25
    again = train(task(), TrainingSettings(**SETTINGS), tmp_path)
    assert (again.step, again.best) == (60, outcome.best)
    assert (tmp_path / "metrics.jsonl").read_text() == (folder / "metrics.jsonl").read_text()
    jax.tree.map(np.testing.assert_array_equal, last_parts(tmp_path).parts, last_parts(folder).parts)


def test_twenty_kills_at_random_moments_change_nothing(plain, tmp_path):
    folder, _ = plain
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(HERE / "training_case.py"), str(tmp_path), "20"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=600)
    assert (tmp_path / "end").read_text() == "finished"
    assert (tmp_path / "metrics.jsonl").read_text() == (folder / "metrics.jsonl").read_text()
    jax.tree.map(np.testing.assert_array_equal, last_parts(tmp_path).parts, last_parts(folder).parts)


def sometimes_nan(line, batch, key):
    """The objective, without a number wherever a sample says so."""
    loss, pieces = objective(line, batch, key)
    return jnp.where(jnp.any(batch.samples["bad"] > 0), jnp.nan, loss), pieces


def test_steps_that_are_not_finite_are_skipped_and_counted(tmp_path):
    data = {**samples(6), "bad": np.array([0.0, 0, 1, 0, 0, 0])}
    source = InMemory(data, batch_size=1, seed=0)
    good = InMemory({**samples(6), "bad": np.zeros(6)})
    made = task(source=source, validation=good, objective=sometimes_nan, optimiser=optax.sgd(1e-2))
    outcome = train(made, TrainingSettings(steps=12, validate_every=6), tmp_path)
    assert (outcome.end, outcome.skipped) == ("finished", 2)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(last_parts(tmp_path).parts))
    lost = [line["step"] for line in read_log(tmp_path / "metrics.jsonl") if line["loss"] is None]
    assert len(lost) == 2


def test_a_run_ends_when_steps_stay_without_a_number(tmp_path):
    data = InMemory({**samples(4), "bad": np.ones(4)})
    outcome = train(
        task(source=data, validation=None, objective=sometimes_nan), TrainingSettings(bad_steps=3), tmp_path
    )
    assert (outcome.end, outcome.step, outcome.skipped) == ("not finite", 3, 3)
    for before, after in zip(
        jax.tree.leaves(parts_of(model())[1:3]), jax.tree.leaves(parts_of(outcome.model)[1:3]), strict=True
    ):
        np.testing.assert_array_equal(before, after)


def test_a_run_that_gets_no_better_ends_early(tmp_path):
    settings = TrainingSettings(steps=50, validate_every=1, patience=4)
    outcome = train(task(optimiser=optax.sgd(0.0)), settings, tmp_path)
    assert (outcome.end, outcome.step) == ("no longer better", 5)


def test_a_signal_ends_a_run_with_a_checkpoint(tmp_path):
    def ask(step, _metrics):
        if step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    outcome = train(task(), TrainingSettings(**SETTINGS), tmp_path, report=ask)
    assert (outcome.end, outcome.step) == ("interrupted", 10)
    assert last_parts(tmp_path).step == 10
    assert signal.getsignal(signal.SIGTERM) is before


def test_two_devices_give_the_curve_of_one(plain, tmp_path):
    folder, _ = plain
    train(task(), TrainingSettings(**{**SETTINGS, "steps": 20}), tmp_path, mesh=data_mesh(2))
    curves = [[line["loss"] for line in read_log(f / "metrics.jsonl")[:20]] for f in (folder, tmp_path)]
    np.testing.assert_allclose(*curves, rtol=1e-6)


def test_eight_devices_give_the_curve_of_one_and_their_checkpoint_loads_on_two(plain, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); from galdiff import runtime; "
        "runtime.configure(precision='float64', cpu_devices=8); from training_case import *; "
        "from galdiff.runtime import data_mesh; "
        f"train(task(), TrainingSettings(**{{**SETTINGS, 'steps': 20}}), {str(tmp_path)!r}, mesh=data_mesh())"
    )
    subprocess.run([sys.executable, "-c", code], env=one_device(), check=True, capture_output=True)
    curves = [[line["loss"] for line in read_log(f / "metrics.jsonl")[:20]] for f in (plain[0], tmp_path)]
    np.testing.assert_allclose(*curves, rtol=1e-6)
    on_two = train(task(), TrainingSettings(**{**SETTINGS, "steps": 22}), tmp_path, mesh=data_mesh(2))
    assert on_two.step == 22
    longer = read_log(plain[0] / "metrics.jsonl")[20:22]
    found = read_log(tmp_path / "metrics.jsonl")[20:22]
    np.testing.assert_allclose([x["loss"] for x in found], [x["loss"] for x in longer], rtol=1e-6)


def test_batches_cover_every_sample_once_an_epoch():
    source = InMemory({"i": np.arange(10)}, batch_size=4, seed=3)
    for epoch in (0, 1):
        seen = []
        for k in range(3):
            batch = source.batch(3 * epoch + k)
            assert batch.weight.shape == (4,)
            seen += list(batch.samples["i"][batch.weight > 0])
        assert sorted(seen) == list(range(10))
    first, second = (np.concatenate([source.batch(k).samples["i"] for k in range(3 * e, 3 * e + 3)]) for e in (0, 1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(source.batch(4).samples["i"], source.batch(4).samples["i"])


def test_a_batch_on_a_mesh_is_filled_up_with_weight_zero():
    batch = batch_on_mesh(InMemory({"x": np.arange(5.0)}).batch(0), data_mesh(2))
    np.testing.assert_array_equal(batch.weight, [1, 1, 1, 1, 1, 0])
    assert len(batch.samples["x"].sharding.device_set) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(steps=0), "train.steps is 0"),
        (dict(average=1.0), "train.average is 1.0"),
        (dict(patience=0), "patience is 0"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        TrainingSettings(**settings)


def test_a_log_that_was_cut_is_read_up_to_there(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n{"step": 3, "lo')
    log = Log(path, from_step=1)
    log.write({"step": 2, "loss": float("nan")})
    log.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "loss": 2.0},
        {"step": 2, "loss": None},
    ]
