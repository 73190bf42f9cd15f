"""Template mismatch: what its parts promise, and a small run that takes the bias out of ages and metallicities."""

import json
import runpy

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from omegaconf import OmegaConf

import galdiff
from galdiff.build import build
from galdiff.cases.mismatch import linear_profile
from galdiff.core.correction import LogGain
from galdiff.errors import InputError
from galdiff.nn.mlp import MLP
from galdiff.runtime import project_dir
from galdiff.sps.analytic import default_grid
from galdiff.sps.enhanced import enhanced
from galdiff.sps.grid import cut_populations, cut_wave
from galdiff.sps.indices import line_index
from galdiff.sps.interpolate import node_table, spectrum
from galdiff.sps.spectral_correction import CorrectedSpectra
from galdiff.train.data import Batch
from galdiff.train.trained_parts import corrected_ssp

SMALL = [
    "experiment=template_mismatch",
    "case.instrument.field_x_arcsec=12.0",
    "case.instrument.field_y_arcsec=12.0",
    "case.instrument.spaxel_x_arcsec=3.0",
    "case.instrument.spaxel_y_arcsec=3.0",
    "case.instrument.wave={start_angstrom: 5050.0, end_angstrom: 5450.0, step_angstrom: 5.0}",  # magnesium and iron
    "case.instrument.psf=null",  # its cells are most of the work
    "case.instrument.lsf.fwhm_angstrom=6.0",
    "case.calibrators=8",
    "case.held_out=3",
    "case.known_to=[0.01,0.01]",
    "case.snr=300.0",
    "case.exact_steps=16",
    "case.batch_size=2",
    "case.rank=16",
    "case.fit_steps=100",
    "model.start=4880.0",
    "model.end=5320.0",
    "model.n_wave=90",
    "train={steps: 48, validate_every: 24, checkpoint_every: 48}",
    "runtime.precision=float64",
]


@pytest.fixture(scope="module")
def library():
    return default_grid(imf="kroupa")


