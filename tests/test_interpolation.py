"""Interpolation in age and metallicity: node values, smoothness, monotonicity, gradients, and wavelengths in air."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from galdiff.core import air
from galdiff.core.interpolation import (
    TAPS,
    cubic_weights,
    expand_nodes,
    linear_weights,
    monotone_slopes,
    node_weights,
)

AGES = np.array([-1.5, -1.1, -0.9, -0.2, 0.1, 0.35, 1.0])
METS = np.array([-4.0, -3.2, -2.0, -1.7, -1.4])
METHODS = sorted(TAPS)
slopes = jax.jit(monotone_slopes, static_argnames="axis")
weights = jax.jit(node_weights, static_argnames="method")


@pytest.fixture(scope="module")
def table():
    """A table of 5 metallicities, 7 ages and 3 wavelengths, with slopes of both signs."""
    return np.random.default_rng(1).normal(size=(METS.size, AGES.size, 3))


@functools.partial(jax.jit, static_argnames="method")
def interpolate(flux, lg_age, lgmet, method, ages=AGES, mets=METS):
    index, weight = node_weights(lg_age, lgmet, ages, mets, method)
    return jnp.sum(weight[..., None] * expand_nodes(flux, ages, mets, method)[index], -2)


@jax.jit
def cubic(x, grid, y):
    index, value, slope = cubic_weights(x, grid)
    return jnp.sum(value * jnp.asarray(y)[index] + slope * monotone_slopes(y, grid)[index], -1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_on_a_node_the_table_value_comes_back_bit_for_bit(table, method, dtype):
    lg_age, lgmet = np.meshgrid(AGES.astype(dtype), METS.astype(dtype))
    flux = table.astype(dtype)
    np.testing.assert_array_equal(interpolate(flux, lg_age, lgmet, method), flux)


@pytest.mark.parametrize("method", METHODS)
def test_outside_the_grid_the_edge_is_taken_and_gradients_vanish(table, method):
    outside = jnp.array([-9.0, 3.0])
    np.testing.assert_array_equal(interpolate(table, outside, jnp.full(2, -3.2), method), table[1, [0, -1]])
    total = jax.grad(lambda a, z: interpolate(table, a, z, method).sum(), argnums=(0, 1))
    gradient = jax.jit(jax.vmap(total))(outside, outside)
    np.testing.assert_array_equal(gradient, np.zeros((2, 2)))


@pytest.mark.parametrize(("method", "taps"), [("linear", 4), ("cubic", 16)])
def test_numbers_and_shapes_follow_the_documented_layout(table, method, taps):
    index, weight = weights(np.full((2, 3), 0.0), np.full((2, 3), -1.8), AGES, METS, method)
    assert index.shape == weight.shape == (2, 3, taps)
    assert index.dtype == jnp.int32
    corner = 2 * AGES.size + 3  # metallicity node 2, age node 3
    block = np.array([corner, corner + 1, corner + AGES.size, corner + AGES.size + 1])
    np.testing.assert_array_equal(index[0, 0], (block + np.arange(taps // 4)[:, None] * table[..., 0].size).ravel())
    rows = jax.eval_shape(lambda flux: expand_nodes(flux, AGES, METS, method), table)
    assert rows.shape == (table[..., 0].size * taps // 4, 3)


@given(x=st.floats(-2.5, 2.0), z=st.floats(-5.0, -1.0), method=st.sampled_from(METHODS))
@settings(max_examples=60, deadline=None)
def test_weights_of_the_values_are_shares_that_sum_to_one(x, z, method):
    _, weight = weights(x, z, AGES, METS, method)
    shares = np.asarray(weight[:4])
    assert abs(shares.sum() - 1.0) < 1e-14
    assert (shares >= 0.0).all()


def test_linear_reproduces_a_bilinear_function():
    def f(lg_age, lgmet):
        return 1.0 + 2.0 * lg_age - 3.0 * lgmet + 0.5 * lg_age * lgmet

    points = np.random.default_rng(2).uniform([-1.5, -4.0], [1.0, -1.4], (40, 2)).T
    flux = f(AGES[None, :], METS[:, None])[..., None]
    np.testing.assert_allclose(interpolate(flux, *points, "linear")[:, 0], f(*points), rtol=1e-13)


def test_slopes_are_those_of_scipys_pchip_along_either_axis(table):
    for axis, grid in ((0, METS), (1, AGES)):
        expected = PchipInterpolator(grid, table, axis=axis).derivative()(grid)
        np.testing.assert_allclose(slopes(table, grid, axis), expected, rtol=1e-12, atol=1e-13)


def test_cubic_is_scipys_pchip_along_one_axis():
    y = np.random.default_rng(3).normal(size=AGES.size)
    x = np.linspace(AGES[0], AGES[-1], 200)
    np.testing.assert_allclose(cubic(x, AGES, y), PchipInterpolator(AGES, y)(x), rtol=1e-12, atol=1e-13)


@given(
    steps=st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e3)), min_size=6, max_size=6),
    gaps=st.lists(st.floats(0.01, 5.0), min_size=6, max_size=6),
)
@settings(max_examples=50, deadline=None)
def test_cubic_rises_wherever_the_data_rise(steps, gaps):
    y, grid = np.concatenate([[0.0], np.cumsum(steps)]), np.concatenate([[0.0], np.cumsum(gaps)])
    fine = np.asarray(cubic(np.linspace(grid[0], grid[-1], 300), grid, y))
    assert (np.diff(fine) >= -1e-12 * max(y[-1], 1.0)).all()


def test_cubic_has_a_continuous_derivative_across_nodes_and_linear_has_not(table):
    eps = 1e-7

    def jump(method):
        slope = jax.jit(jax.vmap(jax.jacfwd(lambda a: interpolate(table, a, -2.5, method))))
        return float(jnp.abs(slope(AGES[1:-1] + eps) - slope(AGES[1:-1] - eps)).max())

    assert jump("cubic") < 1e-4
    assert jump("linear") > 0.1


def test_cubic_converges_faster_than_linear_on_a_smooth_function():
    def error(n, method):
        ages, mets = np.linspace(0.0, 1.0, n), np.linspace(0.0, 1.0, n)
        flux = np.exp(ages[None, :] + mets[:, None] ** 2)[..., None]
        x = np.linspace(0.2, 0.8, 37)
        got = interpolate(flux, x, x[::-1], method, ages, mets)[:, 0]
        return np.abs(got - np.exp(x + x[::-1] ** 2)).max()

    assert error(17, "cubic") < 0.1 * error(17, "linear")
    assert error(33, "cubic") < error(17, "cubic") / 5


@pytest.mark.parametrize("method", METHODS)
def test_gradients_match_central_differences(table, method):
    f = jax.jit(lambda p: interpolate(table, p[0], p[1], method))
    point, h = np.array([0.61, -2.3]), 1e-4
    autodiff = np.asarray(jax.jacfwd(f)(point))
    for k in range(2):
        e = h * np.eye(2)[k]
        differences = (8 * (f(point + e) - f(point - e)) - (f(point + 2 * e) - f(point - 2 * e))) / (12 * h)
        np.testing.assert_allclose(autodiff[:, k], differences, rtol=1e-9, atol=1e-10)


def test_slopes_have_finite_gradients_for_flat_tiny_and_zero_data():
    y = jnp.array([0.0, 0.0, 1e-25, 3e-25, 3e-25, 1e-25, 1.0], jnp.float32)
    jacobian = jax.jit(jax.jacrev(lambda y: monotone_slopes(y, AGES)))
    assert np.isfinite(jacobian(y)).all()
    y = np.array([0.0, 0.3, 1.1, 1.9, 2.0, 2.6, 4.0])
    autodiff = np.asarray(jacobian(y))
    h = 1e-6
    rows = [(slopes(y + h * e, AGES) - slopes(y - h * e, AGES)) / (2 * h) for e in np.eye(7)]
    np.testing.assert_allclose(autodiff, np.array(rows).T, rtol=1e-6, atol=1e-8)


def test_a_grid_of_one_node_gives_weight_one_and_zero():
    for method in METHODS:
        age, met = np.array([0.0]), np.array([-2.0])
        index, weight = weights(jnp.array([-3.0, 0.0, 3.0]), jnp.full(3, -1.7), age, met, method)
        expected = np.zeros((3, TAPS[method]))
        expected[:, 0] = 1.0
        np.testing.assert_array_equal(weight, expected)
        assert int(index[:, :4].max()) == 0
        one = np.array([[[2.0, 5.0]]])
        assert np.isfinite(expand_nodes(one, age, met, method)).all()
    np.testing.assert_array_equal(monotone_slopes(np.array([1.0, 4.0]), np.array([0.0, 2.0])), [1.5, 1.5])


def test_nan_stays_visible_and_indices_stay_inside():
    index, weight = linear_weights(jnp.array([jnp.nan, 0.0]), AGES)
    assert bool(jnp.isnan(weight[0]).all())
    assert bool(jnp.isfinite(weight[1]).all())
    assert int(index.min()) >= 0
    assert int(index.max()) < AGES.size


def test_unknown_method_is_refused(table):
    with pytest.raises(ValueError, match="linear, cubic"):
        node_weights(0.0, -2.0, AGES, METS, "nearest")
    with pytest.raises(ValueError, match="linear, cubic"):
        expand_nodes(table, AGES, METS, "nearest")


# Published pairs of the SDSS line list (vacuum, air) [Angstrom], computed there with Morton (1991).
LINES = np.array([[4862.721, 4861.363], [4960.295, 4958.911], [5008.239, 5006.843], [6564.614, 6562.801]])


def test_air_wavelengths_of_known_lines():
    np.testing.assert_allclose(air.vacuum_to_air(LINES[:, 0]), LINES[:, 1], atol=2e-3)
    np.testing.assert_allclose(air.air_to_vacuum(LINES[:, 1]), LINES[:, 0], atol=2e-3)


def test_air_wavelengths_agree_with_the_older_formulae_to_a_milliangstrom():
    wave = np.linspace(3000.0, 10000.0, 200)
    s = (1e4 / wave) ** 2
    edlen = 6.4328e-5 + 2.94981e-2 / (146 - s) + 2.5540e-4 / (41 - s)  # Edlen (1953), as in Morton (1991)
    birch_downs = 8.34254e-5 + 2.406147e-2 / (130 - s) + 1.5998e-4 / (38.9 - s)  # (1994), as in Morton (2000)
    np.testing.assert_allclose(air.vacuum_to_air(wave), wave / (1 + edlen), rtol=0, atol=1e-3)
    np.testing.assert_allclose(air.vacuum_to_air(wave), wave / (1 + birch_downs), rtol=0, atol=1e-3)


def test_air_and_vacuum_are_inverse_and_increasing_at_all_wavelengths():
    wave = np.geomspace(900.0, 50000.0, 4000)
    np.testing.assert_allclose(air.air_to_vacuum(air.vacuum_to_air(wave)), wave, rtol=1e-14)
    assert (np.diff(air.vacuum_to_air(wave)) > 0).all()
    assert isinstance(air.vacuum_to_air(wave), np.ndarray)


def test_stretch_is_the_derivative_of_the_air_wavelength():
    wave = np.geomspace(2100.0, 25000.0, 50)
    h = 1e-4 * wave
    differences = (air.vacuum_to_air(wave + h) - air.vacuum_to_air(wave - h)) / (2 * h)
    np.testing.assert_allclose(air.air_per_vacuum(wave), differences, rtol=1e-9)
    traced = jax.vmap(jax.grad(air.vacuum_to_air))(jnp.asarray(wave))
    np.testing.assert_allclose(traced, air.air_per_vacuum(wave), rtol=1e-12)
