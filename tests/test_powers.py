"""Powers, logarithms and the logistic function in single precision are as good as the common ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.core.powers import exp2, exp10, log10, logistic
from galdiff.core.rolling import triweight, triweight_cdf

X = np.linspace(-30.0, 30.0, 4001)
CASES = {
    "exp2": (exp2, np.exp2, X, lambda x: np.log(2) * np.exp2(x)),
    "exp10": (exp10, lambda x: 10.0**x, X / 60, lambda x: np.log(10) * 10.0**x),
    "log10": (log10, np.log10, np.geomspace(1e-30, 1e30, 4001), lambda x: 1 / (x * np.log(10))),
    "log10 near 1": (log10, np.log10, 1 + X / 200, lambda x: 1 / (x * np.log(10))),
    "logistic": (logistic, lambda x: 1 / (1 + np.exp(-x)), X, lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
}


@pytest.fixture(scope="module")
def made():
    """Values and slopes of all cases in single and double precision, from one program."""

    def all_of(xs):
        return {n: (f(xs[n]), jax.vmap(jax.grad(f))(xs[n])) for n, (f, *_) in CASES.items()}

    def cast(dtype):
        return {name: jnp.asarray(case[2], dtype) for name, case in CASES.items()}

    return {dtype: (cast(dtype), jax.jit(all_of)(cast(dtype))) for dtype in (jnp.float32, jnp.float64)}


@pytest.mark.parametrize(("dtype", "rtol"), [(jnp.float32, 4e-7), (jnp.float64, 1e-13)])
@pytest.mark.parametrize("name", CASES)
def test_values_and_slopes_are_right_to_the_precision(made, name, dtype, rtol):
    xs, found = made[dtype]
    x = np.asarray(xs[name], float)  # after rounding
    for got, exact in zip(found[name], (CASES[name][1](x), CASES[name][3](x)), strict=True):
        assert got.dtype == dtype
        floor = 1e-7 if name == "logistic" else 0.0  # its slope is a difference from 1
        np.testing.assert_allclose(np.asarray(got, float), exact, rtol=rtol, atol=floor)


def test_special_numbers_come_out_as_they_should():
    x = jnp.asarray([-400.0, -130.0, 400.0, jnp.nan, -jnp.inf, jnp.inf], jnp.float32)
    np.testing.assert_array_equal(exp2(x), [0, 0, np.inf, np.nan, 0, np.inf])
    np.testing.assert_array_equal(exp10(x), [0, 0, np.inf, np.nan, 0, np.inf])
    np.testing.assert_array_equal(logistic(x), [0, 0, 1, np.nan, 0, 1])
    np.testing.assert_array_equal(log10(jnp.asarray([0.0, 1.0, jnp.nan], jnp.float32)), [-np.inf, 0, np.nan])


def test_slopes_have_slopes_and_no_nan_far_out():
    x = jnp.asarray([-300.0, -2.0, 0.0, 2.0, 300.0], jnp.float32)
    for f in (logistic, lambda x: exp2(-jnp.abs(x)), lambda x: log10(1 + x * x)):
        assert jnp.isfinite(jax.vmap(jax.grad(f))(x)).all()
        assert jnp.isfinite(jax.vmap(jax.grad(jax.grad(f)))(x)).all()
    bend = jax.vmap(jax.grad(jax.grad(logistic)))(x[1:4])
    s = 1 / (1 + np.exp(-np.asarray(x[1:4], float)))
    np.testing.assert_allclose(bend, s * (1 - s) * (1 - 2 * s), atol=1e-7)


def test_the_triweight_kernel_is_the_slope_of_its_share():
    z = jnp.linspace(-3.5, 3.5, 141)
    slope = jax.vmap(jax.grad(triweight_cdf))(z)
    np.testing.assert_allclose(slope, triweight(z), atol=1e-15)
    differences = (triweight_cdf(z + 1e-4) - triweight_cdf(z - 1e-4)) / 2e-4
    np.testing.assert_allclose(slope, differences, atol=1e-8)
    np.testing.assert_allclose(jnp.trapezoid(slope, z), 1.0, rtol=1e-6)
