"""Traces that stay on disk give what the function gives, are never taken for another, and hold no code of others."""

import dataclasses
import functools
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from galdiff import program_cache
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.core import naming
from galdiff.core.fitted import fitted_on
from galdiff.core.kept import Kept, restored, traced
from galdiff.core.naming import Unnamed, address, name_of
from galdiff.core.outline import outline, rebuilt, record_type
from galdiff.core.record import quantity, record
from galdiff.records import BaryonHistory, Galaxy, StarParticles

CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder of traces, on for one test."""
    before = {name: getattr(jax.config, name) for name in CACHE}
    program_cache.keep_programs(tmp_path)
    monkeypatch.setattr(jax, "device_count", lambda: 1)  # tests have several
    yield tmp_path / program_cache.TRACES
    for name, value in before.items():
        jax.config.update(name, value)


def galaxy(n=3):
    line = np.linspace(1.0, 2.0, n, dtype=np.float32)
    space = np.stack([line] * 3, -1)
    stars = StarParticles(pos=space, vel=space, mass=line, age=line, metallicity=line)
    return Galaxy(stars=stars, name="some stars", redshift=0.1)


TRACED = []


def heavier(galaxy, factor, power=1):
    """The galaxy with more massive stars, and two sums."""
    TRACED.append(power)
    mass = galaxy.stars.mass * factor**power
    stars = StarParticles(**{**vars(galaxy.stars), "mass": mass})
    return {"galaxy": Galaxy(stars=stars, name=galaxy.name, redshift=0.2), "sums": (mass.sum(), [None, mass.max()])}


def kept(key="a"):
    """A new one each time, as a later process has it."""
    return Kept(heavier, key, ("power",))


def test_a_later_process_reads_the_trace_and_gives_the_same(folder):
    TRACED.clear()
    first = kept()(galaxy(), 2.0, power=2)
    assert TRACED == [2]
    again = kept()(galaxy(), 2.0, power=2)
    assert TRACED == [2]
    assert len(list(folder.iterdir())) == 1
    for found in (first, again):
        assert isinstance(found["galaxy"], Galaxy)
        assert (found["galaxy"].name, found["galaxy"].redshift) == ("some stars", 0.2)
        np.testing.assert_array_equal(found["galaxy"].stars.mass, 4 * galaxy().stars.mass)
        np.testing.assert_allclose(found["sums"][0], 18.0)
        assert found["sums"][1][0] is None
    assert jax.tree.structure(first) == jax.tree.structure(kept().plain(galaxy(), 2.0, power=2))


def test_a_compiled_program_reads_it_too(folder):
    program = kept().compiled(galaxy(), 2.0)
    TRACED.clear()
    np.testing.assert_array_equal(program(galaxy(), 2.0)["galaxy"].stars.mass, 2 * galaxy().stars.mass)
    kept().compiled(galaxy(), 2.0)
    assert TRACED == []


def test_what_decides_a_program_decides_its_name(folder, monkeypatch):
    calls = [
        lambda: kept()(galaxy(), 2.0),
        lambda: kept("b")(galaxy(), 2.0),
        lambda: kept()(galaxy(4), 2.0),
        lambda: kept()(galaxy(), np.float32(2.0)),
        lambda: kept()(galaxy(), 2.0, power=3),
        lambda: kept()(jax.tree.map(jnp.asarray, Galaxy(stars=galaxy().stars, name="others")), 2.0),
    ]
    for number, call in enumerate(calls, 1):
        call()
        call()
        assert len(list(folder.iterdir())) == number
    monkeypatch.setattr(naming, "_sources", lambda: "of a later version")
    calls[0]()
    assert len(list(folder.iterdir())) == len(calls) + 1


@pytest.mark.parametrize("spoil", [lambda data: data[:-20], lambda data: b"", lambda data: b"0" * 64 + data[64:]])
def test_a_damaged_trace_is_made_again(folder, spoil):
    kept()(galaxy(), 2.0)
    (path,) = folder.iterdir()
    path.write_bytes(spoil(path.read_bytes()))
    TRACED.clear()
    assert float(kept()(galaxy(), 2.0)["sums"][0]) == pytest.approx(9.0)
    assert TRACED == [1]
    assert program_cache.read_trace(folder, path.name) is not None


def test_a_disk_that_refuses_costs_nothing_but_the_trace(folder, monkeypatch):
    def full(*args, **settings):
        raise OSError("no space left")

    monkeypatch.setattr(program_cache.tempfile, "NamedTemporaryFile", full)
    assert float(kept()(galaxy(), 2.0)["sums"][0]) == pytest.approx(9.0)
    assert list(folder.iterdir()) == []


def test_inside_other_programs_and_without_a_folder_it_is_as_jit(folder, monkeypatch):
    def total(factor):
        return kept()(galaxy(), factor)["sums"][0]

    assert float(jax.grad(total)(2.0)) == pytest.approx(4.5)
    np.testing.assert_allclose(jax.vmap(total)(jnp.array([1.0, 2.0])), [4.5, 9.0])
    np.testing.assert_allclose(jax.jit(lambda: total(2.0))(), 9.0)
    monkeypatch.setattr("galdiff.core.kept.traces", lambda: None)
    assert float(total(2.0)) == pytest.approx(9.0)
    assert list(folder.iterdir()) == []


def test_what_cannot_be_exported_runs_as_ever(folder):
    def asked(x):
        return jax.pure_callback(lambda y: np.float32(2) * y, jax.ShapeDtypeStruct((), np.float32), x)

    assert float(Kept(asked, "a")(np.float32(3.0))) == 6.0
    for fun in (lambda x: 2 * x, functools.partial(jnp.add, 3), heavier):  # without key: not found by their names
        assert Kept(fun)._program(folder, [np.float32(3.0)], jax.tree.structure({"x": 0}), {}) is None
    assert list(folder.iterdir()) == []


class Own:
    """Code of a user, which no version tells."""


@pytest.mark.parametrize("thing", [Own, Own(), lambda: 0, heavier, np.array([Own()]), {"a": (1, [Own])}, sys])
def test_code_of_others_has_no_name(thing):
    with pytest.raises(Unnamed):
        name_of(thing)


def test_a_name_tells_contents_and_not_identities():
    a, b = ([np.arange(3.0), ("x", 1)] for _ in range(2))
    assert name_of(a) == name_of(b) == name_of([a[0], b[1]])
    assert name_of({"a", "b"}) == name_of({"b", "a"}) != name_of({"a"})
    others = [np.arange(3), np.arange(3.0)[None], jnp.arange(3.0), np.array([0.0, 1.0, 3.0]), [0.0, 1.0, 2.0], 0.0]
    assert len({name_of(x) for x in (np.arange(3.0), *others)}) == 1 + len(others)
    trees = [jax.tree.structure(x) for x in ({"a": 0}, {"b": 0}, (0,), galaxy(), galaxy().stars)]
    assert len({name_of(x) for x in trees}) == len(trees)


NAMED = "nnx.split(PowerLaw(log10_a={a}, alpha0=-2.0, log10_a_range=(-2.0, 1.0)))[0], {{'m', 'z', 'x', 'y'}}"


def test_another_process_gives_the_same_names():
    code = f"""
