"""Keys of configs that repeat a default of the code: two places for one number.

They stay where a config, which a run keeps, has to be complete: else it would mean something else once the code's
default changes. So their count may only shrink, and where the job of the defaults gives a value, the code has it too.
"""

import importlib
import inspect
import pathlib

import hydra
import pytest
import yaml
from omegaconf import OmegaConf

ROOT = pathlib.Path(__file__).resolve().parent.parent
AT_MOST = 118  # keys that repeat a default today; lower it when some are gone
OF_THE_JOB = {"halo.spin", "baryons.outputs.n_times"}  # a galaxy with a disc; a history, not its end


def nodes(node, place: str):
    """(place, node) of every mapping below with a `_target_`, wherever it lies."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield place, node
        for key, value in node.items():
            yield from nodes(value, f"{place}.{key}")
    elif isinstance(node, list):
        for k, value in enumerate(node):
            yield from nodes(value, f"{place}[{k}]")


def defaults(target: str) -> dict:
    """Default of each argument of what a `_target_` names."""
    module, _, name = target.rpartition(".")
    made = inspect.signature(getattr(importlib.import_module(module), name))
    return {n: p.default for n, p in made.parameters.items() if p.default is not inspect.Parameter.empty}


def same(value, default) -> bool:
    """Whether a config says what the code says; lists stand for tuples there, and 1 is not True."""
    if isinstance(value, list) and isinstance(default, tuple):
        return value == list(default)
    return type(value) in (type(default), int if isinstance(default, float) else type(default)) and value == default


def repeated(node: dict) -> tuple[list[str], int]:
    """Keys of a node that repeat a default, and how many keys have one."""
    known = defaults(node["_target_"])
    given = [key for key in node if key in known]
    return [key for key in given if same(node[key], known[key])], len(given)


@pytest.fixture(scope="module")
def survey() -> tuple[list[str], int]:
    """Every repeated key with its place, and the number of keys of arguments that have a default."""
    found, n = [], 0
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        for place, node in nodes(yaml.safe_load(path.read_text()), str(path.relative_to(ROOT))):
            keys, given = repeated(node)
            found += [f"{place}.{key}" for key in keys]
            n += given
    return found, n


def test_keys_that_repeat_a_default_only_become_fewer(survey):
    found, n = survey
    listing = "\n".join(found)
    assert len(found) <= AT_MOST, (
        f"{len(found)} of {n} keys repeat a default of the code; take it from there:\n{listing}"
    )
    assert len(found) == AT_MOST, f"only {len(found)} of {n} keys repeat a default now: set AT_MOST to that\n{listing}"


def job(*overrides) -> dict:
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return OmegaConf.to_container(hydra.compose("simulate", overrides=list(overrides)), resolve=False)


def test_the_job_of_the_defaults_is_what_the_code_does_by_itself_but_for_what_was_fitted():
    """Numbers of laws in the code are the published ones; the job takes fitted ones, each from a file of its slot."""
    fitted, config = job()["baryons"], job("baryons=pandya23")
    slots = {name for name, node in fitted.items() if node != config["baryons"].get(name)}
    assert slots == {path.parent.name for path in (ROOT / "conf" / "baryons").glob("*/calibrated.yaml")}
    other = {
        f"{place}.{key}": (value, known[key])
        for place, node in nodes(config, "")
        for known in [defaults(node["_target_"])]
        for key, value in node.items()
        if key in known and not isinstance(value, dict) and "${" not in str(value) and not same(value, known[key])
    }
    assert {place.removeprefix(".") for place in other} == OF_THE_JOB, other


def test_a_repeated_key_is_seen_and_another_one_is_not():
    node = {"_target_": "galdiff.imf.broken_power_law", "slopes": [2.35], "breaks": [], "m_lo": 0.1, "m_hi": 90.0}
    assert repeated(node) == (["breaks", "m_lo"], 3)
    assert not same(True, 1)
    assert not same(None, 0)
    assert same(100, 100.0)
