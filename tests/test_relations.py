"""Scaling relations: the estimator against its plain statement, its limits, its gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm
from test_histories_io import made_history, spoiled

from galdiff.errors import InputError
from galdiff.observables.history_columns import columns
from galdiff.observables.relations import (
    centres_between,
    centres_in_steps,
    kernel_regression,
    log10_summary,
    log_likelihood,
    scott_bandwidth,
)


@pytest.fixture(scope="module")
def galaxies():
    """x, y of a bent relation with scatter."""
    rng = np.random.default_rng(3)
    x = rng.uniform(9.0, 12.5, 400)
    return x, -2 + 0.6 * (x - 11) - 0.2 * (x - 11) ** 2 + 0.2 * rng.normal(size=400)


def plainly(x, y, centres, h):
    """Nadaraya-Watson, as the textbook has it, one centre after the other."""
    rows = []
    for x0 in centres:
        kernel = np.exp(-0.5 * ((x0 - x) / h) ** 2) / np.sqrt(2 * np.pi)
        w = kernel / kernel.sum()
        mean = (w * y).sum()
        std = np.sqrt((w * (y - mean) ** 2).sum())
        n_eff = 1 / (w**2).sum()
        rows.append((mean, std, n_eff, std / np.sqrt(n_eff)))
    return np.array(rows).T


def values(relation):
    return relation.mean, relation.std, relation.n_eff, relation.standard_error


@pytest.mark.parametrize("h", [None, 0.1, 0.6])
def test_it_is_the_plain_statement(galaxies, h):
    x, y = galaxies
    centres = centres_in_steps(x, h)
    width = np.std(x) * len(x) ** -0.2 if h is None else h
    expected = plainly(x, y, centres, width)
    found = jax.jit(kernel_regression)(x, y, centres, h)
    np.testing.assert_allclose(values(found), expected, rtol=1e-10)


def test_centres_go_from_the_5th_to_the_95th_percentile(galaxies):
    x, _ = galaxies
    lo, hi = np.percentile(x, [5, 95])
    h = float(scott_bandwidth(x))
    steps = centres_in_steps(x)
    assert steps[0] == lo
    np.testing.assert_allclose(np.diff(steps), h)
    assert 0 < hi - steps[-1] <= h * (1 + 1e-9)
    even = jax.jit(centres_between, static_argnums=1)(x, 7)
    np.testing.assert_allclose(even[jnp.array([0, 3, 6])], [lo, (lo + hi) / 2, hi])


def test_a_constant_has_itself_as_mean_and_no_scatter(galaxies):
    x, _ = galaxies
    found = kernel_regression(x, np.full_like(x, -1.7), centres_in_steps(x))
    np.testing.assert_allclose(found.mean, -1.7, rtol=1e-13)
    np.testing.assert_allclose(found.std, 0.0, atol=1e-12)


def test_a_wide_kernel_gives_mean_scatter_and_number_of_all(galaxies):
    x, y = galaxies
    found = kernel_regression(x, y, [10.0], 1e6)
    np.testing.assert_allclose(np.ravel(values(found)), [y.mean(), y.std(), 400, y.std() / 20], rtol=1e-9)


def test_a_narrow_kernel_gives_the_nearest_galaxy(galaxies):
    x, y = galaxies
    found = kernel_regression(x, y, x[:5], 1e-7)
    np.testing.assert_allclose(found.mean, y[:5])
    np.testing.assert_allclose(found.n_eff, 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_all_galaxies_it_stays_finite_with_its_gradient(galaxies, dtype):
    x, y = (a.astype(dtype) for a in galaxies)

    def total(x, y):
        found = kernel_regression(x, y, np.array([-500.0, 10.0, 900.0], dtype))
        return jnp.sum(found.mean + found.std + found.n_eff + found.standard_error)

    found = kernel_regression(x, y, np.array([-500.0, 900.0], dtype))
    assert found.mean.dtype == dtype
    np.testing.assert_allclose(found.mean, [y[np.argmin(x)], y[np.argmax(x)]], rtol=1e-3)
    assert all(np.isfinite(g).all() for g in jax.jit(jax.grad(total, (0, 1)))(x, y))


@pytest.mark.parametrize("origin", [0.0, 10.7])  # with the second, a value of 0 is among those that count
def test_galaxies_that_do_not_count_may_hold_anything(galaxies, origin):
    x, y = galaxies[0] - origin, galaxies[1]
    use = np.arange(400) % 3 != 0
    bad_x, bad_y = np.where(use, x, np.nan), np.where(use, y, np.inf)
    centres = centres_in_steps(bad_x, use=use)
    np.testing.assert_array_equal(centres, centres_in_steps(x[use]))
    np.testing.assert_allclose(centres_between(bad_x, 5, use), centres_between(x[use], 5))
    expected = values(kernel_regression(x[use], y[use], centres))
    np.testing.assert_allclose(values(kernel_regression(bad_x, bad_y, centres, use=use)), expected, rtol=1e-12)

    gradient = jax.grad(lambda y: jnp.sum(kernel_regression(bad_x, y, centres, use=use).mean))(jnp.asarray(bad_y))
    assert np.isfinite(gradient).all()
    assert (gradient[~use] == 0).all()


def test_without_a_mask_nan_is_not_hidden(galaxies):
    x, y = galaxies
    assert np.isnan(kernel_regression(x, np.where(x > 12, np.nan, y), [10.0, 11.0]).mean).all()
    with pytest.raises(InputError, match="NaN"):
        centres_in_steps(np.append(x, np.nan))


def test_gradients_are_central_differences(galaxies):
    x, y = (a[:60] for a in galaxies)
    centres = centres_in_steps(x)
    data, error = np.linspace(-3, -1.5, len(centres)), np.full(len(centres), 0.1)

    @jax.jit
    def log_l(v):
        return log_likelihood(kernel_regression(v[0], v[1], centres), data, error)  # Scott's width follows x

    v, rng = np.stack([x, y]), np.random.default_rng(0)
    gradient, step = jax.jit(jax.grad(log_l))(v), 1e-5
    for _ in range(4):
        way = rng.normal(size=v.shape)
        slope = (log_l(v + step * way) - log_l(v - step * way)) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient * way), slope, rtol=1e-6)


def test_the_likelihood_is_that_of_independent_gaussians(galaxies):
    x, y = galaxies
    found = kernel_regression(x, y, centres_in_steps(x))
    data = found.mean + 0.05
    sigma = np.hypot(0.1, found.standard_error)
    expected = norm.logpdf(np.asarray(found.mean), np.asarray(data), sigma).sum()
    assert float(log_likelihood(found, data, 0.1 * np.ones_like(data))) == pytest.approx(expected, rel=1e-12)
    assert log_likelihood(found, found.mean, 0.1) > log_likelihood(found, data, 0.1)


def test_galaxies_all_alike_have_one_centre():
    x = np.full(20, 11.0)
    assert centres_in_steps(x).tolist() == [11.0]
    found = kernel_regression(x, np.arange(20.0), [11.0], use=np.ones(20, bool))
    assert float(found.mean[0]) == pytest.approx(9.5)


@pytest.mark.parametrize("step", [0.0, -1.0, np.nan])
def test_steps_that_lead_nowhere_are_refused(galaxies, step):
    with pytest.raises(InputError, match="step between centres"):
        centres_in_steps(galaxies[0], step)


def test_summaries_are_the_columns():
    history, given = made_history(4), columns(made_history(4))
    for name, column in (
        ("mstar", "m_stars"),
        ("mvir", "m_vir"),
        ("sfr", "sfr"),
        ("baryons_over_mvir", "baryon_fraction"),
    ):
        np.testing.assert_allclose(log10_summary(history, name), np.log10(given[column].values), rtol=1e-12)
    for name, column in (("zstar", "stars"), ("zism", "ism"), ("zcgm", "cgm")):
        np.testing.assert_allclose(log10_summary(history, name), given[f"log10_z_{column}"].values, rtol=1e-12)
    np.testing.assert_allclose(
        log10_summary(history, "mstar_over_mvir"), log10_summary(history, "mstar") - log10_summary(history, "mvir")
    )
    with pytest.raises(InputError, match="choose one of mvir"):
        log10_summary(history, "colour")


def test_a_relation_of_histories_has_gradients_to_their_masses():
    history = spoiled(made_history(12, 3), [4])
    use = history.solved

    def mean(stars):
        mass = {**history.contents["mass"], "stars": stars}
        now = dataclasses.replace(history, contents={**history.contents, "mass": mass})
        x, y = log10_summary(now, "mvir")[:, -1], log10_summary(now, "mstar_over_mvir")[:, -1]
        return jnp.sum(kernel_regression(x, y, [12.6, 12.8], use=use).mean)

    gradient = jax.grad(mean)(jnp.asarray(np.where(use[:, None], history.m_star, 1.0)))
    assert np.isfinite(gradient).all()
    assert (gradient[use, -1] > 0).all()
    assert (gradient[4] == 0).all()