def compose(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("train", overrides=[*SMALL, *overrides])


@pytest.fixture(scope="module")
def cfg():
    return compose()


@pytest.fixture(scope="module")
def case(cfg):
    return build(cfg.case, path="case")


def test_a_linear_profile_is_the_smallest_value_over_what_it_leaves_out():
    rng = np.random.default_rng(0)
    slopes, at, sigma = rng.normal(size=(2, 30)), rng.normal(size=30), np.array([0.3, 0.05])
    found = linear_profile(lambda x: jnp.asarray(at) + x @ slopes, sigma)
    normal = slopes @ slopes.T + np.diag(sigma**-2)
    best = -np.linalg.solve(normal, slopes @ at)
    np.testing.assert_allclose(found, np.sum((at + best @ slopes) ** 2) + np.sum((best / sigma) ** 2), rtol=1e-12)
    known = linear_profile(lambda x: jnp.asarray(at) + x @ slopes, [0.0, 0.0])
    np.testing.assert_allclose(known, at @ at, rtol=1e-12)
    one = linear_profile(lambda x: jnp.asarray(at) + x @ slopes, [0.3, 0.0])
    assert known > one > found


def test_an_enhanced_library_has_other_features_and_the_same_continuum(library):
    grid = cut_wave(library, 4500.0, 6000.0)
    made = enhanced(grid, magnesium=0.2, iron=-0.3, tilt=0.0)
    at = (np.argmin(np.abs(grid.ssp_lgmet + 1.7)), np.argmin(np.abs(grid.ssp_lg_age_gyr - 0.9)))
    index = lambda g, name: float(line_index(g.ssp_wave, jnp.asarray(g.ssp_flux[at]), name))  # noqa: E731
    assert 1.1 < index(made, "Mgb") / index(grid, "Mgb") < 1.3
    assert 0.6 < index(made, "Fe5270") / index(grid, "Fe5270") < 0.9
    ratio = made.ssp_flux[at] / grid.ssp_flux[at]
    between = (grid.ssp_wave > 5440) & (grid.ssp_wave < 5640)
    np.testing.assert_allclose(ratio[between], 1.0, atol=2e-3)
    tilted = enhanced(grid, magnesium=0.0, iron=0.0, tilt=0.1).ssp_flux / grid.ssp_flux
    old = 10.0 ** np.asarray(grid.ssp_lg_age_gyr)
    k = np.argmin(np.abs(grid.ssp_wave - 4950.0))
    np.testing.assert_allclose(tilted[0, :, k], (grid.ssp_wave[k] / 5500) ** (0.1 * np.log10(old)), rtol=1e-9)


def test_cutting_populations_keeps_what_is_interpolated_inside(library):
    grid = cut_wave(library, 5000.0, 5010.0)
    cut = cut_populations(grid, (0.3, 0.9), (-2.1, -1.6))
    assert cut.ssp_flux.shape == (len(cut.ssp_lgmet), len(cut.ssp_lg_age_gyr), len(cut.ssp_wave))
    assert cut.ssp_lg_age_gyr.size < grid.ssp_lg_age_gyr.size
    for age, z in ((0.3, -2.1), (0.9, -1.6), (0.55, -1.93)):
        a, b = (np.asarray(spectrum(node_table(g, "linear"), age, z)) for g in (cut, grid))
        np.testing.assert_allclose(a, b, rtol=1e-6)
    with pytest.raises(InputError, match=r"log10 Z from -2.000 to 0.500 are wanted"):
        cut_populations(grid, (0.3, 0.9), (-2.0, 0.5))


def rows_of(case, n=2) -> Batch:
    return jax.tree.map(lambda x: jnp.asarray(x[:n]), case.source.all_rows())


def plain() -> CorrectedSpectra:
    net = MLP(n_in=2, n_out=90, hidden=(4,), offset=(0.6, -1.75), scale=(0.4, 0.3), dtype="float64", rngs=nnx.Rngs(0))
    return CorrectedSpectra(start=4880.0, end=5320.0, n_wave=90, correction=LogGain(net=net, bound=0.3))


def test_the_library_as_it_is_misses_its_cubes_by_more_than_the_noise(case):
    chi2 = float(jax.jit(lambda: case.loss(CorrectedSpectra(n_wave=2), rows_of(case), None)[1]["chi2"])())
    assert chi2 > 1.5


def test_another_model_is_refused(case):
    with pytest.raises(InputError, match="model is a MLP; this case trains a"):
        case.prepare(MLP(n_in=2, n_out=1, rngs=nnx.Rngs(0)))


def test_what_is_known_counts_as_exact_at_first(case):
    first, later = (case.source.batch(step).samples["known_to"] for step in (15, 16))
    assert (first == 0).all()
    assert (later == 0.01).all()


def test_spaxels_outside_the_aperture_do_not_count():
    seen = ["case.instrument.aperture={shape: hexagon}", "case.instrument.psf={kind: gaussian, fwhm_arcsec: 1.2}"]
    hexagon = compose(*seen, "case.calibrators=1", "case.held_out=1")
    case = build(hexagon.case, path="case")
    assert (case.variance == 0).any()
    loss, slope = nnx.jit(nnx.value_and_grad(lambda m: case.loss(m, rows_of(case, 1), None)[0]))(plain())
    assert np.isfinite(loss)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope))


def test_without_a_mismatch_nothing_is_left_but_the_noise():
    same = build(compose("ssp@case.truth=analytic", "case.known_to=[0,0]", "case.calibrators=2").case, path="case")
    chi2 = float(jax.jit(lambda: same.loss(CorrectedSpectra(n_wave=2), rows_of(same), None)[1]["chi2"])())
    n_pixel = same.flux[:2].size
    assert abs(chi2 - 1) < 5 * np.sqrt(2 / n_pixel) + 0.01


