"""Jacobians of the baryon cycle, and the experiment that maps them over a population."""

import csv
import dataclasses
import gzip
import json
import runpy

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf

from galdiff.baryons.evolve import Outputs
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.regulator import Regulator
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.ensemble import diffmah_population
from galdiff.halo.history import diffmah_history
from galdiff.inference.sensitivity import (
    central_differences,
    choose,
    jacobian,
    jacobian_function,
    mean_in_bins,
    mode_for,
    named_values,
    outputs_by_name,
    tables,
)
from galdiff.plotting.sensitivity_figure import plot_agreement, plot_heat_maps, plot_mass_dependence
from galdiff.runtime import project_dir

PIVOT = 125.0  # km/s
OUTPUTS = ("contents.mass.stars", "diagnostics.t_dep", "metallicity.ism", "flows.mass.outflow")
NAMES = ("eta_energy.log10_a", "eta_energy.alpha0", "star_formation.alpha0", "yields.metal_yield")


@pytest.fixture(scope="module")
def stage():
    return Pandya23(outputs=Outputs(redshifts=(1.0, 0.0), n_steps=32))


@pytest.fixture(scope="module")
def halos(stage):
    cosmology = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486)
    return tables(stage, diffmah_population(log10_mvir=[10.5, 12.5], n=3, cosmology=cosmology))


@pytest.fixture(scope="module")
def values(stage):
    """A set of numbers for each halo."""
    own = np.asarray(named_values(stage.parameters(), NAMES))
    return jnp.asarray(own + np.random.default_rng(0).uniform(-0.2, 0.2, (3, 4)) * [1, 1, 1, 0.01])


@pytest.fixture(scope="module")
def forward(stage):
    return jacobian_function(stage, OUTPUTS, NAMES)


def test_derivatives_equal_central_differences(stage, halos, values, forward):
    found = forward(halos, values)
    steps = (1e-4, 1e-4, 1e-4, 1e-6)
    differences = central_differences(stage, OUTPUTS, NAMES, steps)(halos, values)
    assert found.mode == "forward"
    assert found.jacobian.shape == differences.shape == (3, 2, 4, 4)
    np.testing.assert_allclose(found.jacobian, differences, rtol=1e-5, atol=1e-7)
    assert (np.abs(found.jacobian[..., 0, 0]) > 0.01).all()  # stars do feel the energy loading


def test_fewer_outputs_than_parameters_go_in_reverse_and_give_the_same(stage, halos, values, forward):
    expected = forward(halos, named_values(stage.parameters(), NAMES)).jacobian[1, 1, 0]
    one = jax.tree.map(lambda x: x[1], halos)
    last = jax.tree.map(lambda x: x[-1:], (one.shown, one.halo_state_shown))
    one = dataclasses.replace(one, shown=last[0], halo_state_shown=last[1], wanted=one.wanted[-1:])
    found = jacobian(stage, one, "contents.mass.stars")
    assert found.mode == "reverse"
    assert len(found.parameters) == found.jacobian.size > 20
    place = [found.parameters.index(name) for name in NAMES]
    np.testing.assert_allclose(found.jacobian[0, 0, jnp.array(place)], expected, rtol=1e-9)


def test_a_power_law_answers_by_its_own_logarithms(halos, values, forward):
    """log10 t_dep = A + alpha0 log10(V/V_0) + ...: one derivative of the history is known in closed form."""
    found = forward(halos, values)
    np.testing.assert_allclose(found.jacobian[:, :, 1, 2], np.log10(found.v_vir / PIVOT), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found.jacobian[:, :, 1, [0, 1, 3]], 0.0)


