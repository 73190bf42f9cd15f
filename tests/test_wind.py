"""Missing winds: the hidden physics, the corrections that find it, and the prior that holds them."""

import json

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import galdiff
from galdiff.baryons.rates import Rates
from galdiff.cases.rate_constraint import node_errors
from galdiff.cases.wind import HiddenWinds
from galdiff.core.correction import Each, LogGain
from galdiff.nn.mlp import MLP
from galdiff.nn.power_law import PowerLaw
from galdiff.runtime import project_dir
from galdiff.train.prior import correction_size, driver_points, with_prior

SMALL = [
    "case.observed.n=40",
    "case.fitted.n=40",
    "case.held_out.n=40",
    "case.n_steps=32",
    "case.centres=4",
    "case.redshifts=[1.0,0.0]",
    "stages.physics.train.steps=6",
    "stages.hybrid.train.steps=6",
    "~stages.mass_only",
    "~stages.energy_only",
    "train.validate_every=3",
    "train.checkpoint_every=3",
    "optimiser.warmup=0",
]


def rates(n=5):
    one = jnp.ones(n)
    return Rates(**{name: (k + 1.0) * one for k, name in enumerate(Rates.__dataclass_fields__)})


def drivers(lg_v):
    lg_v = jnp.asarray(lg_v)
    return jnp.stack([lg_v, *[jnp.zeros_like(lg_v)] * 3], -1)


