"""What every stage promises: jit, vmap, finite gradients, single precision, a sound record, and NNX's tree mode.

A stage joins by one entry in BUILDERS: a function that makes the stage and the records it reads, at small size. It is
called afresh for every precision, so it holds no arrays of its own.
"""

import dataclasses
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
from jaxtyping import Array, Float

import galdiff
from galdiff.core.record import check, quantity, record
from galdiff.core.stage import Stage
from galdiff.core.variables import physical, table
from galdiff.dust.attenuation import BirthCloudDust, DustScreen, GasColumnDust
from galdiff.dust.column import ColumnGrid
from galdiff.galaxy.view import GasView, StarView
from galdiff.ifu.placement import AtRedshift
from galdiff.kinematics.maps import MapMaker, node_tables
from galdiff.records import Galaxy, GasParticles, LightDistribution, SkyGas, SkyStars, StarParticles


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


def random(*shape: int, lo: float = 0.0, hi: float = 1.0, seed: int = 0) -> jax.Array:
    """The same numbers in every precision, between lo and hi."""
    return jnp.asarray(np.random.default_rng([seed, *shape]).uniform(lo, hi, shape), jnp.result_type(float))


def galaxy() -> Galaxy:
    pos = random(6, 3, lo=-5.0, hi=5.0) * jnp.array([1.0, 1.0, 0.2])
    vel = jnp.stack([-pos[:, 1], pos[:, 0], 0 * pos[:, 0]], -1) * 30.0  # it turns, so it has an axis
    stars = StarParticles(
        pos=pos,
        vel=vel,
        mass=random(6, lo=1e5, hi=1e6, seed=1),
        age=random(6, lo=0.01, hi=12.0, seed=2),
        metallicity=random(6, lo=1e-3, hi=0.03, seed=3),
    )
    gas = GasParticles(pos=pos, vel=vel, mass=stars.mass, metallicity=stars.metallicity)
    return Galaxy(stars=stars, gas=gas, redshift=0.1, name="toy")


def sky_stars() -> SkyStars:
    xyz = {name: random(5, lo=-0.9, hi=0.9, seed=i) for i, name in enumerate("xyz")}
    return SkyStars(
        **xyz,
        v_los=random(5, lo=-100.0, hi=100.0, seed=4),
        mass=random(5, lo=1e5, hi=1e6, seed=5),
        age=random(5, lo=0.005, hi=0.05, seed=6),
        metallicity=random(5, lo=1e-3, hi=0.03, seed=7),
        a_v=random(5, seed=8),
    )


def sky_gas() -> SkyGas:
    xyz = {name: random(4, lo=-0.9, hi=0.9, seed=10 + i) for i, name in enumerate("xyz")}
    return SkyGas(
        **xyz,
        v_los=random(4, lo=-100.0, hi=100.0, seed=14),
        mass=random(4, lo=1e6, hi=1e7, seed=15),
        metallicity=random(4, lo=1e-3, hi=0.03, seed=16),
        temperature=random(4, lo=1e3, hi=1e4, seed=17),
    )


def light() -> LightDistribution:
    v = jnp.linspace(-400.0, 400.0, 17)
    profile = jnp.exp(-((v / 120.0) ** 2) / 2)  # a line that can be fitted
    mass = random(2, 3, 1, 6, 1, lo=0.5) * profile[:, None, None]
    return LightDistribution(mass=mass, v_nodes=v, lost=jnp.asarray(0.0), clipped=jnp.asarray(0.0))


def maps():
    tables = node_tables(np.linspace(-1.0, 1.0, 3), np.array([-2.5, -1.5]))
    return MapMaker(tables=tables), {"light": light()}


def gas_column():
    grid = ColumnGrid(half_width=1.0, half_depth=1.0, cell=0.5, cell_z=0.5)
    return GasColumnDust(grid=grid), {"sky_stars": sky_stars(), "sky_gas": sky_gas()}


# Stage class -> function without arguments that returns (stage, records by name).
BUILDERS: dict[type[Stage], Callable] = {
    Older: older,
    StarView: lambda: (StarView(inclination=50.0), {"galaxy": galaxy()}),
    GasView: lambda: (GasView(inclination=50.0), {"galaxy": galaxy()}),
    DustScreen: lambda: (DustScreen(a_v=0.7), {"sky_stars": sky_stars()}),
    BirthCloudDust: lambda: (
        BirthCloudDust(a_v=0.3, a_v_birth=0.6, t_birth=0.01, width=0.1),
        {"sky_stars": sky_stars()},
    ),
    GasColumnDust: gas_column,
    AtRedshift: lambda: (AtRedshift(redshift=0.1), {}),
    MapMaker: maps,
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
    two = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 2), case.records)
    got = jax.jit(jax.vmap(lambda _, r: case.pure(case.params, case.rest, r)))(jnp.arange(2), two)
    for i in range(2):
        close(jax.tree.map(lambda x, i=i: x[i], got), case.made, 1e-9)


def test_gradients_are_finite_in_parameters_and_records(case):
    leaves, tree = jax.tree.flatten(case.records)
    smooth = {i: jnp.asarray(x) for i, x in enumerate(leaves) if is_float(x)}

    def total(params, smooth):
        records = jax.tree.unflatten(tree, [smooth.get(i, x) for i, x in enumerate(leaves)])
        return sum(jnp.sum(x) for x in floats(case.pure(params, case.rest, records)))

    grads = jax.tree.leaves(jax.jit(jax.grad(total, argnums=(0, 1)))(case.params, smooth))
    assert all(jnp.isfinite(g).all() for g in grads)
    assert any((g != 0).any() for g in grads)


def test_tree_mode_gives_the_same(case):
    with nnx.set_graph_mode(False):
        stage, records = case.builder()
        graph, state = nnx.split(stage)
        got = jax.jit(lambda s, r: nnx.merge(graph, s)(**r))(state, records)
    close(got, case.made, 1e-9)


SINGLE = """
import pickle, sys
import jax, numpy as np
from flax import nnx
import test_contracts
made = {}
for cls, builder in test_contracts.BUILDERS.items():
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
