"""An active nucleus: power, colours, reddening and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from flax import nnx

from galdiff.agn.schartmann05 import EDGES, Schartmann05, bolometric, disc
from galdiff.build import build
from galdiff.dust.curves.smc_bar import SMCBar
from galdiff.light_records import Spectrum
from galdiff.runtime import project_dir

WAVE = jnp.geomspace(50.0, 1e7, 1500)
GALAXY = Spectrum(
    wave=WAVE,
    lum=1e8 * jnp.exp(-((jnp.log(WAVE / 1e4)) ** 2)),
    line_wave=jnp.asarray([6564.6]),
    line_lum=jnp.asarray([1e10]),
)


def nucleus(**changes):
    given = {"share": 0.3, "hot": 0.3, "temperature": 1244.0, "a_v": 0.2, "polar_temperature": 100.0}
    return Schartmann05(curve=SMCBar(), **(given | changes))


def test_the_disc_has_unit_power_and_the_published_slopes():
    fine = jnp.geomspace(EDGES[0], EDGES[-1], 20_000)
    assert jnp.trapezoid(disc(fine), fine) == pytest.approx(1.0, rel=1e-4)
    middles = np.array([200.0, 800.0, 5000.0, 1e6])
    slopes = jax.vmap(jax.grad(lambda x: jnp.log(disc(jnp.exp(x)[None])[0])))(jnp.log(middles))
    np.testing.assert_allclose(slopes, [1.0, -0.2, -1.5, -4.0], rtol=1e-9)
    for edge in EDGES[1:-1]:
        assert disc(jnp.asarray([edge * (1 - 1e-9)])) == pytest.approx(float(disc(jnp.asarray([edge]))[0]), rel=1e-6)


@pytest.mark.parametrize("a_v", [0.01, 1.0, 8.0])
def test_the_nucleus_gives_its_share_of_all_light_however_it_is_reddened(a_v):
    with_it = nucleus(a_v=a_v)(GALAXY)
    share = 1 - bolometric(GALAXY) / bolometric(with_it)
    assert share == pytest.approx(0.3, abs=3e-4)
    assert (with_it.lum >= GALAXY.lum).all()


def test_dust_reddens_the_disc_and_shines_in_the_far_infrared():
    bare, dusty = nucleus(a_v=0.01).unit(WAVE), nucleus(a_v=3.0).unit(WAVE)
    at = lambda light, wave: jnp.interp(wave, WAVE, light)  # noqa: E731
    assert at(dusty, 1500.0) < 1e-3 * at(bare, 1500.0)
    assert at(dusty, 4e5) > 3 * at(bare, 4e5)
    hot = nucleus(hot=0.6).unit(WAVE)
    assert at(hot, 2.3e4) > 1.5 * at(nucleus(hot=0.2).unit(WAVE), 2.3e4)


def test_gradients_match_differences_and_single_precision_agrees():
    graph, params, rest = nnx.split(nucleus(), nnx.Param, ...)
    run = jax.jit(lambda p, galaxy: jnp.log(nnx.merge(graph, p, rest)(galaxy).lum[200::40]).sum())
    flat, back = jax.flatten_util.ravel_pytree(params)
    slope = jax.flatten_util.ravel_pytree(jax.grad(run)(params, GALAXY))[0]
    for i in range(flat.size):
        h = 1e-6 * jnp.zeros_like(flat).at[i].set(jnp.maximum(1.0, jnp.abs(flat[i])))
        difference = (run(back(flat + h), GALAXY) - run(back(flat - h), GALAXY)) / (2 * h[i])
        np.testing.assert_allclose(slope[i], difference, rtol=1e-5, atol=1e-9)
    single = jax.tree.map(lambda x: x.astype(jnp.float32), (params, GALAXY))
    assert run(*single) == pytest.approx(float(run(params, GALAXY)), rel=1e-4)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(jax.grad(run)(*single)))


def test_the_presets_build():
    folder = project_dir("conf") / "agn"
    made = {p.stem: build(yaml.safe_load(p.read_text(encoding="utf-8")), path="agn") for p in folder.glob("*.yaml")}
    assert (made["none"](GALAXY).lum == GALAXY.lum).all()
    assert (made["schartmann05"](GALAXY).lum >= GALAXY.lum).all()
