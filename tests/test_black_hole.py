"""The black hole of the two-zone cycle: how it grows, what it heats, and the galaxies that come of it."""

import dataclasses

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.baryons.evolve import Outputs, evolve_prepared
from galdiff.baryons.laws.croton06 import MOST, Croton06
from galdiff.baryons.laws.evolving_logistic import EvolvingLogistic
from galdiff.baryons.laws.logistic import Logistic
from galdiff.baryons.pandya23 import Pandya23
from galdiff.build import build
from galdiff.cosmology import Cosmology
from galdiff.halo.history import HistorySettings, diffmah_history
from galdiff.inference.galaxy_calibration import REDSHIFTS, residuals, stellar_masses, today
from galdiff.inference.sensitivity import tables
from galdiff.observables import observed
from galdiff.runtime import project_dir
from galdiff.units import C_KMS, EDDINGTON_GYR, YR_PER_GYR

MASSES = (10.5, 11.25, 12.0, 12.5, 13.0, 13.5, 14.0, 14.5)


def composed(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("simulate", overrides=list(overrides))


@pytest.fixture(scope="module")
def stage():
    """The calibrated cycle: the default of the main job."""
    cycle = build(composed().baryons, path="baryons")
    cycle.outputs = Outputs(redshifts=REDSHIFTS, n_steps=192)
    return cycle


@pytest.fixture(scope="module")
def prepared(stage):
    settings = HistorySettings(n_nodes=64)
    halos = [diffmah_history(log10_mvir=m, cosmology=Cosmology(), settings=settings) for m in MASSES]
    return tables(stage, jax.tree.map(lambda *x: jnp.stack(x), *halos))


@pytest.fixture(scope="module")
def solved(stage, prepared):
    """Histories, and their slopes in the power of the radio mode."""
    own = stage.parameters()

    def run(log10_eddington):
        hole = dataclasses.replace(own.black_hole, log10_eddington=log10_eddington)
        equations = stage.equations(dataclasses.replace(own, black_hole=hole))
        return jax.vmap(lambda t: evolve_prepared(equations, t))(prepared)

    at = own.black_hole.log10_eddington
    both = jax.jit(lambda x: jax.jvp(lambda y: (run(y).m_star, run(y)), (x,), (jnp.ones_like(x),)))
    (_, histories), (slope, _) = both(jnp.asarray(at, float))
    return histories, slope


def test_stars_are_those_of_observed_centrals_from_dwarfs_to_clusters(solved):
    off = np.asarray(stellar_masses(solved[0]))
    assert np.abs(off[:, -1]).max() < 0.15  # dex, z = 0
    assert np.abs(off[:, 1]).max() < 0.25  # z = 1
    assert np.abs(off[:, 0]).max() < 0.25  # z = 2


def test_massive_galaxies_are_quenched_and_others_are_on_the_main_sequence(solved):
    now = today(solved[0])
    mass = np.asarray(jnp.log10(solved[0].m_star[:, -1]))
    ssfr = np.asarray(now["log10_ssfr"])
    assert (ssfr[(mass > 11) & (np.array(MASSES) < 14.2)] < -11).all()
    assert ssfr[-1] < -10.75  # in clusters, whose centrals grow by mergers, which the cycle has not
    between = (mass > 8.8) & (mass < 10.4)
    assert between.sum() == 2
    assert np.abs(np.asarray(now["main_sequence"])[between]).max() < 0.2


def test_gas_oxygen_and_black_holes_are_near_the_observed_ones(solved):
    now = today(solved[0])
    mass = np.asarray(jnp.log10(solved[0].m_star[:, -1]))
    forming = (mass > 8.8) & (mass < 10.6)  # the relation of gas is that of star-forming galaxies
    assert np.abs(np.asarray(now["gas"])[forming]).max() < 0.2
    assert np.abs(np.asarray(now["oxygen"])[(mass > 8.8) & (mass < 11)]).max() < 0.2
    assert np.abs(np.asarray(now["black_hole"])[mass > 10.2]).max() < 0.3
    assert sum(float((r**2).sum()) for r in residuals(solved[0]).values()) < 150


def test_budgets_hold_with_a_black_hole_and_its_heat_is_its_rest_energy(solved, stage):
    history = solved[0]
    for quantity, contents in history.contents.items():
        total = sum(np.asarray(x) for x in contents.values())
        size = np.max([np.abs(np.asarray(x)).max(-1) for x in contents.values()], 0)
        assert (np.ptp(total, -1) / size).max() < 1e-12, quantity
    swallowed = np.asarray(history.flows["mass"]["hot_accretion"])
    heat = np.asarray(history.flows["energy"]["maintenance"])
    efficiency = float(stage.black_hole.efficiency.bounded)
    np.testing.assert_allclose(heat, efficiency * C_KMS**2 * swallowed, rtol=1e-6)
    ratio = np.asarray(history.contents["metals"]["black_hole"] / history.contents["mass"]["black_hole"])
    assert ((ratio > 0) & (ratio < 0.1)).all()
    assert "accretion" in history.ledgers
    assert "black_hole" not in history.ledgers


def test_more_heating_leaves_fewer_stars_where_there_is_a_black_hole(solved):
    slope = np.asarray(solved[1])[:, -1] / np.asarray(solved[0].m_star[:, -1])  # d ln M* / dex
    assert np.isfinite(slope).all()
    assert (slope[3:] < -0.1).all()
    assert abs(slope[0]) < 0.05


def test_the_published_numbers_are_those_of_the_paper():
    """6e-6 Msun/yr onto 1e8 Msun at V_vir = 200 km/s with a tenth of M_vir in hot gas (Croton et al. 2006, eq. 10)."""
    law = build(composed("baryons/black_hole=croton06").baryons.black_hole, path="black_hole")
    m_vir = 1e12
    halo = type("Halo", (), dict(v_vir=jnp.asarray([200.0, 400.0]), redshift=jnp.zeros(2), m_vir=jnp.full(2, m_vir)))
    rates = law(law.parameters(), type("State", (), dict(halo=halo, t_dyn=jnp.ones(2))))
    grown = np.asarray(rates.hot) * 1e8 * 0.1 * m_vir / YR_PER_GYR
    np.testing.assert_allclose(grown, [6e-6, 8 * 6e-6], rtol=0.02)
    np.testing.assert_allclose(rates.cold, 0.03 / (1 + (280 / np.asarray(halo.v_vir)) ** 2), rtol=1e-3)
    np.testing.assert_allclose(EDDINGTON_GYR, 0.4505, rtol=1e-3)  # M c^2 / L_Edd of ionised hydrogen


def test_no_black_hole_shines_above_a_few_percent_of_its_eddington_limit():
    law = Croton06(log10_cold=-2.5, v_cold=100.0, log10_eddington=-1.0, slope=4.0)
    v_vir = jnp.geomspace(1.0, 5000.0, 50)
    halo = type("Halo", (), dict(v_vir=v_vir, redshift=0 * v_vir, m_vir=1e12 + 0 * v_vir))
    rates = law(law.parameters(), type("State", (), dict(halo=halo, t_dyn=v_vir)))
    shines = np.asarray(rates.hot * 0.1 * halo.m_vir * 0.1) * EDDINGTON_GYR  # of L_Edd
    assert (np.diff(shines) > 0).all()
    assert shines[-1] < MOST
    assert shines[-1] > 0.99 * MOST


def test_prevention_that_moves_with_redshift_keeps_its_share_at_the_moving_speed():
    law = EvolvingLogistic(low=0.1, high=0.9, steepness=8.0, log10_v=1.7, beta=0.5)
    redshift = jnp.asarray([0.0, 1.0, 3.0])
    v_vir = 10**1.7 * (1 + redshift) ** 0.5
    at = lambda v: type("State", (), dict(halo=type("Halo", (), dict(v_vir=v, redshift=redshift))))  # noqa: E731
    p = law.parameters()
    np.testing.assert_allclose(law(p, at(v_vir)), 0.5, rtol=1e-6)
    assert (np.diff(law(p, at(jnp.full(3, 60.0)))) < 0).all()  # at one speed less comes in the earlier it is
    still = EvolvingLogistic(low=0.1, high=0.9, steepness=8.0, log10_v=1.7, beta=0.0)
    plain = Logistic(low=0.1, high=0.9, steepness=8.0, log10_v=1.7)
    np.testing.assert_allclose(still(still.parameters(), at(v_vir)), plain(plain.parameters(), at(v_vir)), rtol=1e-12)


def test_without_one_the_cycle_has_the_reservoirs_that_it_had():
    cycle = Pandya23()
    budgets = cycle.equations().budgets
    assert "black_hole" not in budgets["mass"].reservoirs
    assert "accretion" not in budgets["energy"].reservoirs
    assert cycle.parameters().black_hole is not None


def test_observed_relations_are_as_tabulated(data_dir):
    """Check values of the compilation, rounded there to three or four digits."""
    import json

    found = json.loads((data_dir / "obs/literature_relations.json").read_text())["relations"]
    checks = {relation["id"]: relation["check"] for relation in found}
    behroozi = checks["smhm_behroozi2019"]
    for words, values in behroozi["centrals_log10_mstar_over_mpeak"].items():
        z, x = float(words.split("=")[1]), np.asarray(behroozi["log10_mpeak"])
        np.testing.assert_allclose(observed.log10_mstar_behroozi19(x, z) - x, values, atol=2e-3)
    for name, function, column in (
        ("gas_fraction_peeples2014", observed.log10_gas_fraction_peeples14, "log10_mgas_over_mstar"),
        ("mzr_andrews_martini2013", observed.oxygen_andrews_martini13, "twelve_log_oh"),
        ("main_sequence_renzini_peng2015", observed.log10_sfr_renzini_peng15, "log10_sfr"),
    ):
        np.testing.assert_allclose(function(np.asarray(checks[name]["log10_mstar"])), checks[name][column], atol=2e-4)
    hole = checks["black_hole_mcconnell_ma2013"]
    np.testing.assert_allclose(
        observed.log10_black_hole_mcconnell_ma13(np.asarray(hole["log10_mbulge"])), hole["log10_mbh"], atol=2e-3
    )
    np.testing.assert_allclose(observed.oxygen_of_metallicity(0.0134), 8.69)


def test_slopes_of_the_calibration_are_finite_and_those_of_differences(solved):
    """In the stellar mass of every halo, across the windows in which a relation counts."""
    history = solved[0]

    def total(shift):
        mass = {**history.contents["mass"], "stars": history.contents["mass"]["stars"] * 10 ** shift[:, None]}
        moved = dataclasses.replace(history, contents={**history.contents, "mass": mass})
        return sum((r**2).sum() for r in residuals(moved).values())

    zero = jnp.zeros(len(MASSES))
    slopes = jax.jit(jax.grad(total))(zero)
    steps = 1e-5 * jnp.eye(len(MASSES))
    differences = jax.jit(jax.vmap(lambda d: (total(d) - total(-d)) / 2e-5))(steps)
    assert np.isfinite(slopes).all()
    np.testing.assert_allclose(slopes, differences, rtol=1e-4, atol=1e-3)
