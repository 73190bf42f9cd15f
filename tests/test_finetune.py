"""Fine-tuning on tables of scaling relations: files, frozen numbers, and the comparison with a fresh model."""

import dataclasses
import json
import runpy

import hydra
import jax
import numpy as np
import pytest
from flax import nnx

import galdiff
from galdiff.errors import InputError
from galdiff.io.relation_files import NAMES, read_relations, write_relations
from galdiff.observables.relations import Relation
from galdiff.observables.scaling import Observed, chi2, mean_log_likelihood
from galdiff.runtime import project_dir
from galdiff.train.checkpoints import by_path
from galdiff.train.export import bundled
from galdiff.train.select import parts_of, trainable

SMALL = [
    "halos.n=24",
    "mock.halos.n=30",
    "mock.centres=4",
    "mock.redshifts=[1.0,0.0]",
    "n_steps=32",
    "shares=[1.0]",
    "train.steps=4",
    "train.validate_every=2",
    "optimiser.warmup=0",
]


def observed(seed=0, shape=(5, 2, 3)):
    rng = np.random.default_rng(seed)
    return Observed(np.sort(rng.normal(10, 1, shape), -1), rng.normal(-2, 0.5, shape), rng.uniform(0.01, 0.1, shape))


def run(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        config = hydra.compose("finetune", overrides=[*SMALL, *overrides])
    runpy.run_path(str(project_dir("experiments") / "finetune.py"))["main"](config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finetune") / "run"
    run("which_fresh=corrections", f"output={folder}")  # both train the same, which is compiled once
    return folder


def test_points_survive_a_table_and_gaps_become_infinite_errors(tmp_path):
    data = observed()
    write_relations(tmp_path / "all.ecsv", data, (1.0, 0.0), False)
    back, z = read_relations(tmp_path / "all.ecsv")
    assert z == (1.0, 0.0)
    for a, b in zip(back, data, strict=True):
        np.testing.assert_array_equal(a, b)
    holes = data._replace(error=np.where(np.arange(30).reshape(5, 2, 3) % 4 == 0, np.inf, data.error))
    write_relations(tmp_path / "some.ecsv", holes, (1.0, 0.0), False)
    back, _ = read_relations(tmp_path / "some.ecsv")
    assert np.isfinite(back.error).sum() == np.isfinite(holes.error).sum()
    assert np.isfinite(back.x).all()


def test_only_points_of_finite_error_count():
    data, other = observed(), observed(1)
    zero = np.zeros_like(data.x)
    model = Relation(x=data.x, mean=other.mean, std=zero, n_eff=zero + 1, standard_error=zero)
    few = data._replace(error=np.where(np.arange(30).reshape(5, 2, 3) < 7, data.error, np.inf))
    off = ((other.mean - data.mean) / data.error).ravel()[:7]
    np.testing.assert_allclose(chi2(model, few), np.mean(off**2), rtol=1e-12)
    logs = -0.5 * (off**2 + np.log(2 * np.pi * data.error.ravel()[:7] ** 2))
    np.testing.assert_allclose(mean_log_likelihood(model, few), logs.mean(), rtol=1e-12)
    slopes = jax.grad(lambda m: mean_log_likelihood(dataclasses.replace(model, mean=m), few))(other.mean)
    assert np.isfinite(slopes).all()
    assert (slopes.ravel()[7:] == 0).all()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("redshift", "z"), "has no column 'redshift'"),
        ((NAMES[0], "mstar(spin)"), r"relation is 'mstar\(spin\)'; choose some of"),
        (("0.05", "-0.05"), "error above 0"),
        (("0.05", "nan"), "finite numbers"),
    ],
)
def test_wrong_tables_are_told(change, text, tmp_path):
    data = observed()._replace(error=np.full((5, 2, 3), 0.05))
    write_relations(tmp_path / "x.ecsv", data, (1.0, 0.0), False)
    path = tmp_path / "x.ecsv"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(InputError, match=text):
        read_relations(path)
    with pytest.raises(InputError, match="there is no such file"):
        read_relations(tmp_path / "none.ecsv")


def test_only_what_is_chosen_adapts_and_the_result_is_a_checkpoint(folder):
    before = galdiff.load(bundled("wind_correction")).model
    after = galdiff.load(folder)
    assert after.step == 4
    (_, corrections, physics, _), (_, adapted, frozen, _) = parts_of(before), parts_of(after.model)
    for path, x in by_path(physics).items():
        np.testing.assert_array_equal(by_path(frozen)[path], x, err_msg=path)
    moved = [np.abs(by_path(adapted)[path] - x).max() for path, x in by_path(corrections).items()]
    assert max(moved) > 0
    assert isinstance(after.model, nnx.Module)
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        fresh = trainable(before, list(hydra.compose("finetune").which_fresh))
    assert {"eta_mass.log10_a", "star_formation.alpha0", *by_path(corrections)} <= set(fresh)
    assert not any(path.startswith("z_inflow") for path in fresh)


def test_the_folder_holds_the_curve_its_picture_and_the_data(folder):
    summary = json.loads((folder / "summary.json").read_text())
    curves = summary["unseen_chi2"]
    assert set(curves) == {"from the checkpoint", "from scratch", "checkpoint as it is"}
    assert list(curves["from the checkpoint"]) == list(curves["from scratch"]) == ["28"]
    assert summary["points"]["unseen"] == 12
    for name in ("learning.png", "relations.png", "data.ecsv", "config.yaml"):
        assert (folder / name).stat().st_size > 0
    data, z = read_relations(folder / "data.ecsv")
    assert z == (1.0, 0.0)
    assert data.x.shape == (5, 2, 4)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("shares=[0.0]", "shares are"),
        ("held_out=1.0", "held_out is 1.0"),
        ("which=['*.spectrum']", r"train.which: '\*.spectrum' matches none"),
        ("checkpoint=nowhere", "holds no checkpoint"),
        ("data=nowhere.ecsv", "there is no such file"),
    ],
)
def test_wrong_input_is_told_before_training(override, text, tmp_path):
    with pytest.raises(InputError, match=text):
        run(override, f"output={tmp_path}")


def test_only_a_new_hook_trains_and_the_result_loads(folder, tmp_path):
    new = ("which=new", "which_fresh=new", "prior=null", f"data={folder / 'data.ecsv'}")
    run("+correction@model.state_correction=mlp", *new, f"output={tmp_path}")
    before, after = galdiff.load(bundled("wind_correction")).model, galdiff.load(tmp_path).model
    (_, *old, _), (_, *new, _) = parts_of(before), parts_of(after)
    old, new = ({path: x for state in states for path, x in by_path(state).items()} for states in (old, new))
    for path, x in old.items():
        np.testing.assert_array_equal(new[path], x, err_msg=path)
    added = {path: x for path, x in new.items() if path not in old}
    assert max(np.abs(x).max() for path, x in added.items() if "bias" in path) > 0  # they began at zero


def test_new_numbers_need_something_new(tmp_path):
    with pytest.raises(InputError, match="nothing was added"):
        run("which=new", f"output={tmp_path}")
