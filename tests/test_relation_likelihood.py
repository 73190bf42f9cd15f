"""Scaling relations in a posterior: the estimator, errors in both axes, limits, selection, and a fit of a cycle."""

import pathlib

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from galdiff.build import build
from galdiff.cases.relations_fit import CycleOfHalos, RelationsFit, read_points
from galdiff.errors import InputError
from galdiff.inference.likelihoods import relations as module
from galdiff.inference.likelihoods.relations import RelationsLikelihood, points_of, points_of_galaxies
from galdiff.inference.methods.optimum import Optimum
from galdiff.observables.imputation import by_rubins_rules, impute
from galdiff.observables.local_linear import local_linear
from galdiff.observables.relations import Relation, kernel_regression

ROOT = pathlib.Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(0)
X = np.sort(RNG.uniform(8.0, 11.0, 400))
AT = np.linspace(8.2, 10.8, 6)


def test_a_straight_relation_has_no_bias_at_its_ends_and_the_kernel_mean_has():
    line = local_linear(X, 2.0 * X - 1.0, [8.0, 9.5, 11.0], 0.3)
    np.testing.assert_allclose(line.mean, 2.0 * np.array([8.0, 9.5, 11.0]) - 1.0, atol=5e-3)
    assert line.std.max() < 0.02
    flat = kernel_regression(X, 2.0 * X - 1.0, [8.0], 0.3)
    assert flat.mean[0] > 15.3


def test_the_error_of_the_mean_is_its_scatter_over_many_populations():
    rng = np.random.default_rng(1)
    x, scatter = rng.uniform(8.0, 11.0, (300, 200)), rng.normal(0, 0.3, (300, 200))
    found = jax.jit(jax.vmap(lambda x, e: local_linear(x, jnp.sin(x) + e, AT, 0.2)))(x, scatter)
    np.testing.assert_allclose(found.standard_error.mean(0), found.mean.std(0), rtol=0.25)


def test_slopes_of_a_relation_are_finite_far_from_all_galaxies_and_for_one_galaxy():
    for x in (X, np.full(3, 9.0)):
        slope = jax.grad(lambda y, x=x: local_linear(x, y, [3.0, 9.0, 30.0], 0.1).mean.sum())(jnp.ones(x.size))
        assert np.isfinite(slope).all()


def test_errors_in_both_axes_are_undone_by_imputation():
    """The slope of a relation is flattened by errors of x; with imputations it is that of the true values."""
    rng = np.random.default_rng(2)
    true = rng.normal(10.0, 0.5, 500)
    y = 1.5 * (true - 10.0) + rng.normal(0, 0.1, 500)
    x = true + rng.normal(0, 0.3, 500)
    seen_y = y + rng.normal(0, 0.2, 500)
    slope = lambda p: np.polyfit(np.asarray(p.x), np.asarray(p.mean), 1)[0]  # noqa: E731
    plain = points_of_galaxies(x, seen_y, centres=6)
    whole = points_of_galaxies(x, seen_y, x_error=0.3, y_error=0.2, centres=6)
    assert slope(plain) < 1.25
    assert abs(slope(whole) - 1.5) < 0.12
    assert np.trace(whole.covariance) > 0


def test_limits_are_drawn_beyond_themselves_and_lower_the_mean():
    rng = np.random.default_rng(3)
    y = 0.5 * (X - 9.5) + rng.normal(0, 0.3, X.size)
    limit = np.where(y < -0.4, -1.0, 0.0)
    seen = np.where(limit < 0, -0.4, y)  # what is fainter is known to be below -0.4
    zero = np.zeros(X.size)
    _, drawn = impute(X, seen, zero, zero, limit, n=10)
    assert (drawn[:, limit < 0] <= -0.4 + 1e-9).all()
    np.testing.assert_array_equal(drawn[:, limit == 0], np.broadcast_to(y[limit == 0], (10, (limit == 0).sum())))
    mean = points_of_galaxies(X, seen, limit=limit, centres=5).mean
    np.testing.assert_allclose(
        mean, local_linear(X, y, np.linspace(*np.percentile(X, [5, 95]), 5), 0.2).mean, atol=0.08
    )


