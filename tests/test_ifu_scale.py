"""Tiles, several devices, repeated calls, and memory of the compressed engine."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ifu_reference import load_reference
from test_ifu_engine import engine_of, observe

from galdiff import runtime
from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.ifu.engine import ifu_stages
from galdiff.ifu.sharded import shard_stars, sharded_deposit
from galdiff.ifu.stages import Deposit, Synthesis
from galdiff.ifu.tiles import observe_in_tiles, tile_instrument
from galdiff.records import Placement, SkyStars


@pytest.fixture(scope="module")
def synthetic(request):
    return load_reference(request.config.rootpath / "tests/data/ifu_reference_synthetic.npz")


def test_tiles_make_the_cube_of_the_whole_field(synthetic):
    base = synthetic.instrument(synthetic.fwhm)
    instr = dataclasses.replace(base, psf=dataclasses.replace(base.psf, kind="gaussian", fwhm_arcsec=1.5))
    settings = dict(rank=16, h_v_kms=40, kernel="cubic")
    whole = observe(synthetic.plan(instrument=instr, **settings), synthetic.stars, synthetic.placement).flux
    plan = synthetic.plan(instrument=tile_instrument(instr, 3), **settings)
    parts = np.full(whole.shape, np.nan)
    run = engine_of(plan)
    for tile, cube in observe_in_tiles(run, synthetic.stars, synthetic.placement, instr, plan.bins, size=3):
        parts[tile.y, tile.x] = cube.flux
    np.testing.assert_allclose(parts, whole, atol=1e-10 * float(whole.max()))


def test_gradients_pass_through_tiles(synthetic):
    plan = synthetic.plan(instrument=tile_instrument(synthetic.instrument(synthetic.fwhm), 3), rank=16, h_v_kms=40)
    instr, run = synthetic.instrument(synthetic.fwhm), engine_of(plan)

    def total(mass):
        stars = dataclasses.replace(synthetic.stars, mass=mass)
        index = [c.flux.sum() for _, c in observe_in_tiles(run, stars, synthetic.placement, instr, plan.bins, size=3)]
        return sum(index)

    mass = synthetic.stars.mass
    slope = jax.grad(total)(mass)
    np.testing.assert_allclose(slope @ mass, total(mass), rtol=1e-9)  # linear in mass


def test_stars_sharded_over_devices_give_the_same_cube_and_gradients(synthetic):
    assert len(jax.devices()) >= 2
    mesh = runtime.data_mesh(2)
    plan = synthetic.plan(rank=16, h_v_kms=40, kernel="cubic")
    deposit, synthesis = Deposit(bins=plan.bins), Synthesis(plan=plan)
    stars = jax.tree.map(lambda x: x[:299], synthetic.stars)  # does not divide by two
    spread, weight = (
        sharded_deposit(deposit, mesh),
        jax.random.normal(jax.random.key(0), (5, 5, len(plan.bins.v_nodes), 16)),
    )

    def loss(deposit):
        return lambda s: jnp.sum(weight * synthesis(deposit(s, synthetic.placement)).coef)

    one = jax.jit(jax.value_and_grad(loss(deposit)))(stars)
    two = jax.jit(jax.value_and_grad(loss(spread)))(shard_stars(stars, mesh))
    np.testing.assert_allclose(two[0], one[0], rtol=1e-12)
    for a, b in zip(jax.tree.leaves(two[1]), jax.tree.leaves(one[1]), strict=True):
        np.testing.assert_allclose(a[:299], b, rtol=1e-9, atol=1e-9 * np.abs(b).max())
    light, same = deposit(stars, synthetic.placement), jax.jit(spread)(shard_stars(stars, mesh), synthetic.placement)
    for name in ("mass", "lost", "clipped"):
        np.testing.assert_allclose(getattr(same, name), getattr(light, name), rtol=1e-12, err_msg=name)


def test_a_repeated_call_never_compiles_again(synthetic):
    plan = synthetic.plan(rank=16, h_v_kms=40)
    inputs = {"observed_stars": SkyStars, "placement": Placement}
    pipeline = Pipeline(stages=ifu_stages(plan=plan, engine="compressed"), inputs=inputs)
    run, state = compiled(pipeline, ["cube", "bank"])
    stars, placement = synthetic.stars, synthetic.placement
    for i in range(3):
        moved = dataclasses.replace(stars, x=stars.x + 0.1 * i, age=stars.age * (1 + 0.1 * i))
        elsewhere = dataclasses.replace(placement, redshift=placement.redshift * (1 + 0.01 * i))
        run(state, observed_stars=moved, placement=elsewhere)
    assert run.plain._cache_size() == 1


def test_memory_does_not_grow_with_stars_times_wavelengths(synthetic):
    """Scratch memory of the compiled deposit: more stars need no more than a copy of their own arrays."""
    plan = synthetic.plan(rank=16, h_v_kms=40)
    deposit = Deposit(bins=plan.bins)

    def scratch(n):
        stars = jax.tree.map(lambda x: jax.ShapeDtypeStruct((n,), x.dtype), synthetic.stars)
        analysis = jax.jit(deposit).lower(stars, synthetic.placement).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    per_star = (scratch(1_000_000) - scratch(100_000)) / 900_000
    assert per_star < 8 * 10  # bytes: at most one padded copy of the inputs