def test_slopes_are_dead_where_the_virial_velocity_is_the_pivot(halos, values, forward):
    still = lambda now: dataclasses.replace(now, v_vir=jnp.full_like(now.v_vir, PIVOT))  # noqa: E731
    halo_state, shown = (dataclasses.replace(f, halo=still(f.halo)) for f in (halos.halo_state, halos.halo_state_shown))
    at_pivot = dataclasses.replace(halos, halo_state=halo_state, halo_state_shown=shown, shown=still(halos.shown))
    found = forward(at_pivot, values)
    np.testing.assert_allclose(found.jacobian[..., 1:3], 0.0, atol=1e-12)
    assert (np.abs(found.jacobian[..., 0, 0]) > 0.01).all()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (dict(parameters=["eta_energy.log10a"]), "no parameter 'eta_energy.log10a'; did you mean 'eta_energy.log10_a'"),
        (dict(parameters=[]), "parameters are none; name one or more"),
        (dict(outputs=["contents.mass.star"]), "no output 'contents.mass.star'; did you mean 'contents.mass.stars'"),
        (dict(outputs=["t_cool"]), "did you mean 'diagnostics.t_cool'"),
        (dict(outputs=["contents.mass.outside"]), "may be negative; set log10=False"),
        (dict(mode="backward"), "mode is 'backward'; choose one of auto, forward, reverse"),
        (dict(values=np.zeros(3)), r"have shape \(3,\); give \(4,\) or \(3, 4\)"),
    ],
)
def test_wrong_questions_are_errors_with_a_remedy(stage, halos, ask, message):
    with pytest.raises(InputError, match=message):
        jacobian(stage, halos, **{"outputs": OUTPUTS, "parameters": NAMES} | ask)


def test_steps_of_differences_must_be_positive_one_per_parameter(stage):
    with pytest.raises(InputError, match="give a positive step for each of the 4 parameters"):
        central_differences(stage, OUTPUTS, NAMES, [1e-4, 0.0, 1e-4, 1e-4])


def test_a_model_without_a_cgm_has_no_derivatives_of_one():
    regulator = Regulator(outputs=Outputs(n_times=1, n_steps=16))
    halo = diffmah_history(log10_mvir=12.0, cosmology=Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486))
    history = jax.jit(regulator)(halo)
    known = outputs_by_name(history)
    assert {"metallicity.cgm", "ratio.cooling_to_free_fall"}.isdisjoint(known)
    inside = history.m_star + history.m_ism
    np.testing.assert_allclose(known["ratio.baryons_to_halo"], inside / history.m_vir, rtol=1e-12)
    with pytest.raises(InputError, match="no reservoir 'cgm'; choose one of ism, outside, stars"):
        history.metallicity("cgm")


def test_the_mode_is_the_one_with_fewer_passes_unless_it_is_asked_for():
    assert [mode_for("auto", n, 4) for n in (3, 4, 5)] == ["forward", "forward", "reverse"]
    assert mode_for("reverse", 1, 100) == "reverse"
    with pytest.raises(InputError, match="there is no thing 'xyzzy'; choose from one, two"):
        choose("thing", ["xyzzy"], ["one", "two"])


def test_means_in_bins_cover_all_values_and_leave_nan_out():
    x = np.linspace(0.0, 2.0, 101)
    centre, mean, edges = mean_in_bins(x, 3 * x)
    np.testing.assert_allclose(mean, 3 * centre, atol=0.06)
    assert (edges[0], edges[-1]) == (0.0, 2.0)
    holes = np.where(x < 1.0, np.nan, 1.0)
    _, mean, _ = mean_in_bins(x, holes)
    np.testing.assert_array_equal(mean, 1.0)
    assert np.isnan(mean_in_bins(np.array([]), np.array([]))[1]).all()


def test_figures_take_parameters_that_have_no_label_and_means_of_one_sign():
    rng = np.random.default_rng(0)
    names = ["eta_energy.log10_a", "eta_energy.alpha0", "prevent.low"]
    slopes = rng.normal(size=(40, 3))
    figure = plot_heat_maps({"signed": slopes[:2], "size": np.abs(slopes[:2])}, ["a", "b"], names, "means")
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert len(texts) == 6
    assert "-" not in "".join(texts)
    masses = np.sort(rng.uniform(10, 13, 40))
    figure = plot_mass_dependence(masses, slopes, np.arange(40) % 2 == 0, names, 12.0, "masses")
    assert [ax.get_title("left") for ax in figure.axes[:3]] == [r"$A_{\rm E}$", r"$\alpha_{\rm E}$", "prevent.low"]
    figure = plot_agreement(slopes, slopes * (1 + 1e-7), np.full(120, 1e-7), "both")
    assert "1.0e-07" in figure.axes[1].get_legend().get_texts()[0].get_text()


