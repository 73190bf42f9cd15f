"""Keywords of Python to settings: the same presets, keys and defaults as on the command line.

A keyword is a config group (`instrument="manga_61"`, `**{"baryons.star_formation": "schmidt"}`), a key (`seed=1`), the
last part of a key of the sections that a call is about (`inclination=30`), or a dotted key. Built objects go where a
preset would. Presets and code of your own come with `packages=["mynet"]`.
"""

import difflib
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import hydra
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig, ListConfig, OmegaConf

from galdiff.errors import InputError
from galdiff.front.settings import PLACES, RunSettings
from galdiff.presets import checked, folders, groups, presets, search_path
from galdiff.runtime import project_dir

PLAIN = (bool, int, float, str, type(None))
SOURCE = ("input", "halo", "baryons")  # groups that make the galaxy
PROCESS = (*PLACES, "runtime")  # keys of the command line's process


def settings(
    values: Mapping[str, Any], fixed: Mapping[str, Any] | None = None, source: tuple[str, ...] = ()
) -> tuple[RunSettings, dict[str, Any]]:
    """Settings from keywords.

    Args:
      values: keywords of the user.
      fixed: dotted keys and groups that are set already, as in `chosen`.
      source: groups that the keywords are about, of those that make the galaxy; () for the observation.

    Returns:
      The checked `RunSettings`, and all that was chosen, by dotted key or group.

    Raises:
      InputError: a keyword or preset that does not exist, with the nearest, or a value that cannot be.
    """
    fixed = dict(fixed or {})
    found = folders(project_dir("conf"), checked(values.get("packages", fixed.get("packages", []))))
    known = {name.replace("/", "."): name for name in groups(found)}
    named = {k: v for given in (fixed, values) for k, v in given.items() if k in known and isinstance(v, str)}
    config = _composed(found, {known[key]: name for key, name in named.items()})
    sections = source or tuple(str(k) for k in config if k not in (*SOURCE, *PROCESS) and OmegaConf.is_dict(config[k]))
    chosen = fixed | {
        key: value
        for name, content in values.items()
        for key, value in _flat(_place(config, name, sections, source), _native(content))
    }
    if not _is_plain(chosen.get("dust")):
        chosen["dust.stage"] = chosen.pop("dust")  # the preset's curve stays
    given = {key: value for key, value in chosen.items() if not _is_plain(value)}
    for key, value in chosen.items():
        if not (key in named and isinstance(value, str)):
            _set(config, key, {"given": type(value).__name__} if key in given else value)
    precision = "float64" if jnp.result_type(float) == jnp.float64 else "float32"  # of this process, as it is
    OmegaConf.update(config, "runtime.precision", precision)
    made = RunSettings(config, given)
    made.check()
    return made, chosen


def _composed(found: Sequence[pathlib.Path], chosen: Mapping[str, str]) -> DictConfig:
    for group, name in chosen.items():
        known = [p.stem for p in presets(found, group)]
        if name not in known:
            raise InputError(f"{group}={name}: there is no such preset; {_nearest(name, known)}")
    overrides = search_path(found, [f"{group}={name}" for group, name in chosen.items()])
    with hydra.initialize_config_dir(str(found[0]), version_base="1.3"):
        config = hydra.compose("simulate", overrides=overrides)
    config.output = ""  # known when results are saved
    return config


def _place(config: DictConfig, name: str, sections: Iterable[str], source: tuple[str, ...]) -> str:
    """Dotted key of a keyword."""
    if name == "packages":
        return name
    ours = [str(k) for k in config if (k in source if source else k not in (*SOURCE, *PROCESS))]
    inner = {f"{s}.{k}": str(k) for s in sections for k in config[s] if str(k)[0] != "_"}
    if name.split(".")[0] in ours:
        return name
    head, dot, rest = name.partition(".")
    found = [key for key, last in inner.items() if last == head]
    if len(found) == 1:
        return f"{found[0]}{dot}{rest}"
    if found:
        raise InputError(f"{name}: there are {' and '.join(found)}; say which, as **{{'{found[0]}': ...}}")
    if name.split(".")[0] in SOURCE and not source:
        raise InputError(f"{name}: is a setting of the galaxy, which is made already; give it to grow or read_galaxy")
    raise InputError(f"{name}: there is no such keyword; {_nearest(name, [*ours, *inner.values(), *inner])}")


def _set(config: DictConfig, key: str, value: Any) -> None:
    """Put a value under a dotted key that exists."""
    outer, _, last = key.rpartition(".")
    node = OmegaConf.select(config, outer) if outer else config
    names = [str(k) for k in node] if OmegaConf.is_dict(node) else []
    if last not in names:
        known = [f"{outer}.{k}" if outer else k for k in names]
        raise InputError(f"{key}: there is no such key; {_nearest(key, known)}")
    OmegaConf.update(config, key, value, merge=False, force_add=True)


def _flat(key: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Dotted keys and values of a mapping; other values as they are."""
    if isinstance(value, Mapping) and "_target_" not in value:
        for name, inner in value.items():
            yield from _flat(f"{key}.{name}", inner)
    else:
        yield key, value


def _native(value: Any) -> Any:
    """Numbers of NumPy as those of Python, tuples as lists, paths as texts."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if type(value) in (tuple, list):
        return [_native(v) for v in value]
    return {k: _native(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | ListConfig):
        return all(_is_plain(v) for v in value)
    if isinstance(value, Mapping):
        return all(_is_plain(v) for v in value.values())
    return isinstance(value, PLAIN)


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"choose one of {', '.join(dict.fromkeys(known))}"
