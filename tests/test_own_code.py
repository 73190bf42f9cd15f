"""Code and presets of a user's own package: usable by every door that trusts it, refused by all others."""

import pathlib
import sys

import jax.numpy as jnp
import pytest
from flax import nnx

from galdiff import cli
from galdiff.baryons.laws.law import Law
from galdiff.build import build
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.front.compose import settings
from galdiff.records import Galaxy
from galdiff.train.case import Case

CODE = """
import jax.numpy as jnp
from flax import nnx
from galdiff.baryons.laws.law import Law
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.records import Galaxy, HaloHistory, StarParticles
from galdiff.train.case import Case

class Net(nnx.Module):
    def __init__(self, *, width, rngs):
        self.layer = nnx.Linear(2, width, param_dtype=jnp.float64, rngs=rngs)
    def __call__(self, x):
        return self.layer(x)

class Slow(Law):
    def __init__(self, *, rate=0.5):
        self.rate = physical(rate, unit="1/Gyr", lo=0.0, hi=2.0)
    def __call__(self, p, halo_state, contents=None):
        return p.rate * jnp.ones_like(halo_state.t_dyn)

class Twice(Stage):
    def __call__(self, halo: HaloHistory) -> HaloHistory:
        return halo

class Few(Case):
    def loss(self, model, batch, key):
        return jnp.zeros(()), {}
    def show(self, outcomes, folder):
        return {}

def read(n_stars) -> Galaxy:
    one, three = jnp.ones(n_stars), jnp.zeros((n_stars, 3))
    return Galaxy(stars=StarParticles(pos=three, vel=three, mass=one, age=one, metallicity=0.01 * one), gas=None)
"""
OWN = {"net": "Net", "law": "Slow", "stage": "Twice", "case": "Few", "reader": "read"}
NODES = """
own:
  net: {{_target_: {0}.Net, _partial_: true, width: 3}}
  law: {{_target_: {0}.Slow, rate: 0.7}}
  stage: {{_target_: {0}.Twice}}
  case: {{_target_: {0}.Few}}
  reader: {{_target_: {0}.read, n_stars: 20}}
"""
SCREEN = "# my reader\n_target_: {0}.read\nn_stars: 30\n"
LAW = "# a constant rate of mine\n_target_: {0}.Slow\nrate: 0.6\n"


def package(folder: pathlib.Path, name: str) -> pathlib.Path:
    """A package with code and presets, in a folder that a user may work in."""
    files = {
        "__init__.py": CODE,
        "conf/experiment/mine.yaml": f"# @package _global_\n# all of mine\n{NODES.format(name)}",
        "conf/input/mine.yaml": SCREEN.format(name),
        "conf/baryons/star_formation/slow.yaml": LAW.format(name),
    }
    for path, text in files.items():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).write_text(text)
    trusting = f"# @package _global_\npackages: [{name}]\n{NODES.format(name)}"
    (folder / "plain" / "experiment").mkdir(parents=True, exist_ok=True)
    (folder / "plain" / "experiment" / "trusting.yaml").write_text(trusting)
    doubting = f"# @package _global_\n{NODES.format(name)}"
    (folder / "plain" / "experiment" / "doubting.yaml").write_text(doubting)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    yield package(tmp_path_factory.mktemp("own"), "mynet")
    sys.modules.pop("mynet", None)


