"""Checkpoints that try to do harm, through the doors as users use them: nothing runs, one line, exit code 2."""

import contextlib
import functools
import json
import pathlib
import pickle
import pydoc
import runpy
import sys
from unittest import mock

import hydra
import jax.numpy as jnp
import pytest
from test_safe_door import hostile

import galdiff
from galdiff import cli
from galdiff.errors import InputError
from galdiff.front.run import library_of
from galdiff.front.settings import RunSettings
from galdiff.runtime import project_dir
from galdiff.train.checkpoints import Checkpoints
from galdiff.train.seal import sealed

DOORS = {
    "predict": ("predict", "checkpoint={run}"),
    "finetune": ("finetune", "checkpoint={run}"),
    "populate": ("populate", "baryons=checkpoint", "baryons.path={run}", "halo.n=2"),
    "emulator": ("simulate", "ssp=emulator", "ssp.checkpoint={run}", "runtime.precision=float64", "max_spaxels=8"),
    "corrected": ("simulate", "ssp=corrected", "ssp.checkpoint={run}", "runtime.precision=float64", "max_spaxels=8"),
    "cycle": ("simulate", "baryons=checkpoint", "baryons.path={run}", "runtime.precision=float64", "max_spaxels=8"),
}
QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none")  # logging belongs to pytest here


