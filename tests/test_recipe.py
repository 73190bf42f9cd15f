"""A run that was trained from Python is loaded like one of the command line."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from omegaconf import OmegaConf

import galdiff
from galdiff import runtime
from galdiff.build import build
from galdiff.errors import InputError
from galdiff.train.data import InMemory
from galdiff.train.loop import Task, TrainingSettings, train

NET = {"_target_": "galdiff.nn.mlp.MLP", "_partial_": True, "n_in": 2, "n_out": 1, "hidden": [4], "offset": [0.0, 1.0]}


def objective(model, batch, key):
    del key
    loss = jnp.mean(batch.weight * (model(batch.samples["x"])[:, 0] - batch.samples["y"]) ** 2)
    return loss, {}


def run(model, folder, **keywords):
    x = np.random.default_rng(0).normal(size=(8, 2))
    task = Task(
        model=model,
        objective=objective,
        optimiser=optax.sgd(0.1),
        source=InMemory({"x": x, "y": x[:, 0]}),
        which="all",
    )
    return train(task, TrainingSettings(steps=2, validate_every=2), folder, **keywords).model


@pytest.mark.parametrize("config", [NET, {"model": NET}, OmegaConf.create({"model": NET, "seed": 0})], ids=type)
def test_a_run_that_knows_its_config_is_loaded_by_its_folder_alone(config, tmp_path):
    trained = run(build(NET, path="model"), tmp_path, config=config, meta={"data": {"mine": "abc"}})
    loaded = galdiff.load(tmp_path)
    point = jnp.array([0.3, -0.2])
    np.testing.assert_array_equal(loaded.model(point), trained(point))
    assert loaded.meta["versions"] == runtime.versions()
    assert loaded.meta["data"] == {"mine": "abc"}


def test_a_run_without_a_config_says_how_it_would_be_loaded(tmp_path):
    run(build(NET, path="model"), tmp_path)
    with pytest.raises(
        InputError, match=r"no key 'model'; fill a model of yours by .*load_part.*train\(\.\.\., config="
    ):
        galdiff.load(tmp_path)


def test_a_run_of_ones_own_network_names_its_package(tmp_path, monkeypatch):
    code = "from flax import nnx\nclass Net(nnx.Linear):\n    pass\n"
    (tmp_path / "net_of_recipe.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": "net_of_recipe.Net", "_partial_": True, "in_features": 2, "out_features": 1}
    model = build(node, path="model", packages=["net_of_recipe"])
    with pytest.raises(InputError, match=r"name its package: packages=\[net_of_recipe\]"):
        run(model, tmp_path / "a", config=node)
    assert not (tmp_path / "a").exists()  # refused before anything is written
    run(model, tmp_path / "b", config={"model": node, "packages": ["net_of_recipe"]})
    assert galdiff.load(tmp_path / "b", packages=["net_of_recipe"]).step == 2
    with pytest.raises(InputError, match=r'galdiff\.load\(.*, packages=\["net_of_recipe"\]\)'):
        galdiff.load(tmp_path / "b")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**NET, "hidden": [5]}, r"another model: .*bias is .* here, .* there; build the model by"),
        ({**NET, "n_in": 3, "offset": [0.0, 1.0, 0.0]}, "another model"),
        ({**NET, "offset": [0.0, 2.0]}, "another model: .*offset"),
        ({"_target_": "os.system", "command": "true"}, "only what galdiff opens to configs"),
        ({"net": NET}, "config has no key 'model'"),
        ({**NET, "hidden": np.ones(2)}, "config: .*give plain numbers, texts and lists"),
        ({**NET, "activation": "${nothing}"}, "config: .*give plain numbers"),
        (3, "config"),
    ],
)
def test_a_config_of_another_model_is_refused_before_the_first_step(config, said, tmp_path):
    with pytest.raises(InputError, match=said):
        run(build(NET, path="model"), tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


def test_weights_of_another_seed_are_no_other_model_for_they_are_trained(tmp_path):
    run(build(NET, path="model", seed=7), tmp_path, config=NET)
    assert galdiff.load(tmp_path).step == 2
