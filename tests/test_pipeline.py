"""Pipelines: wiring by record name, checks when built, and life inside JAX transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.core.record import quantity, record
from galdiff.core.stage import Stage
from galdiff.core.variables import physical, table


@record
class Gas:
    """Gas of a toy galaxy."""

    mass: Float[Array, "t"] = quantity("Msun", "gas mass")


@record
class Light:
    """Starlight of a toy galaxy."""

    lum: Float[Array, "t"] = quantity("Lsun", "luminosity")


@record
class RedLight(Light):
    """A kind of light."""


class Shine(Stage):
    """Gas shines."""

    def __init__(self, *, tau: float = 2.0):
        self.tau = physical(tau, lo=0.1, hi=10.0, unit="Gyr")
        self.curve = table(np.linspace(1.0, 2.0, 4))

    def __call__(self, gas: Gas) -> Light:
        return Light(lum=gas.mass / self.tau.bounded * self.curve[...])


class Dim(Stage):
    """Dust dims light; where there is gas, more so."""

    def __call__(self, starlight: Light, gas: Gas | None = None) -> RedLight:
        return RedLight(lum=starlight.lum * (0.5 if gas is None else jnp.exp(-gas.mass)))


class Add(Stage):
    """Sum of two lights, and a random key's noise."""

    def __call__(self, starlight: Light, dimmed: Light, key: jax.Array) -> Light:
        return Light(lum=starlight.lum + dimmed.lum + 0.0 * jax.random.normal(key, starlight.lum.shape))


GAS = Gas(mass=jnp.arange(1.0, 5.0))
KEY = jax.random.key(0)


def whole(**kwargs) -> Pipeline:
    stages = {"total": Add(), "dimmed": Dim(), "starlight": Shine(**kwargs)}  # on purpose not in order
    return Pipeline(stages=stages, inputs={"gas": Gas, "key": "jax.Array"})


def test_stages_run_after_those_they_read_from():
    pipeline = whole()
    assert pipeline.order == ("starlight", "dimmed", "total")
    made = pipeline(gas=GAS, key=KEY)
    assert list(made) == ["starlight", "dimmed", "total"]
    light = GAS.mass / 2.0 * np.linspace(1.0, 2.0, 4)
    np.testing.assert_allclose(made["starlight"].lum, light)
    np.testing.assert_allclose(made["total"].lum, light * (1 + np.exp(-GAS.mass)))


def test_wanted_records_cost_only_the_stages_they_need():
    pipeline = whole()
    assert pipeline.needs(["starlight"]) == ("starlight",)
    made = pipeline(wanted=["starlight"], gas=GAS)  # the key is not needed
    assert list(made) == ["starlight"]


def test_an_optional_record_is_left_out_where_nobody_makes_it():
    pipeline = Pipeline(stages={"dimmed": Dim()}, inputs={"starlight": Light})
    np.testing.assert_array_equal(pipeline(starlight=Light(lum=jnp.ones(4)))["dimmed"].lum, 0.5)


def test_describe_tells_who_makes_what_from_what_in_which_unit():
    lines = whole().describe().splitlines()
    assert lines[:2] == ["gas: Gas (input)", "    mass [Msun] gas mass"]
    assert "starlight: Light <- Shine(gas)" in lines
    assert "dimmed: RedLight <- Dim(starlight, gas)" in lines
    assert "    lum [Lsun] luminosity" in lines


@pytest.mark.parametrize("graph_mode", [True, False])
def test_a_pipeline_survives_split_jit_merge_and_grad_also_in_tree_mode(graph_mode):
    with nnx.set_graph_mode(graph_mode):
        pipeline = whole()
        graph, params, rest = nnx.split(pipeline, nnx.Param, ...)
        assert len(jax.tree.leaves(params)) == 1
        traced = 0

        @jax.jit
        def total(params, gas):
            nonlocal traced
            traced += 1
            return nnx.merge(graph, params, rest)(gas=gas, key=KEY)["total"].lum.sum()

        value = total(params, GAS)
        np.testing.assert_allclose(value, pipeline(gas=GAS, key=KEY)["total"].lum.sum(), rtol=1e-12)
        total(jax.tree.map(lambda x: x + 0.1, params), GAS)
        assert traced == 1
        raw = params["stages"]["starlight"]["tau"][...]
        slope = jax.tree.leaves(jax.grad(total)(params, GAS))[0]
        step = 1e-6
        up, down = (total(jax.tree.map(lambda x, s=s: x + s, params), GAS) for s in (step, -step))
        np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-7)
        assert raw.shape == ()


def test_many_galaxies_go_through_vmap():
    pipeline = whole()
    many = Gas(mass=jnp.stack([GAS.mass, 2 * GAS.mass]))
    made = jax.vmap(lambda gas: pipeline(wanted=["dimmed"], gas=gas)["dimmed"])(many)
    np.testing.assert_allclose(made.lum[0], pipeline(gas=GAS, key=KEY)["dimmed"].lum)
    assert made.lum.shape == (2, 4)


class Loop(Stage):
    """Reads what comes of it."""

    def __call__(self, total: Light) -> Light:
        return total


@pytest.mark.parametrize(
    ("stages", "inputs", "said"),
    [
        ({"dimmed": Dim()}, {"starlght": Light}, "'dimmed' .Dim. reads 'starlight'.*did you mean 'starlght'"),
        ({"dimmed": Dim()}, {"starlight": Gas}, "reads 'starlight' as Light, but 'starlight' is a Gas; put a stage"),
        ({"dimmed": Dim(), "starlight": Dim()}, {}, "cycle: .*starlight.*make one of them an input"),
        ({"a": Loop(), "total": Dim(), "starlight": Add()}, {"key": jax.Array}, "reads 'dimmed'"),
        ({"gas": Shine()}, {"gas": Gas}, "'gas' is both an input and made"),
        ({"total": Loop()}, {}, "stages form a cycle: total <- total"),
    ],
)
def test_wrong_wiring_is_refused_when_built(stages, inputs, said):
    with pytest.raises(ValueError, match=said):
        Pipeline(stages=stages, inputs=inputs)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"gas": GAS}, "'total' .Add. reads 'key', which is missing; pass key="),
        ({"gass": GAS, "key": KEY}, "'gass' is no input.*did you mean 'gas'"),
        ({"gas": GAS, "wanted": ["starligt"]}, "no stage makes 'starligt'; did you mean 'starlight'"),
    ],
)
def test_wrong_calls_are_refused(kwargs, said):
    with pytest.raises(ValueError, match=said):
        whole()(**kwargs)


def test_pipelines_that_differ_in_parameters_alone_share_a_compiled_program():
    (slow, slow_state), (fast, fast_state) = (compiled(whole(tau=tau), ["starlight"]) for tau in (2.0, 4.0))
    assert slow is fast is not compiled(whole(), ["dimmed"])[0]
    light, less = (slow(state, gas=GAS, key=KEY)["starlight"].lum for state in (slow_state, fast_state))
    np.testing.assert_allclose(light, 2 * less)
    no_hash = whole()
    no_hash.stages["starlight"].setting = {"unhashable"}
    run, state = compiled(no_hash, ["starlight"])
    np.testing.assert_array_equal(run(state, gas=GAS, key=KEY)["starlight"].lum, light)
