"""Trained baryon cycles as stages, and new corrections on them."""

import json
import runpy

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
from galdiff.io.catalogue import read_catalogue
from galdiff.plotting.history_figure import plot_history
from galdiff.records import HaloHistory
from galdiff.runtime import project_dir
from galdiff.train.checkpoints import by_path
from galdiff.train.export import bundled
from galdiff.train.select import parts_of
from galdiff.train.trained_cycle import trained_cycle, with_new_hooks

OUTPUTS = "{_target_: galdiff.baryons.evolve.Outputs, redshifts: [1.0, 0.0], n_times: 1, n_steps: 48}"

LOADED = ("eta_energy", "eta_mass", "eta_metal", "star_formation")


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
    plain = hybrid.uncorrected()
    assert isinstance(plain.correction, NoCorrection)
    assert not isinstance(hybrid.correction, NoCorrection)
    assert plain.uncorrected() is None
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


GROWTH = {"log10_mvir": 12.1, "n_stars": 300, "n_gas": 0, "baryons.outputs.n_steps": 64}
VIEW = {"max_spaxels": 4, "precision.rank": 8, "gauss_hermite": False, "snr": None, "redshift": 0.05}
VIEW |= {"instrument.wave.end_angstrom": 4800.0}


@pytest.mark.filterwarnings("ignore:.*lie outside the SSP library:UserWarning")
def test_a_galaxy_of_a_hybrid_looks_different_and_says_by_how_much():
    """The same halo, with the corrections of the checkpoint and without them."""
    hybrid = galdiff.grow(baryons="checkpoint", **GROWTH)
    physics = trained_cycle(outputs=Outputs(n_times=64, n_steps=64)).uncorrected()
    plain = galdiff.grow(baryons=physics, **{k: v for k, v in GROWTH.items() if "." not in k})
    assert plain.plain is None
    np.testing.assert_array_equal(hybrid.plain.m_star, plain.history.m_star)
    seen, before = (galdiff.observe(galaxy, **VIEW) for galaxy in (hybrid, plain))
    shift = np.log10(hybrid.history.m_star[-1] / plain.history.m_star[-1])
    assert abs(shift) > 0.05  # dex
    assert seen.summary["grown"]["log10_mstar_shift"] == pytest.approx(shift, abs=1e-12)
    assert "log10_mstar_shift" not in before.summary["grown"]
    flux, other = (np.asarray(mock.cube.flux).sum((0, 1)) for mock in (seen, before))
    assert np.abs(flux / other - 1).max() > 0.05
    figure = plot_history(hybrid.history, title="a hybrid", plain=hybrid.plain)
    masses = next(ax for ax in figure.axes if ax.get_title(loc="left") == "masses")
    for history, dashed in ((hybrid.history, False), (plain.history, True)):
        drawn = [x.get_ydata() for x in masses.lines if x.is_dashed() == dashed]
        assert any(np.allclose(y, history.m_star, rtol=1e-12) for y in drawn)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "with corrections",
        "the same physics without",
    ]


def test_commands_on_populations_and_derivatives_take_a_hybrid(tmp_path):
    halos = ("baryons=checkpoint", "halo.n=2", "halo.log10_mvir=[11.0,12.5]", "n_steps=32", "redshifts=[0.0]")
    ranges = [f"parameters.{law}.{name}=null" for law in LOADED for name in ("log10_a", "alpha0")][1:]
    few = ("compare.n=2", "one_halo.n_times=4", "outputs=[contents.mass.stars]", "mode=forward", *ranges)
    runs = {"populate": ("tolerance=null", "figure=2"), "sensitivity": few}
    for name, settings in runs.items():
        with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
            changes = [*halos, *settings, f"output={tmp_path / name}"]
            composed = hydra.compose(name, overrides=changes)
        runpy.run_path(str(project_dir("experiments") / f"{name}.py"))["main"](composed)
    catalogue = read_catalogue(tmp_path / "populate" / "catalogue.h5")
    found, law = catalogue.histories, trained_cycle().parameters().eta_mass
    plain = 10**law.log10_a * (found.v_vir / 125.0) ** (law.alpha0 + law.alpha_z)  # at redshift 0
    assert (np.abs(np.log(found.diagnostics.eta_mass / plain)) > 0.02).all()  # the correction is there
    assert found.solved.all()
    metrics = json.loads((tmp_path / "sensitivity" / "metrics.json").read_text())
    assert metrics["agreement"]["relative"]["median"] < 1e-5


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
