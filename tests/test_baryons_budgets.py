"""Laws of the baryon cycle: budgets, positivity, hooks, gradients, precision."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.stats import qmc

from galdiff.baryons.evolve import Outputs, evolve_prepared, prepare
from galdiff.baryons.halo_state import halo_at
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.parameters import turbulent
from galdiff.baryons.rates import Rates, all_drivers, halo_drivers
from galdiff.core.correction import LogGain
from galdiff.cosmology import Cosmology
from galdiff.halo.ensemble import diffmah_population

PRIOR = {
    "eta_mass": ((-2.0, 1.0), (-4.0, 0.0)),
    "eta_energy": ((-2.0, 0.0), (-4.0, 0.0)),
    "star_formation": ((0.0, 1.1), (-4.0, 0.0)),
    "eta_metal": ((-2.0, 0.0), (-4.0, 0.0)),
}
COSMOLOGY = dict(h0=67.74, omega_m=0.3075, omega_b=0.0486)
OUTPUTS = Outputs(redshifts=(2.0, 1.0, 0.0), n_steps=128)


@functools.cache
def population(n, seed=0):
    masses = np.linspace(10.0, 12.3, n)
    return diffmah_population(log10_mvir=masses, seed=seed, cosmology=Cosmology(**COSMOLOGY))


def draws(n, seed=0):
    """Parameters of the prior, n of them, as a function of a stage's own."""
    cube = qmc.LatinHypercube(8, rng=np.random.default_rng(seed)).random(n)
    values = {}
    for k, (name, (amplitude, slope)) in enumerate(PRIOR.items()):
        a = amplitude[0] + cube[:, 2 * k] * (amplitude[1] - amplitude[0])
        alpha = slope[0] + cube[:, 2 * k + 1] * (slope[1] - slope[0])
        values[name] = (jnp.asarray(a), jnp.asarray(alpha))
    return values


def with_values(parameters, values):
    laws = {
        name: dataclasses.replace(getattr(parameters, name), log10_a=a, alpha0=alpha)
        for name, (a, alpha) in values.items()
    }
    return dataclasses.replace(parameters, **laws)


def random_network(n_in, n_out, seed, scale=1.0):
    net = nnx.Sequential(
        nnx.Linear(n_in, 8, rngs=nnx.Rngs(seed)), jnp.tanh, nnx.Linear(8, n_out, rngs=nnx.Rngs(seed + 1))
    )
    return lambda x: scale * net(x)


def drift(histories):
    """Largest change of a total over the largest content, for each quantity."""
    found = {}
    for quantity, contents in histories.contents.items():
        total = sum(np.asarray(x, np.float64) for x in contents.values())
        size = np.max([np.abs(np.asarray(x)).max(-1) for x in contents.values()], 0)
        found[quantity] = (np.ptp(total, -1) / size).max()
    return found


N_RATES = len(dataclasses.fields(Rates))
STAGES = {
    "thermal": lambda: Pandya23(outputs=OUTPUTS),
    "turbulent": lambda: Pandya23(outputs=OUTPUTS, turbulence=turbulent()),
    "corrected": lambda: Pandya23(outputs=OUTPUTS, correction=LogGain(net=random_network(4, N_RATES, 6), bound=2.0)),
    "corrected by state": lambda: Pandya23(
        outputs=OUTPUTS, state_correction=LogGain(net=random_network(8, N_RATES, 7), bound=2.0)
    ),
    "sharp": lambda: Pandya23(outputs=OUTPUTS, sharp=True),
}


@pytest.mark.parametrize("name", STAGES)
def test_totals_do_not_change_over_a_hubble_time(name):
    stage = STAGES[name]()
    histories = jax.jit(jax.vmap(stage))(population(32))
    assert np.isfinite(histories.error).all()  # that is: finite and positive
    for quantity, change in drift(histories).items():
        assert change < 1e-12, quantity


def test_totals_hold_in_single_precision():
    # A process of its own: precision is chosen once, before the first array.
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import jax, test_baryons_budgets as t;"
        "stage = t.STAGES['corrected'](); h = jax.jit(jax.vmap(stage))(t.population(16));"
        "print(h.m_star.dtype, bool(h.solved.all()), max(t.drift(h).values()))"
    )
    here = pathlib.Path(__file__).parent
    environment = {**os.environ, "JAX_ENABLE_X64": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(here)], capture_output=True, text=True, env=environment, check=True
    )
    dtype, solved, change = done.stdout.split()
    assert dtype == "float32"
    assert solved == "True"
    assert float(change) < 1e-5