LATE = {{"diffrax", "matplotlib"}}  # load slowly, and nobody needs them at the start
import json, sys
import galdiff.observing.mock
from flax import nnx
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.core.naming import environment, name_of
print(json.dumps([name_of(({NAMED.format(a=0.5)})), environment()[0], sorted(LATE & set(sys.modules))]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = name_of(eval(NAMED.format(a=0.0), {"nnx": nnx, "PowerLaw": PowerLaw}))  # parameters are no part of it
    assert json.loads(done.stdout) == [ours, naming.environment()[0], []]


@record
class Foreign:
    """A record of a user."""

    x: float = quantity("", "a number")


def test_only_records_of_the_package_are_rebuilt():
    with pytest.raises(Unnamed, match="Foreign"):
        outline(jax.tree.structure(Foreign(x=1.0)))
    for module, name in (("os", "system"), ("test_kept", "Foreign"), ("galdiff.records", "quantity"), ("galdiff", "x")):
        with pytest.raises(Unnamed):
            record_type(module, name)
    tree = {"stars": (galaxy(), [1.0, None])}
    leaves, structure = jax.tree.flatten(tree)
    again = rebuilt(json.loads(json.dumps(outline(structure))), leaves)
    assert jax.tree.structure(again) == structure


def test_traces_are_limited_in_size(folder, monkeypatch):
    kept()(galaxy(), 2.0)
    monkeypatch.setattr(program_cache, "MOST_OF_TRACES", 10)
    program_cache.keep_programs(folder.parent)
    assert list(folder.iterdir()) == []


def test_plans_are_plain_data_and_settings_that_json_made_lists_are_tuples_again():
    plan = outline(jax.tree.structure({"b": (1.0, None), "a": [2.0]}))
    assert plan == ["dict", [["list", ["leaf"]], ["tuple", ["leaf", ["NoneType", []]]]], ["a", "b"]]
    assert rebuilt(json.loads(json.dumps(plan)), [5.0, 6.0]) == {"a": [5.0], "b": (6.0, None)}
    fields = {field.name for field in dataclasses.fields(BaryonHistory)} - {"ledgers"}
    history = BaryonHistory(**dict.fromkeys(fields, 1.0), ledgers=("igm", "lost"))
    said = json.loads(json.dumps(outline(jax.tree.structure(history))))
    assert rebuilt(said, [2.0] * len(fields)).ledgers == ("igm", "lost")
    with pytest.raises(StopIteration):
        rebuilt(said, [2.0])
    assert rebuilt("leaf", iter([3.0])) == 3.0


@pytest.mark.parametrize("tree", [{1: 0.0}, {"a": {2: 0.0}}, jax.tree_util.Partial(max, 1.0), nnx.State({"a": 0.0})])
def test_other_mappings_and_containers_have_no_outline(tree):
    with pytest.raises(Unnamed, match="among the results"):
        outline(jax.tree.structure(tree))


def test_code_of_known_packages_is_addressed_by_module_and_name():
    assert address(json.dumps) == ("json", "dumps")
    assert address(name_of) == ("galdiff.core.naming", "name_of")
    assert address(np.add) == ("numpy", "add")
    assert address(Kept.compiled) == ("galdiff.core.kept", "Kept.compiled")
    with pytest.raises(Unnamed, match=r"test_kept\.Own"):
        address(Own)
    with pytest.raises(Unnamed, match=r"galdiff.*<locals>"):  # which its name does not lead to
        address(fitted_on())


def test_leaves_of_a_program_are_told_from_numbers():
    assert not traced({"x": jnp.ones(2), "y": [1.0, None]})
    told = []
    jax.jit(lambda x: told.append((traced(x), traced(1.0))) or x)(1.0)
    jax.vmap(lambda x: told.append((traced({"x": x}), traced(np.ones(2)))) or x)(jnp.ones(2))
    assert told == [(True, True), (True, False)]  # all there is inside jit belongs to it


def test_an_exported_program_is_restored_from_its_text_without_what_it_does_not_read():
    shapes = [jax.ShapeDtypeStruct((3,), np.float32), jax.ShapeDtypeStruct((), np.int32)] * 2
    exported = jax.export.export(jax.jit(lambda a, unread, b, n: [a * n, (b > a).sum()]))(*shapes)
    kinds = [jax.typeof(jnp.zeros(shape.shape, shape.dtype)) for shape in shapes]
    assert exported.module_kept_var_idx == (0, 2, 3)
    results = [(list(aval.shape), str(aval.dtype)) for aval in exported.out_avals]  # as JSON has them
    again = restored(exported.mlir_module_serialized, kinds, list(exported.module_kept_var_idx), results)
    a, b = np.array([1, 2, 3], np.float32), np.array([3, 2, 9], np.float32)
    product, number = jax.jit(again.call)(a, np.int32(0), b, np.int32(2))
    np.testing.assert_array_equal(product, 2 * a)
    assert (int(number), product.dtype) == (2, np.float32)
