"""Histograms of galaxies that are differentiable: they count, agree with hard ones, and have the right slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galdiff.errors import InputError
from galdiff.observables.soft_histogram import (
    bin_shares,
    binned_mean,
    counting_loss,
    luminosity_function,
    soft_histogram,
)

EDGES = np.linspace(-2.0, 2.0, 9)
RNG = np.random.default_rng(1)
X, Y = RNG.normal(0.0, 0.4, 500), RNG.normal(0.2, 0.3, 500)


def test_narrow_kernels_give_the_hard_histogram_in_one_two_and_three_dimensions():
    for values in ((X,), (X, Y), (X, Y, X * Y)):
        soft = soft_histogram(values, [EDGES] * len(values), [1e-7] * len(values))
        hard, _ = np.histogramdd(np.stack(values, -1), [EDGES] * len(values))
        np.testing.assert_allclose(soft, hard, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(width=st.floats(0.01, 0.1), shift=st.floats(-0.3, 0.3))
def test_no_galaxy_is_lost_inside_the_edges(width, shift):
    counts = soft_histogram([X + shift, Y], [EDGES, EDGES], [width, width])
    np.testing.assert_allclose(counts.sum(), np.sum(np.abs(X + shift) < 2.0 - 3 * width), atol=2.0)
    assert (counts >= 0).all()


def test_slopes_are_those_of_differences_and_weights_count():
    weights = np.linspace(0.1, 1.0, X.size)

    @jax.jit
    def loss(x, y, w):
        return (soft_histogram([x, y], [EDGES, EDGES], [0.2, 0.1], w) ** 2).sum()

    args = (jnp.asarray(X), jnp.asarray(Y), jnp.asarray(weights))
    slopes = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*args)
    for k in range(3):
        step = [jnp.zeros_like(a) for a in args]
        step[k] = jnp.cos(jnp.arange(X.size))
        eps = 1e-5
        up, down = (loss(*(a + s * d for a, d in zip(args, step, strict=True))) for s in (eps, -eps))
        np.testing.assert_allclose(jnp.vdot(slopes[k], step[k]), (up - down) / (2 * eps), rtol=1e-6)


def test_a_luminosity_function_is_per_volume_and_magnitude():
    magnitudes = np.full(100, -20.0)
    phi = luminosity_function(magnitudes, np.array([-21.0, -19.0, -17.0]), volume=50.0, width=0.1)
    np.testing.assert_allclose(phi, [100 / 50 / 2, 0.0], atol=1e-12)


def test_means_and_scatter_in_bins_and_nothing_where_there_is_nothing():
    quantity = np.where(X > 0, 1.0, 0.0)
    mean, scatter = binned_mean(quantity, X, np.array([-1.5, 0.0, 1.5, 5.0, 6.0]), 1e-6)
    np.testing.assert_allclose(mean, [0.0, 1.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(scatter, 0.0, atol=1e-6)
    slope = jax.grad(lambda q: sum(part.sum() for part in binned_mean(q, X, np.array([5.0, 6.0]), 0.1)))(quantity)
    assert np.all(slope == 0)


def test_the_loss_is_least_where_the_histograms_agree():
    data = soft_histogram([X], [EDGES], [0.1])
    np.testing.assert_allclose(counting_loss(data, data, X.size), 0.0, atol=1e-12)
    moved = [counting_loss(soft_histogram([X + s], [EDGES], [0.1]), data, X.size) for s in (-0.2, -0.1, 0.1, 0.2)]
    assert moved[0] > moved[1] > 0
    assert moved[3] > moved[2] > 0


def test_single_precision_counts_as_well():
    single = soft_histogram([X.astype(np.float32)], [EDGES], [0.1])
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, soft_histogram([X], [EDGES], [0.1]), rtol=1e-4, atol=1e-3)


def test_edges_that_do_not_increase_and_lists_that_differ_are_refused():
    with pytest.raises(InputError, match="increase"):
        bin_shares(X, [0.0, 0.0, 1.0], 0.1)
    with pytest.raises(InputError, match="2 quantities, 1 sets of edges"):
        soft_histogram([X, Y], [EDGES], [0.1, 0.1])