def test_rubins_rules_add_what_differs_between_imputations():
    means = np.array([[1.0], [2.0], [3.0]])
    mean, covariance = by_rubins_rules(means, np.full((3, 1, 1), 0.5))
    np.testing.assert_allclose((mean, covariance[0]), ([2.0], [0.5 + (1 + 1 / 3) * 1.0]))
    np.testing.assert_allclose(by_rubins_rules(means[:1], np.full((1, 1, 1), 0.5))[1], [[0.5]])


def test_bootstrap_samples_give_the_errors_and_tie_near_centres():
    y = 0.5 * (X - 9.5) + np.random.default_rng(4).normal(0, 0.3, X.size)
    tied, free = (points_of_galaxies(X, y, centres=12, correlated=c) for c in (True, False))
    errors = [np.sqrt(np.diag(p.covariance)) for p in (tied, free)]
    np.testing.assert_allclose(errors[0] / errors[1], 1.0, atol=0.35)
    near = np.asarray(tied.covariance)[5, 6] / errors[0][5] / errors[0][6]
    assert near > 0.3
    np.testing.assert_allclose(np.asarray(free.covariance)[5, 6], 0.0)


RELATIONS = {"smhm": ["mvir", "mstar_over_mvir"]}


def stand_in(monkeypatch, y):
    """Histories are their own summaries: x in `X`, y as given."""
    monkeypatch.setattr(module, "log10_summary", lambda histories, name: jnp.asarray(histories[name])[:, None])
    return {"histories": {"mvir": X, "mstar_over_mvir": y}}


@pytest.mark.parametrize("nu", [None, 5.0])
def test_the_density_is_normal_or_students_with_the_error_of_the_model(monkeypatch, nu):
    y = 0.5 * (X - 9.5) + np.random.default_rng(5).normal(0, 0.3, X.size)
    likelihood = RelationsLikelihood(relations=RELATIONS, times={}, nu=nu, floor=0.02)
    covariance = 0.05**2 * np.exp(-0.5 * ((AT - AT[:, None]) / 0.4) ** 2) + 1e-4 * np.eye(AT.size)
    points = {"smhm": points_of(AT, 0.5 * (AT - 9.5) + 0.05, covariance=covariance, bandwidth=0.2)}
    predicted = stand_in(monkeypatch, y)
    model = local_linear(X, y, AT, 0.2)
    whole = covariance + np.diag(np.asarray(model.standard_error) ** 2 + 0.02**2)
    theirs = stats.multivariate_normal(model.mean, whole) if nu is None else stats.multivariate_t(model.mean, whole, nu)
    np.testing.assert_allclose(likelihood.log_density(predicted, points), theirs.logpdf(points["smhm"].mean), rtol=1e-8)
    r = likelihood.residuals(predicted, points)
    constant = theirs.logpdf(model.mean) + 0.5 * r @ r
    chi2 = constant - theirs.logpdf(points["smhm"].mean)
    np.testing.assert_allclose(r @ r, chi2, rtol=1e-6)
    assert likelihood.size(points) == AT.size


def test_galaxies_below_the_limit_of_a_sample_do_not_count(monkeypatch):
    y = np.where(np.arange(X.size) % 2 == 0, 1.0, -1.0)  # two populations, of which one is not seen
    likelihood = RelationsLikelihood(relations=RELATIONS, times={}, nu=None, floor=0.0)
    predicted = stand_in(monkeypatch, y)
    means = []
    for least in (-1e6, 0.0):
        points = points_of(AT, np.ones(AT.size), np.full(AT.size, 0.1), bandwidth=0.3, least=(-1e6, least), edge=0.05)
        means.append(likelihood.found(predicted, {"smhm": points})["smhm"].mean)
    assert np.abs(means[0]).max() < 0.3
    np.testing.assert_allclose(means[1], 1.0, atol=1e-6)
    assert isinstance(likelihood.one("smhm", predicted["histories"], points), Relation)