class Touch:
    """Unpickled, it leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def harmful(canary: pathlib.Path) -> dict[str, dict]:
    """Nodes by target; each of them changes the folder when it is called."""
    mark = str(canary / "mark")
    unpickled = {"_args_": [str(canary / "pickled")], "allow_pickle": True}
    calls = {
        "builtins.exec": {"_args_": [f"open({mark!r}, 'w').close()"]},
        "builtins.eval": {"_args_": [f"open({mark!r}, 'w').close()"]},
        "builtins.open": {"_args_": [mark, "w"]},
        "os.system": {"_args_": [f"touch {mark}"]},
        "os.mkdir": {"_args_": [mark]},
        "os.remove": {"_args_": [str(canary / "pickled")]},
        "shutil.rmtree": {"_args_": [str(canary / "inner")]},
        "subprocess.check_call": {"_args_": [["touch", mark]]},
        "runpy.run_path": {"_args_": [str(canary / "inner" / "script.py")]},
        "numpy.load": unpickled,
        "jax.numpy.load": unpickled,
        "numpy.savetxt": {"_args_": [mark, [1.0]]},
        "flax.io.rmtree": {"_args_": [str(canary / "inner")]},
        "flax.io.makedirs": {"_args_": [mark]},
    }
    return {name: {"_target_": name, **arguments} for name, arguments in calls.items()}


@pytest.fixture
def canary(tmp_path):
    """A folder that harm would change."""
    folder = tmp_path / "canary"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "script.py").write_text(f"open({str(folder / 'mark')!r}, 'w').close()\n")
    (folder / "pickled").write_bytes(pickle.dumps(Touch(folder / "mark")))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("run")
    with Checkpoints(folder / "checkpoints") as checkpoints:
        checkpoints.save(1, {"physics": {"bias": jnp.zeros(3)}}, meta={"config": ""}, loss=1.0)
    return folder


def reseal(run: pathlib.Path, **changes) -> None:
    """Change the record as somebody would who knows how it is sealed."""
    path = run / "checkpoints" / "1" / "meta" / "metadata"
    record = {name: x for name, x in json.loads(path.read_bytes()).items() if name != "seal"}
    path.write_text(json.dumps(sealed({**record, **changes})))


def state(*folders: pathlib.Path) -> dict:
    """Everything below folders: what is there, when it was written, and what files hold."""
    paths = [p for folder in folders for p in (folder, *folder.rglob("*"))]
    return {p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else None) for p in paths}


@functools.cache
def main_of(script: str):
    return runpy.run_path(str(project_dir("experiments") / f"{script}.py"))["main"]


@functools.cache
def opening(door: str, run: pathlib.Path):
    """A function that goes through a door."""
    if door == "load":
        return lambda: galdiff.load(run)
    script, *overrides = DOORS[door]
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        config = hydra.compose(script, overrides=[*(x.format(run=run) for x in overrides), f"output={run}-out"])
    if door == "emulator":  # as simulate does it, without what it does before
        return lambda: library_of(RunSettings(config))
    return lambda: main_of(script)(config)


def test_the_harmful_nodes_do_harm_where_they_are_called(canary):
    pickled = (canary / "pickled").read_bytes()
    for name, node in harmful(canary).items():
        before = sorted(canary.rglob("*"))
        keywords = {key: x for key, x in node.items() if not key.startswith("_")}
        with contextlib.suppress(TypeError):  # what is unpickled is no array
            made = pydoc.locate(name)(*node["_args_"], **keywords)
            getattr(made, "close", int)()
        assert sorted(canary.rglob("*")) != before, name
        mark = canary / "mark"
        mark.rmdir() if mark.is_dir() else mark.unlink(missing_ok=True)
        (canary / "pickled").write_bytes(pickled)
        (canary / "inner").mkdir(exist_ok=True)
        (canary / "inner" / "script.py").write_text(f"open({str(mark)!r}, 'w').close()\n")


@pytest.mark.parametrize("door", ["load", "inspect", "predict", "finetune", "populate", "emulator"])
def test_nothing_runs_through_a_door(door, run, canary):
    harm, found = harmful(canary), hostile()
    nodes = list(harm.values())
    nodes += [{"_target_": name, "_args_": [str(canary)]} for name in found[:: len(found) // 20] if name not in harm]
    assert len(nodes) > 30
    for node in nodes:
        reseal(run, config=json.dumps({"model": node}))
        before = state(run, canary)
        if door == "inspect":
            assert node["_target_"] in galdiff.train.load.inspect(run)
        else:
            with pytest.raises(InputError, match=r"model: ") as raised:
                opening(door, run)()
            assert "\n" not in str(raised.value)
        assert state(run, canary) == before, node


@pytest.mark.parametrize("door", DOORS)
def test_a_command_says_it_in_one_line_and_exits_with_two(door, run, canary, tmp_path, capsys):
    reseal(run, config=json.dumps({"model": harmful(canary)["os.system"]}))
    before = state(run, canary)
    script, *overrides = DOORS[door]
    args = [script, *(x.format(run=run) for x in overrides), f"output={tmp_path / 'out'}", *QUIET]
    with mock.patch.object(sys, "argv", []), pytest.raises(SystemExit) as left:
        cli.main(args)
    said = capsys.readouterr().err.splitlines()
    assert left.value.code == 2
    assert len(said) == 1
    assert "_target_ is 'os.system'; only what galdiff opens to configs may be built" in said[0]
    assert state(run, canary) == before


def test_code_of_the_user_that_a_run_needs_is_named_and_never_trusted_by_the_run(run, tmp_path, monkeypatch):
    (tmp_path / "net_of_a_test.py").write_text(
        "import pathlib\nfrom flax import nnx\npathlib.Path(__file__).with_name('ran').touch()\n"
        "class Net(nnx.Module):\n    def __init__(self, *, n):\n"
        "        self.bias = nnx.Param(__import__('jax').numpy.zeros(n))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = json.dumps({"model": {"_target_": "net_of_a_test.Net", "n": 3}, "packages": ["net_of_a_test"]})
    reseal(run, config=config, packages=["net_of_a_test"])
    with pytest.raises(InputError) as raised:
        galdiff.load(run)
    assert str(raised.value) == (
        f"{run}: the model is made of code of your own in net_of_a_test; if you trust it, name it:"
        f' packages=[net_of_a_test] on the command line, galdiff.load("{run}", packages=["net_of_a_test"])'
    )
    assert not (tmp_path / "ran").exists()
    assert galdiff.load(run, packages=["net_of_a_test"]).model.bias.shape == (3,)
    reseal(run, config=json.dumps({"model": {"_target_": "os.system"}}), packages=["os"])
    with pytest.raises(InputError, match=r"packages=\[mynet\]"):  # what can do anything is not advised
        galdiff.load(run)
    reseal(run, packages=[])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"versions": [1]}, "versions that are a list, not a dict"),
        ({"data": "x"}, "data that are a str, not a dict"),
        ({"packages": ["a b"]}, "names packages that are none"),
        ({"versions": {"x": functools.reduce(lambda inner, _: [inner], range(900), 1)}}, "nested 902 levels deep"),
    ],
)
def test_a_record_of_another_form_is_one_line_by_all_doors(run, changes, said):
    path = run / "checkpoints" / "1" / "meta" / "metadata"
    kept = path.read_bytes()
    reseal(run, **changes)
    before = state(run)
    for door in (galdiff.load, galdiff.train.load.inspect):
        with pytest.raises(InputError, match=said) as raised:
            door(run)
        assert "\n" not in str(raised.value)
    assert state(run) == before
    path.write_bytes(kept)


@pytest.mark.parametrize("text", ["[" * 1_000_000, '{"a":' * 200_000, "3", "[]", "\x00", b"\xff\xfe"])
def test_a_record_that_is_none_is_one_line(run, text):
    path = run / "checkpoints" / "1" / "meta" / "metadata"
    kept = path.read_bytes()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match="no sound checkpoint: step 1 ") as raised:
        galdiff.load(run)
    assert "\n" not in str(raised.value)
    path.write_bytes(kept)


def test_a_step_in_the_folder_of_another_is_one_line(run, tmp_path):
    (run / "checkpoints" / "1").rename(run / "checkpoints" / "7")
    try:
        with pytest.raises(InputError, match=r"step 7 \(its record is that of step 1\)"):
            galdiff.load(run)
        (run / "checkpoints" / "7").rename(run / "checkpoints" / "1²")
        with pytest.raises(InputError, match="holds no checkpoint"):
            galdiff.load(run)
    finally:
        next((run / "checkpoints").glob("[17]*")).rename(run / "checkpoints" / "1")


def test_metrics_that_are_none_are_left_out(run):
    log = run / "metrics.jsonl"
    for text in ("[" * 100_000, "3\n", '{"loss": 1}\n', "\x00"):
        log.write_text('{"step": 1, "loss": 0.5}\n' + text)
        assert '"loss": 0.5' in galdiff.train.load.inspect(run)
    log.unlink()
