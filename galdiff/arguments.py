"""Arguments of the command line before Hydra reads them, and values that are only used at the end of a run."""

import functools
import pathlib
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from galdiff.errors import InputError
from galdiff.folders import project_dir

VALUED = (
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
    *("-i", "--info"),
)
MAX_SEED = 2**32 - 1  # what JAX and NumPy both take


def ordered(argv: Iterable[str]) -> list[str]:
    """Arguments with the keys together and the options, such as -m, behind them: argparse wants no option between."""
    keys: list[str] = []
    options: list[str] = []
    for text in argv:
        belongs = bool(options) and options[-1] in VALUED and not (options[-1] in ("-i", "--info") and "=" in text)
        (options if text.startswith("-") or belongs else keys).append(text)
    return [*keys, *options]


def quoted(override: str) -> str:
    """An override whose value is one text, as it is typed into a shell: 'input.path="runs/epoch=9/snap.hdf5"'."""
    key, _, value = override.partition("=")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    inside = value.replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'{key}="{inside}"')


def check_kinds(
    config: DictConfig, group: str = "", ignore: Iterable[str] = (), conf: pathlib.Path | None = None
) -> None:
    """Refuse values of another kind than the defaults of the project's config have, before anything is computed.

    A number stays a number and a switch a switch; where the default is null, a number or null is expected. Texts and
    lists are left to who reads them.

    Args:
      config: the composed config.
      group: name of the YAML file in the config folder that holds the defaults.
      ignore: keys whose null or number may be something else.
      conf: the config folder; the project's by default.

    Raises:
      InputError: naming the key, its value and what is expected.
    """
    conf = project_dir("conf") if conf is None else conf
    defaults = _read((conf / f"{group}.yaml").read_text(encoding="utf-8"))
    for group_of in (str(node) for node in config if (conf / str(node)).is_dir()):
        if not OmegaConf.is_dict(config[group_of]):  # a number of the same name
            continue
        texts = (path.read_text(encoding="utf-8") for path in sorted((conf / group_of).glob("*.yaml")))
        same = [p for p in map(_read, texts) if p.get("_target_") == config[group_of].get("_target_")]
        if same:
            defaults[group_of] = _in_common(same)
    for key in dotted(defaults, ""):
        default = functools.reduce(lambda node, name: node[name], key.split("."), defaults)
        if key.startswith("hydra") or key in (*ignore, "runtime.cache_dir") or isinstance(default, str | list | dict):
            continue
        parent, _, last = key.rpartition(".")
        holder = OmegaConf.select(config, parent) if parent else config
        if (
            OmegaConf.is_dict(holder) and last in holder and OmegaConf.is_interpolation(holder, last)
        ):  # checked where it comes from
            continue
        value = OmegaConf.select(config, key)
        if value is None or (OmegaConf.is_dict(value) and "_target_" in value):  # computed: build says what is wrong
            continue
        expected = bool if isinstance(default, bool) else int | float
        whole = isinstance(default, int) and isinstance(value, float) and not value.is_integer()
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool) or whole:
            words = {True: "true or false", False: "a whole number" if whole else "a number"}[expected is bool]
            raise InputError(f"{key} is '{value}'; expected {words}, such as {default}")


def _read(text: str) -> dict:
    """Mappings of a YAML text of the project, by the fast reader where it is built."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _in_common(presets: list[dict]) -> dict:
    """Keys that have one kind of value in all presets that have them, with a value of that kind."""
    found: dict = {}
    for name in dict.fromkeys(name for preset in presets for name in preset):
        values = [preset[name] for preset in presets if preset.get(name) is not None]
        if values and all(isinstance(value, dict) for value in values):
            found[name] = _in_common(values)
        elif len({bool if isinstance(v, bool) else float if isinstance(v, int | float) else str for v in values}) == 1:
            found[name] = next((value for value in values if isinstance(value, float)), values[0])
    return found


def check_seeds(config: Any, path: str = "") -> None:
    """Refuse what is no seed of random numbers, wherever a plain config has a key `seed` of galdiff's.

    Raises:
      InputError: naming the key, its value and what is allowed.
    """
    if not isinstance(config, Mapping) or not str(config.get("_target_", "galdiff.")).startswith("galdiff."):
        return
    for name, child in config.items():
        key = f"{path}.{name}" if path else str(name)
        later = isinstance(child, str) and ("${" in child or child == "???")
        if name == "seed" and not later and not (type(child) is int and 0 <= child <= MAX_SEED):
            raise InputError(f"{key} is {child}; give a whole number from 0 to {MAX_SEED}")
        check_seeds(child, key)


def dotted(node: object, path: str) -> Iterator[str]:
    """Dotted keys of nested mappings; names that have a dot themselves are left out."""
    for name, child in node.items() if isinstance(node, dict) else ():
        if "." in str(name):
            continue
        yield f"{path}{name}"
        yield from dotted(child, f"{path}{name}.")