def test_gradients_of_the_loss_agree_with_differences(case):
    model = plain()
    graph, numbers, rest = nnx.split(model, nnx.Param, ...)
    key, batch = jax.random.key(1), rows_of(case, 1)
    start = jax.tree.map(lambda x: x + 0.01 * jax.random.normal(key, x.shape), numbers)
    along = jax.tree.map(lambda x: jax.random.normal(jax.random.key(x.size), x.shape), numbers)

    @jax.jit
    @jax.value_and_grad
    def both(size):
        moved = jax.tree.map(lambda x, d: x + size * d, start, along)
        return case.loss(nnx.merge(graph, moved, rest), batch, key)[0]

    numeric = (both(1e-5)[0] - both(-1e-5)[0]) / 2e-5
    np.testing.assert_allclose(both(0.0)[1], numeric, rtol=1e-5)


@pytest.fixture(scope="module")
def run(cfg, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mismatch") / "run"
    cfg = OmegaConf.merge(cfg, {"output": str(folder)})
    runpy.run_path(str(project_dir("experiments") / "train.py"))["main"](cfg)
    return folder


def test_a_small_run_takes_the_bias_out_and_shows_it(run):
    result = json.loads((run / "summary.json").read_text())["result"]
    assert result["goal_bias_halved"]
    assert all(x > 2 for x in result["bias_smaller_by"].values())
    chi2 = {name: np.mean(x) for name, x in result["chi2"].items()}
    assert chi2["as it is"] > chi2["corrected"] > 0.8
    assert result["biases"]["as it is"]["log10_age"]["bias_dex"] > 0.03
    for name in ("galaxy.png", "biases.png", "correction.png", "maps.npz"):
        assert (run / name).stat().st_size > 5_000


def test_the_trained_correction_is_a_library_of_its_own(run, library):
    model = galdiff.load(run).model
    grid = cut_wave(library, 4500.0, 6000.0)
    made = corrected_ssp(grid, run)
    np.testing.assert_allclose(made.ssp_flux, model(grid).ssp_flux)
    assert made.name.endswith("corrected")
    assert 0.005 < np.abs(made.ssp_flux / grid.ssp_flux - 1).max() < 0.35
    with pytest.raises(InputError, match="Emulator, not a correction of spectra"):
        corrected_ssp(grid, project_dir("checkpoints") / "ssp_emulator")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("case.held_out=0", "held_out 0"),
        ("case.snr=3", "no spaxel above S/N 10"),
        ("case.snr=-1", "snr -1"),
        ("case.known_to=[0.1]", r"known_to \[0.1\]"),
        ("case.galaxies.age_disc=[12.9,12.95]", r"log10 age/Gyr .* are wanted"),
    ],
)
def test_impossible_galaxies_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        build(compose(change).case, path="case")


def test_stars_of_miuscat_are_mended_in_miles(data_dir, tmp_path):
    small = [s for s in SMALL[1:] if not s.startswith(("train=", "case.fit_steps"))]
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        cfg = hydra.compose(
            "train",
            overrides=[
                "experiment=template_mismatch_miles",
                *small,
                f"case.truth.path={data_dir}/ssp/ssp_miuscat_thin.h5",
                f"case.library.path={data_dir}/ssp/ssp_miles_small.h5",
                "case.galaxies.age_disc=[3.0,6.0]",
                "case.fit_steps=100",
                "train={steps: 40, validate_every: 20, checkpoint_every: 40}",
                f"output={tmp_path / 'run'}",
            ],
        )
    runpy.run_path(str(project_dir("experiments") / "train.py"))["main"](cfg)
    result = json.loads((tmp_path / "run" / "summary.json").read_text())["result"]
    assert np.mean(result["chi2"]["corrected"]) < np.mean(result["chi2"]["as it is"])
    assert result["bias_smaller_by"]["log10_age"] > 1.5
