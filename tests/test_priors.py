"""Priors: every one is a map of a standard normal number, whose inverse and whose quantiles are those of scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from galdiff.core.patterns import matching
from galdiff.core.priors import LogNormal, Normal, Prior, StudentT2, TruncatedNormal, Uniform, values_of
from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.inference.unknowns import free
from galdiff.sfh.bins import ContinuityBins

U = np.linspace(-4.0, 4.0, 9)
CASES = {
    "uniform": (Uniform(-1.0, 3.0), stats.uniform(-1, 4)),
    "normal": (Normal(1.0, 2.0), stats.norm(1, 2)),
    "lognormal": (LogNormal(3.0, 0.5), stats.lognorm(0.5 * np.log(10), scale=3.0)),
    "student": (StudentT2(0.5, 0.3), stats.t(2, 0.5, 0.3)),
    "truncated": (TruncatedNormal(1.0, 2.0, 0.0, 2.0), stats.truncnorm(-0.5, 0.5, 1, 2)),
    "cut at one end": (Normal(1.0, 2.0).within(0.0, 1e9), stats.truncnorm(-0.5, np.inf, 1, 2)),
    "cut and skewed": (LogNormal(3.0, 0.5).within(0.1, 10.0), None),
}


@pytest.mark.parametrize(("prior", "theirs"), CASES.values(), ids=CASES)
def test_a_prior_turns_normal_numbers_into_values_and_back(prior, theirs):
    x = prior.value(jnp.asarray(U))
    assert (np.diff(x) > 0).all()
    np.testing.assert_allclose(prior.number(x), U, atol=1e-7)
    if theirs is not None:
        np.testing.assert_allclose(x, theirs.ppf(stats.norm.cdf(U)), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("prior", [prior for prior, _ in CASES.values()], ids=CASES)
def test_slopes_of_a_prior_are_right_and_finite_far_out_in_single_precision_too(prior):
    slope = jax.vmap(jax.grad(prior.value))
    step = 1e-5
    difference = (prior.value(jnp.asarray(U + step)) - prior.value(jnp.asarray(U - step))) / (2 * step)
    np.testing.assert_allclose(slope(jnp.asarray(U)), difference, rtol=1e-5)
    far = jnp.asarray([-12.0, -6.0, 0.0, 6.0, 12.0], jnp.float32)
    assert np.isfinite(slope(far)).all()
    assert np.isfinite(prior.value(far)).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Uniform(1.0, 1.0), "two finite numbers that increase"),
        (lambda: Normal(0.0, 0.0), "a width above 0"),
        (lambda: LogNormal(-1.0, 0.3), "a median above 0"),
        (lambda: StudentT2(np.nan, 0.3), "a finite centre"),
        (lambda: TruncatedNormal(0.0, 1.0, 2.0, 1.0), "two numbers that increase"),
        (lambda: Normal(100.0, 1.0).within(0.0, 10.0), "probability inside the bounds"),
        (lambda: Uniform(-5.0, 1.0).within(0.0, 10.0), "reaches beyond the bounds"),
    ],
)
def test_a_prior_that_cannot_be_is_refused_on_one_line(make, said):
    with pytest.raises(InputError, match=said) as error:
        make()
    assert "\n" not in str(error.value)


def test_the_prior_of_a_parameter_is_uniform_between_its_bounds_unless_it_says_another():
    assert physical(2.0, lo=0.1, hi=10.0, unit="Gyr").believed() == Uniform(0.1, 10.0)
    assert physical(2.0, unit="Gyr").believed() is None
    assert "cut at" in physical(2.0, lo=0.1, hi=10.0, unit="Gyr", prior=LogNormal(2.0, 0.3)).believed().words()
    assert isinstance(ContinuityBins().log10_ratios.believed(), Prior)


class Model(nnx.Module):
    def __init__(self):
        self.tau = physical(2.0, lo=0.1, hi=10.0, unit="Gyr")
        self.ratios = ContinuityBins().log10_ratios
        self.loose = physical(0.0, unit="dex")


def test_unknowns_are_one_vector_with_names_units_and_the_model_at_any_value():
    unknowns, fixed = free(Model(), ["tau", "ratios"], {"tau": LogNormal(1.0, 0.2)})
    assert unknowns.names == ("tau", *(f"ratios[{i}]" for i in range(5)))
    assert [one.unit for one in unknowns.each[:2]] == ["Gyr", "dex"]
    u = unknowns.sample(jax.random.key(0), 3)
    x = unknowns.values(u)
    np.testing.assert_allclose(unknowns.numbers(x), u, atol=1e-6)
    model = unknowns.model(u[1], fixed)
    np.testing.assert_allclose(model.tau.bounded, x[1, 0], rtol=1e-10)
    np.testing.assert_allclose(model.ratios.bounded, x[1, 1:], rtol=1e-10)
    assert float(model.loose.bounded) == 0.0  # fixed
    np.testing.assert_allclose(unknowns.log_prior(u[0]), stats.norm.logpdf(u[0]).sum(), rtol=1e-12)


def test_a_value_on_its_bound_by_round_off_stays_inside_with_a_finite_slope():
    unknowns, fixed = free(Model(), "tau")
    at = lambda u: unknowns.model(u, fixed).tau.bounded  # noqa: E731
    for far in (-40.0, 40.0):
        assert 0.1 <= float(at(jnp.asarray([far]))) <= 10.0
        assert np.isfinite(jax.grad(lambda u: at(u))(jnp.asarray([far]))).all()


def test_a_latin_hypercube_has_one_start_in_each_share_of_every_axis():
    unknowns, _ = free(Model(), ["tau", "ratios"])
    starts = unknowns.latin_hypercube(0, 8)
    shares = np.floor(stats.norm.cdf(starts) * 8).astype(int)
    assert (np.sort(shares, 0) == np.arange(8)[:, None]).all()


@pytest.mark.parametrize(
    ("patterns", "priors", "said"),
    [
        (["taw"], {}, "'taw' matches none of the 3 parameters"),
        (["tau", "!tau"], {}, "no parameter is left"),
        (["loose"], {}, r"loose \[dex\] has neither bounds nor a prior"),
        (["tau"], {"ratio": Normal(0, 1)}, "priors: 'ratio' matches none"),
        (["tau"], {"tau": Uniform(0.0, 20.0)}, r"tau \[Gyr\]: prior uniform from 0 to 20 reaches beyond the bounds"),
        (["tau"], {"tau": 3.0}, "give a prior"),
    ],
)
def test_unknowns_that_cannot_be_are_refused_on_one_line(patterns, priors, said):
    with pytest.raises(InputError, match=said) as error:
        free(Model(), patterns, priors)
    assert "\n" not in str(error.value)


def test_patterns_choose_and_take_away():
    known = ["a.x", "a.y", "b.x"]
    assert matching(["*.x", "!b.*", "a.y"], known, "free") == ["a.x", "a.y"]
    assert matching(["all", "!a.x"], known, "free", {"all": known}) == ["a.y", "b.x"]


def test_many_priors_together_give_what_each_gives_alone():
    many = [Uniform(0.0, 3.0), LogNormal(3.0, 0.5).within(0.01, 100.0), Normal(0.0, 0.3), Uniform(-3.5, -1.4)]
    many += [Normal(1.0, 2.0).within(-2.0, 2.0), StudentT2(0.0, 0.3), TruncatedNormal(1.0, 2.0, 0.0, 2.0)]
    many += [LogNormal(0.5, 0.3).within(0.0, 20.0), Normal(5.0, 0.1), StudentT2(1.0, 2.0)]
    u = jnp.asarray(np.random.default_rng(0).normal(size=(5, len(many))))
    alone = jnp.stack([prior.value(u[:, i]) for i, prior in enumerate(many)], -1)
    np.testing.assert_allclose(values_of(many, u), alone, rtol=1e-12)
    assert values_of(many, u.astype(jnp.float32)).dtype == jnp.float32
