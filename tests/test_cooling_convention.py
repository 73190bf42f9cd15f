"""How much gas radiates for a given Lambda_N, and how rich in metals what falls in can be."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.baryons.cooling import SmoothCooling
from galdiff.baryons.halo_state import ALPHA_N, R_INNER, HaloNow, halo_state_at
from galdiff.baryons.hot_gas import LOG10_T_OF_HEAT, PAIRS, cooling_time
from galdiff.baryons.laws.cooling_radius import CoolingRadius
from galdiff.baryons.laws.cooling_time import CoolingTime
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.baryons.pandya23 import Pandya23, published
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.units import BOLTZMANN_ERG_K, GYR_S, KPC_KM, MEAN_WEIGHT, MSUN_G, PROTON_MASS_G, Z_SUN

KPC_CM = KPC_KM * 1e5


def halos(log10_m):
    """At redshift 0, of these virial masses."""
    m = 10.0 ** jnp.asarray(log10_m, float)
    r = 260 * (m / 1e12) ** (1 / 3)
    arrays = dict(
        time=13.8, redshift=0.0, m_vir=m, mdot_vir=0.1 * m, r_vir=r, v_vir=2.07e-3 * jnp.sqrt(m / r), c_nfw=8.0
    )
    return halo_state_at(HaloNow(**{k: x + 0 * m for k, x in arrays.items()}, spin=None), Cosmology())


def gas(halo_state):
    cgm = 0.05 * halo_state.halo.m_vir
    return {
        "mass": {"cgm": cgm},
        "metals": {"cgm": 0.3 * Z_SUN * cgm},
        "energy": {"heat": cgm * halo_state.halo.v_vir**2},
    }


def test_the_cgm_radiates_lambda_of_each_pair_of_an_electron_and_an_ion():
    """In cgs, shell by shell, with the electrons and ions of ionised hydrogen and helium counted one by one."""
    halo_state = halos([11.0, 12.5])
    contents = gas(halo_state)
    hydrogen = (4 / MEAN_WEIGHT - 3) / 5  # by mass, of the fully ionised mixture of this mean weight
    helium = (1 - hydrogen) / 4
    r_cm = np.asarray(halo_state.halo.r_vir) * KPC_CM
    radii = np.geomspace(R_INNER, 1.0, 4001)
    shape = radii**ALPHA_N
    rho = np.asarray(contents["mass"]["cgm"]) * MSUN_G / (4 * np.pi * r_cm**3 * np.trapezoid(shape * radii**2, radii))
    per_gram = 1 / PROTON_MASS_G
    n_e, n_t = (hydrogen + 2 * helium) * per_gram * rho, (hydrogen + helium) * per_gram * rho
    log10_t = np.log10(np.asarray(contents["energy"]["heat"] / contents["mass"]["cgm"])) + LOG10_T_OF_HEAT
    lambda_n = 10.0 ** np.asarray(SmoothCooling()(log10_t, np.log10(0.3)))
    power = n_e * n_t * lambda_n * 4 * np.pi * r_cm**3 * np.trapezoid((shape * radii) ** 2, radii)
    heat = (
        1.5
        * BOLTZMANN_ERG_K
        * 10.0**log10_t
        / (MEAN_WEIGHT * PROTON_MASS_G)
        * np.asarray(contents["mass"]["cgm"])
        * MSUN_G
    )
    found = np.asarray(cooling_time(SmoothCooling(), halo_state, contents)) * np.asarray(halo_state.t_dyn)
    np.testing.assert_allclose(found, heat / power / GYR_S, rtol=2e-4)
    np.testing.assert_allclose(1 / PAIRS, 2.31**2 / (1.21 * 1.10), rtol=3e-3)  # 10 helium per 100 hydrogen


@pytest.mark.parametrize("law", [CoolingTime, CoolingRadius])
def test_by_the_square_of_all_particles_it_cools_four_times_faster(law):
    halo_state = halos([10.5, 13.0])
    sharp = lambda x: x  # noqa: E731
    times = {c: law(convention=c)(None, halo_state, gas(halo_state), sharp).radiation for c in ("ne_nt", "n2")}
    power = 1.0 if law is CoolingTime else -1 / ALPHA_N
    np.testing.assert_allclose(times["ne_nt"] / times["n2"], (1 / PAIRS) ** power, rtol=1e-9)
    np.testing.assert_array_equal(times["ne_nt"], law()(None, halo_state, gas(halo_state), sharp).radiation)


def test_another_convention_is_refused_by_its_name():
    with pytest.raises(InputError, match=r"^convention of cooling is 'nh2'; give one of ne_nt, n2$"):
        CoolingTime(convention="nh2")


def test_the_published_model_is_as_published():
    stage = published(sharp=True)
    assert (stage.cooling.convention, type(stage.z_inflow), stage.sharp) == ("n2", PowerLaw, True)
    assert Pandya23().cooling.convention == "ne_nt"


def test_metals_of_the_inflow_follow_the_power_law_below_the_ceiling_and_level_off_there():
    law, plain = Pandya23().z_inflow, published().z_inflow
    halo_state = halos([9.0, 11.0, 12.0, 13.0, 14.0, 15.5])
    found = np.asarray(law(law.parameters(), halo_state)) / Z_SUN
    free = np.asarray(plain(plain.parameters(), halo_state)) / Z_SUN
    np.testing.assert_allclose(found[:2], free[:2], rtol=2e-3)
    assert 0.9 < found[2] / free[2] < 1
    assert free[4] > 5
    np.testing.assert_allclose(found[4:], 0.5, rtol=1e-3)
    assert (np.diff(found) > 0).all()


def test_gradients_of_the_ceiling_are_those_of_finite_differences():
    law = Pandya23().z_inflow
    for mass in (9.0, 12.3, 15.5):  # far below, in the bend, far above
        halo_state = halos([mass])

        def log10_z(ceiling, halo_state=halo_state):
            p = dataclasses.replace(law.parameters(), log10_ceiling=ceiling)
            return jnp.log10(law(p, halo_state)[0])

        slope = jax.grad(log10_z)(-2.0)
        np.testing.assert_allclose(slope, (log10_z(-1.999) - log10_z(-2.001)) / 0.002, atol=1e-5)
        assert np.isfinite(slope)
