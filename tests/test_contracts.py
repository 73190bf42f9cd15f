"""What every stage promises: jit, vmap, finite gradients, single precision, a sound record, and NNX's tree mode.

A stage joins by one entry in BUILDERS: a function that makes the stage and the records it reads, at small size. It is
called afresh for every precision, so it holds no arrays of its own.
"""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jaxtyping import Array, Float

import galdiff
from galdiff.core.record import check, quantity, record
from galdiff.core.stage import Stage
from galdiff.core.variables import physical, table


@record
class Ages:
    """Ages of a toy population."""

    age: Float[Array, "star"] = quantity("Gyr", "age")
    mass: Float[Array, "star"] | None = quantity("Msun", "mass", default=None)


class Older(Stage):
    """The example of a stage: it keeps all the promises."""

    def __init__(self, *, by: float = 1.0):
        self.by = physical(by, lo=0.0, hi=5.0, unit="Gyr")
        self.curve = table(np.linspace(1.0, 2.0, 3))

    def __call__(self, ages: Ages) -> Ages:
        return dataclasses.replace(ages, age=ages.age * self.curve[...] + self.by.bounded)


def older():
    return Older(by=0.5), {"ages": Ages(age=jnp.array([0.1, 1.0, 10.0]))}


# Stage class -> function without arguments that returns (stage, records by name).
BUILDERS: dict[type[Stage], Callable] = {
    Older: older,
}


def stages_of_the_package() -> set[type[Stage]]:
    """Every Stage subclass that can be instantiated, wherever in galdiff."""
    found = set()
    for module in pkgutil.walk_packages(galdiff.__path__, "galdiff."):
        if not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(value) and issubclass(value, Stage) and not inspect.isabstract(value):
                    found.add(value)
    return found


def test_every_stage_has_a_builder_here():
    missing = sorted(cls.__qualname__ for cls in stages_of_the_package() - BUILDERS.keys())
    assert not missing, f"add builders for {missing}"


@pytest.fixture(params=BUILDERS.values(), ids=[cls.__name__ for cls in BUILDERS], scope="module")
def case(request):
    """(builder, split stage as a pure function, parameters, the rest, records, what an eager call makes)."""
    stage, records = request.param()
    graph, params, rest = nnx.split(stage, nnx.Param, ...)

    def pure(params, rest, records):
        return nnx.merge(graph, params, rest)(**records)

    return request.param, jax.jit(pure), params, rest, records, stage(**records)


def floats(tree) -> list:
    return [x for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating)]


def close(got, expected, rtol):
    """Leaves agree to rtol of the largest value of each."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        scale = np.abs(np.asarray(b, np.float64)).max(initial=0.0)
        np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=rtol, atol=rtol * scale)


def test_the_record_made_is_sound_and_of_the_declared_type(case):
    *_, records, made = case
    for rec in (*records.values(), made):
        if dataclasses.is_dataclass(rec):
            check(rec)
    assert isinstance(made, case[0]()[0].makes())


def test_compiled_and_eager_calls_agree(case):
    _, pure, params, rest, records, made = case
    close(pure(params, rest, records), made, 1e-9)


def test_many_galaxies_at_once_are_as_one_by_one(case):
    _, pure, params, rest, records, made = case
    two = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 2), records)
    got = jax.vmap(pure, in_axes=(None, None, 0))(params, rest, two)
    for i in range(2):
        close(jax.tree.map(lambda x, i=i: x[i], got), made, 1e-9)


def test_gradients_are_finite_in_parameters_and_records(case):
    _, pure, params, rest, records, _ = case

    def total(params, records):
        return sum(jnp.sum(x) for x in floats(pure(params, rest, records)))

    def inexact(tree):
        return jax.tree.map(
            lambda x: jnp.asarray(x) if jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating) else None, tree
        )

    def joined(some):
        return jax.tree.map(lambda new, old: old if new is None else new, some, records, is_leaf=lambda x: x is None)

    grads = jax.jit(jax.grad(lambda p, some: total(p, joined(some)), argnums=(0, 1)))(params, inexact(records))
    leaves = jax.tree.leaves(grads)
    assert leaves
    assert all(jnp.isfinite(g).all() for g in leaves)
    assert any((g != 0).any() for g in leaves)


def test_single_precision_stays_single_and_agrees(case):
    builder, *_, made = case
    with jax.enable_x64(False):
        stage, records = builder()
        single = stage(**records)
        assert all(jnp.asarray(x).dtype == jnp.float32 for x in floats(single))
    close(single, made, 1e-3)


def test_tree_mode_gives_the_same(case):
    builder, *_, made = case
    with nnx.set_graph_mode(False):
        stage, records = builder()
        graph, state = nnx.split(stage)
        got = jax.jit(lambda s, r: nnx.merge(graph, s)(**r))(state, records)
    close(got, made, 1e-9)
