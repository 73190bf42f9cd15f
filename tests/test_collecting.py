"""How often commands look for garbage."""

import gc

import pytest

from galdiff.cli import experiment
from galdiff.collecting import SELDOM, collecting_seldom

PYTHON = (700, 10, 10)


@pytest.fixture(autouse=True)
def own_threshold():
    before = gc.get_threshold()
    gc.set_threshold(*PYTHON)
    yield
    gc.set_threshold(*before)


def test_garbage_is_looked_for_less_often_inside_and_as_before_after_an_error():
    seen = []

    def fail():
        with collecting_seldom():
            seen.append(gc.get_threshold())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [SELDOM]
    assert gc.get_threshold() == PYTHON


@pytest.mark.parametrize("chosen", [(0, 10, 10), (1_000_000, 10, 10)])
def test_a_choice_of_the_user_that_is_rarer_stays(chosen):
    gc.set_threshold(*chosen)
    with collecting_seldom():
        assert gc.get_threshold() == chosen
    assert gc.get_threshold() == chosen


def test_a_command_looks_for_garbage_less_often(tmp_path, monkeypatch):
    (tmp_path / "small.yaml").write_text(f"value: 1\nhydra: {{run: {{dir: {tmp_path.as_posix()}/out}}}}\n")
    monkeypatch.setattr("sys.argv", ["small"])
    seen = []
    experiment("small", conf=tmp_path)(lambda cfg: seen.append((cfg.value, gc.get_threshold())))()
    assert seen == [(1, SELDOM)]
    assert gc.get_threshold() == PYTHON