@pytest.fixture
def command(folder, monkeypatch, capfd):
    """`galdiff train ...` in the user's folder, as far as building what the config calls own: exit code, stderr, it."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(*args):
        built: list = []

        @cli.experiment("train")
        def main(cfg):
            built.append(build(cfg.own, path="own"))

        quiet = ["hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null", "output=out"]
        monkeypatch.setattr(sys, "argv", ["train", *quiet, *args])
        try:
            main()
        except SystemExit as leaving:
            return leaving.code, capfd.readouterr().err, built
        return 0, capfd.readouterr().err, built

    return call


def is_mine(own: dict) -> bool:
    kinds = {"net": nnx.Module, "law": Law, "stage": Stage, "case": Case, "reader": Galaxy}
    assert float(own["law"].rate.bounded) == pytest.approx(0.7)
    assert own["net"](jnp.ones((4, 2))).shape == (4, 3)
    return all(isinstance(own[name], kind) for name, kind in kinds.items())


@pytest.mark.parametrize(
    "args",
    [
        ["packages=[mynet]", "experiment=mine"],
        ["+packages=[mynet]", "experiment=mine"],
        ["experiment=trusting", "--config-dir=plain"],  # the config itself says packages: [mynet]
        ["packages=[mynet]", "experiment=doubting", "hydra.searchpath=[plain]"],
    ],
    ids=["packages", "+packages", "in a config", "beside a search path"],
)
def test_a_trusted_package_gives_networks_laws_stages_cases_and_readers(args, command):
    code, said, built = command(*args)
    assert (code, said) == (0, "")
    assert is_mine(built[0])


def test_every_job_of_a_sweep_finds_own_presets(command):
    code, said, built = command("packages=[mynet]", "experiment=mine", "own.law.rate=0.3,0.4", "-m")
    assert code == 0, said
    assert [round(float(own["law"].rate.bounded), 6) for own in built] == [0.3, 0.4]


def test_an_installed_plugin_is_trusted_by_its_entry_point(tmp_path, command, monkeypatch):
    package(tmp_path, "myplugin")
    info = tmp_path / "myplugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: myplugin\nVersion: 1.0\n")
    assert command("experiment=doubting", f"--config-dir={tmp_path / 'plain'}")[0] == cli.BAD_INPUT
    monkeypatch.syspath_prepend(tmp_path)
    assert command("experiment=mine")[0] == cli.BAD_INPUT  # being importable is not enough
    (info / "entry_points.txt").write_text("[galdiff.plugins]\nmine = myplugin\n")
    code, said, built = command("experiment=mine")
    assert (code, said) == (0, "")
    assert is_mine(built[0])
    assert settings({"input": "mine"}, source=("input",))[0].build("input").stars.mass.shape == (30,)


@pytest.mark.parametrize("name", OWN.values())
def test_what_is_not_trusted_is_refused_before_anything_runs(name, folder, command):
    preset = f"# @package _global_\nown: {{x: {{_target_: mynet.{name}}}}}\n"
    (folder / "plain" / "experiment" / "one.yaml").write_text(preset)
    sys.modules.pop("mynet", None)
    code, said, built = command("experiment=one", "--config-dir=plain")
    remedy = 'packages=[mynet] on the command line, galdiff.load(path, packages=["mynet"])'
    assert (code, built) == (cli.BAD_INPUT, [])
    assert said.startswith(f"galdiff: own.x: _target_ is 'mynet.{name}'; only what galdiff opens to configs")
    assert said.endswith(f"name its package: {remedy}\n")
    assert said.count("\n") == 1
    assert "mynet" not in sys.modules  # not even imported


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["packages=mynet"], "packages is 'mynet'; give a list: packages=[mynet]"),
        (["packages=[mynte]"], "packages names 'mynte', but there is no such module; install it, or"),
        (["packages=[numpy]"], "packages names 'numpy', a library that can do anything"),
        (["packages=[mynet]", "experiment=mien"], "experiment=mien: there is no such preset; did you mean 'mine'?"),
        (["packages=[mynet]", "experiment=mine", "own.law.rat=1"], "own.law.rat: there is no such key; did you mean"),
    ],
)
def test_wrong_names_are_told_in_one_line(args, said, command):
    code, text, built = command(*args)
    assert (code, built, text.count("\n")) == (cli.BAD_INPUT, [], 1)
    assert text.startswith(f"galdiff: {said}")


def test_a_preset_may_not_take_the_name_of_one_of_galdiff(tmp_path, monkeypatch, command):
    package(tmp_path, "shadows")
    (tmp_path / "shadows" / "conf" / "input" / "disc.yaml").write_text("_target_: shadows.read\n")
    monkeypatch.chdir(tmp_path)
    code, said, _ = command("packages=[shadows]")
    assert code == cli.BAD_INPUT
    assert said.endswith("conf/input/disc.yaml: galdiff has a preset of this name; give yours another one\n")


def test_the_list_shows_own_presets_beside_those_of_galdiff(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    cli.main(["list", "packages=[mynet]", "--config-dir", "plain"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    laws = lines.index("baryons/star_formation=...")
    assert "slow a constant rate of mine" in lines[laws : laws + 6]
    assert {"mine my reader", "mine all of mine", "trusting"} <= {*lines}
    cli.main(["list"])
    assert "a constant rate of mine" not in capsys.readouterr().out


def test_own_presets_and_code_are_there_in_python_too(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    wanted = {"packages": ["mynet"], "input": "mine", "baryons.star_formation": "slow"}
    found, chosen = settings(wanted, source=("halo", "input", "baryons"))
    assert found.build("input").stars.mass.shape == (30,)
    assert type(found.build("baryons").star_formation).__name__ == "Slow"
    again, _ = settings({"seed": 1}, chosen)  # what is observed later trusts what made the galaxy
    assert again.plain("input.n_stars") == 30
    with pytest.raises(InputError, match="input=mine: there is no such preset"):
        settings({"input": "mine"}, source=("input",))
