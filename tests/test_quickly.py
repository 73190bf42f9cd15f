"""What runs once on little data: compiled quickly, and otherwise as `jax.jit`."""

import jax
import jax.numpy as jnp
import numpy as np

from galdiff.core.compiled import quickly


def growth(x, power=2):
    return jnp.sum(jnp.log1p(x**power))


X = np.linspace(0.5, 2.0, 7)


def test_a_quick_program_gives_the_values_of_a_polished_one():
    quick = quickly(growth, static_argnames=("power",))
    np.testing.assert_allclose(quick(X, power=3), np.log1p(X**3).sum(), rtol=1e-6)


def test_a_quick_program_can_be_differentiated_and_used_inside_another():
    quick = quickly(growth)
    np.testing.assert_allclose(jax.grad(quick)(jnp.asarray(X)), 2 * X / (1 + X**2), rtol=1e-6)
    inside = jax.jit(lambda y: y + quick(X))  # of what is known when the outer one is traced
    np.testing.assert_allclose(inside(1.0), 1 + np.log1p(X**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(quick)(jnp.asarray([X, X])), [np.log1p(X**2).sum()] * 2, rtol=1e-6)


def test_a_quick_program_is_polished_once_it_was_called_often():
    traced = []

    def twice(x):
        traced.append(1)
        return 2 * x

    quick = quickly(twice, often=2)
    assert [float(quick(jnp.asarray(x))) for x in (1.0, 2.0, 3.0, 4.0)] == [2.0, 4.0, 6.0, 8.0]
    assert len(traced) <= 2  # tracing is shared, or done anew for the polished one alone


def test_the_polished_program_can_be_had_at_once():
    quick = quickly(growth, often=2)
    np.testing.assert_allclose(quick.polished(X), np.log1p(X**2).sum(), rtol=1e-6)
    assert next(quick.calls) == 0  # which is not one of the calls that are counted
