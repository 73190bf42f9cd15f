"""Every network starts at zero, stays finite, keeps its dtype and has the gradients it should; and each its own law."""

import functools
import pathlib

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from galdiff.baryons.halo_state import halo_at, halo_state_at
from galdiff.baryons.rates import known_rates
from galdiff.build import build
from galdiff.core.correction import LogGain, NoCorrection, SimplexTilt
from galdiff.core.variables import Table
from galdiff.errors import InputError
from galdiff.nn.fourier import FourierMLP
from galdiff.nn.kan import KAN, spline_basis
from galdiff.nn.mlp import MLP
from galdiff.nn.monotonic import Monotonic
from galdiff.nn.network import count
from galdiff.nn.periodic import AzimuthalField
from galdiff.nn.power_law import PowerLaw, distil
from galdiff.nn.spectral import BasisNetwork, SpectralConvolution, principal_components

CONF = pathlib.Path(__file__).resolve().parent.parent / "conf"
BASIS = np.sin(np.outer(np.arange(1, 4), np.linspace(0.1, 3.0, 12)))
SCALING = dict(offset=(0.1, -0.2, 0.0), scale=(0.5, 1.0, 2.0))


def _rngs(seed=0):
    return nnx.Rngs(seed)


ZOO = {  # how each is made, and how many numbers it trains
    "mlp": (lambda **k: MLP(n_in=3, n_out=2, hidden=(8, 8), **SCALING, rngs=_rngs(), **k), 32 + 72 + 18),
    "silu": (lambda **k: MLP(n_in=3, n_out=2, hidden=(8,), activation="silu", rngs=_rngs(), **k), 32 + 18),
    "fourier": (lambda **k: FourierMLP(n_in=3, n_out=2, n_waves=2, hidden=(8,), rngs=_rngs(), **k), 128 + 18),
    "monotonic": (
        lambda **k: Monotonic(n_in=3, n_out=2, increasing=(0,), decreasing=(2,), hidden=(8, 6), rngs=_rngs(), **k),
        32 + 48 + 6 + 12 + 8,
    ),
    "kan": (lambda **k: KAN(n_in=3, n_out=2, n_intervals=5, rngs=_rngs(), **SCALING, **k), 3 * 8 * 2 + 6),
    "deep_kan": (lambda **k: KAN(n_in=3, n_out=2, hidden=(4,), n_intervals=5, rngs=_rngs(), **k), 20 * (8 + 1)),
    "power_law": (lambda **k: PowerLaw(n_in=3, n_out=2, **SCALING, **k), 8),
    "quadratic": (lambda **k: PowerLaw(n_in=3, n_out=2, quadratic=True, **k), 20),
    "convolution": (lambda **k: SpectralConvolution(n_wave=12, channels=(3,), kernel=5, rngs=_rngs(), **k), 18 + 16),
    "basis": (lambda **k: BasisNetwork(n_in=3, basis=BASIS, hidden=(8,), rngs=_rngs(), **k), 32 + 27),
    "field": (lambda **k: AzimuthalField(n_out=2, r_max=2.0, harmonics=(0, 2), n_intervals=5, **k), 4 * 8 * 2),
}


def drivers_of(net, *shape, seed=1, size=1.0):
    return jnp.asarray(size * np.random.default_rng(seed).standard_normal((*shape, net.n_in)), net.dtype)


def moved(net, seed=2, size=0.3):
    """The network with random weights everywhere, as after training."""
    rng = np.random.default_rng(seed)
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    new = jax.tree.map(lambda x: jnp.asarray(np.asarray(x) + size * rng.standard_normal(x.shape), x.dtype), params)
    return nnx.merge(graph, new, rest)


@nnx.jit
def call(net, x):
    """Compiled once for each kind of network and shape."""
    return net(x)


@pytest.fixture(params=ZOO, scope="module")
def make(request):
    """Makes the network of a name, by default in double precision; drawing the weights of one again is slow."""
    made = functools.cache(ZOO[request.param][0])
    return lambda **k: nnx.clone(made(**k))


@pytest.fixture(params=["float32", "float64"], scope="module")
def dtype(request):
    return request.param


def test_each_starts_at_exactly_zero_in_its_dtype(make, dtype):
    net = make(dtype=dtype)
    assert all(x.dtype == dtype and not x.weak_type for x in jax.tree.leaves(nnx.state(net)))
    out = call(net, drivers_of(net, 4, 5).astype("float64"))
    assert (out.shape, out.dtype) == ((4, 5, net.n_out), dtype)
    assert (out == 0).all()


