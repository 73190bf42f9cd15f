"""Populations recovered from counts in magnitude and colour: slopes, exact data, errors, and the command."""

import json
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from galdiff.build import build
from galdiff.errors import InputError
from galdiff.inference.population_fit import PopulationData, PopulationModel, axes_of, draw_mock, fit_population
from galdiff.populations.mass_function import DiffskyMassFunction, halo_masses
from galdiff.runtime import project_dir

EFFICIENCY, DUST = "galaxies.mean_ulgy_mseq_ytp", "dust.suav_logsm_ylo_q_z_ylo"
SCALES = {EFFICIENCY: 0.1, DUST: 5.0}
SCRIPT = runpy.run_path(str(project_dir("experiments") / "recover_population.py"))


@pytest.fixture(scope="module")
def config():
    few = ["passbands={g: sdss2010-g, r: sdss2010-r}", "axes=[r,g-r]", "step=0.1", "tolerance=0.05", "bins=6"]
    with initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return compose("recover_population", [*few, "galaxies=60", "error=0.2", "runtime.precision=float64"])


@pytest.fixture(scope="module")
def made(config):
    """Model, haloes and galaxies of a small population."""
    light, seen = SCRIPT["population_of"](config, build(config.ssp, path="ssp"))
    haloes = SCRIPT["grown"](config, light, seen, 60, jax.random.key(1))
    everything = PopulationModel(light, (), SCALES)
    galaxies = jax.jit(everything.galaxies)(everything.from_physical({DUST: 0.0}), haloes, seen)
    axes = axes_of(["r", "g-r"], ["g", "r"], np.asarray(galaxies.mag)[:, 0], 6, 0.2)
    return PopulationModel(light, axes, SCALES), haloes, seen, galaxies


@pytest.fixture(scope="module")
def data(made):
    model, haloes, seen, _ = made
    empty = PopulationData(counts=jnp.zeros((6, 6)), galaxies=jnp.asarray(36000.0), haloes=haloes, seen=seen)
    truth = model.from_physical({EFFICIENCY: -10.5, DUST: 0.0})
    counts = jax.jit(model.counts)(truth, empty)
    return PopulationData(counts=counts, galaxies=empty.galaxies, haloes=haloes, seen=seen)


def test_counts_have_the_slopes_of_differences(made, data):
    model = made[0]
    at = model.from_physical({EFFICIENCY: -10.4, DUST: 3.0})
    slopes = jax.jit(jax.jacfwd(model.counts))(at, data)
    counts = jax.jit(model.counts)
    for name in SCALES:
        up, down = (counts(at | {name: at[name] + e}, data) for e in (1e-4, -1e-4))
        np.testing.assert_allclose(slopes[name], (up - down) / 2e-4, atol=2e-5 * np.abs(slopes[name]).max())


def test_the_population_is_found_in_counts_without_noise(made, data):
    model = made[0]
    start = model.from_physical({EFFICIENCY: -10.3, DUST: 8.0})
    seen = []
    fit = fit_population(model, start, data, steps=30, report=lambda done, loss: seen.append(loss))
    found = model.physical({n: jnp.asarray(v) for n, v in fit.params.items()})
    assert abs(found[EFFICIENCY] + 10.5) < 0.1 * fit.uncertainty[EFFICIENCY]
    assert abs(found[DUST]) < 0.1 * fit.uncertainty[DUST]
    assert fit.losses[-1] < 1e-6 < fit.losses[0]
    assert seen == fit.losses.tolist()
    np.testing.assert_allclose(fit.path[DUST][0], 8.0)


def test_a_mock_has_one_branch_of_each_galaxy_and_errors(made):
    model, _, _, galaxies = made
    measured, quenched = draw_mock(galaxies, model.axes, np.random.default_rng(0))
    assert measured.shape == (60, 2)
    np.testing.assert_allclose(quenched.mean(), galaxies.weight[:, 1].mean(), atol=0.2)
    np.testing.assert_allclose(galaxies.weight.sum(1), 1.0, rtol=1e-6)
    branch = np.asarray(galaxies.mag)[np.arange(60), quenched.astype(int), 1]
    assert 0.1 < np.std(measured[:, 0] - branch) < 0.3


def test_masses_follow_the_mass_function():
    masses = halo_masses(DiffskyMassFunction(), (12.0, 14.0), 0.1, np.linspace(0.0005, 0.9995, 1000))
    above = 10.0 ** DiffskyMassFunction().log10_cumulative(np.array([12.0, 12.5, 13.0, 14.0]), 0.1)
    want = (above[1:3] - above[3]) / (above[0] - above[3])
    np.testing.assert_allclose([(masses > 12.5).mean(), (masses > 13.0).mean()], want, atol=0.003)
    with pytest.raises(InputError, match="smaller and a larger"):
        halo_masses(DiffskyMassFunction(), (14.0, 12.0), 0.1, [0.5])


def test_what_cannot_be_fitted_is_named(made):
    light = nnx.merge(made[0].graph, made[0].state)
    with pytest.raises(InputError, match=r"galaxies.\* \(diffstarpop\)"):
        PopulationModel(light, made[0].axes, {"galaxies.efficiency": 0.1})
    with pytest.raises(InputError, match="axes hold 'y-r'"):
        axes_of(["y-r"], ["g", "r"], np.zeros((3, 2)), 4, 0.1)


def test_the_command_leaves_a_folder(config, tmp_path):
    output = {"output": str(tmp_path / "run"), "model_galaxies": 60, "steps": 2}
    keep = {name: config.free[name] for name in SCALES}
    rest = OmegaConf.masked_copy(config, [key for key in config if key != "free"])
    cfg = OmegaConf.merge(rest, output, {"free": keep})
    SCRIPT["main"](cfg)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["parameters"].keys() == keep.keys()
    assert metrics["loss"]["recovered"] <= metrics["loss"]["start"]
    assert (tmp_path / "run" / "recover_population.png").stat().st_size > 10_000
