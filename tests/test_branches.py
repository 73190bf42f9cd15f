"""Galaxies of a population on both branches, in haloes made by hand: haloes when seen, stars by age, light, chances."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.cosmology import Cosmology, age
from galdiff.halo import diffmah
from galdiff.populations.branches import BranchedLight, SeenAt, distance_modulus, grow_centrals
from galdiff.populations.diffmahpop import HaloBranches, ObservedHalo
from galdiff.populations.dust_population import GalaxyScreens
from galdiff.populations.formed import StarsByAge, drawn_halo
from galdiff.populations.point_tables import PointTables, rows_of
from galdiff.sfh.diffstar import DiffstarParams
from galdiff.sfh.fractions import AgeFractions
from galdiff.sfh.metallicity import OneMetallicity

AGES, TIME, LGMET = AgeFractions(step=0.1), 9.0, (-3.0, -2.0, -1.0)
N = AGES.shares.size


def haloes(seen, noise):
    """All of the early family, with the mass when seen, which they reach late."""
    early = diffmah.DiffmahParams(logm0=seen.log10_m, logtc=0.05, early_index=2.6, late_index=0.1, t_peak=5.0)
    early = jax.tree.map(jnp.asarray, early)
    late = dataclasses.replace(early, logm0=seen.log10_m + 3)
    return HaloBranches(early=early, late=late, early_share=jnp.asarray(1.0))


def place_of(time=9.0, satellite=0.0, log10_mhost=12.0):
    seen = {"log10_m": 12.0, "time": time, "t_today": 13.8, "satellite": satellite}
    keys = jax.random.split(jax.random.key(0))
    return drawn_halo(haloes, ObservedHalo(**jax.tree.map(jnp.asarray, seen)), jnp.asarray(log10_mhost), keys)


def test_the_place_of_a_galaxy_tells_satellites_by_their_hosts_and_time_since_infall():
    halo, central = place_of()
    assert float(halo.logm0) == 12.0  # the family that all are of
    assert (float(central.satellite), float(central.log10_mu), float(central.since_infall)) == (0.0, 0.0, 4.0)
    _, satellite = place_of(satellite=1.0, log10_mhost=13.5)
    assert (float(satellite.log10_mu), float(satellite.log10_mhost)) == (-1.5, 13.5)
    _, alone = place_of(log10_mhost=13.5)
    assert float(alone.log10_mu) == 0.0
    assert float(place_of(time=3.0)[1].since_infall) == 0.0  # its halo is growing yet
    np.testing.assert_allclose(central.log10_m0, diffmah.log10_mass(halo, 13.8, 13.8), rtol=1e-6)


def test_centrals_grow_until_they_are_seen_and_have_numbers_of_their_own():
    universe, mass = Cosmology(), jnp.array([11.0, 12.0, 12.0])
    time = age(universe, 0.5)
    grown = grow_centrals(haloes, AGES.ages(time), mass, 0.5, universe, jax.random.key(3))
    assert grown.log10_mass.shape == (3, N)
    assert (np.diff(grown.log10_mass, axis=1) <= 1e-6).all()  # young to old
    np.testing.assert_allclose(grown.log10_mass[1] - grown.log10_mass[0], 1.0, rtol=1e-4)
    np.testing.assert_array_equal(grown.place.satellite, 0.0)
    np.testing.assert_array_equal(grown.place.log10_mhost, mass)
    np.testing.assert_allclose(grown.place.since_infall, float(time) - 5.0, rtol=1e-5)
    assert np.unique(grown.noise.quenched).size == 3 * 8


def test_a_distance_modulus_counts_from_one_mpc():
    """Distances grow as c z / H0 nearby, and by 1 + z more than the comoving ones."""
    universe = Cosmology()
    np.testing.assert_allclose(
        distance_modulus(universe, 0.002) - distance_modulus(universe, 0.001), 5 * np.log10(2), atol=5e-3
    )
    np.testing.assert_allclose(10 ** (distance_modulus(universe, 0.001) / 5), 299792.458 * 0.001 / 67.7, rtol=0.02)


def test_stars_take_the_metals_that_are_known_else_those_of_the_law():
    stars = StarsByAge(metallicity=OneMetallicity(lgmet=-2.0, scatter=0.01), ages=AGES, lgmet=LGMET)
    rate = jnp.linspace(1.0, 2.0, N)
    by_law = stars(rate, jnp.asarray(TIME))
    np.testing.assert_allclose(by_law.mass.sum(0), by_law.history.mass, rtol=1e-5)
    assert (by_law.mass[1] > 0.98 * by_law.history.mass).all()
    known = stars(rate, jnp.asarray(TIME), jnp.where(jnp.arange(N) < 3, -5.0, -0.5))  # beyond the library
    np.testing.assert_allclose(known.mass[0, :3], known.history.mass[:3], rtol=1e-5)
    np.testing.assert_allclose(known.mass[2, 3:], known.history.mass[3:], rtol=1e-5)
    np.testing.assert_array_equal(known.history.mass, by_law.history.mass)


def test_rows_are_numbered_by_metallicity_with_ages_within():
    shares = np.array([[1.0, 0.0, 0.0], [0.0, 0.25, 0.75]])  # (point, age)
    columns = np.arange(24.0).reshape(2, 3, 4)  # (met, age, column)
    rows = rows_of(shares, columns)
    assert rows.shape == (4, 4)
    np.testing.assert_array_equal(rows[[0, 2]], columns[:, 0])
    np.testing.assert_allclose(rows[[1, 3]], 0.25 * columns[:, 1] + 0.75 * columns[:, 2])


CLEAR = GalaxyScreens(**{name: jnp.asarray(0.0) for name in ("a_v", "a_v_young", "slope", "unobscured")})


def light_of(dust=CLEAR, modulus=40.0, flux=1.0):
    return both_branches(dust, modulus, flux)


@jax.jit
def both_branches(dust, modulus, flux):
    """Both branches of one galaxy in two bands, the first of one part, the second of two parts."""
    calm, gone = DiffstarParams(lg_drop=0.0, lg_rejuv=0.0), DiffstarParams(lg_qt=0.3, lg_drop=-3.0, lg_rejuv=-3.0)
    pair = (jax.tree.map(jnp.asarray, p) for p in (calm, gone))
    found = dict(zip(("main_sequence", "quenched"), pair, strict=True), quenched_share=jnp.asarray(0.3))
    stage = BranchedLight(
        galaxies=lambda place, noise: SimpleNamespace(**found), dust=lambda galaxy: dust, parts=(1, 2),
        metallicity=OneMetallicity(), ages=AGES, lgmet=LGMET,
    )  # fmt: skip
    young = np.arange(N) < 3  # only they shine as young ones
    rows = np.tile(np.concatenate([np.outer(young, np.ones(3)), np.outer(~young, np.ones(3))], 1), (3, 1))
    tables = {"flux": flux * rows, "left": np.full(N, 0.6), "recent": AGES.recent(0.1, TIME)}
    scalars = {"time": TIME, "redshift": 0.3, "modulus": modulus, "baryon_fraction": 0.16}
    seen = SeenAt(
        light=PointTables(**jax.tree.map(jnp.asarray, tables)), centre=jnp.array([4000.0, 5500.0, 6500.0]),
        **jax.tree.map(jnp.asarray, scalars),
    )  # fmt: skip
    halo = SimpleNamespace(place=None, noise=None, log10_mass=jnp.full(N, 12.0))
    return stage(halo, seen)


@pytest.fixture(scope="module")
def clear():
    return light_of()


def test_a_quenched_branch_forms_fewer_stars_and_the_weights_are_chances(clear):
    np.testing.assert_allclose(clear.weight, [0.7, 0.3], rtol=1e-6)
    assert clear.log10_ssfr[1] < clear.log10_ssfr[0] - 2
    assert clear.log10_mstar[1] < clear.log10_mstar[0]
    assert (clear.mag[1] > clear.mag[0]).all()
    np.testing.assert_allclose(clear.mag[:, 0] - clear.mag[:, 1], 2.5 * np.log10(2), rtol=1e-4)  # of two parts


def test_a_steady_rate_in_a_steady_halo_is_its_mean_over_its_mass(clear):
    """All that formed is rate times time, of which 0.6 is left."""
    np.testing.assert_allclose(10 ** clear.log10_ssfr[0], 1 / (0.6 * 0.9999 * TIME * 1e9), rtol=1e-4)


def test_light_grows_with_the_tables_fades_with_distance_and_reddens_behind_dust(clear):
    np.testing.assert_allclose(light_of(modulus=42.5, flux=10.0).mag, clear.mag, rtol=1e-6)
    screens = dataclasses.replace(CLEAR, a_v=jnp.asarray(1.0), a_v_young=jnp.asarray(1.0))
    dimmer = np.asarray(light_of(dust=screens).mag - clear.mag)
    assert (dimmer[:, 0] > dimmer[:, 1]).all()
    np.testing.assert_allclose(dimmer[0], dimmer[1], rtol=1e-4)  # whatever the stars are
    clouds = light_of(dust=dataclasses.replace(CLEAR, a_v_young=jnp.asarray(3.0)))
    assert (clouds.mag[0] - clear.mag[0] > 5 * (clouds.mag[1] - clear.mag[1])).all()  # few of the quenched are young
    holes = light_of(dust=dataclasses.replace(screens, unobscured=jnp.asarray(1.0)))
    np.testing.assert_allclose(holes.mag, clear.mag, rtol=1e-6)
