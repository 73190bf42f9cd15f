"""Streaming in a disc: the stage, the hidden bar, gradients through the cube, and a small run end to end."""

import dataclasses
import json
import runpy

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import galdiff
from galdiff.build import build
from galdiff.cases.velocity import VelocityField
from galdiff.cases.velocity_report import map_agreement, without_correction
from galdiff.core.correction import NoCorrection
from galdiff.errors import InputError
from galdiff.galaxy.streaming import InPlane, StreamingDisc, VelocityResidual, bar_streaming
from galdiff.nn.mlp import MLP
from galdiff.nn.periodic import AzimuthalField
from galdiff.records import StarParticles
from galdiff.runtime import project_dir

SMALL = [
    "experiment=velocity_residual",
    "case.galaxy.n_stars=800",
    "case.instrument.field_x_arcsec=20.0",
    "case.instrument.field_y_arcsec=20.0",
    "case.instrument.spaxel_x_arcsec=2.0",
    "case.instrument.spaxel_y_arcsec=2.0",
    "case.instrument.wave={start_angstrom: 5100.0, end_angstrom: 5340.0, step_angstrom: 3.0}",
    "case.rank=8",
    "case.snr=100.0",
    "model.v_max=190.0",
    "model.r_turn=2.0",
    "model.sigma=60.0",
    "model.r_sigma=10.0",
    "model.correction.net.n_intervals=5",
    "model.correction.net.harmonics=[1,2,3]",
    "stages.axisymmetric.train={steps: 20, validate_every: 10, checkpoint_every: 30}",
    "stages.hybrid.train={steps: 40, validate_every: 20, checkpoint_every: 40}",
    "stages.hybrid.optimiser.learning_rate=0.04",
]


