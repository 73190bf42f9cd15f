"""Galaxies grown in haloes: their stars are those of the history, and every pixel knows the numbers of the cycle."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import i0, i1, k0, k1

from galdiff import units
from galdiff.baryons.evolve import Outputs
from galdiff.baryons.pandya23 import Pandya23
from galdiff.core import nfw
from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.core.record import check
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.galaxy import rotation
from galdiff.galaxy.births import births, mass_formed
from galdiff.galaxy.bulge import bulge_radius
from galdiff.galaxy.grown import TYPICAL_SPIN, GrownGalaxy
from galdiff.galaxy.profiles import nodes
from galdiff.galaxy.view import StarView
from galdiff.halo.history import diffmah_history
from galdiff.ifu.engine import ifu_stages
from galdiff.ifu.instrument import make_instrument
from galdiff.ifu.placement import AtRedshift
from galdiff.ifu.plan import Precision, make_plan
from galdiff.records import BaryonHistory, HaloHistory
from galdiff.sps.library import load_ssp

COSMOLOGY = dict(h0=67.74, omega_m=0.3075, omega_b=0.0486, omega_r=0.0)
OUTPUTS = Outputs(n_times=32, n_steps=64)
G = units.G_KPC_KMS2_MSUN


def halo(log10_mvir=12.1, spin=0.04) -> HaloHistory:
    return diffmah_history(log10_mvir=log10_mvir, spin=spin, cosmology=Cosmology(**COSMOLOGY))


@pytest.fixture(scope="module")
def history() -> BaryonHistory:
    return jax.jit(Pandya23(outputs=Outputs(n_times=64, n_steps=64)))(halo())


@pytest.fixture(scope="module")
def grow():
    """Compiled call of a stage, so that parameters can change without compiling again."""
    stage = GrownGalaxy(n_stars=20_000, n_gas=4000)
    run, state = compiled(Pipeline(stages={"galaxy": stage}, inputs={"history": BaryonHistory}), ["galaxy"])

    def call(history, **numbers):
        model = jax.tree.map(lambda x: x, state)
        for name, value in GrownGalaxy(n_stars=8, n_gas=0, **numbers).__dict__.items():
            if name in numbers:
                model["stages"]["galaxy"][name] = nnx.state({name: value})[name]
        return run(model, history=history)["galaxy"]

    return call


@pytest.fixture(scope="module")
def galaxy(history, grow):
    return grow(history)


def cylinder(particles):
    pos, vel = np.asarray(particles.pos), np.asarray(particles.vel)
    radius = np.hypot(pos[:, 0], pos[:, 1])
    return radius, (pos[:, 0] * vel[:, 1] - pos[:, 1] * vel[:, 0]) / radius


def constant(history: BaryonHistory, sfr=2e9, n=40) -> BaryonHistory:
    """A history of constant star formation and enrichment from 1 to 11 Gyr."""
    time = jnp.linspace(1.0, 11.0, n)
    old = lambda x: jnp.full(n, x)  # noqa: E731
    masses = history.contents["mass"] | {"stars": 1.0 + 0.6 * sfr * (time - 1), "ism": old(1e10)}
    metals = history.contents["metals"] | {"stars": 0.01 * masses["stars"], "ism": old(1e8)}
    return dataclasses.replace(
        jax.tree.map(lambda x: jnp.resize(x, (n,)) if jnp.ndim(x) else x, history),
        time=time,
        r_vir=old(250.0),
        contents=history.contents | {"mass": masses, "metals": metals},
        flows=history.flows | {"mass": history.flows["mass"] | {"star_formation": old(0.6 * sfr)}},
        diagnostics=dataclasses.replace(history.diagnostics, sfr=old(sfr)),
    )


def test_stars_and_metals_are_those_of_the_history(history, galaxy):
    check(galaxy)
    stars, formed = galaxy.stars, mass_formed(history)
    np.testing.assert_allclose(formed, history.m_star[-1] / 0.6, rtol=1e-8)  # the share 0.4 was returned
    np.testing.assert_allclose(stars.mass.sum(), formed, rtol=1e-12)
    metals = formed * history.metallicity("stars")[-1]
    np.testing.assert_allclose((stars.mass * stars.metallicity).sum(), metals, rtol=1e-12)
    assert (stars.mass > 0).all()
    np.testing.assert_allclose(galaxy.gas.mass.sum(), history.m_ism[-1], rtol=1e-12)
    np.testing.assert_allclose(galaxy.gas.sfr.sum() * 1e9, history.sfr[-1], rtol=1e-12)
    gas_metals = (galaxy.gas.mass * galaxy.gas.metallicity).sum()
    np.testing.assert_allclose(gas_metals, history.contents["metals"]["ism"][-1], rtol=1e-12)


def test_ages_follow_the_star_formation_history(history, galaxy):
    age, mass = np.asarray(galaxy.stars.age), np.asarray(galaxy.stars.mass)
    born = history.time[-1] - history.time
    for k in (20, 30, 40, 50, 60, 62):
        older = mass[age > born[k]].sum() / mass.sum()
        np.testing.assert_allclose(older, history.m_star[k] / history.m_star[-1], atol=2e-3)
    young = mass[age < 0.1].sum() / 0.1
    np.testing.assert_allclose(young, history.sfr[-1], rtol=0.02)
    assert (age < 0.1).mean() > 0.1  # light comes from few, so they are sampled well
    assert age.min() < 0.003
    assert age.max() < history.time[-1]


def test_births_of_a_constant_rate_are_uniform_in_time(history):
    born = jax.jit(births)(constant(history), jnp.asarray(nodes(4096, 0)[:, 0]))
    order = np.argsort(born.age)
    share = np.cumsum(np.asarray(born.mass)[order]) / born.mass.sum()
    np.testing.assert_allclose(share, np.asarray(born.age)[order] / 10, atol=2e-3)
    np.testing.assert_allclose(born.formed_before, 1 - born.age / 10, atol=2e-3)
    np.testing.assert_allclose(born.metallicity, 0.01, rtol=1e-12)
    np.testing.assert_allclose(born.mass.sum(), 2e10, rtol=1e-9)


def test_sizes_follow_spin_and_radius(history, grow):
    def half_mass(galaxy):
        radius, _ = cylinder(galaxy.stars)
        mass = np.asarray(galaxy.stars.mass)[:15_000]  # the disc comes first
        order = np.argsort(radius[:15_000])
        return radius[:15_000][order][np.searchsorted(np.cumsum(mass[order]), mass.sum() / 2)]

    plain = half_mass(grow(history, inside_out=1e-9))
    np.testing.assert_allclose(plain, 0.43 * 0.04 * history.r_vir[-1], rtol=0.02)
    assert half_mass(grow(history, inside_out=0.5)) < 0.9 * plain
    fast = dataclasses.replace(history, spin=jnp.array(0.08))
    np.testing.assert_allclose(half_mass(grow(fast, inside_out=1e-9)), 2 * plain, rtol=1e-6)
    assert GrownGalaxy(n_stars=8, n_gas=0).scale_length(dataclasses.replace(history, spin=None)) == pytest.approx(
        0.43 * TYPICAL_SPIN * history.r_vir[-1] / 1.678347
    )


def test_the_bulge_holds_its_share_and_is_old(history, galaxy):
    stage = GrownGalaxy(n_stars=8, n_gas=0)
    share = float(stage.bulge(history))
    mass, age = np.asarray(galaxy.stars.mass), np.asarray(galaxy.stars.age)
    np.testing.assert_allclose(mass[15_000:].sum() / mass.sum(), share, rtol=1e-12)
    assert np.average(age[15_000:], weights=mass[15_000:]) > np.average(age[:15_000], weights=mass[:15_000]) + 1
    r = np.linalg.norm(galaxy.stars.pos[15_000:], axis=1)
    a = bulge_radius(share * history.m_star[-1])
    for x in (0.5, 1.0, 3.0):
        np.testing.assert_allclose((r < a * x).mean(), (x / (1 + x) / (20 / 21)) ** 2, atol=3e-3)


def test_stars_turn_in_the_gravity_of_all_components(history, galaxy):
    stage = GrownGalaxy(n_stars=8, n_gas=0)
    scale, share = stage.scale_length(history), stage.bulge(history)
    masses = stage.components(history, share, 0.9 * scale, scale)  # older stars lie further in
    radius, v_phi = cylinder(galaxy.gas)
    v_c = np.sqrt(rotation.velocity2(jnp.asarray(radius), masses))
    assert abs(np.mean(v_phi / v_c) - 1) < 0.03
    total = masses.m_halo + masses.m_discs.sum() + masses.m_bulge
    np.testing.assert_allclose(total, history.m_vir[-1], rtol=1e-12)
    radius, v_phi = (x[:15_000] for x in cylinder(galaxy.stars))
    age, mass = (np.asarray(x)[:15_000] for x in (galaxy.stars.age, galaxy.stars.mass))
    ring = abs(radius / (2.2 * scale) - 1) < 0.15
    v_22 = float(np.sqrt(rotation.velocity2(jnp.array([2.2 * scale]), masses))[0])
    speed = [np.average(v_phi[k], weights=mass[k]) for k in (ring & (age < 6), ring & (age > 6))]
    assert 0.01 < 1 - speed[1] / speed[0] < 0.2  # asymmetric drift grows with age
    np.testing.assert_allclose(speed[0], v_22, rtol=0.03)


def test_rotation_curves_of_single_components_are_the_known_ones():
    nothing = rotation.Components(
        m_halo=0.0, r_vir=250.0, c_nfw=10.0, m_discs=jnp.zeros(1), r_discs=jnp.array([3.0]), m_bulge=0.0, r_bulge=0.5
    )
    r = jnp.geomspace(0.01, 200.0, 50)
    only_halo = rotation.velocity2(r, dataclasses.replace(nothing, m_halo=1e12))
    np.testing.assert_allclose(np.sqrt(only_halo), nfw.nfw_velocity(r / 250, 10.0, np.sqrt(G * 1e12 / 250)), rtol=1e-10)
    only_disc = rotation.velocity2(r, dataclasses.replace(nothing, m_discs=jnp.array([5e10])))
    y = np.asarray(r) / 6
    near = y < 50  # the plain Bessel functions overflow beyond
    freeman = 2 * G * 5e10 / 3 * y**2 * (i0(y) * k0(y) - i1(y) * k1(y))
    np.testing.assert_allclose(only_disc[near], freeman[near], rtol=2e-6)
    np.testing.assert_allclose(only_disc[-1], G * 5e10 / 200, rtol=2e-3)  # a point mass from afar


def test_the_dispersion_of_an_isolated_bulge_is_hernquists():
    a, mass = 0.7, 1e10
    alone = rotation.Components(
        m_halo=1e-3, r_vir=250.0, c_nfw=10.0, m_discs=jnp.zeros(1), r_discs=jnp.array([3.0]), m_bulge=mass, r_bulge=a
    )
    r = np.geomspace(0.05, 20.0, 40)
    x = r / a
    bracket = 12 * x * (1 + x) ** 3 * np.log(1 + 1 / x) - x / (1 + x) * (25 + 52 * x + 42 * x**2 + 12 * x**3)
    expected = np.sqrt(G * mass / (12 * a) * bracket)  # Hernquist (1990), eq. 10
    found = rotation.bulge_dispersion(rotation.curves_of(alone), jnp.asarray(r))
    inner = x < 5  # beyond, eq. 10 cancels and the far tail of the curve is a power law
    np.testing.assert_allclose(found[inner], expected[inner], rtol=2e-3)


def test_gradients_in_history_and_numbers_are_central_differences(history):
    stage = GrownGalaxy(n_stars=64, n_gas=16)
    graph, params, rest = nnx.split(stage, nnx.Param, ...)
    key = iter(jax.random.split(jax.random.key(0), 100))

    def scalar(params, boost):
        tilted = jax.tree.map(lambda x: x, history)
        mass = dict(tilted.contents["mass"], stars=tilted.m_star * (1 + boost * jnp.linspace(0, 1, 64)))
        tilted = dataclasses.replace(
            tilted,
            contents=tilted.contents | {"mass": mass},
            diagnostics=dataclasses.replace(tilted.diagnostics, sfr=tilted.sfr * (1 + boost * jnp.cos(tilted.time))),
        )
        made = nnx.merge(graph, params, rest)(tilted)
        return sum(jnp.sum(x * w) for x, w in zip(jax.tree.leaves(made), weights, strict=True))

    made = jax.jit(stage)(history)
    weights = [jax.random.normal(next(key), x.shape) / jnp.abs(x).mean() for x in jax.tree.leaves(made)]
    both = jax.jit(jax.value_and_grad(scalar, argnums=(0, 1)))  # one program
    exact, by_boost = both(params, 0.02)[1]
    flat, tree = jax.tree.flatten(params)
    for i, slope in enumerate(jax.tree.leaves(exact)):
        h = 1e-5
        ends = [both(tree.unflatten([*flat[:i], flat[i] + s * h, *flat[i + 1 :]]), 0.02)[0] for s in (1, -1)]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * h), rtol=1e-5, atol=1e-4)
    difference = (both(params, 0.02 + 1e-6)[0] - both(params, 0.02 - 1e-6)[0]) / 2e-6
    np.testing.assert_allclose(by_boost, difference, rtol=1e-5)


def test_the_flux_of_a_spaxel_knows_the_energy_loading():
    wave = dict(grid="linear", start_angstrom=5000.0, end_angstrom=5200.0, step_angstrom=2.5, medium="air")
    spectrograph = make_instrument(
        name="mine",
        n_x=6,
        n_y=6,
        spaxel_x_arcsec=1.5,
        wave=wave,
        lsf=dict(kind="constant", fwhm_angstrom=6.0),
        psf=dict(kind="gaussian", fwhm_arcsec=2.0),
    )
    plan = make_plan(
        load_ssp(None), spectrograph, redshift=0.05, precision=Precision(rank=12, interpolation="cubic", h_v_kms=120.0)
    )
    stages = {
        "history": Pandya23(outputs=OUTPUTS),
        "galaxy": GrownGalaxy(n_stars=1000, n_gas=0),
        "observed_stars": StarView(inclination=60.0, orientation="none"),  # it spins along z as built
        "placement": AtRedshift(redshift=0.05),
        **ifu_stages(plan=plan, engine="compressed"),
    }
    graph, params, rest = nnx.split(Pipeline(stages=stages, inputs={"halo": HaloHistory}), nnx.Param, ...)
    grown = halo()

    @jax.jit
    @jax.value_and_grad
    def flux(params):
        cube = nnx.merge(graph, params, rest)(wanted=["cube"], halo=grown)["cube"]
        return jnp.sum(cube.flux[2, 3])

    def at(log10_a):
        model = nnx.merge(graph, params, rest)
        model.stages["history"].eta_energy.log10_a[...] = log10_a
        return flux(nnx.state(model, nnx.Param))[0]

    start = params["stages"]["history"]["eta_energy"]["log10_a"][...]
    here, slopes = flux(params)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(slopes))
    exact = slopes["stages"]["history"]["eta_energy"]["log10_a"][...]
    h = 1e-4
    difference = (at(start + h) - at(start - h)) / (2 * h)
    assert abs(difference) > 0.01 * here  # it does matter
    np.testing.assert_allclose(exact, difference, rtol=1e-5)


def test_histories_that_tell_too_little_are_refused(history):
    stage = GrownGalaxy(n_stars=8, n_gas=0)
    few = jax.tree.map(lambda x: x[-4:] if jnp.ndim(x) else x, history)
    with pytest.raises(InputError, match=r"history has 4 times; stars need 8 or more: baryons\.outputs\.n_times=64"):
        stage(few)
    with pytest.raises(InputError, match=r"give one galaxy, or use jax\.vmap"):
        stage(jax.tree.map(lambda x: x[None], history))
    with pytest.raises(InputError, match=r"n_stars is 2; give 8 to 1e\+08 particles"):
        GrownGalaxy(n_stars=2, n_gas=0)
    with pytest.raises(ValueError, match=r"outside \(0.05, 3.0\)"):
        GrownGalaxy(n_stars=8, n_gas=0, size_of_spin=5.0)
