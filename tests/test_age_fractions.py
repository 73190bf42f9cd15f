"""Histories read at shares of the cosmic time: weights of a library, recent rates, light of a whole galaxy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.core.rolling import node_hats, normal_hats
from galdiff.errors import InputError
from galdiff.imf import chabrier
from galdiff.populations.formed import StarsByAge
from galdiff.populations.point_tables import point_tables
from galdiff.sfh.fractions import AgeFractions
from galdiff.sfh.metallicity import MassMetallicity
from galdiff.sfh.panels import LAST, AgePanels

LG_AGE = np.concatenate([[-4.0], np.linspace(-3.0, 1.15, 25)])
AGES, TIME = AgeFractions(), 9.3


@pytest.fixture(scope="module")
def shares():
    return AGES.on_library(LG_AGE, TIME)


def rate(time):
    """Rising, then falling within some Gyr [Msun/yr]."""
    return 5.0 * time * np.exp(-time / 3.0) / (1 + np.exp((time - 8.0) / 0.4))


def test_all_mass_is_on_the_library_and_none_is_negative(shares):
    np.testing.assert_allclose(shares.sum(1), 1.0, rtol=1e-12)
    assert shares.min() >= 0.0
    np.testing.assert_allclose(AGES.widths.sum(), 0.9999, rtol=1e-12)
    assert (np.diff(AGES.shares) > 0).all()


def test_weights_are_those_of_narrow_panels(shares):
    panels = AgePanels(lg_age_gyr=tuple(LG_AGE), widest=0.02)
    points = panels.points_before(TIME)
    fine = panels.on_nodes(rate(TIME - points.age) * points.width * 1e9, TIME)
    history = AGES.history(jnp.asarray(rate(TIME - AGES.ages(TIME))), TIME)
    np.testing.assert_allclose(history.mass.sum(), fine.sum(), rtol=2e-3)
    moved = np.abs(history.mass @ shares - fine).sum() / fine.sum()
    assert moved < 4e-3
    coarse = AgeFractions(step=0.06)
    made = coarse.history(jnp.asarray(rate(TIME - coarse.ages(TIME))), TIME).mass @ coarse.on_library(LG_AGE, TIME)
    assert np.abs(made - fine).sum() / fine.sum() > 4 * moved


@pytest.mark.parametrize("time", [0.05, 0.9, 13.8])
def test_recent_star_formation_is_the_mean_of_100_myr(time):
    at = np.asarray(AGES.ages(time))
    mass = AGES.history(jnp.asarray(2.0 - at / time), time).mass  # a straight line
    span = min(0.1, 0.9999 * time)
    np.testing.assert_allclose(mass @ AGES.recent(0.1, time), 2.0 - span / 2 / time, rtol=1e-9)


def test_light_of_a_constant_rate_is_the_integral_over_the_library():
    flux = 10 ** (-0.8 * LG_AGE)[None, :, None] * np.array([1.0, 0.4])[:, None, None]
    stars = StarsByAge(metallicity=MassMetallicity(), ages=AGES, lgmet=[-3.0, -1.5])
    mass = jax.jit(stars)(jnp.full(AGES.shares.size, 3.0), jnp.asarray(TIME)).mass
    tables = point_tables(AGES, TIME, LG_AGE, flux, chabrier())
    young, old = np.asarray(mass.reshape(-1) @ tables.flux)
    age = np.geomspace(1e-5, 0.9999 * TIME, 200_001)
    per_mass = np.interp(np.log10(age), LG_AGE, flux[0, :, 0])
    both = 3e9 * np.trapezoid(per_mass * age, np.log(age))  # were all metal-poor
    assert 0.4 * both < young + old < both
    inside = np.interp(np.log10(age), LG_AGE, flux[0, :, 0] / (1 + np.exp(5.0 * (LG_AGE + 2.5))))
    np.testing.assert_allclose(young / old, 1 / (both / 3e9 / np.trapezoid(inside * age, np.log(age)) - 1), rtol=0.25)
    left = float(mass.sum(0) @ tables.left / mass.sum())
    assert 0.5 < left < 0.7


def test_hats_have_the_slopes_of_differences():
    nodes, x = np.array([-4.0, -3.0, -2.2, -1.5]), jnp.array([-4.5, -2.9, -1.9])
    np.testing.assert_array_equal(normal_hats(x, 0.3, nodes), node_hats(x, 0.3, nodes).T)
    for place in (0, 1):
        at = [x, jnp.asarray(0.3)]
        slopes = jax.jacfwd(lambda v, p=place, a=at: node_hats(*a[:p], v, *a[p + 1 :], nodes).sum(1))(at[place])
        step = 1e-5
        up, down = (
            np.asarray(node_hats(*at[:place], at[place] + e, *at[place + 1 :], nodes).sum(1)) for e in (step, -step)
        )
        total = slopes.sum(-1) if slopes.ndim > 1 else slopes
        np.testing.assert_allclose(total, (up - down) / (2 * step), atol=1e-8)


def test_steps_that_make_no_sense_are_named():
    with pytest.raises(InputError, match=r"step is 0\.5"):
        AgeFractions(step=0.5)


@pytest.mark.parametrize("step", [0.001, 0.015, 0.2])
def test_ages_begin_now_end_before_the_big_bang_and_stand_for_all_time(step):
    ages = AgeFractions(step=step)
    shares = ages.shares
    assert (shares[0], shares[-1]) == (0.0, LAST)
    assert np.diff(shares).max() <= step * (1 + step)
    np.testing.assert_allclose(ages.widths.sum(), LAST, rtol=1e-12)
    np.testing.assert_allclose(ages.widths @ shares, LAST**2 / 2, rtol=1e-12)  # the trapezoid of a straight line
    np.testing.assert_allclose(ages.ages(2.0), 2 * shares, rtol=1e-6)


def test_a_constant_rate_forms_rate_times_time_and_none_forms_next_to_nothing():
    history = AGES.history(jnp.full(AGES.shares.size, 2.0), TIME)
    np.testing.assert_allclose(history.mass.sum(), 2e9 * TIME * LAST, rtol=1e-5)
    none = AGES.history(jnp.zeros(AGES.shares.size), TIME)
    assert (none.mass > 0).all()  # logarithms of it are finite
    assert none.mass.sum() < 1.0


def test_ages_beyond_both_ends_of_a_library_count_at_its_ends():
    young, old = AGES.on_library(np.array([-2.0, -1.5]), TIME), AGES.on_library(np.array([1.5, 2.0]), TIME)
    assert young[0, 0] > 0.3
    aged = AGES.shares * TIME > 0.2
    np.testing.assert_allclose(young[aged], np.array([[0.0, 1.0]] * aged.sum()), atol=1e-12)
    np.testing.assert_allclose(old, np.array([[1.0, 0.0]] * len(old)), atol=1e-12)
    np.testing.assert_allclose(young.sum(1), 1.0, rtol=1e-12)


def test_what_is_young_is_tabled_apart_and_stars_lose_mass_with_age():
    flux = np.ones((2, LG_AGE.size, 3))
    tables = point_tables(AGES, TIME, LG_AGE, flux, chabrier())
    assert tables.flux.shape == (2 * AGES.shares.size, 6)
    np.testing.assert_allclose(tables.flux[:, :3] + tables.flux[:, 3:], 1.0, rtol=1e-5)
    young = np.asarray(tables.flux[: AGES.shares.size, 0])
    assert young[0] > 10 * young[-1]
    assert (np.diff(tables.left) < 1e-6).all()
    assert ((tables.left > 0.5) & (tables.left <= 1.0)).all()
    np.testing.assert_allclose(tables.recent @ (AGES.widths * TIME * 1e9), 1.0, rtol=1e-5)
