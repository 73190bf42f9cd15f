"""Grown galaxies look like galaxies: where their gas forms stars, their dust, bulges, bursts, and how they turn."""

import dataclasses

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.build import build
from galdiff.cosmology import Cosmology
from galdiff.galaxy.births import mean_age
from galdiff.galaxy.blitz_rosolowsky06 import BlitzRosolowsky06
from galdiff.galaxy.bulge import ByMassAndAge, typical_bulge
from galdiff.galaxy.bursts import DampedRandomWalk, Steady
from galdiff.galaxy.grown import GrownGalaxy
from galdiff.galaxy.molecular import InProportion, Midplane
from galdiff.galaxy.view import GasView, StarView
from galdiff.halo.history import HistorySettings, diffmah_history
from galdiff.observables import observed
from galdiff.runtime import project_dir

HALOS = (11.85, 12.1, 12.35, 13.5)  # log10 M_vir [Msun]; stars of 10^10.0, 10^10.4, 10^10.7 and 10^11.2 Msun
N = 3000


def composed(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("simulate", overrides=[f"input.n_stars={N}", "input.n_gas=1000", *overrides])


@pytest.fixture(scope="module")
def grown():
    """By halo: histories of the default cycle, their galaxies, and A_V of their stars seen face-on."""
    config = composed("baryons.outputs.n_times=32", "dust=gas_column")
    cycle, stage = build(config.baryons, path="baryons"), build(config.input, path="input")
    dust, view = build(config.dust.stage, path="dust"), dict(inclination=0.0, orientation="none")

    def one(halo):
        history = cycle(halo)
        galaxy = stage(history)
        return history, galaxy, dust(StarView(**view)(galaxy), GasView(**view)(galaxy)).a_v

    settings = HistorySettings(n_nodes=64)
    halos = [diffmah_history(log10_mvir=m, spin=0.035, cosmology=Cosmology(), settings=settings) for m in HALOS]
    return jax.jit(jax.vmap(one))(jax.tree.map(lambda *x: jnp.stack(x), *halos))


def radii(particles):
    return np.hypot(np.asarray(particles.pos[..., 0]), np.asarray(particles.pos[..., 1]))


def half(radius, weight):
    """Radius that holds half of the weight, galaxy by galaxy."""
    order = np.argsort(radius, -1)
    inside = np.cumsum(np.take_along_axis(np.asarray(weight), order, -1), -1)
    return np.array([r[k][np.searchsorted(w, w[-1] / 2)] for r, k, w in zip(radius, order, inside, strict=True)])


def test_star_formation_is_peaked_at_the_centre_and_as_wide_as_the_stars(grown):
    history, galaxy, _ = grown
    gas, radius = galaxy.gas, radii(galaxy.gas)
    forming, all_gas, stars = (
        half(radius, gas.sfr),
        half(radius, gas.mass),
        half(radii(galaxy.stars), galaxy.stars.mass),
    )
    assert (forming < 0.5 * all_gas).all()
    star_forming = slice(0, 3)
    assert (np.abs(np.log10(forming / stars))[star_forming] < 0.2).all()
    np.testing.assert_allclose(gas.sfr.sum(-1) * 1e9, history.sfr[:, -1], rtol=1e-10)
    per_gas = np.asarray(gas.sfr / gas.mass)[0][np.argsort(radius[0])]
    assert (np.diff(per_gas) < 0).all()


def test_dust_of_star_forming_galaxies_is_as_thick_face_on_as_observed(grown):
    history, galaxy, a_v = grown
    radius, mass = radii(galaxy.stars), np.asarray(galaxy.stars.mass)
    inside = radius < half(radius, mass)[:, None]
    seen = (np.asarray(a_v) * mass * inside).sum(-1) / (mass * inside).sum(-1)
    log10_m = np.log10(history.m_star[:, -1])
    among = (log10_m > 9.95) & (log10_m < 10.9)
    assert among.sum() == 3
    assert ((seen > 0.3) & (seen < 2)).all(where=among)  # mag
    assert seen[-1] < 0.3  # a quenched galaxy has little gas


def test_discs_turn_as_the_observed_relation_says(grown):
    history, galaxy, _ = grown
    pos, vel = np.asarray(galaxy.gas.pos), np.asarray(galaxy.gas.vel)
    turns = (pos[..., 0] * vel[..., 1] - pos[..., 1] * vel[..., 0]) / radii(galaxy.gas)
    expected = observed.log10_v_reyes11(np.log10(history.m_star[:, -1]))
    assert np.abs(np.log10(turns.mean(-1)) - expected)[:3].max() < 0.08  # dex


def test_massive_galaxies_are_as_hot_as_observed_quiescent_ones(grown):
    history, galaxy, _ = grown
    radius, mass = radii(galaxy.stars)[-1], np.asarray(galaxy.stars.mass)[-1]
    weight = mass * (radius < 3.0)  # kpc, as theirs
    sigma = np.sqrt(np.average((np.asarray(galaxy.stars.vel)[-1] ** 2).mean(-1), weights=weight))
    expected = observed.log10_sigma_zahid16(np.log10(history.m_star[-1, -1]))
    assert abs(np.log10(sigma) - expected) < 0.2  # dex; 0.16 too cold


def test_mass_formed_is_all_that_formed_and_more_than_what_survives(grown):
    history, galaxy, _ = grown
    np.testing.assert_allclose(history.m_formed, history.m_star / 0.6, rtol=1e-6)
    np.testing.assert_allclose(galaxy.stars.mass.sum(-1), history.m_formed[:, -1], rtol=1e-10)
    plain = jax.tree.map(np.asarray, history)
    assert isinstance(plain.m_formed, np.ndarray)
    np.testing.assert_allclose(plain.m_formed, history.m_formed, rtol=1e-12)


def test_the_molecular_share_follows_the_pressure():
    """One half at the pressure P_0, as R_mol = 1 there; 272 K/cm^3 is that of eq. 5 of Blitz & Rosolowsky (2006)."""
    law = BlitzRosolowsky06()
    ones = jnp.ones(3)
    gas = 10**4.633 / 272 / 8 / 10 * jnp.array([1.0, 10.0, 0.0])
    share = np.asarray(law(Midplane(gas=gas, stars=1e4 * ones, height=jnp.asarray(100.0), metallicity=0.01 * ones)))
    np.testing.assert_allclose(share[0], 0.5, rtol=1e-6)
    np.testing.assert_allclose(share[1] / (1 - share[1]), 10**0.92, rtol=1e-5)
    assert 0 < share[2] < 1e-5
    none = jax.jit(jax.grad(lambda x: law(Midplane(gas=x, stars=x, height=jnp.asarray(9.0), metallicity=x)).sum()))
    assert np.isfinite(none(jnp.zeros(2))).all()
    np.testing.assert_array_equal(InProportion()(Midplane(gas=gas, stars=gas, height=1.0, metallicity=gas)), 1.0)


def test_bulges_are_larger_in_massive_and_in_old_galaxies_and_scatter(grown):
    histories = grown[0]
    share = np.asarray(jax.vmap(typical_bulge())(histories))
    assert (np.diff(share) > 0).all()
    assert 0.05 < share[1] < 0.25
    assert share[-1] > 0.55
    one = jax.tree.map(lambda x: x[1], histories)
    numbers = dict(most=0.8, log10_mass=11.0, width=0.8, early=6.0, scatter=0.8, latent=0.0)
    old = dataclasses.replace(one, time=one.time - 0.9 * (one.time - one.time[0]) * (one.time < one.time[-1]))
    assert mean_age(old) > mean_age(one)
    assert typical_bulge()(old) > typical_bulge()(one)
    at = [float(ByMassAndAge(**{**numbers, "latent": x})(one)) for x in (-1.0, 0.0, 1.0)]
    logit = np.log(np.array(at) / (0.8 - np.array(at)))
    np.testing.assert_allclose(np.diff(logit), 0.8, rtol=1e-5)


def test_bursts_have_their_scatter_and_forget_in_their_time(grown):
    walk = DampedRandomWalk(sigma=0.3, tau=0.1, seed=1)
    age = jnp.linspace(0.0, 10.0, 4001)
    dex = np.asarray(walk(age)) / np.log(10)
    np.testing.assert_allclose(dex.std(), 0.3, rtol=0.15)
    np.testing.assert_allclose((10**dex).mean(), 1.0, rtol=0.15)
    dex = (dex - dex.mean()) / dex.std()
    for lag in (0.05, 0.1):
        k = round(lag / 0.0025)
        np.testing.assert_allclose((dex[k:] * dex[:-k]).mean(), np.exp(-lag / 0.1), atol=0.1)
    slopes = jax.grad(lambda s: DampedRandomWalk(sigma=0.3, tau=0.1)(age[:5] * s).sum())(1.0)
    assert np.isfinite(slopes)
    np.testing.assert_array_equal(Steady()(age), 0.0)
    history = jax.tree.map(lambda x: x[1], grown[0])
    few = {"n_stars": 400, "n_gas": 8}
    calm, wild = (jax.jit(GrownGalaxy(**few, bursts=law).__call__)(history) for law in (None, walk))
    np.testing.assert_allclose(wild.stars.mass.sum(), calm.stars.mass.sum(), rtol=1e-10)
    assert np.abs(wild.stars.mass / calm.stars.mass - 1).max() > 0.3
    np.testing.assert_allclose(wild.gas.sfr.sum() / calm.gas.sfr.sum(), np.exp(walk(jnp.zeros(()))), rtol=1e-10)


def test_presets_of_the_slots_build_what_the_code_takes_by_itself():
    stage = build(composed().input, path="input")
    plain = GrownGalaxy(n_stars=N, n_gas=1000)
    for slot in ("bulge", "molecular", "bursts"):
        assert type(getattr(stage, slot)) is type(getattr(plain, slot))
    assert vars(stage.bulge).keys() == vars(plain.bulge).keys()
    for name in ("most", "log10_mass", "width", "early", "scatter", "latent"):
        np.testing.assert_array_equal(getattr(stage.bulge, name).bounded, getattr(plain.bulge, name).bounded)
    other = build(composed("input/molecular=in_proportion", "input/bursts=damped_random_walk").input, path="input")
    assert isinstance(other.molecular, InProportion)
    assert isinstance(other.bursts, DampedRandomWalk)


def test_the_metallicity_of_gas_falls_outwards_and_is_flat_far_out(grown):
    gas, radius = grown[1].gas, radii(grown[1].gas)
    of_stars = half(radii(grown[1].stars), grown[1].stars.mass)
    for k in range(len(HALOS)):
        order = np.argsort(radius[k])
        x, log10_z = radius[k][order] / of_stars[k], np.log10(np.asarray(gas.metallicity[k]))[order]
        assert (np.diff(log10_z) <= 1e-12).all()
        far = log10_z[x > 5]
        assert np.ptp(far) < 0.05  # dex
        assert 0.1 < log10_z[0] - far[-1] < 0.25  # a tenth of a dex per half-mass radius, over two
    total = (gas.mass * gas.metallicity).sum(-1)
    np.testing.assert_allclose(total, grown[0].contents["metals"]["ism"][:, -1], rtol=1e-10)
