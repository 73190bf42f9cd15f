"""Cooling: the smooth fit holds its bound and is C2, the table is exact at its nodes, derivatives are right."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.baryons import cooling_coefficients
from galdiff.baryons.cooling import CoolingTable, SmoothCooling, TableCooling, log10_lambda, make_fit, shipped_fit
from galdiff.baryons.cooling_fit import T_RANGE, Z_NODES, coefficients_text, fit_cooling, measured
from galdiff.errors import InputError
from galdiff.io.cooling_tables import load_sd93_csv


@pytest.fixture(scope="module")
def sd93(data_dir):
    return load_sd93_csv(data_dir / "cooling" / "sd93_cie.csv", padded="keep")


@pytest.fixture(scope="module")
def smooth():
    return jax.jit(SmoothCooling().__call__)


def test_fit_is_within_three_hundredths_of_a_dex_of_every_real_table_value(sd93, smooth):
    error = np.abs(smooth(sd93.log10_t[:, None], sd93.log10_z_solar[None]) - sd93.log10_lambda)
    error = np.array(error)
    assert error[:2, -1].min() > 0.2  # the padded rows are not fitted
    error[:2, -1] = 0.0
    assert error.max() < 0.0205  # promised: 0.03
    assert np.sqrt(np.mean(error**2)) < 0.008


def test_fit_between_the_columns_stays_near_the_bilinear_table(sd93, smooth):
    x, z = np.meshgrid(np.linspace(4.2, 8.5, 300), np.linspace(-3, 0.5, 71), indexing="ij")
    difference = np.abs(smooth(x, z) - TableCooling(table=sd93)(x, z))
    assert np.percentile(difference, 95) < 0.04
    assert difference.max() < 0.12


def test_value_slope_and_curvature_are_continuous_everywhere():
    step = 1e-7
    derivatives = [lambda x, z: log10_lambda(x, z), jax.grad(log10_lambda), jax.grad(jax.grad(log10_lambda))]
    derivatives += [jax.grad(log10_lambda, 1), jax.grad(jax.grad(log10_lambda, 1), 1)]
    in_t, in_z = 3.9 + 0.1 * np.arange(47), np.array([-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5])
    for derivative in derivatives:
        f = jax.jit(jax.vmap(derivative))
        for z in (-3.3, -1.2, 0.2):
            jump = f(in_t + step, np.full(47, z)) - f(in_t - step, np.full(47, z))
            assert np.abs(jump).max() < 1e-2  # third derivatives reach 1e4 near 1e4 K
        for x in (4.3, 5.4, 9.0):
            jump = f(np.full(7, x), in_z + step) - f(np.full(7, x), in_z - step)
            assert np.abs(jump).max() < 1e-4


@pytest.mark.parametrize("x", [3.2, 4.07, 5.33, 7.9, 8.9])
@pytest.mark.parametrize("z", [-4.0, -1.3, 0.2, 0.9])
def test_gradients_match_central_differences(smooth, x, z):
    h = 1e-5
    by_x, by_z = jax.grad(smooth, argnums=(0, 1))(x, z)
    np.testing.assert_allclose(by_x, (smooth(x + h, z) - smooth(x - h, z)) / (2 * h), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(by_z, (smooth(x, z + h) - smooth(x, z - h)) / (2 * h), rtol=1e-6, atol=1e-6)
    forward = jax.jvp(smooth, (x, z), (0.3, -0.7))[1]
    np.testing.assert_allclose(forward, 0.3 * by_x - 0.7 * by_z, rtol=1e-12)


def test_second_derivatives_and_derivatives_in_the_coefficients_are_right(smooth):
    h = 1e-5
    hessian = np.array(jax.hessian(lambda v: smooth(v[0], v[1]))(jnp.array([5.43, -0.4])))
    gradient = jax.grad(lambda v: smooth(v[0], v[1]))
    numerical = [(gradient(jnp.array([5.43, -0.4]) + h * e) - gradient(jnp.array([5.43, -0.4]) - h * e)) / (2 * h)
                 for e in np.eye(2)]  # fmt: skip
    np.testing.assert_allclose(hessian, numerical, rtol=1e-5, atol=1e-6)
    fit = shipped_fit()
    slope = jax.grad(lambda f: log10_lambda(5.43, -0.4, f))(fit).pieces
    np.testing.assert_allclose((slope * fit.pieces).sum(), log10_lambda(5.43, -0.4, fit), rtol=1e-12)  # linear in them


def test_fit_is_straight_beyond_its_range(smooth):
    for x, z in (
        (np.array([1.0, 2.0, 3.0]), -1.0),
        (np.array([9.0, 11.0, 13.0]), 0.3),
        (5.0, np.array([-9.0, -6, -3])),
    ):
        value = smooth(x, z)
        np.testing.assert_allclose(value[1] - value[0], value[2] - value[1], rtol=1e-9)
    value = smooth(6.1, np.array([0.5, 1.0, 1.5]))
    np.testing.assert_allclose(value[1] - value[0], value[2] - value[1], rtol=1e-9)


def test_single_precision_agrees_and_keeps_its_dtype_and_shape(smooth):
    x, z = np.meshgrid(np.linspace(3.5, 9, 60), np.linspace(-4, 1, 11), indexing="ij")
    single = smooth(x.astype(np.float32), z.astype(np.float32))
    assert single.dtype == np.float32
    assert single.shape == x.shape
    steep = np.where(x < 4.1, 2e-4, 3e-5)  # round-off of log10 T times a slope of 20
    assert (np.abs(single - smooth(x, z)) < steep).all()
    assert log10_lambda(5, -1).dtype == np.float64


def test_gradients_are_finite_at_nodes_and_ends_and_nan_stays_nan(smooth):
    x = jnp.array([3.9, 4.0, 5.0, 8.5, 8.6, 0.0, 20.0])
    z = jnp.array([-3.0, 0.5, -2.0, -3.0, 0.0, -10.0, 2.0])
    for gradient in jax.grad(lambda x, z: smooth(x, z).sum(), argnums=(0, 1))(x, z):
        assert np.isfinite(gradient).all()
    assert np.isnan(smooth(np.nan, 0.0))
    assert np.isnan(smooth(5.0, np.nan))


def test_table_is_exact_at_nodes_and_linear_beyond_all_sides(sd93):
    table = TableCooling(table=sd93)
    at_nodes = table(sd93.log10_t[:, None], sd93.log10_z_solar[None])
    np.testing.assert_allclose(at_nodes, sd93.log10_lambda, rtol=0, atol=1e-12)
    np.testing.assert_allclose(table(3.9, -3.0), -23.41 - 2 * 0.54, atol=1e-10)
    np.testing.assert_allclose(table(8.6, 0.0), -22.38 + 2 * 0.02, atol=1e-10)
    np.testing.assert_allclose(table(5.2, -4.0), -22.67 - 0.34, atol=1e-10)
    np.testing.assert_allclose(table(5.2, 1.0), -20.49 + 0.49, atol=1e-10)
    np.testing.assert_allclose(table(5.025, -0.25), (-21.32 - 20.99 - 21.33 - 21.02) / 4, atol=1e-10)


def test_table_derivatives_are_those_of_the_cell(sd93):
    table = TableCooling(table=sd93)
    by_x, by_z = jax.grad(table, argnums=(0, 1))(5.02, -0.25)
    np.testing.assert_allclose(by_x, (-21.33 - 21.02 + 21.32 + 20.99) / 2 / 0.05, rtol=1e-9)
    np.testing.assert_allclose(by_z, (0.6 * 0.33 + 0.4 * 0.31) / 0.5, rtol=1e-9)


def test_both_forms_work_under_vmap_and_jit_as_arguments(sd93):
    x, z = jnp.linspace(4, 8, 5), jnp.linspace(-2, 0, 5)
    for cooling in (SmoothCooling(), TableCooling(table=sd93)):
        mapped = jax.jit(lambda m, x, z: jax.vmap(m)(x, z))(cooling, x, z)
        np.testing.assert_allclose(mapped, cooling(x, z), rtol=1e-12)


def test_table_of_the_wrong_shape_is_refused():
    table = CoolingTable(log10_t=jnp.arange(3.0), log10_z_solar=jnp.arange(2.0), log10_lambda=jnp.zeros((2, 3)))
    with pytest.raises(InputError, match=r"values \(2, 3\) on 3 temperatures and 2 metallicities"):
        TableCooling(table=table)


def test_refit_reproduces_the_shipped_coefficients(data_dir):
    from galdiff.baryons import cooling_coefficients as shipped

    in_t, in_z = fit_cooling(*measured(load_sd93_csv(data_dir / "cooling" / "sd93_cie.csv")))
    again = make_fit(T_RANGE, in_t, Z_NODES, in_z)
    x, z = np.meshgrid(np.linspace(3.8, 8.7, 99), np.linspace(-3.2, 0.7, 14), indexing="ij")
    np.testing.assert_allclose(log10_lambda(x, z, again), log10_lambda(x, z), rtol=0, atol=1e-4)
    assert np.shape(shipped.IN_T) == in_t.shape


def test_the_module_of_coefficients_is_what_a_fit_writes():
    path = pathlib.Path(cooling_coefficients.__file__)
    text = coefficients_text(np.array(cooling_coefficients.IN_T), np.array(cooling_coefficients.IN_Z))
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("lg_lambda", [-60.0, -22.0])
def test_gas_that_hardly_radiates_has_finite_gradients_in_single_precision(lg_lambda):
    from types import SimpleNamespace

    from galdiff.baryons.hot_gas import LONGEST, cooling_time

    halo = SimpleNamespace(log10_radiated=np.float32(0), t_dyn=np.float32(1))

    def time(heat):
        contents = {"mass": {"cgm": np.float32(1e8)}, "metals": {"cgm": np.float32(1e5)}, "energy": {"heat": heat}}
        return cooling_time(lambda t, z: lg_lambda + 0 * (t + z), halo, contents)

    value, slope = jax.value_and_grad(time)(jnp.float32(1e11))
    assert value.dtype == np.float32
    assert 0 < value <= np.float32(LONGEST)
    assert np.isfinite(slope)
