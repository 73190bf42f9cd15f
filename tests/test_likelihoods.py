"""What holds for any independent measurements: sums over the data, units, order, gaps and outliers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from galdiff.core.patterns import matching
from galdiff.errors import InputError
from galdiff.inference.likelihoods.model import Independent, measured
from galdiff.inference.losses import LOWER, MEASURED, UPPER, Censored, Gaussian, StudentT

N = 6


class Plain(Independent):
    """Compares numbers as they are."""

    wanted = ("values",)

    def prediction(self, predicted):
        return predicted["values"]


GAUSSIAN = Plain(noise=Gaussian(), floor=0.0)
CENSORED = Plain(noise=Censored(), floor=0.0)
STUDENT = Plain(noise=StudentT(nu=4.0), floor=0.0)
LIKELIHOODS = {"gaussian": GAUSSIAN, "censored": CENSORED, "student": STUDENT}
numbers = st.lists(st.floats(-50, 50, allow_nan=False, width=32), min_size=N, max_size=N).map(np.array)
errors = st.lists(st.floats(0.125, 10, width=32), min_size=N, max_size=N).map(np.array)


@pytest.fixture(scope="module")
def density():
    """ln of the density by name of the likelihood, compiled once for each."""
    compiled = {
        name: jax.jit(lambda x, data, it=it: it.log_density({"values": x}, data)) for name, it in LIKELIHOODS.items()
    }
    return lambda name, x, data: float(compiled[name](jnp.asarray(x, float), data))


@pytest.mark.parametrize("name", LIKELIHOODS)
@settings(max_examples=15, deadline=None)
@given(x=numbers, y=numbers, error=errors, order=st.permutations(range(N)))
def test_the_density_is_a_sum_that_knows_no_order(density, name, x, y, error, order):
    whole = density(name, x, measured(y, error))
    order = list(order)
    np.testing.assert_allclose(density(name, x[order], measured(y[order], error[order])), whole, rtol=1e-9, atol=1e-9)
    gaps = np.where(np.arange(N) < 2, np.nan, y), np.where(np.arange(N) < 2, y, np.nan)
    parts = [density(name, x, measured(part, error)) for part in gaps]
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", LIKELIHOODS)
@settings(max_examples=15, deadline=None)
@given(x=numbers, y=numbers, error=errors, scale=st.floats(1e-3, 1e3))
def test_another_unit_changes_the_density_by_its_jacobian_alone(density, name, x, y, error, scale):
    here = density(name, x, measured(y, error))
    there = density(name, scale * x, measured(scale * y, scale * error))
    np.testing.assert_allclose(there, here - N * np.log(scale), rtol=1e-8, atol=1e-8)


def test_densities_are_those_of_scipy(density):
    rng = np.random.default_rng(1)
    x, y, error = rng.normal(size=N), rng.normal(size=N), rng.uniform(0.5, 2.0, N)
    normal = stats.norm.logpdf(y, x, error).sum()
    np.testing.assert_allclose(density("gaussian", x, measured(y, error)), normal, rtol=1e-12)
    np.testing.assert_allclose(density("censored", x, measured(y, error)), normal, rtol=1e-12)
    wide = stats.t.logpdf((y - x) / error, 4.0).sum() - np.log(error).sum()
    np.testing.assert_allclose(density("student", x, measured(y, error)), wide, rtol=1e-12)


def test_limits_are_probabilities_to_lie_beyond(density):
    x, y, error = np.zeros(N), np.linspace(-2, 2, N), np.full(N, 0.7)
    for limit, expected in ((UPPER, stats.norm.logcdf(y, x, error)), (LOWER, stats.norm.logsf(y, x, error))):
        found = density("censored", x, measured(y, error, np.full(N, limit)))
        np.testing.assert_allclose(found, expected.sum(), rtol=1e-9)
    marked = measured(y, np.where(np.arange(N) == 0, -error, error))  # an error below zero marks an upper limit
    assert np.asarray(marked.limit).tolist() == [UPPER] + [MEASURED] * (N - 1)
    np.testing.assert_allclose(marked.error, error)


def test_an_outlier_pulls_less_where_the_wings_are_wide():
    y = np.array([0.1, -0.2, 0.0, 0.2, -0.1, 30.0])
    data = measured(y, np.ones(N))

    def slope(likelihood, at):
        return float(jax.grad(lambda m: likelihood.log_density({"values": m * jnp.ones(N)}, data))(at))

    def best(likelihood):
        low, high = -5.0, 30.0
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if slope(likelihood, middle) > 0 else (low, middle)
        return low

    np.testing.assert_allclose(best(GAUSSIAN), y.mean(), atol=1e-6)
    assert abs(best(STUDENT)) < 0.3
    assert np.isfinite(slope(STUDENT, 1e6))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_residuals_have_the_slopes_of_the_density(name):
    """Their squares fall as the density does, so that a fit by least squares ends where the density is highest."""
    it = LIKELIHOODS[name]
    y, error = np.linspace(-1, 3, N), np.linspace(0.5, 2, N)
    limit = np.zeros(N) if name == "gaussian" else np.array([MEASURED, UPPER, LOWER, MEASURED, UPPER, MEASURED])
    data = measured(y, error, limit)
    by_density = jax.grad(lambda x: it.log_density({"values": x}, data))
    by_residuals = jax.grad(lambda x: -0.5 * (it.residuals({"values": x}, data) ** 2).sum())
    for x in (np.zeros(N), np.full(N, 2.5), np.linspace(4, -4, N)):
        np.testing.assert_allclose(by_residuals(jnp.asarray(x)), by_density(jnp.asarray(x)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: measured(np.zeros(3), np.ones(2)), "values have shape (3,), errors (2,); give (datum,) of both"),
        (lambda: measured(np.zeros((2, 2)), np.ones((2, 2))), "give (datum,) of both"),
        (lambda: measured([1.0, 2.0], [1.0, 0.0]), "measurement 1 is 2 +- 0; give finite numbers, an error above 0"),
        (lambda: measured([np.inf], [1.0]), "measurement 0 is inf +- 1"),
        (lambda: Plain(noise=Gaussian(), floor=1.0), "floor is 1.0; give a share"),
        (lambda: Plain(noise=Gaussian(), floor=-0.1), "floor is -0.1; give a share"),
        (lambda: StudentT(nu=0.0), "nu is 0.0; give degrees of freedom above 0"),
        (lambda: GAUSSIAN.check(measured([np.nan], [1.0])), "no measurement is there: all are empty"),
        (lambda: GAUSSIAN.check(measured([1.0], [-1.0])), "limits, which Gaussian does not understand"),
    ],
)
def test_data_that_cannot_be_are_refused_on_one_line(make, said):
    with pytest.raises(InputError) as refused:
        make()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a.x", "a.y", "b.x", "b.z", "c"]), min_size=1, unique=True))
def test_patterns_keep_their_order_and_name_each_once(known):
    assert matching(["*"], known, "free") == known
    assert matching(["*", "*"], known, "free") == known
    taken = [name for name in known if name.endswith(".x")]
    if taken:
        assert matching(["*", "!*.x"], known, "free") == [name for name in known if name not in taken]
        assert matching(["*.x", "*"], known, "free") == [*taken, *(name for name in known if name not in taken)]
    with pytest.raises(InputError, match=f"free: 'd' matches none of the {len(known)} parameters"):
        matching(["d"], known, "free")
