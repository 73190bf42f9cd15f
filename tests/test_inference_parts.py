"""Small parts of inference against closed forms: climbs, flows, results, points of relations, and the calibration."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from test_histories_io import made_history
from test_posterior import DESIGN, ERROR, GAUSSIAN, Line, Values, X, Y, posterior

from galdiff.cases.relations_fit import read_points
from galdiff.core.priors import Normal
from galdiff.errors import InputError
from galdiff.inference.galaxy_calibration import BULGE, ERRORS, QUENCHED, REDSHIFTS, residuals, stellar_masses, today
from galdiff.inference.likelihoods.joint import JointLikelihood
from galdiff.inference.likelihoods.model import measured
from galdiff.inference.likelihoods.photometry import PhotometryLikelihood
from galdiff.inference.likelihoods.relations import RelationsLikelihood, points_of, points_of_galaxies
from galdiff.inference.losses import Gaussian, StudentT
from galdiff.inference.many import results_of
from galdiff.inference.methods.importance import Importance
from galdiff.inference.methods.model import Method, condition, degeneracies, result_of
from galdiff.inference.methods.optimum import climb, spread
from galdiff.inference.methods.smc import Smc
from galdiff.inference.methods.variational import Variational, begun, mapped, unmapped
from galdiff.inference.posterior import galaxy_axis, stacked
from galdiff.inference.result import ESS, MOVED, PSIS_K, R_HAT, reasons_against
from galdiff.inference.unknowns import free
from galdiff.observables import observed
from galdiff.units import OXYGEN_SUN_ASPLUND09, YR_PER_GYR, Z_SUN_ASPLUND09


@pytest.fixture(scope="module")
def line():
    return posterior()


@pytest.fixture(scope="module")
def climbed():
    """The program that climbs, compiled once."""
    return jax.jit(lambda p, starts: climb(p, starts, 12))


def test_all_starts_climb_to_least_squares_with_its_information(line, climbed):
    ends = climbed(line, jnp.asarray(spread(line, 0, 3)))
    slopes = DESIGN * [1.0, 2.0] / ERROR  # of residuals, in widths of the priors
    information = slopes.T @ slopes + np.eye(2)
    best = np.linalg.solve(information, slopes.T @ (Y - DESIGN @ [1.0, 0.0]) / ERROR)
    np.testing.assert_allclose(ends.u, [best] * 3, atol=1e-6)
    np.testing.assert_allclose(ends.fisher, [information] * 3, rtol=1e-6)


def test_a_climb_that_finds_nothing_finite_stays_where_it_began(line, climbed):
    nowhere = dataclasses.replace(line, inputs={"x": X * jnp.nan})
    starts = jnp.asarray([[0.3, -0.2], [0.0, 0.0], [1.0, 2.0]])
    ends = climbed(nowhere, starts)
    np.testing.assert_array_equal(ends.u, starts)
    np.testing.assert_array_equal(ends.fisher, [np.eye(2)] * 3)
    assert float(nowhere.log_density(starts[0])) == -np.inf


def test_starts_are_the_middle_and_half_as_wide_as_the_prior(line):
    assert spread(line, 0, 1).tolist() == [[0.0, 0.0]]
    many = spread(line, 0, 400)
    np.testing.assert_allclose(many.std(0), 0.5, rtol=0.02)
    np.testing.assert_array_equal(many, spread(line, 0, 400))
    assert (many[1:] != spread(line, 1, 400)[1:]).all()


def test_stacked_posteriors_have_a_leading_axis_of_what_differs_alone(line):
    other = dataclasses.replace(line, data=measured(Y + 1.0, np.full(6, ERROR)))
    both = stacked([line, other])
    assert both.data.value.shape == (2, 6)
    found = jax.vmap(lambda p: p.log_density(jnp.zeros(2)), in_axes=(galaxy_axis(both),))(both)
    np.testing.assert_allclose(found, [p.log_density(jnp.zeros(2)) for p in (line, other)])
    with pytest.raises(InputError, match="of several models cannot be stacked"):
        stacked([line, dataclasses.replace(line, likelihood=Values(noise=Gaussian(), floor=0.0))])


class Middle(Method):
    """Says that all is in the middle of the prior, and the seed."""

    def __call__(self, posterior, seed=0):
        u = jnp.zeros((1, 4, len(posterior.unknowns)))
        return result_of("middle", posterior, u, jnp.zeros((1, 4)), {"seed": float(seed)}, ())


def test_galaxies_one_after_another_share_the_seed_and_are_counted(line):
    done = []
    found = results_of(Middle(), {"a": line, "b": line}, seed=3, done=done.append)
    assert (list(found), done) == (["a", "b"], [1, 1])
    assert [r.diagnostics["seed"] for r in found.values()] == [3.0, 3.0]
    np.testing.assert_allclose(found["a"].flat, [[1.0, 0.0]] * 4)  # means of the priors
    assert found["a"].names == ("slope", "zero")
    assert results_of(Middle(), {}) == {}


def test_diagnostics_on_their_limits_pass_and_one_that_is_not_finite_fails():
    at = {"ess": ESS, "r_hat": R_HAT, "psis_k": PSIS_K, "divergent": 1e-3, "moved": MOVED}
    assert reasons_against(at) == reasons_against({}) == ()
    beyond = {"ess": 99.4, "r_hat": 1.02, "psis_k": 0.71, "divergent": 2e-3, "moved": 0.1}
    assert len(reasons_against(beyond)) == len(at)
    (only,) = reasons_against(at | {"r_hat": np.nan, "more": np.inf})
    assert only.startswith("r_hat, more is not finite")


def test_a_direction_of_little_information_is_a_sum_of_names(line):
    vectors = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
    (note,) = degeneracies(line, vectors @ np.diag([1e-3, 1e3]) @ vectors.T)
    assert "0.71 slope" in note
    assert "0.71 zero" in note
    assert degeneracies(line, 1e3 * np.eye(2)) == ()
    assert condition(np.diag([2.0, 8.0])) == 4.0
    assert condition(np.diag([0.0, 8.0])) == np.inf


@pytest.mark.parametrize("layers", [0, 3])
def test_a_flow_without_bends_is_the_gaussian_whatever_its_layers(layers):
    at, root = jnp.asarray([1.0, -2.0]), jnp.asarray([[0.5, 0.0], [0.3, 2.0]])
    weights = begun(at, root, layers, jax.random.key(0)) | {"mix": jnp.zeros((layers, 2, 2))}
    z = jnp.asarray([0.7, -1.3])
    u, stretch = mapped(weights, z)
    np.testing.assert_allclose(u, at + root @ (z[::-1] if layers % 2 else z), rtol=1e-12)  # each layer turns the order
    np.testing.assert_allclose(stretch, 0.0, atol=1e-12)  # of a root with the determinant 1
    np.testing.assert_allclose(unmapped(weights, u), z, rtol=1e-12)


def test_a_bent_flow_holds_all_probability_and_leans_as_it_is_told():
    root = jnp.asarray([[0.5]])
    weights = begun(jnp.zeros(1), root, 1, jax.random.key(0))
    weights |= {"skew": jnp.asarray([[0.4]]), "ln_tail": jnp.asarray([[0.3]])}
    u = jnp.linspace(-40.0, 60.0, 40001)[:, None]
    z = jax.jit(jax.vmap(lambda x: unmapped(weights, x)))(u)
    back, stretch = jax.jit(jax.vmap(lambda z: mapped(weights, z)))(z)
    np.testing.assert_allclose(back, u, atol=1e-9)
    density = stats.norm.pdf(z[:, 0]) * np.exp(-stretch)
    np.testing.assert_allclose(np.trapezoid(density, u[:, 0]), 1.0, rtol=1e-5)
    median = np.interp(0.0, z[:, 0], u[:, 0])
    assert np.trapezoid(density * u[:, 0], u[:, 0]) > median > 0.0


SETTINGS = {
    Smc: dict(populations=2, particles=9, moves=1, keep=0.7),
    Variational: dict(layers=0, steps=1, side_by_side=1, learning_rate=0.1, draws=1),
    Importance: dict(starts=1, steps=1, rounds=1, draws=1, attempts=1),
}


@pytest.mark.parametrize("method", SETTINGS)
def test_each_count_of_a_method_is_whole_above_zero_and_named_where_it_is_not(method):
    for name in [n for n, value in SETTINGS[method].items() if value and isinstance(value, int)]:
        with pytest.raises(InputError, match=f"{name} is 0"):
            method(**SETTINGS[method] | {name: 0})
    assert getattr(method(**SETTINGS[method]), name) == SETTINGS[method][name]


def test_priors_of_what_is_not_free_say_nothing_and_the_last_pattern_counts():
    unknowns, _ = free(Line(), ["slope"], {"*": Normal(5.0, 1.0), "slope": Normal(2.0, 1.0), "zero": Normal(7.0, 1.0)})
    assert unknowns.names == ("slope",)
    np.testing.assert_allclose(unknowns.values(jnp.zeros((3, 1))), 2.0)
    with pytest.raises(InputError, match=r"slope \[1\] has neither bounds nor a prior"):
        free(Line(), ["slope"])


def test_a_joint_likelihood_wants_each_record_once_and_counts_what_is_there():
    again, other = Values(noise=StudentT(nu=4.0), floor=0.1), PhotometryLikelihood(noise=Gaussian(), floor=0.0)
    joint = JointLikelihood(parts={"a": GAUSSIAN, "b": again, "c": other})
    assert joint.wanted == ("values", *other.wanted)
    data = {"a": measured([1.0, np.nan], [1.0, 1.0]), "b": measured([1.0], [1.0]), "c": measured([1.0], [1.0])}
    assert joint.size(data) == 3
    with pytest.raises(InputError, match="no measurement is there"):
        joint.check(data | {"b": measured([np.nan], [1.0])})


def test_points_take_half_their_median_distance_as_bandwidth_in_any_order():
    points = points_of([3.0, 1.0, 2.0, 6.0], np.zeros(4), np.full(4, 0.2))
    assert float(points.bandwidth) == 0.5
    np.testing.assert_allclose(points.covariance, 0.04 * np.eye(4))
    assert float(points_of([3.0], [0.0], [0.1]).bandwidth) == 0.1
    assert float(points_of([3.0, 1.0], [0.0, 0.0], [0.1, 0.1], bandwidth=0.7).bandwidth) == 0.7


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (dict(error=[0.1, 0.1], covariance=np.eye(2)), "or its covariance, one of the two"),
        (dict(covariance=np.ones((2, 2)) - 2 * np.eye(2)), "directions without noise"),
        (dict(covariance=[[1.0, 0.9], [0.0, 1.0]]), "not symmetric"),
        (dict(error=[0.1, 0.1], edge=0.0), "0 or below"),
        (dict(error=[0.1, np.inf]), "not finite"),
    ],
)
def test_points_that_cannot_be_are_refused(more, said):
    with pytest.raises(InputError, match=said):
        points_of([1.0, 2.0], [0.0, 0.0], **more)


def test_exact_galaxies_on_a_line_give_the_line_with_independent_errors():
    x = np.random.default_rng(0).uniform(9.0, 11.0, 60)
    points = points_of_galaxies(x, 2.0 * x - 3.0, centres=4, correlated=False)
    np.testing.assert_allclose(points.mean, 2.0 * np.asarray(points.x) - 3.0, atol=2e-3)  # at the ends too
    np.testing.assert_allclose(np.asarray(points.x)[[0, -1]], np.percentile(x, [5.0, 95.0]))
    off = np.asarray(points.covariance) - np.diag(np.diag(points.covariance))
    np.testing.assert_array_equal(off, 0.0)


def test_a_table_of_points_that_is_not_there_or_empty_is_named(tmp_path):
    likelihood = RelationsLikelihood(relations={"smhm": ["mvir", "mstar"]}, times={"smhm": 2}, nu=None, floor=0.0)
    assert likelihood.times == {"smhm": 2}
    (tmp_path / "empty.csv").write_text("# nothing\n")
    (tmp_path / "a.txt").write_text("relation,x,y,error\nsmhm,1,2,3\n")
    for name, said in (("b.csv", "no such table"), ("a.txt", "no such table"), ("empty.csv", "no column 'relation'")):
        with pytest.raises(InputError, match=said):
            read_points(tmp_path / name, likelihood)


@pytest.fixture(scope="module")
def ideal():
    """Galaxies of three halos that lie on every observed relation."""
    m_vir = 10 ** np.array([[11.3, 11.5, 11.6], [11.8, 12.0, 12.1], [12.9, 13.2, 13.5]])
    stars = [
        10 ** np.asarray(observed.log10_mstar_behroozi19(np.log10(m_vir[:, k]), z)) for k, z in enumerate(REDSHIFTS)
    ]
    stars = np.stack(stars, -1)
    m = np.log10(stars)
    gas = stars * 10 ** np.asarray(observed.log10_gas_fraction_peeples14(m))
    z = Z_SUN_ASPLUND09 * 10 ** (np.asarray(observed.oxygen_andrews_martini13(m)) - OXYGEN_SUN_ASPLUND09)
    hole = 10 ** np.asarray(observed.log10_black_hole_mcconnell_ma13(m + np.log10(BULGE)))
    history = made_history(n=3, n_t=3)
    mass = history.contents["mass"] | {"stars": stars, "ism": gas, "black_hole": hole}
    contents = history.contents | {"mass": mass, "metals": history.contents["metals"] | {"ism": z * gas}}
    sfr = YR_PER_GYR * 10 ** np.asarray(observed.log10_sfr_renzini_peng15(m))
    seen = dataclasses.replace(history.diagnostics, sfr=sfr)
    return dataclasses.replace(history, m_vir=m_vir, contents=contents, diagnostics=seen)


def test_galaxies_on_all_relations_have_no_residuals_but_for_massive_ones_that_form_stars(ideal):
    found = residuals(ideal)
    for name in ("stellar_mass", "gas", "oxygen", "main_sequence", "black_hole"):
        np.testing.assert_allclose(found[name], 0.0, atol=1e-6)
    np.testing.assert_array_equal(found["quenching"][:2], 0.0)  # halos below 10^12.7 Msun
    away = today(ideal)["log10_ssfr"][2] - QUENCHED
    np.testing.assert_allclose(found["quenching"][2], away / 0.15, rtol=1e-3)


def test_a_quenched_massive_galaxy_is_as_it_is_to_be_and_a_heavy_one_is_off_by_its_error(ideal):
    dead = dataclasses.replace(ideal.diagnostics, sfr=ideal.diagnostics.sfr * 1e-4)
    assert float(residuals(dataclasses.replace(ideal, diagnostics=dead))["quenching"][2]) < 1e-3
    mass = ideal.contents["mass"] | {"stars": ideal.m_star * 10**0.1}
    heavy = dataclasses.replace(ideal, contents=ideal.contents | {"mass": mass})
    np.testing.assert_allclose(stellar_masses(heavy), 0.1, atol=1e-6)
    np.testing.assert_allclose(residuals(heavy)["stellar_mass"], np.tile(0.1 / np.array(ERRORS), (3, 1)), rtol=1e-5)


def test_observed_relations_rise_fall_and_bend_as_they_are_known_to():
    m = np.linspace(8.6, 10.9, 40)
    rising = ("oxygen_andrews_martini13", "log10_sfr_renzini_peng15", "log10_v_reyes11", "log10_v_mcgaugh12")
    for name in (*rising, "log10_sigma_zahid16"):
        assert (np.diff(getattr(observed, name)(m)) > 0).all(), name
    assert (np.diff(observed.log10_gas_fraction_peeples14(m)) < 0).all()
    assert float(observed.oxygen_andrews_martini13(13.0)) == pytest.approx(8.798, abs=2e-3)  # its plateau
    halo = np.linspace(11.0, 14.0, 61)
    for z in REDSHIFTS:
        share = np.asarray(observed.log10_mstar_behroozi19(halo, z)) - halo
        assert 11.8 < halo[share.argmax()] < 12.6, z
        assert share.max() < np.log10(0.16), z  # the cosmic share of baryons
    slope = (observed.log10_black_hole_mcconnell_ma13(12.0) - observed.log10_black_hole_mcconnell_ma13(10.0)) / 2
    np.testing.assert_allclose(slope, 1.05, rtol=1e-6)
