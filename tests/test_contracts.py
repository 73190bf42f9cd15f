"""What every stage promises: compilation, batches, finite gradients, single precision, a sound record, tree mode.

The cases are in stage_builders.py.
"""

import importlib
import inspect
import os
import pathlib
import pickle
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from stage_builders import BUILDERS

import galdiff
from galdiff.core.record import check
from galdiff.core.stage import Stage
from galdiff.nebular.h_ii_regions import NoGas

NOTHING = (NoGas,)  # what makes the same of everything


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
    assert not missing, f"add to stage_builders.py: {missing}"


@pytest.fixture(params=BUILDERS, ids=lambda cls: cls.__name__, scope="module")
def case(request):
    """What the tests of one stage share."""
    builder = BUILDERS[request.param]
    stage, records = builder()
    graph, params, rest = nnx.split(stage, nnx.Param, ...)
    traced = []

    def pure(params, rest, records):
        traced.append(1)
        return nnx.merge(graph, params, rest)(**records)

    compiled = jax.jit(pure)
    made = compiled(params, rest, records)
    return Case(stage, builder, compiled, params, rest, records, made, traced)


class Case(typing.NamedTuple):
    """A stage, split, with the records it reads and what it makes of them."""

    stage: Stage
    builder: Callable
    pure: Callable  # (params, rest, records) -> record, compiled
    params: nnx.State
    rest: nnx.State
    records: dict
    made: object
    traced: list  # one entry each time it was traced


def is_float(x) -> bool:
    return jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating)


def floats(tree) -> list:
    return [x for x in jax.tree.leaves(tree) if is_float(x)]


def close(got, expected, rtol):
    """Leaves agree to rtol of the largest value of each."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max(initial=0.0))


def test_the_record_made_is_sound_and_of_the_declared_type(case):
    for rec in (*case.records.values(), case.made):
        check(rec)
    assert isinstance(case.made, case.stage.makes())


def test_a_repeated_call_compiles_nothing(case):
    before = len(case.traced)
    case.pure(jax.tree.map(lambda x: x + 0.01, case.params), case.rest, jax.tree.map(jnp.copy, case.records))
    assert len(case.traced) == before


def test_many_galaxies_at_once_are_as_one_by_one(case):
    two = jax.tree.map(lambda x: np.stack([np.asarray(x)] * 2), case.records)  # NumPy's, which compiles nothing
    got = jax.jit(jax.vmap(lambda _, r: case.pure(case.params, case.rest, r)))(np.arange(2), two)
    got = jax.tree.map(np.asarray, got)
    for i in range(2):
        close(jax.tree.map(lambda x, i=i: x[i], got), case.made, 1e-9)


def test_gradients_are_finite_in_parameters_and_records(case):
    leaves, tree = jax.tree.flatten(case.records)
    smooth = {i: jnp.asarray(x) for i, x in enumerate(leaves) if is_float(x)}

    def total(params, smooth):
        records = jax.tree.unflatten(tree, [smooth.get(i, x) for i, x in enumerate(leaves)])
        return sum(jnp.sum(x) for x in floats(case.pure(params, case.rest, records)))

    grads = jax.tree.leaves(jax.jit(jax.grad(total, argnums=(0, 1)))(case.params, smooth))
    grads = [np.asarray(g) for g in grads]
    assert all(np.isfinite(g).all() for g in grads)
    assert any((g != 0).any() for g in grads) != isinstance(case.stage, NOTHING)


def test_tree_mode_gives_the_same(case):
    with nnx.set_graph_mode(False):
        stage, records = case.builder()
        graph, params, rest = nnx.split(stage, nnx.Param, ...)

        def pure(params, rest, records):  # of the name and the arguments of that in graph mode: the same program
            return nnx.merge(graph, params, rest)(**records)

        got = jax.jit(pure)(params, rest, records)
    close(got, case.made, 1e-9)


SINGLE = """
import pickle, sys
import jax, numpy as np
from flax import nnx
import stage_builders
made = {}
for cls, builder in stage_builders.BUILDERS.items():
    stage, records = builder()
    graph, state = nnx.split(stage)
    out = jax.jit(lambda s, r: nnx.merge(graph, s)(**r))(state, records)
    made[cls.__name__] = [np.asarray(x) for x in jax.tree.leaves(out)]
pickle.dump(made, open(sys.argv[1], "wb"))
"""


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> dict:
    """What all stages make in a process of its own that runs in single precision, as users do."""
    path = tmp_path_factory.mktemp("single") / "made.pickle"
    command = [sys.executable, "-c", SINGLE, str(path)]
    env = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parent)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return pickle.loads(path.read_bytes())


def test_single_precision_agrees(case, single):
    made = single[type(case.stage).__name__]
    assert all(x.dtype == np.float32 for x in made if x.dtype.kind == "f")
    close(made, jax.tree.leaves(case.made), 1e-3)
