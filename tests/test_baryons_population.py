"""Populations of halos: refined where needed, reported where it fails, never silently kept."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_baryons_budgets import COSMOLOGY, population

from galdiff.baryons import population as module
from galdiff.baryons.evolve import Outputs, check_times, evolve
from galdiff.baryons.laws.depletion_time import DepletionTime
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.population import Population
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.history import diffmah_history

OUTPUTS = Outputs(redshifts=(1.0, 0.0), n_steps=48)
STIFF = dict(
    eta_mass=PowerLaw(log10_a=0.9, alpha0=-3.5, log10_a_range=(-2.0, 1.0)),
    star_formation=DepletionTime(log10_a=0.05, alpha0=-0.4),
)


@pytest.fixture(scope="module")
def halos():
    return jax.tree.map(lambda x: x[::4], population(32))


@pytest.fixture(scope="module")
def exact(halos):
    fine = Outputs(redshifts=OUTPUTS.redshifts, n_steps=2048)
    stage = Pandya23(**STIFF)
    return jax.jit(jax.vmap(lambda h: evolve(stage.equations(), h, fine)))(halos)


@pytest.fixture(scope="module")
def solved(halos):
    """Histories and report with a tolerance that some keep by steps of their own, and one by the stiff solver alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_STEPS", 1500)
        return Population(Pandya23(**STIFF), OUTPUTS, tolerance=0.01, chunk=8).solve(halos)


def test_galaxies_above_the_tolerance_take_steps_of_their_own(halos, exact, solved):
    coarse, report = Population(Pandya23(**STIFF), OUTPUTS, tolerance=None, chunk=8).solve(halos)
    assert report.refined == ()
    true = np.abs(np.log10(coarse.m_star / np.asarray(exact.m_star))).max(-1)
    assert (true < coarse.error).all()  # the estimate is on the safe side
    fine, report = solved
    assert report.n == 8
    assert len(report.refined) > len(report.stiff)
    assert report.failed == ()
    assert np.abs(np.log10(fine.m_star / np.asarray(exact.m_star))).max() < 0.01


def test_the_stiff_solver_takes_over(exact, solved):
    history, report = solved
    assert 0 in report.stiff
    np.testing.assert_allclose(np.log10(history.m_star[0]), np.log10(exact.m_star[0]), atol=0.01)


def test_a_population_equals_its_galaxies(halos):
    stage = Pandya23()
    together, _ = Population(stage, OUTPUTS, tolerance=None, chunk=3).solve(halos)  # 8 in chunks of 3
    alone = jax.jit(lambda h: evolve(stage.equations(), h, OUTPUTS))(jax.tree.map(lambda x: x[7], halos))
    np.testing.assert_allclose(together.m_star[7], alone.m_star, rtol=1e-12)


def test_what_no_solver_solves_is_named_and_not_a_number(halos):
    population_ = Population(Pandya23(**STIFF), OUTPUTS, tolerance=0.01, chunk=8)
    tried = []

    def give_up(state, few, stiff):
        tried.append(stiff)
        made = jax.tree.map(lambda x: x[:1], population_._on_grid(state, jax.tree.map(lambda x: x[:8], few)))
        made = jax.tree.map(lambda x: jnp.repeat(x, len(few.t_start), 0), made)
        return dataclasses.replace(made, solved=jnp.zeros(len(few.t_start), bool))

    population_._own_steps = give_up
    histories, report = population_.solve(halos, ids=range(100, 108))
    assert tried == [False, True]  # the stiff solver comes last
    assert set(report.failed) <= set(range(100, 108))
    assert len(report.failed) > 0
    lost = np.isin(np.arange(100, 108), report.failed)
    assert np.isnan(histories.m_star[lost]).all()
    assert np.isfinite(histories.m_star[~lost]).all()
    assert not histories.solved[lost].any()
    assert str(report.failed[0]) in str(report)


def test_a_stream_counts_what_is_done(halos):
    counted = []
    stream = Population(Pandya23(), OUTPUTS, tolerance=None, chunk=6).stream([halos, halos], done=counted.append)
    sizes = [r.n for _, r in stream]
    assert sizes == counted == [6, 2, 6, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(redshifts=(0.0, 1.0)), "falling"),
        (dict(redshifts=()), "falling"),
        (dict(redshifts=(1.0, -0.5)), "below 0"),
        (dict(n_times=200, n_steps=128), "n_steps 128"),
    ],
)
def test_outputs_that_cannot_be_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Outputs(**settings)


def test_halos_that_start_after_the_first_output_are_refused():
    halo = diffmah_history(log10_mvir=10.0, cosmology=Cosmology(**COSMOLOGY))
    with pytest.raises(InputError, match="asked for at redshift 25"):
        Pandya23(outputs=Outputs(redshifts=(25.0, 0.0)))(halo)


def test_outputs_after_the_end_of_a_halo_are_refused():
    halo = diffmah_history(log10_mvir=12.0, observed_redshift=1.0, cosmology=Cosmology(**COSMOLOGY))
    with pytest.raises(InputError, match="halo ends at"):
        check_times(halo, Outputs(redshifts=(2.0, 0.0)))


@pytest.mark.parametrize(("key", "value"), [("tolerance", 0.0), ("tolerance", 5.0), ("chunk", 0)])
def test_tolerances_that_cannot_be_held_are_refused(key, value):
    with pytest.raises(InputError, match=f"{key} is"):
        Population(Pandya23(), OUTPUTS, **{key: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(f_recycle=1.5), r"1.5 1 is outside \(0.0, 0.9\)"),
        (dict(metal_yield=-0.1), "-0.1 1 is outside"),
        (dict(eta_mas=None), "eta_mas"),
    ],
)
def test_numbers_out_of_bounds_and_unknown_names_are_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Pandya23(**arguments)


def test_a_halo_that_hardly_grows_still_has_a_solution():
    halo = diffmah_history(log10_mvir=12.0, cosmology=Cosmology(**COSMOLOGY))
    still = halo.time > 3.0
    frozen = dataclasses.replace(
        halo,
        m_vir=jnp.where(still, jnp.interp(3.0, halo.time, halo.m_vir), halo.m_vir),
        mdot_vir=jnp.where(still, 0.0, halo.mdot_vir),
    )
    history = jax.jit(Pandya23(outputs=OUTPUTS))(frozen)
    assert history.solved
    assert (np.asarray(history.flows["mass"]["inflow"]) >= 0).all()
