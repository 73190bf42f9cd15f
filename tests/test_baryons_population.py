"""Populations of halos: refined where needed, reported where it fails, never silently kept."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_baryons_budgets import COSMOLOGY, population

from galdiff.baryons import population as module
from galdiff.baryons.evolve import HOPELESS, Outputs, check_times, evolve, evolve_adaptively
from galdiff.baryons.laws.cooling_time import CoolingTime
from galdiff.baryons.laws.depletion_time import DepletionTime
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.population import Population
from galdiff.baryons.regulator import Regulator
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.history import diffmah_history

OUTPUTS = Outputs(redshifts=(1.0, 0.0), n_steps=48)
STIFF = dict(
    cooling=CoolingTime(convention="n2"),
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


def test_many_halos_go_group_after_group_and_nothing_changes(halos, monkeypatch):
    def doubled(halo):
        return {"m_vir": 2 * halo.m_vir, "t_start": halo.t_start}

    together = module.side_by_side(doubled, halos)
    monkeypatch.setattr(module, "LANES", 2)
    jax.tree.map(np.testing.assert_array_equal, module.side_by_side(doubled, halos), together)
    assert together["m_vir"].shape == halos.m_vir.shape
    assert Population(Regulator(), OUTPUTS, chunk=3).chunk == 4  # whole groups


def test_padding_and_cutting_halos_give_them_back(halos):
    padded = module.pad(halos, 11)
    assert padded.m_vir.shape[0] == 11
    np.testing.assert_array_equal(padded.m_vir[8:], np.repeat(np.asarray(halos.m_vir[7:]), 3, 0))
    jax.tree.map(np.testing.assert_array_equal, module.cut(padded, 8), halos)


def test_what_no_solver_solves_is_named_and_not_a_number(halos):
    population_ = Population(Pandya23(**STIFF), OUTPUTS, tolerance=0.01, chunk=8)
    tried = []

    def give_up(state, few, shared, stiff):
        tried.append(stiff)
        made = jax.tree.map(lambda x: x[:1], population_._on_grid(state, jax.tree.map(lambda x: x[:8], few), shared))
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
    assert 0.01 < float(re.search(r"; tolerance=(.*) dex would do for the failed", str(report))[1]) <= 1
    assert str(report.failed[0]) in str(report)


def test_solved_says_that_the_estimate_meets_the_tolerance(halos, solved):
    few = dataclasses.replace(OUTPUTS, n_steps=6)
    coarse, report = Population(Pandya23(**STIFF), few, tolerance=None, chunk=8).solve(halos)
    np.testing.assert_array_equal(coarse.solved, coarse.error <= HOPELESS)
    assert np.isfinite(coarse.m_star).all()
    assert report.flagged == tuple(np.flatnonzero(~coarse.solved))
    assert len(report.flagged) > 0
    assert f"errors up to {coarse.error.max():.2g} dex at n_steps=6: tolerance=0.02 dex gives them" in str(report)
    assert "\n" not in str(report)
    fine, _ = solved
    assert (fine.solved & (fine.error <= 0.01 * (1 + 1e-6))).all()


def in_single(tree):
    return jax.tree.map(lambda x: x.astype(np.float32) if x.dtype == np.float64 else x, tree)


@pytest.fixture(scope="module")
def spoiled(halos):
    """Halos and a solver in single precision whose grid loses halo 3, and that has no stiff solver."""
    population_ = Population(Regulator(), OUTPUTS, tolerance=1.0, chunk=8)
    population_.state = in_single(population_.state)
    on_grid = population_._on_grid

    def lose(state, few, shared):
        found = on_grid(state, few, shared)
        odd = jnp.arange(len(few.t_start)) == 3
        contents = jax.tree.map(lambda x: jnp.where(odd[:, None], jnp.nan, x), found.contents)
        error = jnp.where(odd, jnp.inf, found.error)
        return dataclasses.replace(found, contents=contents, error=error, solved=found.solved & ~odd)

    population_._on_grid = lose
    return population_, in_single(halos)


def test_single_precision_is_solved_again_in_double_and_counted(spoiled, halos):
    population_, rounded = spoiled
    histories, report = population_.solve(rounded)
    assert {x.dtype for x in jax.tree.leaves(histories) if x.dtype.kind == "f"} == {np.dtype(np.float32)}
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(histories))
    assert (report.double, report.failed) == ((3,), ())
    assert "1 in double precision" in str(report)
    fine = jax.tree.map(lambda x: x[3], halos)
    many = dataclasses.replace(OUTPUTS, n_steps=8 * OUTPUTS.n_steps)
    exact = jax.jit(lambda halo: evolve(Regulator().equations(), halo, many))(fine)
    np.testing.assert_allclose(histories.m_star[3], exact.m_star, rtol=1e-5)


def test_without_double_precision_more_steps_are_tried_and_what_fails_is_named(spoiled, monkeypatch):
    population_, rounded = spoiled
    tried = []

    def lost(state, few, shared, stiff=None):
        tried.append((few.m_vir.dtype.name, stiff))
        return jax.tree.map(lambda x: x[3:4], population_._on_grid(state, jax.tree.map(lambda x: x[:8], few), shared))

    for method in ("_finer", "_own_steps"):
        monkeypatch.setattr(population_, method, lost)
    with jax.enable_x64(False):
        histories, report = population_.solve(rounded, ids=range(10, 18))
    assert tried == [("float32", None), ("float32", False), ("float32", True)]
    assert (report.refined, report.failed, report.double) == ((13,), (13,), ())
    assert "1 failed (ids 13)" in str(report)
    assert "runtime.precision=float64" in str(report)
    np.testing.assert_array_equal(np.isfinite(histories.m_star).all(1), histories.solved)
    assert histories.solved.sum() == 7


def test_cycles_that_differ_in_parameters_alone_share_compiled_programs():
    plain, windy, finer = (
        Population(
            Regulator(eta_mass=PowerLaw(log10_a=a, alpha0=-2.0, log10_a_range=(-2.0, 1.0))), outputs, expected=5000
        )
        for a, outputs in ((0.0, OUTPUTS), (0.5, OUTPUTS), (0.0, dataclasses.replace(OUTPUTS, n_steps=49)))
    )
    assert plain._on_grid is windy._on_grid is not finer._on_grid
    halos = jax.tree.map(lambda x: x[:2], population(8))
    masses = [p._on_grid(p.state, halos, None).m_star[:, -1] for p in (plain, windy)]
    assert (masses[1] < 0.9 * masses[0]).all()
    assert plain._on_grid.plain._cache_size() == 1


def test_many_halos_are_solved_by_a_polished_program_and_few_by_one_that_is_there_sooner(halos, monkeypatch):
    few = Population(Regulator(), OUTPUTS, chunk=8)
    quick, polished = few._on_grid, few._on_grid.polished
    assert Population(Regulator(), OUTPUTS, chunk=8, expected=module.MANY)._on_grid is quick
    assert Population(Regulator(), OUTPUTS, chunk=8, expected=module.MANY + 1)._on_grid is polished
    monkeypatch.setattr(module, "MANY", 4)
    monkeypatch.setattr(
        few, "_solve_chunk", lambda halos, names: ({"m_vir": halos.m_vir}, module.Report(8, (), (), ()))
    )
    few.solve(halos)
    assert few._on_grid is polished


def test_own_steps_keep_the_precision_of_halos_and_parameters(halos):
    graph, state = nnx.split(Regulator())
    few = jax.tree.map(lambda x: x[2:4], halos)
    land = Outputs(redshifts=(1.0, 0.0), n_steps=48, land=(1.0, 0.5))  # an output where a step lands

    def run(state, halos):
        e = nnx.merge(graph, state).equations()
        return jax.jit(jax.vmap(lambda h: evolve_adaptively(e, h, land, 1e-3)))(halos)

    double, single = run(state, few), run(in_single(state), in_single(few))
    assert {x.dtype for x in jax.tree.leaves(single)} == {np.dtype(np.float32), np.dtype(bool)}
    assert double.solved.all()
    assert single.solved.all()
    np.testing.assert_allclose(single.m_star, double.m_star, rtol=2e-5)
    np.testing.assert_allclose(single.m_ism, double.m_ism, rtol=2e-4)


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
    assert np.isfinite(history.error)  # finite and positive, though 48 steps are few
    assert (np.asarray(history.flows["mass"]["inflow"]) >= 0).all()
