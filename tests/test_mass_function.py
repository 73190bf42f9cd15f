"""Haloes of any flat universe: spheres, growth and numbers as another code has them, and their gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.populations.linear_power import growth, sigma, transfer
from galdiff.populations.mass_function import DiffskyMassFunction
from galdiff.populations.tinker08 import TinkerMassFunction, multiplicity

COSMOLOGY = Cosmology()
TINKER = TinkerMassFunction(cosmology=COSMOLOGY, sigma8=0.8159, n_s=0.9667)
DENSITY, CUMULATIVE = jax.jit(TINKER.density), jax.jit(TINKER.log10_cumulative)
GROWN = jax.jit(growth)
MASSES = jnp.array([9.0, 11.0, 12.0, 13.0, 14.0, 15.0])
# Made once with colossus 1.4.0 (Diemer 2018, ApJS 239, 35): model eisenstein98_zb, no relativistic species, tinker08.
SIGMA = (4.821, 2.99073, 2.21826, 1.55613, 1.01238, 0.593818)
GROWTH = (0.771035, 0.609256, 0.419263, 0.212332)
GROWTH_W0WA = (0.776423, 0.620001, 0.433109, 0.222525)  # w = -0.9, wa = 0.2
NUMBERS = {
    0.0: (2.00047, 0.0316555, 0.00414964, 0.000535283, 5.35566e-05, 1.43078e-06),
    1.0: (2.16894, 0.0332108, 0.00384718, 0.000344432, 1.15825e-05, 7.42265e-09),
    2.0: (2.28895, 0.0294262, 0.00254639, 0.000111079, 5.12157e-07, 4.35729e-13),
}


def test_scatter_and_growth_are_those_of_another_code():
    np.testing.assert_allclose(sigma(MASSES, COSMOLOGY, 0.8159, 0.9667), SIGMA, rtol=3e-4)
    z = jnp.array([0.5, 1.0, 2.0, 5.0])
    np.testing.assert_allclose(GROWN(COSMOLOGY, z), GROWTH, rtol=5e-5)
    other = dataclasses.replace(COSMOLOGY, w=-0.9, wa=0.2)
    np.testing.assert_allclose(GROWN(other, z), GROWTH_W0WA, rtol=5e-5)


@pytest.mark.parametrize("z", NUMBERS)
def test_numbers_are_those_of_another_code(z):
    np.testing.assert_allclose(DENSITY(MASSES, z), NUMBERS[z], rtol=3e-3)


def test_growth_of_a_universe_of_matter_alone_is_its_scale_and_spheres_of_eight_have_sigma8():
    matter = Cosmology(omega_m=1.0, omega_b=0.05)
    z = jnp.array([0.0, 1.0, 4.0, 9.0])
    np.testing.assert_allclose(GROWN(matter, z), 1 / (1 + z), rtol=1e-6)
    density = 2.77536627e11 * 0.3075 * 0.6774**2
    mass = np.log10(4 * np.pi / 3 * (8 / 0.6774) ** 3 * density)
    np.testing.assert_allclose(sigma(mass, COSMOLOGY, 0.8159, 0.9667), 0.8159, rtol=1e-4)
    np.testing.assert_allclose(transfer(1e-6, COSMOLOGY), 1.0, rtol=1e-4)


def test_numbers_above_a_mass_are_the_integral_of_the_density():
    m = jnp.linspace(12.0, 17.0, 4001)
    total = jnp.trapezoid(DENSITY(m, 0.7), m)
    np.testing.assert_allclose(10 ** CUMULATIVE(12.0, 0.7), total, rtol=1e-4)
    slope = (10 ** CUMULATIVE(12.501, 0.7) - 10 ** CUMULATIVE(12.499, 0.7)) / 0.002
    np.testing.assert_allclose(-slope, 10 ** np.interp(12.5, m, np.log10(DENSITY(m, 0.7))), rtol=1e-4)


def test_the_fit_of_diffsky_is_near_in_its_universe():
    for z in (0.0, 1.0):
        m = MASSES[1:4]
        ratio = 10 ** (CUMULATIVE(m, z) - DiffskyMassFunction().log10_cumulative(m, z))
        assert (jnp.abs(ratio - 1) < 0.1).all()


def test_gradients_in_the_cosmology_are_those_of_differences():
    def number(x):
        universe = dataclasses.replace(COSMOLOGY, h0=x[0], omega_m=x[1], omega_b=x[2], w=x[3], wa=x[4])
        f = TinkerMassFunction(cosmology=universe, sigma8=x[5], n_s=x[6])
        return f.log10_cumulative(13.0, 0.8) + jnp.log10(f.density(14.0, 0.0))

    x = jnp.array([67.74, 0.3075, 0.0486, -1.0, 0.0, 0.8159, 0.9667])
    both = jax.jit(jax.value_and_grad(number))
    gradient = both(x)[1]
    assert jnp.isfinite(gradient).all()
    for i in range(x.size):
        step = jnp.zeros_like(x).at[i].set(1e-5 * max(1.0, abs(float(x[i]))))
        slope = (both(x + step)[0] - both(x - step)[0]) / (2 * step[i])
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-5, atol=1e-7)
    assert gradient[5] > 0


def test_haloes_of_a_higher_overdensity_are_fewer_and_odd_numbers_are_refused():
    assert multiplicity(0.8, 0.0, 3200.0) < multiplicity(0.8, 0.0, 200.0)
    with pytest.raises(InputError, match=r"sigma8 of the mass function is 8.0; give 0.1 to 2"):
        TinkerMassFunction(cosmology=COSMOLOGY, sigma8=8.0, n_s=0.9667)
    with pytest.raises(InputError, match=r"overdensity of the mass function is 100.0"):
        TinkerMassFunction(cosmology=COSMOLOGY, sigma8=0.8, n_s=0.9667, overdensity=100.0)
