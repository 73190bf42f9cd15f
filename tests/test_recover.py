"""Fits by gradient steps, and the two experiments that recover ages and metallicities."""

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

from galdiff import units
from galdiff.errors import InputError
from galdiff.inference.fit import advance, begin, minimise
from galdiff.inference.noise_limit import noise_limit
from galdiff.inference.one_spaxel import cosine_distance
from galdiff.runtime import project_dir
from galdiff.sps.analytic import analytic_ssp, default_coefficients

ADAM = optax.adam(optax.cosine_decay_schedule(0.2, 200))
SHARED = ["runtime.precision=float64", "instrument.wave.end_angstrom=5400.0", "instrument.wave.step_angstrom=2.0"]


def bowl(p, centre):
    return jnp.sum((p["x"] - centre) ** 2) + 10.0 * (p["y"] - 1.0) ** 2


START = {"x": jnp.zeros(3), "y": jnp.asarray(-2.0)}
CENTRE = jnp.array([1.0, -2.0, 0.5])


def test_a_fit_finds_the_bottom_of_a_bowl_and_traces_its_way():
    fit = minimise(bowl, START, (CENTRE,), optimiser=ADAM, steps=200, keep_path=True)
    np.testing.assert_allclose(fit.params["x"], CENTRE, atol=1e-3)
    np.testing.assert_allclose(fit.params["y"], 1.0, atol=1e-3)
    assert fit.path["x"].shape == (200, 3)
    assert fit.loss == fit.losses.min()
    assert fit.losses[0] == bowl(START, CENTRE)
    assert fit.skipped == 0


def test_the_best_point_is_kept_although_later_steps_are_worse():
    leap = optax.sgd(1.5)  # too long: every step overshoots farther
    fit = minimise(bowl, START, (CENTRE,), optimiser=leap, steps=5)
    assert fit.losses[-1] > 10 * fit.loss
    np.testing.assert_array_equal(fit.params["y"], START["y"])


def test_blocks_with_reports_give_the_same_numbers_as_one_scan():
    seen = []
    whole = minimise(bowl, START, (CENTRE,), optimiser=ADAM, steps=50)
    parts = minimise(bowl, START, (CENTRE,), optimiser=ADAM, steps=50, report=lambda *now: seen.append(now))
    np.testing.assert_array_equal(whole.losses, parts.losses)
    assert seen[-1] == (50, float(parts.losses[-1]))
    assert len(seen) > 10


def test_a_step_that_is_not_finite_is_skipped_and_counted():
    state = begin(jnp.asarray(2.0), optax.sgd(0.1))

    def loss(p, bad):
        return jnp.where(bad, jnp.nan, 1.0) * p**2

    after, (losses, _) = advance(loss, state, (True,), optimiser=optax.sgd(0.1), steps=3)
    assert after.params == 2.0
    assert after.skipped == 3
    assert np.isnan(losses).all()
    assert np.isinf(after.best_loss)
    onward, _ = advance(loss, after, (False,), optimiser=optax.sgd(0.1), steps=3)
    assert onward.params < 2.0
    assert onward.best_loss < 4.0


def test_many_starts_under_vmap_are_fits_of_their_own_and_stay_in_bounds():
    options = dict(optimiser=ADAM, steps=200, project=lambda p: jnp.clip(p, -1.0, 0.5))
    fits = jax.vmap(lambda s: minimise(lambda p: (p - 2.0) ** 2, s, **options))(jnp.array([-1.0, 0.0, 0.4]))
    np.testing.assert_allclose(fits.params, 0.5)
    alone = minimise(lambda p: (p - 2.0) ** 2, jnp.asarray(0.0), **options)
    np.testing.assert_allclose(fits.losses[1], alone.losses, rtol=1e-12)


def test_wrong_arguments_of_a_fit_are_errors_with_a_remedy():
    with pytest.raises(InputError, match="steps is 0; a fit needs at least 1"):
        minimise(bowl, START, (CENTRE,), optimiser=ADAM, steps=0)
    with pytest.raises(InputError, match="give floating-point arrays"):
        minimise(lambda p: p, jnp.asarray(1), optimiser=ADAM, steps=1)