def test_no_reservoir_runs_dry_over_the_whole_prior():
    stage, n = Pandya23(outputs=OUTPUTS), 10_000
    halos = jax.tree.map(lambda x: jnp.repeat(x, n // 100, 0), population(100))
    values = draws(n)

    def one(halo, values):
        e = stage.equations(with_values(stage.parameters(), values))
        return evolve_prepared(e, prepare(e, halo, OUTPUTS))

    histories = jax.jit(jax.vmap(one))(halos, values)
    assert np.isfinite(histories.error).all()  # that is: finite and positive
    np.testing.assert_array_equal(histories.solved, histories.error <= OUTPUTS.tolerance)
    assert 0 < (~histories.solved).mean() < 0.2  # stiff sets say so
    for quantity, reservoirs in {"mass": ("stars", "ism", "cgm"), "metals": ("stars", "ism", "cgm")}.items():
        for name in reservoirs:
            assert (np.asarray(histories.contents[quantity][name]) > 0).all(), (quantity, name)
    assert (np.asarray(histories.contents["energy"]["heat"]) > 0).all()
    for quantity, change in drift(histories).items():
        assert change < 1e-12, quantity
    for flows in histories.flows.values():
        assert all((np.asarray(f) >= 0).all() for f in flows.values())


@pytest.mark.parametrize("hook", ["correction", "state_correction"])
def test_a_correction_of_zero_leaves_every_flow_bit_identical(hook):
    halo = jax.tree.map(lambda x: x[0], population(32))
    zero = LogGain(net=lambda drivers: jnp.zeros((*drivers.shape[:-1], N_RATES)), bound=1.0)
    plain, corrected = Pandya23(outputs=OUTPUTS), Pandya23(outputs=OUTPUTS, **{hook: zero})
    history = jax.jit(plain)(halo)
    halo_state = plain.equations().halo_state(halo_at(halo, history.time), halo.cosmology)
    found = []
    for stage in (plain, corrected):  # not compiled: the compiler may reorder sums of programs that differ
        e = stage.equations()
        found.append(e.flows(history.contents, e.known_rates(halo_state)))
    jax.tree.map(np.testing.assert_array_equal, *found)
    grown = jax.jit(corrected)(halo)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11), grown.flows, history.flows)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11), grown.diagnostics, history.diagnostics)


MOVED = {
    "inflow": ("mass", "inflow"),
    "cooling": ("mass", "cooling"),
    "star_formation": ("mass", "star_formation"),
    "eta_mass": ("mass", "wind"),
    "eta_energy": ("energy", "wind"),
    "eta_metal": ("metals", "loading"),
    "metal_yield": ("metals", "enrichment"),
    "outflow": ("mass", "outflow"),
    "recycling": ("mass", "star_formation"),
}


@pytest.mark.parametrize("hook", ["correction", "state_correction"])
def test_each_hook_moves_what_it_names(hook):
    halo = jax.tree.map(lambda x: x[5], population(32))
    assert list(MOVED) == [f.name for f in dataclasses.fields(Rates)]

    @jax.jit
    def run(gains):
        gain = LogGain(net=lambda x: gains * jnp.ones((*x.shape[:-1], 1)), bound=1.0)
        return Pandya23(outputs=OUTPUTS, **{hook: gain})(halo)

    plain = run(jnp.zeros(N_RATES))
    for index, (rate, (quantity, flow)) in enumerate(MOVED.items()):
        moved = run(jnp.zeros(N_RATES).at[index].set(0.1))
        ratio = np.asarray(moved.flows[quantity][flow]) / np.asarray(plain.flows[quantity][flow])
        assert np.abs(ratio - 1).max() > 1e-3, rate
        if rate in ("eta_mass", "eta_energy", "eta_metal"):  # loadings are shown as they act
            shown = [getattr(h.diagnostics, rate) for h in (moved, plain)]
            assert np.abs(shown[0] / shown[1] - 1).max() > 1e-3, rate
        assert all(change < 1e-12 for change in drift(jax.tree.map(lambda x: x[None], moved)).values())


def test_drivers_are_of_order_one():
    halo = jax.tree.map(lambda x: x[20], population(32))
    stage = Pandya23(outputs=OUTPUTS)

    @jax.jit
    def drivers(halo):
        e = stage.equations()
        prepared = prepare(e, halo, OUTPUTS)
        history = evolve_prepared(e, prepared)
        return all_drivers(history.contents, prepared.halo_state_shown), halo_drivers(prepared.halo_state_shown)

    seen, of_halo = drivers(halo)
    assert seen.shape == (3, 8)
    assert np.abs(seen).max() < 10
    np.testing.assert_array_equal(of_halo, seen[..., :4])


@pytest.mark.parametrize("turbulence", [False, True])
def test_gradients_of_all_numbers_equal_central_differences(turbulence):
    halo = jax.tree.map(lambda x: x[0], population(32))
    stage = Pandya23(outputs=OUTPUTS, turbulence=turbulent() if turbulence else None)
    p0 = stage.parameters()
    tables = prepare(stage.equations(), halo, OUTPUTS)

    def loss(p):
        h = evolve_prepared(stage.equations(p), tables)
        parts = [h.m_star, h.contents["mass"]["cgm"], h.metallicity("ism"), h.contents["energy"]["heat"]]
        return sum(jnp.log(x).sum() for x in parts)

    both = jax.jit(jax.value_and_grad(loss))  # one program
    slopes, tree = jax.tree.flatten(both(p0)[1])
    leaves = jax.tree.leaves(p0)
    for i, (x, slope) in enumerate(zip(leaves, slopes, strict=True)):
        step = 1e-5 * max(abs(float(x)), 0.1)
        values = [both(jax.tree.unflatten(tree, [*leaves[:i], x + s * step, *leaves[i + 1 :]]))[0] for s in (1, -1)]
        difference = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(slope, difference, rtol=2e-5, atol=2e-6, err_msg=str(i))
