"""Star formation of a population by its baryon cycle: masses, satellites, companions, what has no solution."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from galdiff.build import build
from galdiff.cosmology import Cosmology, age
from galdiff.errors import InputError
from galdiff.halo import diffmah
from galdiff.populations.cycle_population import CyclePopulation, formed_by, haloes_of
from galdiff.populations.growth import GalaxyPlace, GrownMember
from galdiff.runtime import project_dir
from galdiff.sfh.fractions import AgeFractions

COSMOLOGY, AGES, REDSHIFT = Cosmology(), AgeFractions(step=0.05), 0.1
TIME = float(age(COSMOLOGY, REDSHIFT))
KEYS = jax.random.split(jax.random.key(5), (3, 2))


@pytest.fixture(scope="module")
def config():
    with initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        few = ["sfh_population.n_times=32", "sfh_population.n_steps=32", "sfh_population.tolerance=0.9"]
        return compose("mock_catalog", ["sfh_population=baryons", "baryons=regulator", *few])


def members(logm0, t_peak):
    """Haloes of which some stopped growing."""
    n = len(logm0)
    peak = jnp.asarray(t_peak)
    halo = diffmah.DiffmahParams(
        logm0=jnp.asarray(logm0), logtc=jnp.full(n, 0.05), early_index=jnp.full(n, 2.6), late_index=jnp.full(n, 0.13),
        t_peak=peak,
    )  # fmt: skip
    zero = jnp.zeros(n)
    place = GalaxyPlace(
        log10_m0=halo.logm0, t_peak=peak, satellite=1.0 * (peak < TIME), log10_mu=zero, log10_mhost=halo.logm0,
        since_infall=jnp.maximum(TIME - peak, 0.0),
    )  # fmt: skip
    today = age(COSMOLOGY, 0.0)
    growth = jax.vmap(lambda h: diffmah.log10_mass(h, TIME - AGES.ages(TIME), today))(halo)
    return GrownMember(halo=halo, place=place, log10_mass=growth, time=jnp.full(n, TIME), merged=zero)


@pytest.fixture(scope="module")
def former(config):
    return build(config.sfh_population, path="sfh_population").former(AGES, COSMOLOGY, 3)


@pytest.fixture(scope="module")
def formed(former):
    return former(members([11.5, 12.0, 12.0], [20.0, 20.0, 5.0]), KEYS, REDSHIFT)


def test_heavier_haloes_form_more_stars_and_all_have_metals(formed):
    mass = jax.vmap(AGES.history)(formed.sfr, jnp.full(3, TIME)).mass.sum(1)
    assert mass[1] > 1.5 * mass[0] > 1e7
    assert formed.sfr.shape == (3, AGES.shares.size)
    assert (formed.sfr[:, -1] == 0).all()  # before gas is followed
    assert (formed.lgmet[:2, 0] > formed.lgmet[:2, -5]).all()
    assert ((formed.lgmet >= -6.0) & (formed.lgmet < -0.9)).all()


def test_a_satellite_starves_from_when_its_halo_stopped_growing(formed):
    born = TIME - np.asarray(AGES.ages(TIME))
    central, satellite = (np.asarray(formed.sfr[i]) for i in (1, 2))
    assert satellite[0] < 0.3 * central[0]
    after = born > 6.0
    assert (np.diff(satellite[after]) > 0).all()  # young to old: it has fallen since
    assert (np.asarray(formed.quenched) == np.asarray(formed.quenched_share)).all()
    assert formed.quenched[1] == 0.0


def test_a_galaxy_does_not_depend_on_its_companions(former, formed):
    turned = former(members([12.0, 12.0, 11.5], [5.0, 20.0, 20.0]), KEYS[::-1], REDSHIFT)
    np.testing.assert_allclose(turned.sfr[::-1], formed.sfr, rtol=1e-10)
    np.testing.assert_allclose(turned.lgmet[::-1], formed.lgmet, rtol=1e-10)
    haloes = haloes_of(members([12.0] * 3, [20.0] * 3), KEYS, COSMOLOGY, REDSHIFT)
    assert (np.ptp(haloes.c_nfw, axis=0) > 0.01 * haloes.c_nfw[0]).all()  # concentrations and spins of their own
    assert np.unique(haloes.spin).size == 3
    np.testing.assert_allclose(haloes.time[:, -1], TIME, rtol=1e-6)


def test_rates_are_read_from_the_history_with_slopes_and_nan_stays_nan():
    known = jnp.geomspace(0.3, TIME, 20)

    def of(level):
        made = formed_by(AGES, jnp.asarray(TIME), known, level * known**1.5, known**2.5, 1e-3 * known)
        return made.sfr, made.lgmet

    (rate, lgmet), slope = jax.jit(lambda x: (of(x), jax.jacfwd(lambda y: of(y)[0])(x)))(jnp.asarray(4.0))
    born = TIME - AGES.ages(TIME)
    inside = np.asarray(born) > 0.3
    np.testing.assert_allclose(rate[inside], (4e-9 * born**1.5)[inside], rtol=2e-3)
    np.testing.assert_allclose(lgmet[inside], jnp.log10(1e-3 * born)[inside], atol=2e-3)
    assert (rate[~inside] == 0).all()
    np.testing.assert_allclose(slope, rate / 4.0, rtol=1e-10)
    bad = formed_by(AGES, jnp.asarray(TIME), *jnp.full((4, 20), jnp.nan))
    assert np.isnan(bad.sfr).all()


def test_too_few_times_are_named(config):
    found = build(config.sfh_population, path="sfh_population")
    with pytest.raises(InputError, match="n_times is 3; stars are read from 8"):
        dataclasses.replace(found, n_times=3)
    assert isinstance(found, CyclePopulation)


@pytest.mark.parametrize(("level", "dead"), [(1e-12, 1.0), (0.9e-11, 1.0), (1.1e-11, 0.0), (1e-9, 0.0)])
def test_a_galaxy_is_quenched_by_its_last_rate_over_its_mass(level, dead):
    known = jnp.geomspace(0.3, 14.0, 12)
    mass = jnp.full(12, 1e10)
    made = formed_by(AGES, jnp.asarray(TIME), known, level * 1e9 * mass, mass, jnp.full(12, 0.02))
    assert float(made.quenched) == float(made.quenched_share) == dead
    np.testing.assert_allclose(made.sfr[0], level * 1e10, rtol=1e-5)
    np.testing.assert_allclose(made.lgmet, np.log10(0.02), rtol=1e-5)  # also before its history begins
