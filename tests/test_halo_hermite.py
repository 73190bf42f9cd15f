"""Hermite splines of histories: exact at nodes, C1, with the derivative of what they return."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from baryon_reference import stored
from scipy.interpolate import CubicHermiteSpline

from galdiff.core.hermite import backward_slopes, curves_with_slope, hermite
from galdiff.errors import InputError

NODES = np.array([0.3, 0.5, 1.1, 1.2, 2.0, 3.5])
VALUES = np.array([1.0, 1.3, 2.0, 1.9, 4.0, 4.2])
SLOPES = np.array([0.5, 1.5, 0.2, -0.4, 1.0, 0.1])


def test_spline_is_the_cubic_of_its_slopes():
    x = np.linspace(0.3, 3.5, 101).reshape(1, 101)
    oracle = CubicHermiteSpline(NODES, VALUES, SLOPES)
    value, derivative = hermite(x, NODES, VALUES, SLOPES)
    np.testing.assert_allclose(value, oracle(x), rtol=1e-13)
    np.testing.assert_allclose(derivative, oracle(x, 1), rtol=1e-12, atol=1e-13)


def test_nodes_are_hit_exactly_and_ends_continue_as_lines():
    value, derivative = hermite(NODES, NODES, VALUES, SLOPES)
    assert (value == VALUES).all()
    assert (derivative == SLOPES).all()
    value, derivative = hermite(jnp.array([0.1, 4.5]), NODES, VALUES, SLOPES)
    np.testing.assert_allclose(value, [1.0 - 0.2 * 0.5, 4.2 + 0.1], rtol=1e-14)
    np.testing.assert_allclose(derivative, [0.5, 0.1], rtol=1e-14)


def test_derivative_is_the_gradient_inside_beyond_and_on_the_nodes():
    x = jnp.array([0.1, 0.3, 0.4, 0.5, 1.15, 3.5, 4.0])
    slope = jax.vmap(jax.grad(lambda x: hermite(x, NODES, VALUES, SLOPES)[0]))(x)
    np.testing.assert_allclose(slope, hermite(x, NODES, VALUES, SLOPES)[1], rtol=1e-13)


def test_gradients_in_values_and_slopes_match_central_differences():
    x = jnp.array([0.2, 0.45, 1.15, 3.0, 3.7])

    def total(values, slopes):
        value, derivative = hermite(x, NODES, values, slopes)
        return jnp.sum(jnp.sin(value) + derivative**2)

    exact = jax.grad(total, (0, 1))(jnp.asarray(VALUES), jnp.asarray(SLOPES))
    for which in (0, 1):
        for i in range(NODES.size):
            step = np.zeros(NODES.size)
            step[i] = 1e-6
            plus = [VALUES + step, SLOPES] if which == 0 else [VALUES, SLOPES + step]
            minus = [VALUES - step, SLOPES] if which == 0 else [VALUES, SLOPES - step]
            central = (total(*plus) - total(*minus)) / 2e-6
            np.testing.assert_allclose(exact[which][i], central, rtol=1e-6, atol=1e-7)


def test_several_curves_share_the_look_up():
    x = jnp.array([[0.35, 1.0], [2.0, 3.0]])
    both = hermite(x, NODES, np.stack([VALUES, -VALUES], 1), np.stack([SLOPES, -SLOPES], 1))
    alone = hermite(x, NODES, VALUES, SLOPES)
    for several, one in zip(both, alone, strict=True):
        assert several.shape == (2, 2, 2)
        np.testing.assert_allclose(several, jnp.stack([one, -one], -1), rtol=1e-14)


EVEN = np.log(np.exp(np.linspace(-1.7, 2.6, 128)))  # but for round-off


@pytest.mark.parametrize("nodes", [EVEN, EVEN**3], ids=["even", "uneven"])
def test_curves_together_are_those_alone_on_nodes_of_any_spacing(nodes):
    values = np.stack([np.cumsum(np.exp(np.sin(9 * nodes))), np.cos(nodes)])
    slopes = np.stack([np.exp(np.sin(9 * nodes)), -np.sin(nodes)])
    near = [nodes, np.nextafter(nodes, -9), np.nextafter(nodes, 99), np.linspace(nodes[0] - 1, nodes[-1] + 1, 999)]
    *found, slope = jax.jit(curves_with_slope)(np.concatenate(near), nodes, values, slopes)
    for curve, at, slope_at in zip(found, values, slopes, strict=True):
        np.testing.assert_allclose(curve, hermite(np.concatenate(near), nodes, at, slope_at)[0], rtol=1e-12, atol=1e-13)
        assert (curve[:128] == at).all()
    assert (slope[:128] == slopes[0]).all()
    expected = hermite(np.concatenate(near), nodes, values[0], slopes[0])[1]
    np.testing.assert_allclose(slope, expected, rtol=1e-11, atol=1e-11 * np.abs(slopes[0]).max())
    assert np.isnan(curves_with_slope(np.nan, nodes, values, slopes)).all()


def test_gradients_of_curves_together_are_those_alone():
    x = jnp.array([EVEN[0] - 0.1, EVEN[0], 0.3, EVEN[7], EVEN[-1], EVEN[-1] + 0.2])

    def together(x, nodes, values, slopes):
        return jnp.sum(jnp.sin(curves_with_slope(x, nodes, [values], [slopes])))

    def alone(*given):
        return jnp.sum(jnp.sin(jnp.stack(hermite(*given))))

    given = (x, jnp.asarray(EVEN), jnp.sin(EVEN), jnp.cos(2 * EVEN))
    ours, theirs = (jax.jit(jax.grad(f, (1, 2, 3)))(*given) for f in (together, alone))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_single_precision_counts_even_nodes_as_its_own():
    nodes, values = np.float32(EVEN), [np.float32(np.sin(EVEN))]
    found = curves_with_slope(nodes, nodes, values, [np.float32(np.cos(EVEN))])
    assert found.dtype == jnp.float32
    assert (found[0] == values[0]).all()


def test_single_precision_stays_single():
    value, derivative = hermite(*(np.float32(a) for a in ([1.0, 1.7], NODES, VALUES, SLOPES)))
    assert value.dtype == derivative.dtype == jnp.float32
    np.testing.assert_allclose(value, hermite(np.array([1.0, 1.7]), NODES, VALUES, SLOPES)[0], rtol=1e-6)


def test_backward_slopes_reproduce_the_reference_forcing(data_dir):
    data = stored(data_dir / "baryons/reference_shared.npz")
    names = list(data["rhs_forcing_names"])
    columns = [names.index(n) for n in ("Mdot_dm_Msun_yr", "Mvir_Msun", "Rvir_kpc", "Vvir_kms", "c_NFW")]
    time = 10 ** data["rhs_logt"][:, 0] / 3.15576e16  # Gyr
    nodes = data["ts_full"]
    for row, halo in enumerate(data["rhs_halo"][:4]):
        values = data["halo_matrix"][halo].T
        ours = hermite(time[row], nodes, values, backward_slopes(values, nodes))[0]
        # 1e-12 Gyr of round-off in the reference's log10 time in seconds.
        np.testing.assert_allclose(ours, np.log10(data["rhs_forcing"][row, 0][:, columns]), atol=1e-11)


def test_a_spline_needs_matching_nodes():
    with pytest.raises(InputError, match=r"nodes \(1,\).*at least two nodes"):
        hermite(1.0, [1.0], [1.0], [1.0])
    with pytest.raises(InputError, match=r"slopes \(5,\).*vmap"):
        hermite(1.0, NODES, VALUES, SLOPES[:5])