SIZES = [
    "halo.n=12",
    "n_steps=32",
    "compare.n=5",
    "one_halo.n_times=4",
    "redshifts=[0.0]",
    "parameters.star_formation=null",
]
SIZES += [
    "parameters.eta_metal=null",
    "parameters.eta_mass.alpha0=null",
    "outputs=[contents.mass.stars,diagnostics.sfr]",
    "mode=forward",  # auto would go in reverse for two values, which takes longer to compile
]


def run(tmp_path, *overrides):
    main = runpy.run_path(str(project_dir("experiments") / "sensitivity.py"))["main"]
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        cfg = hydra.compose("sensitivity", overrides=[f"output={tmp_path}", *SIZES, *overrides])
    return main(cfg)


def test_the_experiment_writes_figures_tables_and_metrics(tmp_path, capsys):
    run(tmp_path, "+baryons.outputs.tolerance=1")  # 32 steps are few
    assert "forward mode; eta_energy.log10_a dominates" in capsys.readouterr().out
    with gzip.open(tmp_path / "jacobians.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["halo", "log10_mvir", "draw", "output", "redshift", "parameter", "value"]
    assert len(rows) == 24 * 2 * 3  # 12 halos at the baseline and at a draw of their own
    assert {row["parameter"] for row in rows} == {"eta_mass.log10_a", "eta_energy.log10_a", "eta_energy.alpha0"}
    assert len({row["draw"] for row in rows}) == 13
    drawn = np.array([r["value"] for r in rows if r["draw"] != "0" and r["output"].endswith("stars")], float)
    means = list(csv.DictReader((tmp_path / "means.csv").read_text().splitlines()))
    stars = [float(m["mean"]) for m in means if m["output"].endswith("stars")]
    np.testing.assert_allclose(drawn.reshape(12, 3).mean(0), stars, rtol=1e-3)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["agreement"]["relative"]["median"] < 1e-6
    assert set(metrics["mode"].values()) == {"forward"}
    ranked = metrics["dominant"]["all_outputs"]
    assert ranked["eta_energy.log10_a"] > 2 * max(v for k, v in ranked.items() if k != "eta_energy.log10_a")
    assert set(metrics["dominant"]["by_output"].values()) == {"eta_energy.log10_a"}
    assert metrics["without_finite_derivatives"] == metrics["above_the_tolerance"] == 0
    values = np.loadtxt(tmp_path / "draws.csv", delimiter=",", skiprows=1)[12:, 1:]
    strata = np.sort(np.floor((values - [-2, -2, -4]) / [3, 2, 4] * 12), 0)
    np.testing.assert_array_equal(strata, np.repeat(np.arange(12.0)[:, None], 3, 1))  # a Latin hypercube
    for name in ("heat_map.png", "mass_dependence.png", "agreement.png", "one_halo.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    assert OmegaConf.load(tmp_path / "config.yaml").halo.n == 12


def test_galaxies_above_the_tolerance_are_left_out_with_what_would_keep_them():
    left_out = runpy.run_path(str(project_dir("experiments") / "sensitivity.py"))["left_out"]
    said = left_out(np.array([0.01, 0.3, 0.2]), 0.1, 32)
    assert said.startswith("2 of 3 galaxies are left out: at n_steps=32 their masses may be off by up to 0.3 dex")
    assert said.endswith("more n_steps, or +baryons.outputs.tolerance=0.32\n")
    assert left_out(np.array([0.01, 0.1]), 0.1, 32) == ""


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+parameters.eta_mas.alpha0=[-1,0]", "no parameter 'eta_mas.alpha0'; did you mean 'eta_mass.alpha0'"),
        ("+parameters.f_recycle=[0.2,0.5]", "no parameter 'f_recycle'; did you mean 'yields.f_recycle'"),
        ("+parameters.yields.f_recycle=[0.2,1.0]", r"must stay within its bounds \[0.0, 0.9\]"),
        (
            "parameters.eta_energy.alpha0=[0,-4]",
            r"parameters.eta_energy.alpha0 is \[0, -4\]; give a range \[low, high\]",
        ),
        ("draws=0", "draws is 0; give 1 or more"),
        ("main_output=sfr", "main_output is 'sfr'; choose one of outputs"),
        ("compare.step=0", "give a number above 0 and below 1"),
        ("mode=sideways", "mode is 'sideways'"),
    ],
)
def test_wrong_configs_of_the_experiment_end_before_it_works(tmp_path, override, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path, override)
