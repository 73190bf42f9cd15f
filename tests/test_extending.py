"""docs/extending.md, run as it stands: a law, a network and a table of one's own, at small size."""

import pathlib
import re
import shlex
import shutil
import sys
from types import SimpleNamespace
from typing import NamedTuple

import h5py
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import galdiff
from galdiff import cli
from galdiff.build import build
from galdiff.core.pipeline import Pipeline
from galdiff.errors import InputError
from galdiff.front.compose import settings
from galdiff.io.tables import read_columns
from galdiff.records import HaloHistory

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "extending.md"
FENCE = re.compile(r"(?:`([\w./]+\.(?:py|yaml))`:\n\n)?```(\w+)\n(.*?)```", re.DOTALL)
QUIET = ["hydra/job_logging=none", "hydra/hydra_logging=none"]
SMALL = {
    "runs/mine": ["train.steps=10", "train.checkpoint_every=5"],
    "runs/adapted": ["train.steps=10", "optimiser.learning_rate=0.1"],
    "runs/said": [],
}


class Page(NamedTuple):
    files: dict[str, str]
    commands: list[list[str]]  # as a shell hands them over
    python: list[str]


@pytest.fixture(scope="module")
def page() -> Page:
    found = Page({}, [], [])
    for name, language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if name:
            found.files[name] = body
        elif language == "bash":
            found.commands.extend(shlex.split(line) for line in body.replace("\\\n", " ").splitlines())
        else:
            found.python.append(body)
    assert all(command[0] == "galdiff" for command in found.commands)
    return found


def small(command: list[str]) -> list[str]:
    """A command of the page without its program, with few steps of few numbers."""
    output = next((word.removeprefix("output=") for word in command if word.startswith("output=")), None)
    return [*command[1:], *(SMALL[output] + QUIET if output else [])]


@pytest.fixture(scope="module")
def folder(page, tmp_path_factory):
    """A folder outside the checkout in which the page was followed; of the law, what it takes to be found."""
    where = tmp_path_factory.mktemp("stranger")
    for name, text in page.files.items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(sys, "argv", ["galdiff"])
        for code in page.python:
            if "savetxt" in code:
                exec(compile(code, str(PAGE), "exec"), {})
        for command in page.commands:
            if "packages=[mynet]" in command:
                cli.main(small(command))
        yield where
    for name in [n for n in sys.modules if n.split(".")[0] in ("mynet", "mylaws", "myoutput")]:
        del sys.modules[name]


def load(where):
    return galdiff.load(where, packages=["mynet", "mylaws"])


def test_the_recipes_are_as_short_as_they_say(page):
    assert len(page.files["mylaws/__init__.py"].splitlines()) < 40
    text = PAGE.read_text(encoding="utf-8").split("## A network")[1].split("\n## ")[0]
    assert sum(len(body.splitlines()) for _, _, body in FENCE.findall(text)) <= 40


def test_a_law_of_ones_own_is_listed_described_and_gives_its_rate(folder, capsys):
    cli.main(["list", "packages=[mylaws]"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    at = lines.index("baryons/star_formation=...")
    assert "halo_time a share of the gas per dynamical time of the halo" in lines[at : at + 5]
    wanted = {"packages": ["mylaws"], "baryons.star_formation": "halo_time", "baryons.star_formation.efficiency": 0.3}
    cycle = settings(wanted, source=("baryons",))[0].build("baryons")
    law = cycle.star_formation
    assert law.summary() == "HaloTime(efficiency=0.3)"
    assert law.summary() in Pipeline(stages={"history": cycle}, inputs={"halo": HaloHistory}).describe()
    np.testing.assert_allclose(law(law.parameters(), SimpleNamespace(t_dyn=jnp.array([0.1, 2.0]))), [3.0, 0.15])


def test_a_network_of_ones_own_goes_on_where_it_was_cut(folder, page):
    trained = load(folder / "runs" / "mine")
    assert trained.step == 10
    shutil.rmtree(folder / "runs" / "mine" / "checkpoints" / "10")
    assert load(folder / "runs" / "mine").step == 5
    cli.main(small(next(c for c in page.commands if "output=runs/mine" in c)))
    again = load(folder / "runs" / "mine")
    assert again.step == 10
    np.testing.assert_array_equal(again.model.inner.kernel[...], trained.model.inner.kernel[...])


def test_an_adapted_network_keeps_what_was_frozen_and_predicts_as_it_is_loaded(folder, page, capsys):
    before, after = (load(folder / "runs" / name).model for name in ("mine", "adapted"))
    np.testing.assert_array_equal(after.inner.kernel[...], before.inner.kernel[...])
    assert np.abs(after.outer.bias[...] - before.outer.bias[...]).min() > 0.1  # the other table is shifted by 0.5
    with h5py.File(folder / "runs" / "said" / "predictions.h5") as file:
        said = file["mean/prediction"][()]
    drivers = np.genfromtxt(folder / "other.csv", delimiter=",", names=True)
    expected = after(jnp.stack([drivers["a"], drivers["b"]], -1))
    np.testing.assert_allclose(said, expected, rtol=1e-6)
    exec(next(code for code in page.python if "galdiff.load" in code), {"np": np})
    assert capsys.readouterr().out.startswith("[")


def test_a_checkpoint_with_foreign_code_is_refused_with_the_remedy(folder):
    with pytest.raises(InputError, match=r'mynet; if you trust it, .*galdiff\.load\(.*, packages=\["mynet"\]\)'):
        galdiff.load(folder / "runs" / "mine")


def test_commands_with_a_law_of_ones_own_find_it_where_it_goes(folder, page, capsys):
    commands = [c for c in page.commands if any("mylaws" in word for word in c) and "list" not in c]
    assert [c[1] for c in commands] == ["simulate", "sensitivity", "train", "train"]
    for command in commands:  # what they compute is tested for every law; here, that they are told right
        cli.main([*command[1:], "--cfg", "job"])
        config = yaml.safe_load(capsys.readouterr().out)
        law = (config.get("baryons") or config["model"])["star_formation"]
        assert law["_target_"] == "mylaws.HaloTime"
        if config.get("case", {}).get("target") == "lgms":
            of_masses = config
    ratio = build(config["case"]["output"], packages=["myoutput"])
    np.testing.assert_allclose(ratio(SimpleNamespace(m_ism=2e9, m_star=2e10)), -1.0)
    config = of_masses
    assert config["case"]["loss"]["_target_"] == "galdiff.inference.losses.StudentT"
    table = read_columns(
        folder / config["case"]["path"], {config["case"]["limit"]: None, config["case"]["target"]: None}
    )
    assert set(table["limit"]) == {-1.0, 0.0}
    assert build(config["case"]["loss"]).limits