def test_the_default_dtype_is_that_of_the_run(make):
    assert make().dtype == "float64"


@pytest.mark.parametrize("name", ZOO)
def test_single_precision_is_the_default_of_single_precision_runs(name):
    make = ZOO[name][0]
    with jax.enable_x64(False):
        net = make()
        assert net.dtype == "float32"
        with pytest.raises(InputError, match=r"JAX runs in single precision; set runtime\.precision"):
            make(dtype="float64")


def test_untrained_corrections_change_no_bit(make):
    net = make()
    x = drivers_of(net, 6)
    flows = jnp.asarray(np.random.default_rng(3).random((6, net.n_out)))
    kinds = LogGain(net=net, bound=1.0), SimplexTilt(net=net, bound=1.0)
    gain, tilt = nnx.jit(lambda kinds, flows, x: [kind(flows, x) for kind in kinds])(kinds, flows, x)
    np.testing.assert_array_equal(gain, flows)
    np.testing.assert_allclose(tilt, flows, rtol=1e-15)


@pytest.mark.parametrize("name", ZOO)
def test_the_number_of_trained_numbers_is_as_counted_by_hand(name):
    made, expected = ZOO[name]
    assert count(made()) == expected


def test_values_and_gradients_are_finite_near_and_far(make, dtype):
    net = moved(make(dtype=dtype))
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    @jax.jit
    def both(params, x):
        return jax.value_and_grad(lambda p, x: nnx.merge(graph, p, rest)(x).sum(), argnums=(0, 1))(params, x)

    for size in (1.0, 0.0, 1e3, 1e30):
        x = drivers_of(net, 7, size=size)
        value, grads = both(params, x)
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() and g.dtype == dtype for g in jax.tree.leaves(grads))


