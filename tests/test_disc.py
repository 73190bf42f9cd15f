"""The synthetic disc galaxy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff import cosmology
from galdiff.core.record import check
from galdiff.errors import InputError
from galdiff.galaxy.disc import Disc, disc_galaxy

N = 20000


@pytest.fixture(scope="module")
def galaxy():
    return disc_galaxy(n_stars=N, n_gas=4000)


@pytest.fixture(scope="module")
def disc_only():
    return disc_galaxy(Disc(bulge_fraction=0.0), n_stars=N, n_gas=0)


def cylinder(pos, vel):
    pos, vel = np.asarray(pos), np.asarray(vel)
    radius = np.hypot(pos[:, 0], pos[:, 1])
    return radius, (pos[:, 0] * vel[:, 1] - pos[:, 1] * vel[:, 0]) / radius


def test_masses_are_as_asked(galaxy):
    check(galaxy)
    np.testing.assert_allclose(jnp.sum(galaxy.stars.mass), 10**10.5, rtol=1e-6)
    gas, stars = jnp.sum(galaxy.gas.mass), jnp.sum(galaxy.stars.mass)
    np.testing.assert_allclose(gas / (gas + stars), 0.15, rtol=1e-6)
    np.testing.assert_allclose(jnp.sum(galaxy.gas.sfr), gas / 2e9, rtol=1e-6)


def test_disc_is_exponential_and_sech2(disc_only):
    pos = np.asarray(disc_only.stars.pos)
    radius = np.hypot(pos[:, 0], pos[:, 1])
    for x in (0.5, 1.0, 1.678, 3.0):
        inside = (1 - (1 + x) * np.exp(-x)) / (1 - 9 * np.exp(-8))
        np.testing.assert_allclose((radius < x * 3.5).mean(), inside, atol=2e-3)
    np.testing.assert_allclose(np.std(pos[:, 2]), 0.4 * np.pi / np.sqrt(12), rtol=0.01)


def test_bulge_is_a_hernquist_sphere():
    stars = disc_galaxy(Disc(bulge_fraction=1.0), n_stars=N, n_gas=0).stars
    r = np.linalg.norm(stars.pos, axis=1)
    for x in (0.5, 1.0, 3.0):
        np.testing.assert_allclose((r < 0.5 * x).mean(), (x / (1 + x) / (20 / 21)) ** 2, atol=2e-3)
    np.testing.assert_allclose(np.std(stars.pos, axis=0) / np.std(stars.pos), 1.0, atol=0.05)
    assert np.median(stars.age) == pytest.approx(10.0, abs=0.05)


def test_galaxy_is_centred_at_rest_and_spins_along_z(galaxy):
    for part in (galaxy.stars, galaxy.gas):
        np.testing.assert_allclose(np.mean(part.pos, axis=0), 0.0, atol=0.02)
        np.testing.assert_allclose(np.mean(part.vel, axis=0), 0.0, atol=0.5)
        spin = np.sum(np.cross(part.pos, part.vel), axis=0)
        assert spin[2] > 0
        assert np.abs(spin[:2]).max() < 0.01 * spin[2]


def test_rotation_follows_the_curve_less_the_asymmetric_drift(galaxy, disc_only):
    radius, v_phi = cylinder(disc_only.stars.pos, disc_only.stars.vel)
    outside = (radius > 9) & (radius < 12)
    assert 210 < v_phi[outside].mean() < 220
    inside = (radius > 1) & (radius < 2)
    circular = 220 * np.tanh(1.5 / 1.5)
    assert 0.5 * circular < v_phi[inside].mean() < 0.95 * circular
    radius, v_phi = cylinder(galaxy.gas.pos, galaxy.gas.vel)
    np.testing.assert_allclose((v_phi - 220 * np.tanh(radius / 1.5)).mean(), 0.0, atol=0.5)


def test_young_stars_are_colder(disc_only):
    radius, _ = cylinder(disc_only.stars.pos, disc_only.stars.vel)
    shell = (radius > 6) & (radius < 8)
    age, v_z = np.asarray(disc_only.stars.age)[shell], np.asarray(disc_only.stars.vel)[shell, 2]
    assert np.std(v_z[age < 2]) < 0.75 * np.std(v_z[age > 6])


def test_disc_grew_inside_out_and_lost_metals_outwards(disc_only):
    radius, _ = cylinder(disc_only.stars.pos, disc_only.stars.vel)
    age, log10_z = np.asarray(disc_only.stars.age), np.log10(disc_only.stars.metallicity)
    near = np.abs(radius - 3.5) < 0.2
    assert np.median(age[near]) == pytest.approx(5.0, abs=0.15)
    steep = np.median(age[np.abs(radius - 4.2) < 0.2]) - np.median(age[np.abs(radius - 2.8) < 0.2])
    assert steep == pytest.approx(-1.2 * 1.4 / 3.5, abs=0.2)
    np.testing.assert_allclose(np.polyfit(radius, log10_z, 1), [-0.04, -1.65], atol=0.005)


@pytest.mark.parametrize("redshift", [0.0, 0.3, 2.0])
def test_no_star_is_older_than_the_universe(redshift):
    stars = disc_galaxy(n_stars=2000, n_gas=0, redshift=redshift).stars
    assert 0 < stars.age.min() < stars.age.max() < cosmology.age(cosmology.Cosmology(), redshift)


def test_same_seed_gives_the_same_galaxy():
    one, same, other = (disc_galaxy(n_stars=100, n_gas=10, seed=seed) for seed in (4, 4, 5))
    assert jnp.array_equal(one.stars.pos, same.stars.pos)
    assert not jnp.array_equal(one.stars.pos, other.stars.pos)


def test_every_parameter_has_a_gradient():
    fields = [f.name for f in dataclasses.fields(Disc) if f.name != "bulge_fraction"]
    start = {name: jnp.asarray(float(getattr(Disc(), name))) for name in fields}

    def leaves(values):
        return jax.tree.leaves(disc_galaxy(Disc(**values), n_stars=64, n_gas=16))

    rng = np.random.default_rng(0)
    weights = [rng.normal(size=x.shape) / np.mean(np.abs(x)) for x in leaves(start)]

    @jax.jit
    def loss(values):
        return sum(jnp.sum(w * x) for w, x in zip(weights, leaves(values), strict=True))

    grads = jax.jit(jax.grad(loss))(start)
    for name in fields:
        e = 1e-5 * max(1.0, abs(float(start[name])))
        up, down = ({**start, name: start[name] + sign * e} for sign in (1, -1))
        assert abs(float(grads[name])) > 0
        np.testing.assert_allclose(grads[name], (loss(up) - loss(down)) / (2 * e), rtol=1e-6, atol=1e-7, err_msg=name)


def test_gas_can_be_left_out():
    assert disc_galaxy(n_stars=10, n_gas=0).gas is None
    assert disc_galaxy(Disc(gas_fraction=0.0), n_stars=10).gas is None


def test_impossible_settings_are_refused():
    with pytest.raises(InputError, match="n_stars is 0; give 1 to"):
        disc_galaxy(n_stars=0)
    with pytest.raises(InputError, match=r"bulge_fraction is 1\.5; give a share between 0 and 1"):
        disc_galaxy(Disc(bulge_fraction=1.5), n_stars=10)
