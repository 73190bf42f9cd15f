"""Trained baryon cycles as stages, and new corrections on them."""

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf

import galdiff
from galdiff.baryons.evolve import Outputs
from galdiff.build import build
from galdiff.cases.wind_report import drift
from galdiff.core.correction import NoCorrection
from galdiff.core.pipeline import Pipeline
from galdiff.errors import InputError
from galdiff.records import HaloHistory
from galdiff.runtime import project_dir
from galdiff.train.checkpoints import by_path
from galdiff.train.export import bundled
from galdiff.train.select import parts_of
from galdiff.train.trained_cycle import trained_cycle, with_new_hooks

OUTPUTS = "{_target_: galdiff.baryons.evolve.Outputs, redshifts: [1.0, 0.0], n_times: 1, n_steps: 48}"


@pytest.fixture(scope="module")
def config():
    changes = ["baryons=checkpoint", f"baryons.outputs={OUTPUTS}", "halo.n=3", "halo.log10_mvir=[10.5,13.0]"]
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("populate", overrides=changes)


def numbers(model):
    _, *states, _ = parts_of(model)
    return {path: x for state in states for path, x in by_path(state).items()}


def test_a_hybrid_is_a_stage_that_shifts_stellar_masses_and_keeps_the_budgets(config):
    hybrid, halos = build(config.baryons, path="baryons"), build(config.halo, path="halo")
    plain = build(config.baryons, path="baryons")
    plain.correction = NoCorrection()
    run = lambda model: jax.jit(jax.vmap(model))(halos)  # noqa: E731
    with_it, without = run(hybrid), run(plain)
    shift = np.log10(with_it.contents["mass"]["stars"] / without.contents["mass"]["stars"])
    assert np.isfinite(shift).all()
    assert np.abs(shift).max() > 0.1  # dex: what was hidden is not small
    assert max(drift(with_it).values()) < 1e-12
    pipeline = Pipeline(
        stages={"history": galdiff.load(bundled("wind_correction")).model}, inputs={"halo": HaloHistory}
    )
    assert "history" in pipeline.describe()


def test_other_checkpoints_are_no_baryon_cycle(tmp_path):
    with pytest.raises(InputError, match="holds a Emulator, not a baryon cycle"):
        trained_cycle(path=bundled("ssp_emulator"), outputs=Outputs(n_times=4))
    with pytest.raises(InputError, match="holds no checkpoint"):
        trained_cycle(path=tmp_path)


def test_a_new_hook_leaves_all_old_numbers_and_predictions_as_they_were():
    loaded = galdiff.load(bundled("wind_correction"))
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        added = hydra.compose("finetune", overrides=["+correction@model.state_correction=mlp"]).model
    model, new, config = with_new_hooks(loaded, added)
    old, now = numbers(loaded.model), numbers(model)
    assert new
    assert all(path.startswith("state_correction.") for path in new)
    assert set(now) == {*old, *new}
    for path, x in old.items():
        np.testing.assert_array_equal(now[path], x, err_msg=path)
    assert OmegaConf.select(config, "state_correction.net._target_") == "galdiff.nn.mlp.MLP"
    with pytest.raises(InputError, match=r"model\.correction: the checkpoint has a correction there already"):
        with_new_hooks(loaded, {"correction": added.state_correction})
    with pytest.raises(InputError, match=r"model\.winds: a Pandya23 has no such hook; choose correction"):
        with_new_hooks(loaded, {"winds": added.state_correction})
    assert jnp.isfinite(jnp.stack([jnp.sum(x) for x in now.values()])).all()