def test_leading_axes_are_a_batch(make):
    net = moved(make())
    x = drivers_of(net, 2, 3)
    all_at_once, mapped, one = jax.jit(lambda x: (net(x), jax.vmap(jax.vmap(lambda x: net(x)))(x), net(x[1, 2])))(x)
    np.testing.assert_allclose(mapped, all_at_once, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(one, all_at_once[1, 2], rtol=1e-11, atol=1e-12)


def test_split_and_merge_lose_nothing(make):
    net = moved(make())
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    x = drivers_of(net, 3)
    np.testing.assert_array_equal(call(nnx.merge(graph, params, rest), x), call(net, x))
    with nnx.set_graph_mode(False):
        graph, state = nnx.split(net)
        merged = nnx.merge(graph, state)
    np.testing.assert_array_equal(call(merged, x), call(net, x))


def test_a_second_call_compiles_nothing(make):
    graph, params, rest = nnx.split(make(), nnx.Param, ...)
    traced = []

    @jax.jit
    def apply(params, rest, x):
        traced.append(1)
        return nnx.merge(graph, params, rest)(x)

    x = drivers_of(nnx.merge(graph, params, rest), 3)
    apply(params, rest, x)
    apply(jax.tree.map(lambda p: jnp.asarray(np.asarray(p) - 0.1), params), rest, x + 1)
    assert len(traced) == 1


def test_gradients_are_central_differences(make):
    net = moved(make())
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    x = drivers_of(net, 4)
    weight = np.random.default_rng(9).standard_normal((4, net.n_out))
    direction = jax.tree.map(lambda p: np.cos(np.arange(p.size)).reshape(p.shape), params)
    along = np.sin(np.arange(x.size)).reshape(x.shape)

    @jax.jit
    @jax.value_and_grad
    def both(h):
        at = jax.tree.map(lambda p, d: p + h * d, params, direction)
        return (weight * nnx.merge(graph, at, rest)(x + h * along)).sum()

    step, exact = 1e-6, both(0.0)[1]
    np.testing.assert_allclose((both(step)[0] - both(-step)[0]) / (2 * step), exact, rtol=1e-6, atol=1e-7)
    assert abs(exact) > 1e-3


def test_one_gradient_step_wakes_it(make):
    net = make()
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    x = drivers_of(net, 16)
    target = jnp.sin(x.sum(-1, keepdims=True) + jnp.arange(net.n_out))

    @jax.jit
    def learn(params):
        def loss(p):
            out = nnx.merge(graph, p, rest)(x)
            return ((out - target) ** 2).mean(), out

        (before, _), slope = jax.value_and_grad(loss, has_aux=True)(params)
        return before, *loss(jax.tree.map(lambda p, g: p - 0.01 * g, params, slope))

    before, after, out = learn(params)
    assert (out != 0).any()
    assert after < before


FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("name", ZOO)
def test_any_finite_driver_gives_finite_numbers(name):
    net = moved(ZOO[name][0](dtype="float32"))
    apply = jax.jit(jax.value_and_grad(lambda x: net(x).sum()))

    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(st.lists(FLOAT32, min_size=net.n_in, max_size=net.n_in))
    def finite(x):
        value, slope = apply(np.asarray(x, "float32"))
        assert np.isfinite(value)
        assert np.isfinite(slope).all()

    finite()


@nnx.jit
def slopes_of(net, x):
    return jax.vmap(jax.jacfwd(net))(x)


@pytest.mark.parametrize("seed", range(5))
def test_monotonic_rises_and_falls_whatever_its_weights(seed):
    net = moved(Monotonic(n_in=3, n_out=2, increasing=(0,), decreasing=(2,), rngs=_rngs(seed)), seed, size=1.0)
    slopes = np.asarray(slopes_of(net, drivers_of(net, 300, seed=seed, size=2.0)))
    assert (slopes[..., 0] >= 0).all()
    assert (slopes[..., 0] > 1e-6).any()
    assert (slopes[..., 2] <= 0).all()
    assert (slopes[..., 2] < -1e-6).any()
    assert (slopes[..., 1] > 0).any() or (slopes[..., 1] < 0).any()


def test_splines_sum_to_one_and_hold_straight_lines():
    x = jnp.linspace(-1.0, 1.0, 101)
    splines = spline_basis(x, 6)
    assert splines.shape == (101, 9)
    assert (splines >= 0).all()
    np.testing.assert_allclose(splines.sum(-1), 1.0, rtol=1e-14)
    peaks = 2 * (np.arange(9) - 1) / 6 - 1
    np.testing.assert_allclose(splines @ peaks, x, atol=1e-14)
    np.testing.assert_allclose(spline_basis(jnp.array([-9.0, 9.0]), 6), splines[jnp.array([0, -1])])


def test_one_layer_of_splines_is_a_sum_of_curves():
    net = moved(KAN(n_in=2, n_out=1, rngs=_rngs()))
    a, b = 0.3, -0.4
    x = jnp.array([[a, b], [a, 0.0], [0.0, b], [0.0, 0.0]])
    both, first, second, none = net(x)[:, 0]
    np.testing.assert_allclose(both, first + second - none, rtol=1e-12)


def test_a_power_law_is_distilled_exactly_and_read():
    law = PowerLaw(n_in=2, n_out=2, quadratic=True, offset=(0.0, 0.3), scale=(1.0, 0.5))
    terms = np.array([[0.5, -1.25, 0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, -0.25, 3.0]]).T
    law.terms.set_value(jnp.asarray(terms))
    x = drivers_of(law, 50)
    found, rms = distil(law, x, quadratic=True, offset=law.offset, scale=law.scale)
    np.testing.assert_allclose(found.terms[...], terms, atol=1e-12)
    assert (rms < 1e-12).all()
    assert law.formula(["lg_v", "lg_z"], ["wind", "yield"]) == (
        "ln wind = 0.5 - 1.25 lg_v + 2 lg_v^2\n"
        "ln yield = 1 ((lg_z - 0.3)/0.5) - 0.25 lg_v ((lg_z - 0.3)/0.5) + 3 ((lg_z - 0.3)/0.5)^2"
    )
    assert PowerLaw(n_in=1, n_out=1).formula(["x"]) == "ln gain_0 = 0"


def test_distilling_says_what_the_law_misses():
    x = jnp.linspace(-1.0, 1.0, 2001)[:, None]
    _, rms = distil(lambda x: 0.4 * jnp.cos(20 * jnp.pi * x), x)  # ten waves: no trend
    np.testing.assert_allclose(rms, 0.4 / np.sqrt(2), rtol=1e-2)
    with pytest.raises(InputError, match=r"4 samples of the drivers tell only 2 of 3 terms apart"):
        distil(lambda x: x[:, :1], jnp.stack([jnp.arange(4.0)] * 2, -1))


def test_the_law_in_words_is_the_law():
    law = moved(PowerLaw(n_in=2, n_out=1, quadratic=True, offset=(0.2, -0.3), scale=(0.5, 2.0)))
    text = law.formula(["u", "v"], digits=17).removeprefix("ln gain_0 = ").replace("^", "**")
    pieces = [piece.split(" ", 1) for piece in _terms(text)]
    u, v = 0.7, 1.9
    value = sum(float(n) * eval(_times(*rest), {"u": u, "v": v}) for n, *rest in pieces)
    np.testing.assert_allclose(value, law(jnp.array([u, v]))[0], rtol=1e-13)


def _terms(text):
    """Signed terms of a formula: signs outside brackets begin one."""
    terms, depth = [""], 0
    for symbol in text:
        depth += (symbol == "(") - (symbol == ")")
        if depth == 0 and symbol in "+-" and terms[-1].strip() and terms[-1].endswith(" "):
            terms.append("")
        terms[-1] += symbol
    signed = [t.strip() for t in terms]
    return ["-" + t[2:] if t.startswith("- ") else t.removeprefix("+ ") for t in signed]


def _times(factors="1"):
    depth, text = 0, ""
    for symbol in factors:
        depth += (symbol == "(") - (symbol == ")")
        text += "*" if symbol == " " and depth == 0 else symbol
    return text


def test_a_convolution_sees_neighbours_only_and_moves_with_the_spectrum():
    net = moved(SpectralConvolution(n_wave=40, channels=(3,), kernel=5, rngs=_rngs()))
    seen = np.asarray(jax.jit(jax.jacfwd(net))(drivers_of(net)))[20] != 0  # two layers of half-width 2
    np.testing.assert_array_equal(np.flatnonzero(seen), np.arange(16, 25))
    x = drivers_of(net)
    np.testing.assert_allclose(net(jnp.roll(x, 3))[10:30], net(x)[7:27], rtol=1e-11)


def test_a_basis_network_stays_in_the_span_of_its_basis():
    samples = np.random.default_rng(0).normal(size=(30, 3)) @ BASIS + 2.0
    basis, mean = principal_components(samples, 3)
    net = BasisNetwork(n_in=3, basis=basis, mean=mean, rngs=_rngs())
    np.testing.assert_allclose(net(drivers_of(net)), mean, rtol=1e-14)
    out = np.asarray(moved(net)(drivers_of(net, 20))) - mean
    inside = out @ np.linalg.pinv(BASIS) @ BASIS
    np.testing.assert_allclose(inside, out, atol=1e-10)
    assert {type(v) for _, v in nnx.to_flat_state(nnx.state(net, nnx.Not(nnx.Param)))} == {Table}
    np.testing.assert_allclose((samples - mean).std(0) ** 2, (basis**2).sum(0), rtol=1e-9)


def test_a_field_is_periodic_and_has_only_its_harmonics():
    net = moved(AzimuthalField(n_out=1, r_max=2.0, harmonics=(0, 2), rngs=_rngs()))
    phi = 2 * np.pi * np.arange(16) / 16
    around = lambda turns: net(jnp.stack([jnp.cos(phi + turns), jnp.sin(phi + turns)], -1))[:, 0]  # noqa: E731
    np.testing.assert_allclose(around(2 * np.pi), around(0.0), rtol=1e-12)
    np.testing.assert_allclose(around(np.pi), around(0.0), rtol=1e-12)  # m = 0 and 2 only
    power = np.abs(np.fft.rfft(around(0.0)))
    assert np.all(power[[0, 2]] > 1e-2)
    assert np.all(power[[1, 3, 4, 5, 6, 7, 8]] < 1e-12)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: MLP(n_in=0, n_out=1, rngs=_rngs()), "n_in is 0"),
        (lambda: MLP(n_in=2, n_out=1, scale=(1.0, 0.0), rngs=_rngs()), "scale is .* above 0"),
        (lambda: MLP(n_in=2, n_out=1, offset=(1.0,), rngs=_rngs()), "offset is .* each of the 2 drivers"),
        (lambda: MLP(n_in=2, n_out=1, activation="relu", rngs=_rngs()), "activation is 'relu'; choose one of tanh"),
        (lambda: MLP(n_in=2, n_out=1, dtype="half", rngs=_rngs()), "dtype is 'half'"),
        (lambda: MLP(n_in=2, n_out=1, hidden=(0,), rngs=_rngs()), "each width of hidden is 0"),
        (lambda: MLP(n_in=2, n_out=1, rngs=_rngs())(jnp.ones((5, 3))), r"MLP takes 2 drivers .* shape \(5, 3\)"),
        (lambda: Monotonic(n_in=2, n_out=1, rngs=_rngs()), "name at least one driver"),
        (lambda: Monotonic(n_in=2, n_out=1, increasing=(2,), rngs=_rngs()), "from 0 to 1"),
        (lambda: Monotonic(n_in=2, n_out=1, increasing=(0,), hidden=(), rngs=_rngs()), "hidden is empty"),
        (lambda: SpectralConvolution(n_wave=9, kernel=4, rngs=_rngs()), "kernel is 4 pixels; give an odd"),
        (lambda: BasisNetwork(n_in=2, basis=np.ones(3), rngs=_rngs()), r"basis has the shape \(3,\)"),
        (lambda: AzimuthalField(n_out=1, r_max=1.0, harmonics=(-1,)), "harmonics is"),
        (lambda: AzimuthalField(n_out=1, r_max=1.0, softening=0.0), "softening is 0.0"),
        (lambda: PowerLaw(n_in=1, n_out=1).formula(["x", "y"]), "1 drivers and 1 outputs; 2 and 1"),
        (lambda: distil(jnp.sin, jnp.ones(3)), r"drivers have the shape \(3,\)"),
        (lambda: principal_components(np.ones((3, 4)), 5), "n is 5"),
    ],
)
def test_bad_settings_are_refused_with_the_remedy(bad, message):
    with pytest.raises(InputError, match=message):
        bad()


