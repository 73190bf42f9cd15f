"""Half-light radius, shape and other summaries of maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.kinematics import summary
from galdiff.records import KinematicMaps


def disc_mass(n, half_width, scale=1.0, axis_ratio=1.0, angle=0.0):
    """Exponential disc seen at an axis ratio, averaged over sub-points of spaxels."""
    fine = (np.arange(10 * n) + 0.5) / (5 * n) * half_width - half_width
    x, y = np.meshgrid(fine, fine)
    radius = np.asarray(summary.elliptical_radius(x, y, 1 - axis_ratio, angle))
    return np.exp(-radius / scale).reshape(n, 10, n, 10).mean((1, 3))


def test_half_light_radius_of_an_exponential_disc():
    flux = disc_mass(80, 20.0, scale=2.0)
    np.testing.assert_allclose(summary.half_light_radius(flux, 0.5), 1.678 * 2.0, rtol=2e-3)
    flux = disc_mass(80, 20.0, scale=2.0, axis_ratio=0.5, angle=30.0)
    np.testing.assert_allclose(summary.half_light_radius(flux, 0.5, 0.5, 30.0), 1.678 * 2.0, rtol=1e-2)


def test_half_light_radius_has_a_gradient():
    flux = disc_mass(20, 10.0, scale=2.0)
    step = 1e-5 * np.random.default_rng(0).normal(size=flux.shape)
    radius = jax.jit(lambda f, e, a: summary.half_light_radius(f, 1.0, e, a))
    by_flux, by_ell, by_angle = jax.jit(jax.grad(radius, (0, 1, 2)))(flux, 0.3, 20.0)
    expected = (radius(flux + step, 0.3, 20.0) - radius(flux - step, 0.3, 20.0)) / 2
    np.testing.assert_allclose(np.sum(by_flux * step), expected, rtol=1e-5)
    np.testing.assert_allclose(by_ell, (radius(flux, 0.301, 20.0) - radius(flux, 0.299, 20.0)) / 0.002, rtol=1e-4)
    np.testing.assert_allclose(
        by_angle, (radius(flux, 0.3, 20.1) - radius(flux, 0.3, 19.9)) / 0.2, rtol=1e-3, atol=1e-8
    )


@pytest.mark.parametrize("angle", [0.0, 35.0, 90.0, 150.0])
def test_shape_of_an_inclined_disc(angle):
    ellipticity, found = summary.flux_shape(disc_mass(40, 16.0, scale=1.5, axis_ratio=0.5, angle=angle), 0.8)
    np.testing.assert_allclose(ellipticity, 0.5, atol=0.02)
    np.testing.assert_allclose((found - angle + 90) % 180 - 90, 0.0, atol=0.5)


def test_summaries_ignore_empty_spaxels_and_have_finite_gradients():
    flux = jnp.asarray(disc_mass(10, 8.0, scale=2.0, axis_ratio=0.6))
    x, _ = summary.spaxel_grid(flux.shape, 1.6)
    v, sigma = jnp.asarray(100 * np.tanh(x)), jnp.full(flux.shape, 50.0)
    hole = jnp.zeros(flux.shape, bool).at[0, 0].set(True)

    def all_of(flux, v, sigma):
        maps = kinematics_of(jnp.where(hole, 0, flux), *(jnp.where(hole, jnp.nan, m) for m in (v, sigma)))
        return jnp.stack(jax.tree.leaves(summary.summarise(maps, 1.6)))

    values = jax.jit(all_of)(flux, v, sigma)
    assert jnp.isfinite(values).all()
    grads = jax.jit(jax.grad(lambda *a: jnp.sum(all_of(*a)), (0, 1, 2)))(flux, v, sigma)
    assert all(jnp.isfinite(g).all() for g in grads)
    nothing = jax.jit(all_of)(0 * flux, v, sigma)
    assert jnp.isnan(nothing[0])  # no light, no radius


def kinematics_of(flux, v, sigma):
    return KinematicMaps(flux=flux, v=v, sigma=sigma, h3=v, h4=v, age=v, metallicity=v)


def test_oblong_spaxels_give_the_same_summary_as_square_ones():
    y, x = np.meshgrid(np.arange(-39.5, 40), np.arange(-39.5, 40), indexing="ij")

    def maps(x, y):
        radius = np.hypot(x * 0.8 + y * 0.6, 2 * (y * 0.8 - x * 0.6))
        v = 150 * (0.8 * x + 0.6 * y) / np.sqrt(radius**2 + 25)
        shape = {"h3": 0 * x, "h4": 0 * x, "age": 0 * x + 5, "metallicity": 0 * x + 0.02}
        return KinematicMaps(flux=np.exp(-radius / 6), v=v, sigma=0 * x + 60, **shape)

    square = summary.summarise(maps(x, y), 1.0)
    oblong = summary.summarise(maps(x[::2] * 1.0, y[::2] + 0.5), jnp.array([1.0, 2.0]))
    for name in ("r_half", "ellipticity", "position_angle", "kinematic_angle", "lambda_r", "v_over_sigma"):
        np.testing.assert_allclose(getattr(oblong, name), getattr(square, name), rtol=2e-2, err_msg=name)