@pytest.fixture(scope="module")
def case():
    """Thirty halos of the default cycle, with a mock of two relations."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        few = ["case.halos.n=24", "case.n_steps=24", "case.mock_centres=5", "case.halos.settings.n_nodes=32"]
        cfg = hydra.compose("infer", overrides=["experiment=relations", *few])
    return build(cfg.case, path="case"), cfg


def test_a_cycle_is_found_again_from_its_own_relations(case):
    fit, cfg = case
    likelihood = build(cfg.likelihood, path="likelihood")
    free = ["cycle.eta_mass.log10_a", "cycle.star_formation.log10_a"]
    posterior = fit.posteriors("mock", free, likelihood, {})["mock"]
    found = Optimum(solver="levenberg_marquardt", starts=2, steps=8)(posterior)
    truth = [float(fit.model.cycle.eta_mass.log10_a.bounded), float(fit.model.cycle.star_formation.log10_a.bounded)]
    np.testing.assert_allclose(found.flat[0], truth, atol=0.15)
    assert isinstance(fit, RelationsFit)
    assert isinstance(fit.model, CycleOfHalos)
    made = fit.files("mock", posterior, found)
    assert list(made) == ["mock_fit.png"]


def test_points_are_read_by_relation(tmp_path):
    likelihood = RelationsLikelihood(relations=RELATIONS, times={}, nu=None, floor=0.0)
    lines = ["# published", "relation,x,y,error", "smhm,12.0,-1.7,0.1", "smhm,11.0,-2.5,0.2"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    read = read_points(tmp_path / "a.csv", likelihood)["smhm"]
    np.testing.assert_allclose(read.x, [11.0, 12.0])
    np.testing.assert_allclose(np.diag(read.covariance), [0.04, 0.01])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("relation,x,y\nsmhm,1,2\n", "has no column 'error'"),
        ("relation,x,y,error\nmass,1,2,3\n", "row 1 is of 'mass', which is not fitted"),
        ("relation,x,y,error\nsmhm,1,2,many\n", "row 1 holds no number"),
        ("relation,x,y,error\nsmhm,1,2,0\n", "errors of a relation are 0 or below"),
    ],
)
def test_a_table_that_cannot_be_is_refused_on_one_line(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    likelihood = RelationsLikelihood(relations=RELATIONS, times={}, nu=None, floor=0.0)
    with pytest.raises(InputError, match=said) as error:
        read_points(tmp_path / "a.csv", likelihood)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RelationsLikelihood(relations={}, times={}, nu=None, floor=0.0), "relations are {}"),
        (lambda: RelationsLikelihood(relations=RELATIONS, times={}, nu=0.0, floor=0.0), "nu is 0.0"),
        (lambda: RelationsLikelihood(relations=RELATIONS, times={}, nu=None, floor=-1.0), "floor is -1.0"),
        (lambda: points_of([1.0], [1.0]), "the errors of a relation or its covariance"),
        (lambda: points_of([1.0, 2.0], [1.0], [0.1]), "x of shape"),
        (lambda: points_of([1.0], [np.nan], [0.1]), "not finite"),
        (lambda: points_of([1.0], [1.0], [0.1], bandwidth=-1.0), "bandwidth is -1.0"),
        (lambda: points_of_galaxies(X[:5], X[:5]), "two for each of the 10 centres"),
        (lambda: points_of_galaxies(X, X, x_error=-1.0), "errors of galaxies are below 0"),
        (
            lambda: RelationsLikelihood(relations=RELATIONS, times={}, nu=None, floor=0.0).check({}),
            "no points of 'smhm'",
        ),
    ],
)
def test_what_cannot_be_is_refused_on_one_line(make, said):
    with pytest.raises(InputError, match=said) as error:
        make()
    assert "\n" not in str(error.value)
