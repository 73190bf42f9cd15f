"""Prediction from checkpoints: what is loaded, ensembles, batches, devices, files and errors."""

import json
import runpy

import h5py
import hydra
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from omegaconf import OmegaConf

import galdiff
from galdiff.build import build
from galdiff.errors import InputError
from galdiff.runtime import data_mesh, project_dir
from galdiff.train.data import InMemory
from galdiff.train.export import bundled
from galdiff.train.loop import Task, TrainingSettings, train
from galdiff.train.predict import Ensemble, load_ensemble

NET = {"_target_": "galdiff.nn.mlp.MLP", "_partial_": True, "n_in": 2, "n_out": 1, "hidden": [8]}


def square(model, batch, key):
    x, y = batch.samples
    return jnp.sum(batch.weight * (model(x)[:, 0] - y) ** 2) / jnp.sum(batch.weight), {}


def trained(folder, config, seed, steps=5):
    """A small network trained on a plane, with its config in the checkpoint."""
    x = np.random.default_rng(0).normal(size=(30, 2))
    case = dict(objective=square, optimiser=optax.adam(1e-2), which="all", source=InMemory((x, x.sum(1))))
    model = build(config, seed=seed, path="model")
    meta = {"config": OmegaConf.to_yaml(OmegaConf.create({"model": config, "seed": seed}))}
    return train(
        Task(model=model, **case), TrainingSettings(steps=steps, validate_every=steps), folder, meta=meta
    ).model


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return [folder / str(seed) for seed in range(3)], [trained(folder / str(s), NET, s) for s in range(3)]


@pytest.fixture(scope="module")
def cycles(tmp_path_factory):
    """Two checkpoints of the baryon cycle whose depletion times differ."""
    folder = tmp_path_factory.mktemp("cycles")
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        config = OmegaConf.to_container(hydra.compose("populate").baryons, resolve=True)

    def loss(model, batch, key):
        return (model.star_formation.log10_a.bounded - batch.samples[0]) ** 2, {}

    for k, target in enumerate((0.2, 1.0)):
        task = Task(
            model=build(config, path="model"),
            objective=loss,
            optimiser=optax.adam(0.1),
            which=["star_formation.log10_a"],
            source=InMemory(np.array([target])),
        )
        meta = {"config": OmegaConf.to_yaml(OmegaConf.create({"model": config}))}
        train(task, TrainingSettings(steps=30, validate_every=30), folder / str(k), meta=meta)
    return [str(folder / str(k)) for k in range(2)]


def run(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        config = hydra.compose("predict", overrides=[*overrides])
    runpy.run_path(str(project_dir("experiments") / "predict.py"))["main"](config)


def test_an_ensemble_is_the_mean_and_scatter_of_its_models(networks):
    paths, models = networks
    x = np.random.default_rng(1).normal(size=(11, 2))
    each = np.stack([np.asarray(model(jnp.asarray(x))) for model in models])
    for batch_size in (4, 11, 100):
        found = load_ensemble(paths, batch_size=batch_size)(x)
        np.testing.assert_allclose(found.mean, each.mean(0), rtol=1e-6)
        np.testing.assert_allclose(found.std, each.std(0, ddof=1), rtol=1e-5, atol=1e-9)
    single = load_ensemble(paths[0])(x)
    np.testing.assert_allclose(single.mean, each[0], rtol=1e-6)
    assert single.std is None


def test_devices_share_the_samples_and_change_nothing(networks):
    paths, _ = networks
    x = np.random.default_rng(1).normal(size=(11, 2))
    one, two = (load_ensemble(paths, batch_size=5, mesh=mesh)(x) for mesh in (None, data_mesh()))
    assert jax.device_count() > 1
    np.testing.assert_allclose(one.mean, two.mean, rtol=1e-12)


def test_models_of_other_configs_are_no_ensemble(networks, tmp_path):
    other = trained(tmp_path, {**NET, "hidden": [4]}, 0)
    with pytest.raises(InputError, match="different configs"):
        Ensemble([networks[1][0], other])
    with pytest.raises(InputError, match="common length"):
        Ensemble([other])({"a": np.ones(2), "b": np.ones(3)})


def test_halos_are_predicted_with_the_scatter_of_the_checkpoints(cycles, tmp_path):
    run(f"checkpoint=[{','.join(cycles)}]", "input.n=6", "redshifts=[1.0,0.0]", "n_steps=32", f"output={tmp_path}")
    with h5py.File(tmp_path / "predictions.h5") as file:
        mean, std = file["mean/m_ism"][()], file["std/m_ism"][()]
        assert mean.shape == std.shape == (6, 2)
        assert file["mean/sfr"].attrs["unit"] == "Msun/yr"
        assert (std > 0.05 * mean).all()  # a depletion time six times longer leaves more gas
        assert "std/m_vir" not in file
        assert "std/log10_z_ism" not in file
        assert "mean/log10_z_ism" in file
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["samples"] == 6
    assert [m["step"] for m in summary["models"]] == [30, 30]
    assert (tmp_path / "predictions.png").stat().st_size > 1000


def test_without_a_checkpoint_the_one_that_ships_predicts(tmp_path):
    run("input.n=2", "redshifts=[0.0]", "n_steps=16", f"output={tmp_path}")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [m["step"] for m in summary["models"]] == [galdiff.load(bundled("wind_correction")).step]


@pytest.mark.parametrize("name", ["drivers.npy", "drivers.npz", "drivers.h5"])
def test_networks_take_drivers_from_files(networks, tmp_path, name):
    paths, models = networks
    x = np.random.default_rng(2).normal(size=(7, 2))
    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, x)
    elif name.endswith("npz"):
        np.savez(path, drivers=x)
    else:
        with h5py.File(path, "w") as file:
            file["drivers"] = x
    run(f"checkpoint={paths[0]}", "input=drivers", f"input.path={path}", f"output={tmp_path / 'out'}")
    with h5py.File(tmp_path / "out/predictions.h5") as file:
        np.testing.assert_allclose(file["mean/prediction"][()], models[0](jnp.asarray(x)), rtol=1e-6)
        assert "std" not in file


def test_wrong_input_is_told(networks, cycles, tmp_path):
    paths, _ = networks
    out = f"output={tmp_path / 'out'}"
    np.save(tmp_path / "three.npy", np.ones((4, 3)))
    np.save(tmp_path / "nan.npy", np.full((4, 2), np.nan))
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    drivers = lambda name: ("input=drivers", f"input.path={tmp_path / name}")  # noqa: E731
    for overrides, text in (
        ((paths[0], "input=halos"), "takes drivers: give input=drivers"),
        ((cycles[0], *drivers("three.npy")), "takes halos: give input=halos"),
        ((paths[0], *drivers("three.npy")), "input has 3 drivers; the model of the checkpoint takes 2"),
        ((paths[0], *drivers("none.npy")), "there is no such file"),
        ((paths[0], *drivers("other.npz")), "holds no dataset 'drivers'"),
        ((paths[0], *drivers("nan.npy")), "give finite numbers"),
        ((tmp_path, "input=halos"), "holds no checkpoint"),
    ):
        with pytest.raises(InputError, match=text):
            run(f"checkpoint={overrides[0]}", *overrides[1:], out)
