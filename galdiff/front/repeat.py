"""A cube made again from the config in its file: `galdiff simulate from=cube.fits`.

The file may come from anyone, so its config opens nothing that a command line would not: the same closed list of what
may be built, no interpolation, and no package, folder or cache that was not named on the command line itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from galdiff.build import check_targets
from galdiff.errors import InputError
from galdiff.front.settings import PLACES
from galdiff.io.config_table import read_config

OF_THE_PROCESS = (*PLACES, "packages", "runtime")  # taken from the command line, the precision apart
SHARED = ("cosmology", "imf")  # stand in several places of a resolved config


def repeated(config: DictConfig) -> DictConfig:
    """The config that a run is made with: that of the file which `from` names, where it names one.

    Args:
      config: of the command line. Its keys for output and packages count, and what else was given there for keys that
        the file has.

    Raises:
      InputError: a file without config, one that names what may not be built, that was made with objects which a file
        cannot hold, or that does not fit this version; a preset beside `from`.
    """
    path = config["from"]
    if path is None:
        return config
    stored = read_config(path)
    _refuse(stored, config, path)
    process = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    kept = {name: process[name] for name in OF_THE_PROCESS}
    kept["runtime"]["precision"] = stored["runtime"]["precision"]
    made = DictConfig(dict(stored | kept | {"from": None}))
    for key, value in _given():
        _override(made, key, value)
    check_targets(OmegaConf.to_container(made))
    return made


def _refuse(stored: Mapping[str, Any], config: DictConfig, path: str) -> None:
    """Refuse a config that may not or cannot be used."""
    for key, value in _leaves(stored, ""):
        if "${" in key or (isinstance(value, str) and "${" in value):
            raise InputError(f"{path}: {key} of its config is to be worked out ('${{'); only plain values are taken")
        if key.rpartition(".")[2] == "given":
            what = key.rpartition(".")[0]
            raise InputError(f"{path}: {what} was a {value} made in Python, which its config cannot hold")
    ours, theirs = _sections(dict(config)), _sections(stored)
    missing, unknown = sorted(ours - theirs), sorted(theirs - ours)
    precision = stored.get("runtime", {}).get("precision") if isinstance(stored.get("runtime"), dict) else None
    if missing or unknown or not isinstance(precision, str):
        words = ", ".join([f"lacks {name}" for name in missing] + [f"has {name}" for name in unknown])
        raise InputError(
            f"{path}: its config {words or 'has no runtime.precision'}, unlike that of this version of galdiff; use the"
            " one that its header names (VERSION)"
        )
    new = [name for name in stored["packages"] or [] if name not in (config.packages or [])]
    if new:
        names = ", ".join(map(str, new))
        raise InputError(f"{path} was made with code of {names}; if you trust it, name it: packages=[{names}]")
    check_targets(dict(stored))


def _sections(config: Mapping[Any, Any]) -> set[str]:
    """Keys, and those in sections that are no object to build; whatever stands for such an object counts alike."""
    inner = {f"{n}.{k}" for n, c in config.items() if isinstance(c, Mapping) and "_target_" not in c for k in c}
    return inner | {str(name) for name in config}


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for name, child in items:
        key = f"{path}.{name}" if path else str(name)
        if isinstance(child, Mapping | list):
            yield from _leaves(child, key)
        yield key, child


def _given() -> Iterator[tuple[str, Any]]:
    """Keys and values of the command line beside those of the process."""
    texts = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    for override in OverridesParser.create().parse_overrides(list(texts)):
        if override.key_or_group.split(".")[0] not in OF_THE_PROCESS:
            yield override.key_or_group, override.value()


def _override(made: DictConfig, key: str, value: Any) -> None:
    """Change one key that the file has."""
    outer, _, last = key.rpartition(".")
    node = OmegaConf.select(made, outer) if outer else made
    if not OmegaConf.is_dict(node) or last not in node:
        raise InputError(f"{key}: there is no such key in the config of the file that from names")
    if key.split(".")[0] in SHARED or (OmegaConf.is_dict(node[last]) and isinstance(value, str)):
        raise InputError(
            f"{key}={value}: from takes this from its file, where single keys can be changed (seed=1), but no presets"
            " and nothing that all of a run shares; leave it out, or leave out from"
        )
    node[last] = value
