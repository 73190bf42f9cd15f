"""Extrapolated differences: steps stay between nodes, and kinks at a node do not spoil them."""

import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.errors import InputError
from galdiff.sps.derivatives import compare_derivatives, first_step, richardson


def test_the_first_step_stays_clear_of_the_nodes_beside_the_value():
    nodes = np.array([0.9, 1.0, 1.005, 2.0])
    np.testing.assert_allclose(first_step(1.0, nodes), 0.9 * 0.005)  # the node at the value does not count
    np.testing.assert_allclose(first_step(1.5, nodes), 0.015)
    np.testing.assert_allclose(first_step(1.0, np.array([1.0])), 0.01)


def test_extrapolation_removes_all_powers_of_the_step_where_the_curvature_jumps():
    f = lambda x: np.array([np.sin(x), (x - 1) ** 2 * (4.0 if x > 1 else 1.0) + x])  # noqa: E731
    step = 0.01
    plain = (f(1 + step) - f(1 - step)) / (2 * step)
    found = richardson(f, 1.0, step)
    exact = np.array([np.cos(1.0), 1.0])
    assert (np.abs(plain - exact) > 1e-6).all()
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_both_derivatives_of_a_smooth_spectrum_agree():
    wave = jnp.linspace(1.0, 2.0, 7)
    found = compare_derivatives(lambda age: wave * jnp.exp(-age * wave), 1.3, np.array([1.0, 2.0]))
    np.testing.assert_allclose(found.autodiff, -(wave**2) * np.exp(-1.3 * wave), rtol=1e-12)
    assert np.abs(found.error).max() < 1e-10
    with pytest.raises(InputError, match=r"does not change at 1.3; choose a star inside the library"):
        compare_derivatives(lambda age: wave + 0.0 * age, 1.3, np.array([1.0, 2.0]))
