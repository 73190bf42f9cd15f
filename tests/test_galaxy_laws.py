"""Laws in the slots of a grown galaxy, on histories made by hand: bulges, bursts, and where the gas is molecular."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.core.variables import OutOfBounds
from galdiff.galaxy.blitz_rosolowsky06 import BlitzRosolowsky06
from galdiff.galaxy.bulge import RE_OVER_A, ByMassAndAge, bulge_radius, typical_bulge
from galdiff.galaxy.bursts import N_WAVES, DampedRandomWalk, Steady
from galdiff.galaxy.molecular import InProportion, Midplane

NUMBERS = dict(most=0.8, log10_mass=11.0, width=0.8, early=6.0, scatter=0.8, latent=0.0)


def evenly(log10_m_star):
    """A galaxy that always formed stars at one rate: they are half as old as the universe."""
    time = jnp.linspace(0.0, 13.8, 9)
    mass = 10**log10_m_star * time / time[-1]
    return SimpleNamespace(time=time, m_star=mass, m_formed=mass)


def midplane(gas, stars, height=300.0):
    gas = jnp.asarray(gas)
    return Midplane(
        gas=gas, stars=jnp.full_like(gas, stars), height=jnp.asarray(height), metallicity=jnp.full_like(gas, 0.02)
    )


def test_a_bulge_of_half_the_most_is_where_the_mass_is_the_pivot_and_the_age_typical():
    np.testing.assert_allclose(ByMassAndAge(**NUMBERS)(evenly(11.0)), 0.4, rtol=1e-5)
    np.testing.assert_allclose(typical_bulge()(evenly(11.0)), 0.4, rtol=1e-5)
    share = [float(typical_bulge()(evenly(m))) for m in (6.0, 9.0, 10.0, 12.0, 16.0)]
    assert (np.diff(share) > 0).all()
    assert share[0] < 1e-4
    np.testing.assert_allclose(share[-1], 0.8, rtol=1e-4)


def test_a_width_is_the_decades_over_which_the_odds_of_a_bulge_grow_tenfold():
    for width in (0.4, 0.8):
        law = ByMassAndAge(**{**NUMBERS, "width": width})
        odds = [float(s / (0.8 - s)) for s in (law(evenly(11.0)), law(evenly(11.0 + width)))]
        np.testing.assert_allclose(odds, [1.0, 10.0], rtol=1e-4)


def test_what_a_galaxy_was_dealt_counts_by_the_scatter_and_age_by_its_growth():
    lucky = {**NUMBERS, "latent": 1.5}
    share = float(ByMassAndAge(**lucky)(evenly(11.0)))
    np.testing.assert_allclose(np.log(share / (0.8 - share)), 0.8 * 1.5, rtol=1e-4)
    np.testing.assert_allclose(ByMassAndAge(**{**lucky, "scatter": 0.0})(evenly(11.0)), 0.4, rtol=1e-5)
    whole = evenly(11.0)
    early = SimpleNamespace(**{**vars(whole), "m_formed": 1e11 * jnp.minimum(4 * whole.time / 13.8, 1.0)})
    share = float(ByMassAndAge(**NUMBERS)(early))  # a mean age of 7/8 of that of the universe
    np.testing.assert_allclose(np.log(share / (0.8 - share)), 6.0 * 3 / 8, rtol=1e-4)
    np.testing.assert_allclose(ByMassAndAge(**{**NUMBERS, "early": 0.0})(early), 0.4, rtol=1e-5)


def test_bulges_are_as_large_as_early_types_of_their_mass():
    """Shen et al. (2003): 2.88e-6 kpc (M/Msun)^0.56, 4.16 kpc at 10^11 Msun; half of the light of a Hernquist bulge."""
    np.testing.assert_allclose(RE_OVER_A * bulge_radius(1e11), 4.16, rtol=2e-3)
    np.testing.assert_allclose(bulge_radius(1e11) / bulge_radius(1e10), 10**0.56, rtol=1e-6)


@pytest.mark.parametrize("changed", [dict(most=1.0), dict(most=0.0), dict(width=0.0), dict(log10_mass=14.0)])
def test_bulges_that_make_no_sense_are_refused(changed):
    with pytest.raises(OutOfBounds):
        ByMassAndAge(**{**NUMBERS, **changed})


def test_bursts_follow_from_their_seed_and_scale_with_time_and_scatter():
    age = jnp.linspace(0.0, 3.0, 50)
    walk = DampedRandomWalk(sigma=0.3, tau=0.1, seed=4)
    np.testing.assert_array_equal(walk(age), DampedRandomWalk(sigma=0.3, tau=0.1, seed=4)(age))
    assert np.abs(walk(age) - DampedRandomWalk(sigma=0.3, tau=0.1, seed=5)(age)).max() > 0.1
    slow, twice = DampedRandomWalk(sigma=0.3, tau=0.2, seed=4), DampedRandomWalk(sigma=0.6, tau=0.1, seed=4)
    np.testing.assert_allclose(slow(2 * age), walk(age), atol=2e-3)  # it only runs at half the pace
    spread = np.log(10) * 0.3
    np.testing.assert_allclose(twice(age) + 2 * spread**2, 2 * (walk(age) + spread**2 / 2), atol=2e-3)


def test_waves_of_bursts_are_one_in_each_stratum_of_a_lorentzian():
    frequency, phase = DampedRandomWalk(sigma=0.3, tau=0.1).waves.get_value()
    stratum = np.floor((np.arctan(np.asarray(frequency, float)) / np.pi + 0.5) * N_WAVES + 1e-3)
    assert (np.abs(stratum - np.arange(N_WAVES)) <= 1).all()
    assert np.abs(np.median(frequency)) < 0.02
    assert ((phase >= 0) & (phase <= 2 * np.pi + 1e-6)).all()


def test_laws_of_bursts_keep_the_shape_of_the_times():
    for law in (Steady(), DampedRandomWalk(sigma=0.1, tau=1.0)):
        assert [law(jnp.ones(shape)).shape for shape in ((), (3,), (2, 3))] == [(), (3,), (2, 3)]
    with pytest.raises(OutOfBounds, match="Gyr"):
        DampedRandomWalk(sigma=0.1, tau=0.0)


def test_gas_is_molecular_where_it_is_dense_stars_are_many_and_discs_thin():
    law, gas = BlitzRosolowsky06(), np.geomspace(0.1, 1000.0, 9)  # Msun/pc^2
    share = np.asarray(law(midplane(gas, 50.0)))
    assert (np.diff(share) > 0).all()
    assert share[0] < 0.05
    assert share[-1] > 0.9
    assert (law(midplane(gas, 200.0)) > share).all()
    np.testing.assert_allclose(law(midplane(gas, 200.0, 1200.0)), share, rtol=1e-6)  # stars by volume are the same
    np.testing.assert_allclose(law(midplane(gas * 2, 50.0)), law(midplane(gas, 200.0)), rtol=1e-5)


def test_a_higher_pressure_scale_and_a_slope_change_the_share_as_their_equation_says():
    at = midplane([3.0, 30.0], 50.0)
    odds = [share / (1 - share) for share in (law(at) for law in (BlitzRosolowsky06(), BlitzRosolowsky06(slope=1.84)))]
    np.testing.assert_allclose(odds[1], odds[0] ** 2, rtol=1e-4)
    other = BlitzRosolowsky06(log10_pressure=4.633 + 0.5)(at)
    np.testing.assert_allclose(other / (1 - other), odds[0] * 10 ** (-0.5 * 0.92), rtol=1e-4)
    slope = jax.grad(lambda x: BlitzRosolowsky06()(midplane([x], 50.0))[0])(30.0)
    share = odds[0][1] / (1 + odds[0][1])
    np.testing.assert_allclose(slope, 0.92 * share * (1 - share) / 30.0, rtol=1e-4)
    with pytest.raises(OutOfBounds, match=r"dex\(K/cm\^3\)"):
        BlitzRosolowsky06(log10_pressure=2.0)


def test_in_proportion_to_the_gas_means_everywhere_even_where_there_is_none():
    at = midplane([0.0, 1.0, 1e4], 50.0)
    np.testing.assert_array_equal(InProportion()(at), np.ones(3))
    assert InProportion()(at).dtype == at.gas.dtype
