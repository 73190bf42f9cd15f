"""Every network sits in every hook by one line of config: nothing changes at the start, and gradients reach it."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import simulate_run
import yaml
from astropy.io import fits
from flax import nnx
from omegaconf import OmegaConf
from stage_builders import BUILDERS, library

from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.regulator import Regulator
from galdiff.build import build
from galdiff.core.correction import Hook, LogGain
from galdiff.errors import InputError
from galdiff.galaxy.grown import GrownGalaxy
from galdiff.galaxy.streaming import StreamingDisc
from galdiff.ifu.engine import IFU_HOOKS
from galdiff.ifu.stages import Templates
from galdiff.nn.mlp import MLP
from galdiff.sps.spectral_correction import CorrectedSpectra

CONF = pathlib.Path(__file__).resolve().parent.parent / "conf"
NETWORKS = sorted(p.stem for p in (CONF / "correction").glob("*.yaml") if p.stem != "none")
ELSEWHERE = (Pandya23, Regulator)  # all networks in their hooks: tests/test_nn.py
PLACES = [(stage, name) for stage in BUILDERS for name in stage.hooks]
CASES = [(s, n, net) for s, n in PLACES for net in NETWORKS if s not in ELSEWHERE]


def preset(name: str, **changes) -> dict:
    return yaml.safe_load((CONF / "correction" / f"{name}.yaml").read_text()) | changes


def hook_of(stage: type, name: str) -> Hook:
    hook = stage.hooks[name]
    return hook if isinstance(hook, Hook) else hook({"n_wave": 20})


def woken(weights):
    """Weights, or a module with weights, moved away from zero."""
    return jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape, x.dtype), weights)


def floats(record) -> list:
    return [x for x in jax.tree.leaves(record) if jnp.issubdtype(jnp.result_type(x), jnp.floating)]


@functools.cache
def plain_of(kind: type):
    """What a stage makes without a correction."""
    stage, records = BUILDERS[kind]()
    return jax.jit(lambda: stage(**records))()


def test_hooks_are_where_the_design_wants_them():
    assert {stage.__module__.split(".")[1] for stage, _ in PLACES} == {
        "baryons",
        "sfh",
        "galaxy",
        "dust",
        "ifu",
        "sps",
        "nebular",
    }
    assert {name for _, name in PLACES} >= {"correction", "state_correction", *IFU_HOOKS}


@pytest.mark.parametrize(("kind", "name", "network"), CASES, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_a_preset_fits_a_hook_changes_nothing_at_the_start_and_can_be_trained(kind, name, network):
    stage, records = BUILDERS[kind]()
    hook = hook_of(kind, name)
    correction = build(preset(network, bound=hook.bound or 0.5), hook=hook)
    plain = plain_of(kind)
    weights = [
        np.cos(np.arange(np.size(x))).reshape(np.shape(x)) / (1 + np.abs(x).max(initial=0.0)) for x in floats(plain)
    ]

    setattr(stage, name, correction)
    graph, numbers, rest = nnx.split(stage, nnx.All(nnx.Param, nnx.PathContains(name)), ...)

    def total(numbers):
        made = nnx.merge(graph, numbers, rest)(**records)
        return sum(jnp.sum(w * x) for w, x in zip(weights, floats(made), strict=True)), made

    run = jax.jit(jax.value_and_grad(total, has_aux=True))
    (_, made), slope = run(numbers)
    for a, b in zip(floats(made), floats(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * np.abs(b).max(initial=0.0))
    slopes = jax.tree.leaves(slope)
    assert all(np.isfinite(x).all() for x in slopes)
    assert any((x != 0).any() for x in slopes)
    (_, moved), slope = run(at := woken(numbers))
    along = jax.tree.map(lambda x: jax.random.normal(jax.random.key(x.size + 1), x.shape, x.dtype), at)
    ahead, behind = (run(jax.tree.map(lambda x, d, h=h: x + h * d, at, along))[0][0] for h in (1e-5, -1e-5))
    exact = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(along), strict=True))
    size = sum(np.abs(w * np.asarray(x)).sum() for w, x in zip(weights, floats(moved), strict=True))
    np.testing.assert_allclose(exact, (ahead - behind) / 2e-5, rtol=1e-4, atol=1e-14 * size / 2e-5)  # round-off
    assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(floats(moved), floats(plain), strict=True))
    assert all(np.isfinite(x).all() for x in [*floats(moved), *jax.tree.leaves(slope)])


def test_a_correction_of_births_keeps_the_mass_and_the_metals_that_formed():
    stage, records = BUILDERS[GrownGalaxy]()
    run = nnx.jit(lambda stage: stage(**records))
    plain = run(stage).stars
    stage.correction = woken(build(preset("mlp"), hook=hook_of(GrownGalaxy, "correction")))
    moved = run(stage).stars
    assert np.abs(moved.mass / plain.mass - 1).max() > 0.1
    metals = lambda stars: float((stars.mass * stars.metallicity).sum())  # noqa: E731
    np.testing.assert_allclose(moved.mass.sum(), plain.mass.sum(), rtol=1e-12)
    np.testing.assert_allclose(metals(moved), metals(plain), rtol=1e-12)


def test_a_hook_completes_what_a_config_leaves_out_and_nothing_else():
    hook = hook_of(Pandya23, "correction")
    net = lambda **keys: build(preset("mlp") | {"net": preset("mlp")["net"] | keys}, hook=hook).net  # noqa: E731
    made = build(preset("mlp"), hook=hook)
    assert (made.bound, made.net.n_in, made.net.n_out) == (hook.bound, 4, 9)
    assert (made.net.offset, made.net.scale) == (hook.offset, hook.scale)
    assert net(scale=2.0).scale == (2.0,) * 4
    assert net(scale=2.0).offset == hook.offset
    some = build(preset("mlp", drivers=[2, 0]), hook=hook).net
    assert (some.n_in, some.offset) == (2, (hook.offset[2], hook.offset[0]))
    each = {"_target_": "galdiff.core.correction.Each", "eta_mass": preset("mlp"), "cooling": preset("kan")}
    made = build(each, hook=hook)
    assert (made.eta_mass.net.n_out, made.cooling.net.n_out, made.cooling.net.n_in) == (1, 1, 4)
    both = {"_target_": "galdiff.core.correction.Chain", "corrections": [preset("mlp"), preset("power_law")]}
    assert [c.net.n_out for c in build(both, hook=hook).corrections] == [9, 9]
    with pytest.raises(InputError, match=r"drivers are \[4\]; give places from 0 to 3"):
        build(preset("mlp", drivers=[4]), hook=hook)
    with pytest.raises(InputError, match="offset is None"):
        build(preset("mlp") | {"net": preset("mlp")["net"] | {"n_in": 1, "n_out": 9}}, hook=hook)


def test_a_network_of_an_earlier_config_keeps_the_scales_that_it_had():
    net = {"_target_": "galdiff.nn.mlp.MLP", "_partial_": True, "n_in": 4, "n_out": 9}
    kept = {"_target_": "galdiff.core.correction.LogGain", "bound": 2.0, "net": net}
    made = build(kept, hook=hook_of(Pandya23, "correction"))
    assert (made.bound, made.net.offset, made.net.scale) == (2.0, (0.0,) * 4, (1.0,) * 4)


def test_a_preset_without_a_bound_of_its_own_or_of_a_hook_is_refused():
    with pytest.raises(InputError, match="bound is None"):
        build(preset("mlp"), hook=hook_of(StreamingDisc, "correction"))


def test_a_correction_of_the_line_spread_beyond_what_kernels_hold_is_refused():
    plan = BUILDERS[Templates]()[0].plan
    with pytest.raises(InputError, match=r"bound of the LSF's correction is 1;.* at most 0.262"):
        Templates(plan=plan, lsf_correction=build(preset("mlp", bound=1.0), hook=IFU_HOOKS["lsf_correction"]))
    twice = {"_target_": "galdiff.core.correction.Chain", "corrections": [preset("mlp"), preset("kan")]}
    with pytest.raises(InputError, match=r"bound of the LSF's correction is 0.52"):
        Templates(plan=plan, lsf_correction=build(twice, hook=IFU_HOOKS["lsf_correction"]))


def test_a_corrected_library_is_the_library_times_factors_between_its_ends():
    grid = library()
    net = MLP(n_in=2, n_out=20, hidden=(8,), offset=0.0, scale=1.0, dtype="float64", rngs=nnx.Rngs(0))
    stage = CorrectedSpectra(start=4500.0, end=5500.0, n_wave=20, correction=woken(LogGain(net=net, bound=0.2)))
    factor = np.asarray(stage.factor(grid.ssp_lg_age_gyr, grid.ssp_lgmet, grid.ssp_wave))
    np.testing.assert_allclose(stage(grid).ssp_flux, grid.ssp_flux * factor, rtol=1e-12)
    assert np.exp(-0.2) < factor.min() < 0.99 < 1.01 < factor.max() < np.exp(0.2)
    below, above = grid.ssp_wave < 4500.0, grid.ssp_wave > 5500.0
    assert (np.ptp(factor[..., below], axis=-1) == 0).all()
    assert (np.ptp(factor[..., above], axis=-1) == 0).all()
    exact = stage.correction(np.ones((2, 3, 20)), np.stack(np.meshgrid(grid.ssp_lg_age_gyr, grid.ssp_lgmet), -1))
    at = np.exp(stage.ln_wave()[7])
    np.testing.assert_allclose(
        stage.factor(grid.ssp_lg_age_gyr, grid.ssp_lgmet, [at])[..., 0], exact[..., 7], rtol=1e-9
    )
    with pytest.raises(InputError, match="start is 5000"):
        CorrectedSpectra(start=5000.0, end=4000.0)
    with pytest.raises(InputError, match=r"lgmet is \[1.0, 0.0\]"):
        CorrectedSpectra(lgmet=[1.0, 0.0])


def test_populations_beyond_the_calibrated_ones_take_the_factors_of_the_edge():
    net = MLP(n_in=2, n_out=20, hidden=(8,), offset=0.0, scale=1.0, dtype="float64", rngs=nnx.Rngs(0))
    correction = woken(LogGain(net=net, bound=0.2))
    stage = CorrectedSpectra(n_wave=20, lg_age=[0.0, 0.5], lgmet=[-2.0, -1.8], correction=correction)
    factor = np.asarray(stage.factor([-2.0, 0.0, 0.3, 0.5, 1.0], [-3.0, -2.0, -1.9, -1.8, -1.0], [5000.0]))[..., 0]
    np.testing.assert_array_equal(factor[0], factor[1])
    np.testing.assert_array_equal(factor[3], factor[4])
    np.testing.assert_array_equal(factor[:, 0], factor[:, 1])
    np.testing.assert_array_equal(factor[:, 3], factor[:, 4])
    assert np.ptp(factor[1:4, 1:4]) > 1e-3


def test_one_line_each_of_the_main_job_puts_networks_in(tmp_path, monkeypatch):
    lines = [
        "+correction@dust.stage.correction=mlp",
        "+correction@spectra.correction=kan",
        "+correction@lsf_correction=power_law",
        "+correction@throughput=fourier",
    ]
    small = (*simulate_run.SMALL, "max_spaxels=3", "input.n_stars=200", "dust=screen", "maps.gauss_hermite=false")
    plain = simulate_run.run(tmp_path / "plain", *small)
    used, apply = set(), LogGain.__call__
    note = lambda self, *args: used.add(type(self.net).__name__) or apply(self, *args)  # noqa: E731
    monkeypatch.setattr(LogGain, "__call__", note)
    hybrid = simulate_run.run(tmp_path / "hybrid", *small, *lines)
    assert used == {"MLP", "KAN", "PowerLaw", "FourierMLP"}
    first, second = (fits.getdata(folder / "cube.fits", 1) for folder in (plain, hybrid))
    assert first.std() > 0
    np.testing.assert_allclose(first, second, rtol=1e-5)
    kept = OmegaConf.load(hybrid / "config.yaml")
    assert kept.throughput.net._target_.endswith("FourierMLP")
    grown = simulate_run.compose("+correction@input.correction=mlp", "input.n_stars=100", "input.n_gas=0")
    assert build(grown.input, path="input").correction.net.n_in == 3