def compose(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("train", overrides=[*SMALL, *overrides])


def field(**keys):
    return AzimuthalField(n_out=2, r_max=10.0, harmonics=[1, 2], n_intervals=4, **keys)


def some_stars(n=40):
    rng = np.random.default_rng(3)
    pos = rng.normal(size=(n, 3)) * [4.0, 4.0, 0.3]
    one = np.ones(n)
    return StarParticles(pos=pos, vel=np.full((n, 3), np.nan), mass=2 * one, age=5 * one, metallicity=0.02 * one)


def filled(net, seed=0, size=0.3):
    net.coefficients.set_value(size * jax.random.normal(jax.random.key(seed), net.coefficients.shape))
    return net


@pytest.fixture(scope="module")
def model():
    return build(compose().model, path="model")


@pytest.fixture(scope="module")
def loss(case, model):
    """Loss of (numbers, batch), compiled, and numbers to begin with."""
    graph, state, rest = nnx.split(model, nnx.Param, ...)
    return jax.jit(jax.value_and_grad(lambda s, batch: case.loss(nnx.merge(graph, s, rest), batch, None)[0])), state


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a small training, and its case."""
    folder, cases, show = tmp_path_factory.mktemp("velocity") / "run", [], VelocityField.show

    def seen(self, outcomes, where):
        cases.append(self)
        return show(self, outcomes, where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VelocityField, "show", seen)
        runpy.run_path(str(project_dir("experiments") / "train.py"))["main"](compose(f"output={folder}"))
    return folder, cases[0]


@pytest.fixture
def run(trained):
    return trained[0]


@pytest.fixture(scope="module")
def case(trained):
    return trained[1]


def test_an_untrained_network_leaves_the_axisymmetric_disc_as_it_is():
    stars = some_stars()
    bare = StreamingDisc()(stars)
    hybrid = StreamingDisc(correction=VelocityResidual(net=field(), bound=100.0))(stars)
    for part in dataclasses.fields(bare):
        if getattr(bare, part.name) is not None:
            np.testing.assert_array_equal(getattr(hybrid, part.name), getattr(bare, part.name))


def test_stars_on_the_major_axis_recede_with_the_curve_and_those_on_the_minor_axis_do_not():
    radius = np.array([0.5, 2.0, 8.0, 8.0])
    pos = np.stack([radius * [1, 1, 1, 0], radius * [0, 0, 0, 1], 0 * radius], -1)
    stars = dataclasses.replace(some_stars(4), pos=pos)
    disc = StreamingDisc(v_max=200.0, r_turn=2.0, sigma=50.0, r_sigma=4.0, inclination=60.0, position_angle=90.0)
    sky = disc(stars)
    v, mass = (np.asarray(x).reshape(3, 4) for x in (sky.v_los, sky.mass))
    mean = (v * mass).sum(0) / mass.sum(0)
    circular = 200 * np.tanh(radius / 2) * np.sin(np.pi / 3)
    np.testing.assert_allclose(np.abs(mean[:3]), circular[:3], rtol=1e-6)
    assert abs(mean[3]) < 1e-3
    np.testing.assert_allclose(sky.x[:3], radius[:3] * np.sign(mean[:3]), rtol=1e-6)  # PA 90: receding to the East
    scatter = np.sqrt((mass * (v - mean) ** 2).sum(0) / mass.sum(0))
    np.testing.assert_allclose(scatter, 50 * np.exp(-radius / 4), rtol=1e-6)
    np.testing.assert_allclose(mass.sum(0), stars.mass, rtol=1e-12)


def test_the_streaming_of_a_bar_has_two_arms_is_strongest_at_its_radius_and_slowest_along_the_bar():
    phi, radius, angle = np.linspace(0, 2 * np.pi, 73), np.geomspace(0.3, 20, 200), 25.0
    keys = dict(v_r=80.0, v_phi=40.0, radius=3.0, angle=angle)
    ring = bar_streaming(3 * jnp.stack([jnp.cos(phi), jnp.sin(phi)], -1), **keys)
    opposite = bar_streaming(-3 * jnp.stack([jnp.cos(phi), jnp.sin(phi)], -1), **keys)
    np.testing.assert_allclose(ring.v_r, opposite.v_r, atol=1e-9)
    np.testing.assert_allclose(ring.v_phi, -40 * np.cos(2 * (phi - np.deg2rad(angle))), atol=1e-5)
    np.testing.assert_allclose(ring.v_r, -80 * np.sin(2 * (phi - np.deg2rad(angle))), atol=1e-5)
    along = np.deg2rad(angle)
    line = bar_streaming(jnp.asarray(radius)[:, None] * jnp.array([np.cos(along), np.sin(along)]), **keys)
    assert abs(radius[np.argmin(line.v_phi)] - 3) < 0.1
    slope = jax.grad(lambda p: bar_streaming(p, **keys).v_phi.sum())(jnp.zeros((1, 2)))
    assert np.isfinite(slope).all()


def test_the_residual_stays_within_its_bound_and_keeps_the_light():
    net = filled(field(), size=50.0)
    correction = VelocityResidual(net=net, bound=30.0)
    residual = correction.residual(jnp.asarray(some_stars().pos[:, :2]))
    assert 29 < np.abs(residual).max() <= 30
    stars = some_stars()
    with_it, without = StreamingDisc(correction=correction)(stars), StreamingDisc()(stars)
    np.testing.assert_array_equal(with_it.x, without.x)
    np.testing.assert_array_equal(with_it.mass, without.mass)
    flows = InPlane(v_r=jnp.zeros(40), v_phi=jnp.full(40, 200.0))
    np.testing.assert_allclose(correction(flows, jnp.asarray(stars.pos[:, :2])).v_phi, 200 + residual[:, 1], rtol=1e-12)


def test_the_fit_renders_the_cube_of_the_exact_engine(case):
    pull = nnx.jit(lambda model: (case.cube(model).flux - case.clean.flux) / jnp.sqrt(case.variance))
    exact = float(jnp.mean(pull(case.truth) ** 2))
    assert exact < 0.2**2  # of the noise
    assert float(jnp.mean(pull(without_correction(case.truth)) ** 2)) > 5 * exact


def test_spaxels_of_weight_zero_do_not_count(case, loss):
    batch = case.source.all_rows()
    spoilt = {**batch.samples, "flux": batch.samples["flux"].copy()}
    spoilt["flux"][:5] = 1e9
    weight = batch.weight.copy()
    weight[:5] = 0
    value, state = loss
    seen = [value(state, batch._replace(samples=s, weight=weight))[0] for s in (batch.samples, spoilt)]
    np.testing.assert_array_equal(*seen)


def test_gradients_through_the_cube_agree_with_differences(case, loss):
    value, state = loss
    batch, rng = case.source.all_rows(), np.random.default_rng(0)
    leaves, tree = jax.tree.flatten(state)
    leaves = [x + 0.2 * rng.normal(size=x.shape) * (x.ndim == 3) for x in leaves]
    slopes = jax.tree.leaves(value(jax.tree.unflatten(tree, leaves), batch)[1])
    for ndim in (3, 0):  # the network, the laws
        way = [rng.normal(size=x.shape) * (x.ndim == ndim) for x in leaves]

        def at(h, way=way):
            return value(jax.tree.unflatten(tree, [x + h * d for x, d in zip(leaves, way, strict=True)]), batch)[0]

        exact = sum(np.vdot(g, d) for g, d in zip(slopes, way, strict=True))
        np.testing.assert_allclose(exact, (at(1e-5) - at(-1e-5)) / 2e-5, rtol=1e-5)


def test_a_run_finds_the_streaming_and_leaves_maps(run):
    for name in ("velocity.png", "velocity.npz", "metrics.jsonl", "config.yaml"):
        assert (run / name).stat().st_size > 0, name
    found = json.loads((run / "summary.json").read_text())["result"]
    assert found["chi2"]["axisymmetric"] > 1.2
    assert found["chi2"]["hybrid"] < 1.1
    for which in ("residual", "streaming"):
        assert found[which]["correlation"] > 0.85
        assert found[which]["rms_error_kms"] < 0.6 * found[which]["rms_true_kms"]


def test_the_trained_disc_is_loaded_with_one_call(run):
    loaded = galdiff.load(run)
    assert float(jnp.abs(loaded.model.correction.residual(jnp.ones((1, 2)))).max()) > 0
    assert isinstance(without_correction(loaded.model).correction, NoCorrection)


def test_agreement_is_one_for_equal_maps_and_nothing_for_a_flat_one():
    true, used = np.arange(12.0).reshape(3, 4), np.ones((3, 4), bool)
    assert map_agreement(true + 3, true, used)["correlation"] == pytest.approx(1)
    assert map_agreement(true + 3, true, used)["rms_error_kms"] == pytest.approx(3)
    assert map_agreement(0 * true, true, used)["correlation"] == 0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: VelocityResidual(net=field(), bound=0.0), "bound is 0.0 km/s"),
        (lambda: VelocityResidual(net=MLP(n_in=2, n_out=3, rngs=nnx.Rngs(0)), bound=9.0), "net has n_out = 3"),
        (lambda: StreamingDisc(v_max=-5.0), "v_max is -5.0 km/s; give a number between 10 and 1000"),
        (lambda: StreamingDisc(r_turn=0.0), "r_turn is 0.0 kpc"),
        (lambda: build(compose("case.truth.correction.radius=0").case, path="case"), "radius is 0 kpc"),
        (lambda: build(compose("case.snr=0").case, path="case"), "snr is 0"),
        (lambda: build(compose("case.shrink=-1").case, path="case"), "shrink -1"),
    ],
)
def test_wrong_settings_say_so(make, text):
    with pytest.raises(InputError, match=text):
        make()
