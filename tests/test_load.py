"""Models from checkpoints: whole, in part, and as text."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from omegaconf import OmegaConf

import galdiff
from galdiff.baryons.pandya23 import Pandya23
from galdiff.build import build
from galdiff.cli import main
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.history import diffmah_history
from galdiff.runtime import data_mesh
from galdiff.train.checkpoints import Checkpoints, by_path
from galdiff.train.data import InMemory
from galdiff.train.load import load_part, physics_of
from galdiff.train.loop import Task, TrainingSettings, train

CONFIG = """
seed: 3
model:
  _target_: galdiff.baryons.pandya23.Pandya23
  outputs: {_target_: galdiff.baryons.evolve.Outputs, n_times: 1, n_steps: 16}
  correction:
    _target_: galdiff.core.correction.LogGain
    bound: 1.0
    net: {_target_: flax.nnx.Linear, _partial_: true, in_features: 4, out_features: 9}
"""


def objective(model, batch, key):
    """Stellar masses a little above those asked for."""
    masses = jax.vmap(model)(batch.samples["halo"]).m_star[:, 0]
    return jnp.sum(batch.weight * (jnp.log10(masses) - batch.samples["log10_m"]) ** 2), {}


@pytest.fixture(scope="module")
def halos():
    cosmology = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486)
    one = diffmah_history(log10_mvir=12.0, cosmology=cosmology)
    return jax.tree.map(lambda x: jnp.asarray(x)[None], one)


@pytest.fixture(scope="module")
def run(tmp_path_factory, halos):
    """Folder of a short run that trains all, and the model that it ended with."""
    folder = tmp_path_factory.mktemp("run")
    cfg = OmegaConf.create(CONFIG)
    data = InMemory({"halo": jax.tree.map(np.asarray, halos), "log10_m": np.array([10.2])})
    model = build(cfg.model, seed=cfg.seed, path="model")
    task = Task(model=model, objective=objective, optimiser=optax.adam(0.05), source=data, which="all")
    meta = {"config": CONFIG, "versions": {"galdiff": "test"}, "data": {"halos": "none"}}
    outcome = train(task, TrainingSettings(steps=3, validate_every=3, average=0.5), folder, meta=meta)
    return folder, outcome.model


def test_a_model_comes_back_and_predicts_the_same(run, halos):
    folder, trained = run
    loaded = galdiff.load(folder)
    assert loaded.step == 3
    halo = jax.tree.map(lambda x: x[0], halos)
    expected = jax.jit(trained)(halo)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(loaded.model)(halo), expected)
    spread = galdiff.load(folder / "checkpoints", step=3, mesh=data_mesh(2))
    assert len(spread.model.correction.net.kernel[...].sharding.device_set) == 2
    before, after = (physics_of(m)["eta_energy.log10_a"] for m in (Pandya23(), loaded.model))
    assert before[0] != after[0]
    assert after[1] == "dex"


def test_a_model_trained_in_float64_is_used_in_float32(run):
    folder, trained = run
    with jax.enable_x64(False):
        single = galdiff.load(folder).model
        part = load_part(folder, build(OmegaConf.create(CONFIG).model, path="model"))
    for path, number in by_path(nnx.state(single, nnx.Param)).items():
        assert number.dtype == np.float32
        np.testing.assert_array_equal(number, np.float32(by_path(nnx.state(trained, nnx.Param))[path]))
    np.testing.assert_array_equal(part.correction.net.kernel[...], single.correction.net.kernel[...])


def test_only_the_corrections_go_into_another_model(run):
    folder, trained = run
    other = build(OmegaConf.create(CONFIG).model, seed=8, path="model")
    mixed = load_part(folder, other)
    np.testing.assert_array_equal(mixed.correction.net.kernel[...], trained.correction.net.kernel[...])
    assert physics_of(mixed) == physics_of(other) != physics_of(trained)
    with pytest.raises(InputError, match=r"correction\.net\.kernel: only in the checkpoint"):
        load_part(folder, Pandya23())
    with pytest.raises(InputError, match="part is 'dust'; choose one of corrections, physics"):
        load_part(folder, other, "dust")


def test_inspect_prints_what_a_run_holds(run, capsys):
    main(["inspect", str(run[0])])
    text = capsys.readouterr().out
    for words in ("step 3 of 3", "galdiff.core.correction.LogGain", "correction.net.kernel", "[4, 9]", "galdiff: test"):
        assert words in text
    assert '"validation"' in text


def test_a_target_outside_the_allowed_packages_is_refused(tmp_path):
    evil = CONFIG.replace("flax.nnx.Linear", "os.system")
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(1, {"physics": {"a": jnp.ones(2)}}, meta={"config": evil}, loss=1.0)
    with pytest.raises(InputError, match=r"only what galdiff opens .* packages=\[mynet\]"):
        galdiff.load(tmp_path)


def test_what_is_no_run_is_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="holds no checkpoint; give the folder of a run"):
        galdiff.load(tmp_path)
    with pytest.raises(SystemExit):
        main(["inspect"])
    assert "inspect takes one argument" in capsys.readouterr().err