def compose(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("train", overrides=list(overrides))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a small training."""
    folder = tmp_path_factory.mktemp("wind") / "run"
    command()(compose("experiment=wind_correction", f"output={folder}", *SMALL))
    return folder


def command():
    import runpy

    return runpy.run_path(str(project_dir("experiments") / "train.py"))["main"]


def test_hidden_winds_saturate_in_small_halos_heat_large_ones_and_leave_the_rest():
    hidden = HiddenWinds(v_saturated=60.0, slope=-1.3, v_heated=150.0, heating=3.0, width=0.02)
    lg_v = np.log10(np.array([15.0, 30.0, 95.0, 300.0, 400.0]) / 125)
    before = rates()
    after = hidden(before, drivers(lg_v))
    np.testing.assert_allclose(after.eta_mass[0] / after.eta_mass[1], (15 / 30) ** 1.3, rtol=1e-6)
    np.testing.assert_allclose(after.eta_mass[2:] / before.eta_mass[2:], 1, rtol=1e-3)
    np.testing.assert_allclose(after.eta_energy[3:] / before.eta_energy[3:], 3, rtol=1e-5)
    np.testing.assert_allclose(after.eta_energy[:2] / before.eta_energy[:2], 1, rtol=1e-5)
    for name in Rates.__dataclass_fields__:
        if name not in ("eta_mass", "eta_energy"):
            assert getattr(after, name) is getattr(before, name)


def gain(value, bound=2.0):
    net = MLP(n_in=4, n_out=1, hidden=[4], rngs=nnx.Rngs(0))
    net.layers.layers[-1].bias.set_value(jnp.asarray([value]))
    return LogGain(net=net, bound=bound)


def test_each_corrects_the_named_flows_alone():
    before = rates()
    after = Each(eta_mass=gain(0.5), outflow=gain(0.0))(before, drivers(np.zeros(5)))
    np.testing.assert_allclose(after.eta_mass, before.eta_mass * np.exp(2 * np.tanh(0.25)), rtol=1e-6)
    np.testing.assert_array_equal(after.outflow, before.outflow)
    assert after.cooling is before.cooling
    named = Each(b=gain(0.5))({"a": jnp.ones(2), "b": jnp.ones(2)}, drivers(np.zeros(2)))
    assert list(named) == ["a", "b"]
    assert float(named["b"][0]) > 1
    with pytest.raises(ValueError, match=r"no flow 'winds' to correct; choose some of inflow, cooling"):
        Each(winds=gain(0.1))(before, drivers(np.zeros(5)))


def test_the_prior_is_the_mean_square_of_ln_gain_over_the_box():
    model = nnx.Dict(correction=Each(eta_mass=gain(0.3, bound=1e3), eta_energy=gain(-0.1, bound=1e3)))
    points = driver_points([-1.0] * 4, [1.0] * 4, 64)
    assert points.shape == (64, 4)
    assert np.abs(points).max() <= 1
    np.testing.assert_allclose(points.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(correction_size(model, points), [(0.3**2 + 0.1**2) / 2, 0.0], rtol=1e-5, atol=1e-12)
    loss = with_prior(lambda m, b, k: (jnp.asarray(2.0), {}), weight=10.0, low=[-1.0] * 4, high=[1.0] * 4)
    value, pieces = loss(model, None, None)
    np.testing.assert_allclose(value, 2 + 10 * 0.05, rtol=1e-5)
    np.testing.assert_allclose(pieces["correction"], np.sqrt(0.05), rtol=1e-5)
    with pytest.raises(galdiff.errors.InputError, match="as many upper as lower ends"):
        driver_points([0.0, 1.0], [1.0, 1.0])


def test_the_prior_knows_slopes_and_a_net_sees_only_its_drivers():
    law = PowerLaw(n_in=1, n_out=1, rngs=nnx.Rngs(0))
    law.terms.set_value(jnp.array([[0.1], [0.7]]))
    model = nnx.Dict(correction=LogGain(net=law, bound=1e4, drivers=[1]))
    points = driver_points([-1.0] * 4, [1.0] * 4, 64)
    size, slope = correction_size(model, points)
    np.testing.assert_allclose(slope, 0.7**2, rtol=1e-6)
    np.testing.assert_allclose(size, np.mean((0.1 + 0.7 * points[:, 1]) ** 2), rtol=1e-6)
    both = with_prior(lambda m, b, k: (0.0, {}), weight=0.0, smooth=2.0, low=[-1.0] * 4, high=[1.0] * 4)
    np.testing.assert_allclose(both(model, None, None)[0], 2 * 0.49, rtol=1e-6)


def test_what_data_constrain_is_where_their_information_is():
    jacobian, error = jnp.zeros((10, 4)).at[:, 0].set(1.0).at[:3, 1].set(0.5), jnp.full(10, 0.1)
    found = node_errors(jacobian, error)
    np.testing.assert_allclose(found[2:], 3.0, rtol=1e-3)  # nothing but the prior of 3
    inverse = np.linalg.inv(np.asarray(jacobian[:, :2].T @ jacobian[:, :2]) / 0.01 + np.eye(2) / 9)
    np.testing.assert_allclose(found[:2], np.sqrt(np.diag(inverse)), rtol=1e-4)


def test_a_run_leaves_config_metrics_checkpoints_figures_and_a_better_model(run):
    for name in ("config.yaml", "metrics.jsonl", "summary.json", "relations.png", "rates.png", "ablation.png"):
        assert (run / name).stat().st_size > 0, name
    summary = json.loads((run / "summary.json").read_text())
    found = summary["result"]
    assert found["chi2"]["hybrid"] < found["chi2"]["physics"]
    assert found["chi2"]["truth"] < found["chi2"]["physics"]
    assert max(found["drift"].values()) < 1e-12
    assert "ln(gain of eta_mass) =" in (run / "formula.txt").read_text()
    assert summary["stages"]["hybrid"]["steps"] == 6


def test_the_trained_model_is_loaded_with_one_call(run):
    loaded = galdiff.load(run)
    assert loaded.step == 6
    gains = loaded.model.correction.eta_mass.log_gain(drivers(np.linspace(-0.5, 0.5, 5)))
    assert np.abs(gains).max() > 0
    assert float(loaded.model.eta_mass.log10_a.bounded) != 0.0


def test_a_folder_of_another_run_is_refused(run):
    with pytest.raises(galdiff.errors.InputError, match=r"another run was begun here \(case\.error differ\)"):
        command()(compose("experiment=wind_correction", f"output={run}", *SMALL, "case.error=0.05"))


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("+stages.hybrid.wich=all", r"stages.hybrid.wich: there is no such key; choose some of which, train"),
        ("stages.hybrid.start=phisics", r"stages.hybrid.start is 'phisics'; choose an earlier stage \(physics\)"),
        ("+stages.hybrid.train.step=3", r"stages.hybrid.train.step: there is no such key"),
        ("stages.hybrid.which=['eta_mas.*']", r"train.which: 'eta_mas.\*' matches none"),
        (
            "which=spectra",
            r"which is 'spectra', but every stage has its own; change stages.physics.which, stages.hybrid",
        ),
        ("part=half", "part is 'half'; choose all, corrections or physics"),
        ("mesh=cube", "mesh is 'cube'"),
        ("optimiser.learning_rate=-1", "learning_rate is -1; give 1e-12 to 1000"),
        ("checkpoint=nowhere", "nowhere: holds no checkpoint"),
    ],
)
def test_wrong_configs_say_so_before_training(override, text, tmp_path):
    with pytest.raises(galdiff.errors.InputError, match=text):
        command()(compose("experiment=wind_correction", f"output={tmp_path}", *SMALL, override))


def test_gradients_of_the_loss_agree_with_differences():
    from galdiff.build import build

    cfg = compose("experiment=wind_correction", *SMALL, "case.observed.n=12", "case.fitted.n=12")
    case, model = build(cfg.case, path="case"), build(cfg.model, path="model")
    for name, shift in (("eta_mass", 0.3), ("eta_energy", -0.2)):
        getattr(model.correction, name).net.layers.layers[-1].bias.set_value(jnp.asarray([shift]))
    batch = case.source.all_rows()
    graph, state = nnx.split(model)
    both = jax.value_and_grad(lambda s: case.loss(nnx.merge(graph, s), batch, jax.random.key(0))[0])
    both = jax.jit(both)
    slopes = both(state)[1]
    leaves, tree = jax.tree.flatten(state)
    rng = np.random.default_rng(0)
    direction = [jnp.asarray(rng.normal(size=x.shape)) if x.dtype.kind == "f" else None for x in leaves]
    nothing = [d is None for d in direction]
    assert not any(nothing) or all(x.dtype.kind != "f" for x, n in zip(leaves, nothing, strict=True) if n)
    step = 1e-5
    move = lambda sign: jax.tree.unflatten(  # noqa: E731
        tree, [x if d is None else x + sign * step * d for x, d in zip(leaves, direction, strict=True)]
    )
    numeric = (both(move(1))[0] - both(move(-1))[0]) / (2 * step)
    exact = sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(slopes), direction, strict=True) if d is not None)
    np.testing.assert_allclose(exact, numeric, rtol=1e-6)
