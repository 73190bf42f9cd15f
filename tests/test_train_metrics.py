"""What a training tells while it runs: the line on the terminal, event files, and meshes by name."""

import importlib.util
import io

import jax
import numpy as np
import pytest
from rich.console import Console
from training_case import task

from galdiff.errors import InputError
from galdiff.train.log import read_log
from galdiff.train.loop import TrainingSettings, train
from galdiff.train.meshes import mesh_of
from galdiff.train.progress_bar import EVERY, Progress, clock_text


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def __call__(self):
        return self.now


def shown(steps, seconds_each, **options):
    """What a run prints where there is no terminal."""
    out, clock = io.StringIO(), Clock()
    console = Console(file=out, force_terminal=False, width=200)
    with Progress(steps, "main", console=console, clock=clock, **options) as report:
        for step in range(1, steps + 1):
            clock.now += seconds_each
            report(step, {"loss": 1.0 / step, "gradient_norm": 2.0, **({"validation": 0.5} if step == 3 else {})})
    return out.getvalue().splitlines()


def test_a_line_is_printed_every_few_seconds_and_at_the_end():
    lines = shown(100, 0.5)
    assert len(lines) == 100 * 0.5 / EVERY + 1
    assert lines[0] == "main: step 1/100, loss 1, gradient 2"
    assert lines[5] == "main: step 51/100, loss 0.01961, validation 0.5, gradient 2, 2 steps/s, 0:00:24 left"
    assert "step 100/100" in lines[-1]


def test_speed_is_in_samples_where_a_batch_has_some():
    assert "64 samples/s" in shown(100, 0.5, samples=32)[-1]
    assert clock_text(3723.4) == "1:02:03"


def test_on_a_terminal_one_line_lives():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=150)
    with Progress(3, "main", console=console) as report:
        for step in (1, 2, 3):
            report(step, {"loss": 0.25, "gradient_norm": 1.0})
    assert "step 3/3, loss 0.25" in out.getvalue()


def test_a_run_tells_every_step_and_writes_events_that_go_on(tmp_path):
    pytest.importorskip("tensorboardX")
    told = []
    settings = dict(validate_every=2, checkpoint_every=3, tensorboard=True)
    train(task(), TrainingSettings(steps=4, **settings), tmp_path, report=lambda *now: told.append(now))
    train(task(), TrainingSettings(steps=6, **settings), tmp_path, report=lambda *now: told.append(now))
    assert [step for step, _ in told] == [1, 2, 3, 4, 5, 6]
    assert [step for step, record in told if "validation" in record] == [2, 4, 6]
    lines = read_log(tmp_path / "metrics.jsonl")
    found = events(tmp_path / "tensorboard")
    for name in ("loss", "gradient_norm"):
        np.testing.assert_allclose([found[name][k] for k in range(1, 7)], [line[name] for line in lines], rtol=1e-6)
    assert found["validation"].keys() == {2, 4, 6}


def events(folder):
    """Value by step of every scalar in the event files of a folder."""
    from tensorboardX.proto import event_pb2

    found = {}
    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):  # length, its checksum, the record, its checksum
            size = int.from_bytes(data[place : place + 8], "little")
            event = event_pb2.Event.FromString(data[place + 12 : place + 12 + size])
            place += 16 + size
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_event_files_without_their_package_are_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="tensorboardX is not installed: pip install tensorboardX"):
        TrainingSettings(tensorboard=True)


def test_meshes_have_names():
    assert mesh_of("single") is None
    assert mesh_of(None) is None
    n = len(jax.devices())
    assert dict(mesh_of("data").shape) == {"data": n, "model": 1}
    with pytest.raises(InputError, match="mesh is 'dat'; choose one of single, data, data_model"):
        mesh_of("dat")
    if n % 2:
        with pytest.raises(InputError, match=f"even number of devices, but there .* {n}"):
            mesh_of("data_model")
    else:
        assert dict(mesh_of("data_model").shape) == {"data": n // 2, "model": 2}


def test_a_model_axis_gives_the_curve_of_one_device(tmp_path):
    if len(jax.devices()) % 2:
        pytest.skip("needs an even number of devices")
    curves = []
    for name in ("single", "data_model"):
        train(task(), TrainingSettings(steps=5, validate_every=5), tmp_path / name, mesh=mesh_of(name))
        curves.append([line["loss"] for line in read_log(tmp_path / name / "metrics.jsonl")])
    np.testing.assert_allclose(*curves, rtol=1e-6)  # the network of the case is float32
