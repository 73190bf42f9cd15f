"""Nothing foreign runs: what libraries offer to read, write, open, execute or delete is refused by all doors."""

import importlib
import inspect
import json
import pathlib
import re

import jax.numpy as jnp
import pytest

import galdiff
from galdiff.build import build
from galdiff.core.buildable import trusting
from galdiff.errors import InputError
from galdiff.train import load
from galdiff.train.checkpoints import Checkpoints
from galdiff.train.seal import sealed
from galdiff.train.trained_parts import emulated_ssp

HOMES = [
    "builtins",
    "os",
    "shutil",
    "subprocess",
    "pickle",
    "runpy",
    "jax",
    "jax.numpy",
    "jax.experimental.serialize_executable",
    "flax.io",
    "flax.serialization",
    "flax.training.checkpoints",
    "flax.nnx",
    "optax",
    "orbax.checkpoint",
    "numpy",
    "hydra",
    "hydra.utils",
    "omegaconf",
]
DOES = re.compile(
    "load|save|open|read|write|exec|eval|run|remove|rmtree|unlink|delete|call|compile|pickle|import|get_|instantiate"
)
MODEL = "model: {_target_: flax.nnx.Linear, _partial_: true, in_features: 2, out_features: 3}\n"


def hostile() -> list[str]:
    """Dotted names of public callables that may do something."""
    found = []
    for home in HOMES:
        try:
            module = importlib.import_module(home)
        except ImportError:
            continue
        for name in dir(module):
            if not name.startswith("_") and DOES.search(name.lower()):
                value = inspect.getattr_static(module, name, None)
                found += [f"{home}.{name}"] if callable(value) else []
    reached = ["galdiff.build.functools.partial", "galdiff.nn.mlp.nnx.Linear", "galdiff.runtime.subprocess.run"]
    return [*found, *reached, "galdiff.train.load.load", "galdiff.sps.library.load_ssp", "galdiff.__main__.main"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("run")
    with Checkpoints(folder / "checkpoints") as checkpoints:
        for step in (1, 2):
            parts = {"physics": {"bias": jnp.zeros(3), "kernel": jnp.zeros((2, 3))}}
            checkpoints.save(step, parts, meta={"config": MODEL}, loss=1.0 / step)
    return folder


def resealed(run: pathlib.Path, **changes) -> None:
    """Change the record of step 2 as somebody would who knows how it is sealed."""
    path = run / "checkpoints" / "2" / "meta" / "metadata"
    record = json.loads(path.read_bytes())
    record.pop("seal")
    path.write_text(json.dumps(sealed({**record, **changes})))


def test_no_foreign_callable_runs_through_any_door(run, tmp_path):
    canary = tmp_path / "canary"
    canary.mkdir()
    names = hostile()
    assert len(names) > 100
    for name in names:
        node = {"_target_": name, "_args_": [str(canary)]}
        for hidden in (node, {**node, "_partial_": True}, {"_target_": "galdiff.core.correction.Each", "a": node}):
            with pytest.raises(InputError):
                load.built({"config": json.dumps({"model": hidden})}, run)
    for name in names[:: len(names) // 12]:
        resealed(run, config=json.dumps({"model": {"_target_": name, "_args_": [str(canary)]}}))
        for door in (galdiff.load, emulated_ssp):
            with pytest.raises(InputError, match="model: "):
                door(run)
        assert name in load.inspect(run)
    resealed(run, config=MODEL)
    assert list(tmp_path.iterdir()) == [canary]


@pytest.mark.parametrize("config", ["${oc.env:HOME}", "${oc.decode:'1'}", "${hydra:runtime.cwd}"])
def test_nothing_is_looked_up_for_a_checkpoint(run, config):
    with pytest.raises(InputError, match="has an interpolation"):
        load.built({"config": f'model: {{_target_: flax.nnx.Linear, in_features: "{config}"}}'}, run)


@pytest.mark.parametrize(
    "config", [3, None, [1], "[1]", "- a", "model: !!python/name:os.system", "[" * 100_000, "- " * 50_000]
)
def test_a_config_of_another_form_is_one_line(run, config):
    with pytest.raises(InputError, match="the config in the checkpoint") as raised:
        load.built({"config": config}, run)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("changes", [{"step": 7}, {"step": [1]}, {"loss": "0"}, {"leaves": 3}, {"leaves": {"a": [1]}}])
def test_a_strange_record_is_skipped_and_the_folder_stays_as_it_is(run, changes):
    path = run / "checkpoints" / "2" / "meta" / "metadata"
    kept = path.read_bytes()
    resealed(run, **changes)
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    with pytest.warns(UserWarning, match="step 2 .* is damaged; the one before is used"):
        text = load.inspect(run)
    assert text.startswith("step 1 of")
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before
    path.write_bytes(kept)


@pytest.mark.parametrize("text", ['{"loss": 0.01}', "3", "[" * 100_000], ids=["another number", "no mapping", "deep"])
def test_an_edited_metric_is_skipped_without_a_change(run, text):
    path = run / "checkpoints" / "2" / "metrics" / "metrics"
    kept = path.read_bytes()
    path.write_text(text)
    with pytest.warns(UserWarning, match="its metric is not what was written"):
        assert load.inspect(run).startswith("step 1 of")
    assert path.read_text() == text
    path.write_bytes(kept)


def test_a_package_of_the_user_is_built_when_it_is_named_and_only_then(tmp_path, monkeypatch):
    (tmp_path / "mynet_of_a_test.py").write_text(
        "from os import system\nfrom flax import nnx\nclass Net(nnx.Module):\n"
        "    def __init__(self, *, n):\n        self.n = n\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": "mynet_of_a_test.Net", "n": 3}
    with pytest.raises(InputError, match=r"packages=\[mynet_of_a_test\] on the command line, galdiff\.load\(path"):
        build(node)
    assert build(node, packages=["mynet_of_a_test"]).n == 3
    assert load.built({"config": json.dumps({"model": node})}, "x", ["mynet_of_a_test"]).n == 3
    with trusting(["mynet_of_a_test"]):
        assert build(node).n == 3
    with pytest.raises(InputError, match="no class or function that a config may build"):
        build({"_target_": "mynet_of_a_test.system"}, packages=["mynet_of_a_test"])


@pytest.mark.parametrize("name", ["os", "subprocess", "numpy", "jax", "flax", "hydra", "galdiff"])
def test_a_library_that_can_do_anything_is_not_trusted_by_its_name(name):
    with pytest.raises(InputError, match=f"packages names '{name}', a library .* a module of your own"):
        build({"_target_": f"{name}.system"}, packages=[name])
