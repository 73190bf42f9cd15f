"""The Patankar scheme and the drivers of the solver, on budgets with known solutions."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.baryons.adaptive import FlowTerm, ModifiedPatankar, solve_adaptively
from galdiff.baryons.patankar import patankar_step
from galdiff.baryons.solve import GRADING, grid_times, solve_on_grid, stage_times, step_counts
from galdiff.core.budget import Budget

PAIR = {"m": Budget(reservoirs=("a", "b"), transfers={"ab": ("a", "b"), "ba": ("b", "a")})}
CHAIN = Budget(
    reservoirs=("a", "b", "c", "out", "in"),
    ledgers=("out", "in"),
    transfers={
        "ab": ("a", "b"),
        "ba": ("b", "a"),
        "bc": ("b", "c"),
        "ca": ("c", "a"),
        "co": ("c", "out"),
        "in": ("in", "a"),
    },
)


def pair_flows(contents, rates):
    return {"m": {"ab": rates[0] * contents["m"]["a"], "ba": rates[1] * contents["m"]["b"]}}


def pair_at(t, rates, a0, b0, t0):
    total, rate = a0 + b0, rates[0] + rates[1]
    rest = total * rates[1] / rate
    return rest + (a0 - rest) * np.exp(-rate * (t - t0))


def run_pair(n_steps, rates=(1.3, 0.4), t0=0.1, t1=2.0):
    at, pace = stage_times(grid_times(jnp.array([t0, t1]), (n_steps,)))
    known_rates = tuple(jnp.full(at.shape, r) for r in rates)
    start = {"m": {"a": jnp.asarray(1.0), "b": jnp.asarray(0.2)}}
    return solve_on_grid(pair_flows, PAIR, start, known_rates, pace, (n_steps,))


def test_the_scheme_is_of_third_order():
    exact = pair_at(2.0, (1.3, 0.4), 1.0, 0.2, 0.1)
    errors = [abs(float(run_pair(n)[0]["m"]["a"][0]) - exact) for n in (64, 128, 256, 512)]
    orders = np.log2(np.asarray(errors[:-1]) / errors[1:])
    assert np.all(orders > 2.7), orders


def test_the_estimated_error_follows_the_true_one():
    exact = pair_at(2.0, (1.3, 0.4), 1.0, 0.2, 0.1)
    for n in (16, 64):
        contents, estimate = run_pair(n)
        true = abs(float(contents["m"]["a"][0]) / exact - 1)
        assert 0.3 * true < estimate < 300 * true


@pytest.mark.parametrize("rate", [1e2, 1e6, 1e12])
def test_any_step_keeps_contents_positive_and_the_sum(rate):
    contents, _ = run_pair(4, rates=(rate, 0.3 * rate))
    a, b = (float(contents["m"][x][0]) for x in "ab")
    assert min(a, b) > 0
    assert a + b == pytest.approx(1.2, rel=1e-14)
    assert a == pytest.approx(1.2 * 0.3 / 1.3, rel=0.3)  # four steps damp the start, but not to nothing


def test_a_step_solves_the_linear_system_of_its_budget():
    rng = np.random.default_rng(0)
    before = {n: jnp.asarray(x) for n, x in zip(CHAIN.reservoirs, [*rng.uniform(0.1, 1, 3), 0.0, 0.0], strict=True)}
    moved = {flow: jnp.asarray(x) for (flow, *_), x in zip(CHAIN.transfers, 10 ** rng.uniform(-3, 6, 6), strict=True)}
    weigh = {n: jnp.asarray(x) for n, x in zip("abc", rng.uniform(0.1, 1, 3), strict=True)}
    after = patankar_step(CHAIN, before, moved, {n: 1 / w for n, w in weigh.items()})
    for name in CHAIN.reservoirs:
        change = sum(
            (moved[f] * (after[d] / weigh[d] if d in weigh else 1.0)) * ((r == name) - (d == name))
            for f, d, r in CHAIN.transfers
        )
        np.testing.assert_allclose(after[name] - before[name], change, rtol=1e-9, atol=1e-9 * float(moved["in"]))
    assert all(after[n] > 0 for n in "abc")


def test_derivatives_of_a_step_equal_central_differences():
    @jax.jit
    def out(x):
        before = dict(zip(CHAIN.reservoirs, [*x[:3], x[0] * 0, x[0] * 0], strict=True))
        moved = {flow: x[3 + i] for i, (flow, *_) in enumerate(CHAIN.transfers)}
        after = patankar_step(CHAIN, before, moved, dict(zip("abc", 1 / x[9:12], strict=True)))
        return jnp.stack([after[n] for n in CHAIN.reservoirs])

    x = jnp.asarray(np.random.default_rng(1).uniform(0.2, 2.0, 12))
    step = 1e-6
    differences = jnp.stack([(out(x + step * e) - out(x - step * e)) / (2 * step) for e in jnp.eye(12)], -1)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(out))(x), differences, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(jax.jit(jax.jacrev(out))(x), differences, rtol=1e-7, atol=1e-8)


def test_the_grid_takes_the_steps_that_diffrax_takes():
    n = 24
    times = grid_times(jnp.array([0.1, 2.0]), (n,))
    contents, _ = run_pair(n)
    solution = diffrax.diffeqsolve(
        FlowTerm(lambda s, y, _: jax.tree.map(lambda f: f * jnp.exp(s), pair_flows(y, (1.3, 0.4)))),
        ModifiedPatankar(PAIR),
        t0=jnp.log(times[0]),
        t1=jnp.log(times[-1]),
        dt0=None,
        y0={"m": {"a": jnp.asarray(1.0), "b": jnp.asarray(0.2)}},
        stepsize_controller=diffrax.StepTo(ts=jnp.log(times)),
    )
    np.testing.assert_allclose(contents["m"]["a"], solution.ys["m"]["a"], rtol=1e-12)


@pytest.mark.parametrize("solver", ["patankar", "stiff"])
def test_own_steps_keep_the_tolerance(solver):
    edges = jnp.array([0.1, 0.7, 2.0])
    start = {"m": {"a": jnp.asarray(1.0), "b": jnp.asarray(0.2)}}
    contents, done, _ = solve_adaptively(
        lambda t, y: pair_flows(y, (30.0, 0.4)), PAIR, start, edges, 1e-6, solver=solver
    )
    assert done
    exact = [pair_at(t, (30.0, 0.4), 1.0, 0.2, 0.1) for t in (0.7, 2.0)]
    np.testing.assert_allclose(contents["m"]["a"], exact, rtol=1e-4)
    np.testing.assert_allclose(contents["m"]["a"] + contents["m"]["b"], 1.2, rtol=1e-12)


def test_an_exhausted_solver_says_so():
    edges = jnp.array([0.1, 2.0])
    start = {"m": {"a": jnp.asarray(1.0), "b": jnp.asarray(0.2)}}
    _, done, _ = solve_adaptively(lambda t, y: pair_flows(y, (30.0, 0.4)), PAIR, start, edges, 1e-9, max_steps=5)
    assert not done


def test_steps_are_shared_by_the_length_of_the_intervals():
    assert step_counts(np.array([1.0, 10.0, 100.0]), 10) == (5, 5)
    assert step_counts(np.array([1.0, 1.01, 100.0]), 10) == (1, 9)


@pytest.mark.parametrize("grading", [0.0, GRADING])
def test_steps_are_even_in_a_power_of_time_and_land_on_the_edges(grading):
    edges = np.array([0.31, 1.7, 13.8])
    times = np.asarray(grid_times(jnp.asarray(edges), (5, 7), grading))
    np.testing.assert_allclose(times[[0, 5, 12]], edges, rtol=1e-14)
    for part in (times[:6], times[5:]):
        steps = np.diff(part**grading if grading else np.log(part))
        np.testing.assert_allclose(steps, steps[0], rtol=1e-9)


def test_a_late_start_makes_empty_steps_that_change_nothing():
    times = grid_times(jnp.array([1.0, 0.5, 2.0]), (3, 4))
    np.testing.assert_allclose(times[:4], 1.0, rtol=1e-15)
    _, pace = stage_times(times)
    assert (pace[:, :3] == 0).all()
    assert (pace[:, 3:] > 0).all()


def test_a_grid_is_as_precise_as_its_edges():
    edges = np.array([0.31, 1.7, 13.8])
    times = grid_times(jnp.asarray(edges, jnp.float32), (5, 7))
    assert times.dtype == jnp.float32
    np.testing.assert_allclose(times, grid_times(jnp.asarray(edges), (5, 7)), rtol=1e-6)