def test_the_noise_limit_is_that_of_least_squares():
    """A linear model that mixes neighbours: its covariance is (A^T A / variance)^-1."""
    rng = np.random.default_rng(0)
    spectra = jnp.asarray(rng.normal(size=(2, 7)))

    def model(p):
        mixed = [m + 0.3 * jnp.pad(m, ((0, 0), (1, 0)))[:, :-1] for m in p]
        return mixed[0][..., None] * spectra[0] + mixed[1][..., None] * spectra[1]

    maps, variance = (jnp.ones((3, 4)), jnp.zeros((3, 4))), jnp.asarray(rng.uniform(0.5, 2.0, (3, 4, 7)))
    design = np.stack([np.asarray(j).reshape(84, -1) for j in jax.jacfwd(model)(maps)], -1).reshape(84, -1)
    expected = np.sqrt(np.diag(np.linalg.inv(design.T @ (design / np.asarray(variance).reshape(-1, 1)))))
    found = np.stack(noise_limit(model, maps, variance, reach=1), -1)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A coarse library of 1000 wavelengths, as a DSPS file."""
    axes = dict(ages_gyr=np.geomspace(0.1, 13.0, 14), metallicities=(0.001, 0.002, 0.004, 0.008, 0.016, 0.03))
    grid = analytic_ssp(default_coefficients(), wave=np.arange(4500.0, 5600.0, 1.1), **axes)
    path = tmp_path_factory.mktemp("ssp") / "coarse.h5"
    with h5py.File(path, "w") as file:
        for name in ("ssp_wave", "ssp_lg_age_gyr", "ssp_lgmet"):
            file[name] = np.asarray(getattr(grid, name))
        file["ssp_flux"] = np.asarray(grid.ssp_flux * grid.ssp_wave**2) / (units.C_KMS * 1e13)  # Lsun/Hz
        file.attrs.update(resolution_fwhm_angstrom=2.5, imf="kroupa")
    return path


def config(name, library, out, *overrides):
    """The experiment's own config with the coarse library and a short wavelength range."""
    chosen = ["ssp=file", f"ssp.path={library}", f"output={out}"]
    with hydra.initialize_config_dir(str(project_dir("conf").resolve()), version_base="1.3"):
        return hydra.compose(name, overrides=[*SHARED, *chosen, *overrides])


def test_all_starts_recover_age_and_metallicity_of_a_spaxel(tmp_path, library):
    script = runpy.run_path(str(project_dir("experiments") / "recover_spectrum.py"))
    starts = "starts=[[0.3,0.02],[1.0,0.0015],[10.0,0.025]]"
    cfg = config("recover_spectrum", library, tmp_path / "out", starts)
    script["main"](cfg)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["converged"] == 3
    assert max(metrics["largest_error_dex"].values()) < 0.05
    assert all(row["first_loss"] > 1e3 * row["best_loss"] for row in metrics["fits"])
    assert (tmp_path / "out" / "recover_spectrum.png").stat().st_size > 50_000
    with pytest.raises(InputError, match="exists already"):
        script["main"](cfg)
    with pytest.raises(InputError, match=r"truth: age is 0.05, but .* serves"):
        script["main"](OmegaConf.merge(cfg, {"age": 0.05, "overwrite": True}))


def test_the_cosine_distance_keeps_its_precision_near_zero():
    a, turned = jnp.array([1.0, 0.0], jnp.float32), jnp.array([np.cos(1e-4), np.sin(1e-4)], jnp.float32)
    np.testing.assert_allclose(cosine_distance(a, 3 * turned), 0.5e-8, rtol=1e-3)


def test_maps_of_a_disc_are_recovered_to_the_limit_of_the_noise(tmp_path, library):
    script = runpy.run_path(str(project_dir("experiments") / "recover_maps.py"))
    field = ["instrument.field_x_arcsec=6.0", "instrument.field_y_arcsec=6.0", "rank=24", "noise.snr=100", "steps=120"]
    script["main"](config("recover_maps", library, tmp_path / "out", *field))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    chi2 = metrics["chi2_per_pixel"]
    assert metrics["spaxels_used"] == 36
    assert metrics["skipped_steps"] == 0
    assert chi2["start"] > 100
    assert chi2["recovered"] < chi2["truth"]
    for name, bias in (("log10_age", 0.02), ("log10_z", 0.03)):
        assert abs(metrics[name]["bias_dex"]) < bias
        assert metrics[name]["rms_dex"] < 1.4 * metrics[name]["noise_limit_rms_dex"]
    assert (tmp_path / "out" / "recover_maps.png").stat().st_size > 50_000
    with np.load(tmp_path / "out" / "maps.npz") as maps:
        assert maps["recovered_log10_age"].shape == (6, 6)