def composed(*overrides):
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("simulate", overrides=["baryons=pandya23", *overrides])


PRESETS = sorted(p.stem for p in (CONF / "correction").glob("*.yaml"))
FEW = "baryons.outputs.n_steps=16", "baryons.outputs.n_times=8"


@pytest.fixture(scope="module")
def halo():
    return build(composed().halo, path="halo")


@pytest.fixture(scope="module")
def halo_state(halo):
    return halo_state_at(halo_at(halo, jnp.array([2.0, 5.0, 13.0])), halo.cosmology)


@pytest.fixture(scope="module")
def plain(halo):
    """History without corrections."""
    model = build(composed(*FEW).baryons, path="baryons")
    return jax.jit(model.__call__)(halo)


def same(got, plain):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * np.abs(b).max())


@pytest.mark.parametrize("name", PRESETS)
def test_one_line_puts_a_network_into_the_baryon_cycle(name, halo_state):
    model = build(composed(f"+correction@baryons.correction={name}").baryons, path="baryons")
    assert (count(model.correction) > 0) == (name != "none")
    p = model.parameters()
    corrections = model.correction, NoCorrection(), moved(model.correction, size=1.0)
    laws = model.laws()
    rates, plain, woken = nnx.jit(lambda kinds: [known_rates(laws, p, halo_state, kind).rates for kind in kinds])(
        corrections
    )
    for a, b in zip(jax.tree.leaves(rates), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (woken.eta_mass == rates.eta_mass).all() == (name == "none")


def test_an_untrained_network_leaves_the_history_and_can_be_trained(halo, plain):
    model = build(composed("+correction@baryons.correction=mlp", *FEW).baryons, path="baryons")
    graph, params, rest = nnx.split(model, nnx.All(nnx.Param, nnx.PathContains("correction")), ...)

    def stars(params):
        history = nnx.merge(graph, params, rest)(halo)
        return history.contents["mass"]["stars"][-1], history

    (_, history), grads = jax.jit(jax.value_and_grad(stars, has_aux=True))(params)
    same(history, plain)
    assert any((g != 0).any() for g in jax.tree.leaves(grads))
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_an_untrained_network_that_sees_the_contents_leaves_them(halo, plain):
    model = build(composed("+correction@baryons.state_correction=mlp", *FEW).baryons, path="baryons")
    assert count(model.state_correction) == 8 * 32 + 32 * 32 + 32 * 9 + 73
    history = jax.jit(model.__call__)(halo)
    same((history.contents, history.flows), (plain.contents, plain.flows))


def test_hooks_draw_weights_of_their_own_from_the_seed():
    cfg = composed("+correction@baryons.correction=mlp", "+correction@baryons.state_correction=mlp")
    first, again, other = (build(cfg.baryons, path="baryons", seed=s) for s in (0, 0, 1))
    kernel = lambda model: np.asarray(model.correction.net.layers.layers[1].kernel[...])  # noqa: E731
    state = np.asarray(first.state_correction.net.layers.layers[1].kernel[...])
    np.testing.assert_array_equal(kernel(first), kernel(again))
    assert (kernel(first) != kernel(other)).any()
    assert (kernel(first) != state).any()


def test_a_network_of_another_size_is_refused(halo_state):
    for setting, message in {"n_out=5": "there are 9 flows", "n_in=8": "offset is None.* 8 drivers"}.items():
        cfg = composed("+correction@baryons.correction=mlp", f"+baryons.correction.net.{setting}")
        with pytest.raises(ValueError, match=message):
            known_rates(
                (model := build(cfg.baryons, path="baryons")).laws(), model.parameters(), halo_state, model.correction
            )
