"""Records of checkpoints written with older names, in the names of today: pure functions, record to record."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

OLD_CYCLES = ("galdiff.baryons.pandya23.Pandya23", "galdiff.baryons.regulator.Regulator")
LOADING, PREVENTING = "galdiff.baryons.parameters.loading", "galdiff.baryons.parameters.preventing"
LAWS = "galdiff.baryons.laws"


def laws_in_slots(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record whose baryon cycles have laws in slots: `t_dep` became `star_formation`, functions became classes.

    Args:
      record: of a checkpoint, whose "config" is YAML text and "leaves" have dotted paths; of any age.

    Returns:
      The record in today's names; one that has them already is returned as it was. Arrays are saved under the paths
      of the old record: `old_path` gives them.
    """
    config = OmegaConf.to_container(OmegaConf.create(record.get("config", "")))
    leaves = {part: {path_of_law(p): x for p, x in named.items()} for part, named in record.get("leaves", {}).items()}
    changed = _cycles(config)
    text = record.get("config", "") if changed == config else OmegaConf.to_yaml(OmegaConf.create(changed))
    return {**record, "config": text} | ({"leaves": leaves} if "leaves" in record else {})


def path_of_law(path: str) -> str:
    """Dotted path of an array as it is called today."""
    return ".".join("star_formation" if part == "t_dep" else part for part in path.split("."))


def old_path(path: str) -> str:
    """Dotted path under which an older checkpoint holds what is called `path` today."""
    parts = path.split(".")
    return ".".join("t_dep" if part == "star_formation" and parts[-1] in _NUMBERS else part for part in parts)


_NUMBERS = ("log10_a", "alpha0", "alpha_z", "beta")


def _cycles(node: Any) -> Any:
    """The config with every baryon cycle of the older layout rewritten."""
    if isinstance(node, list):
        return [_cycles(child) for child in node]
    if not isinstance(node, dict):
        return node
    node = {name: _cycles(child) for name, child in node.items()}
    if node.get("_target_") not in OLD_CYCLES:
        return node
    law = node.get("t_dep")
    changed: dict[str, Any] = {}
    for name, child in node.items():
        target = child.get("_target_") if isinstance(child, dict) else None
        if name == "t_dep" and law is not None:
            changed["star_formation"] = {**child, "_target_": f"{LAWS}.depletion_time.DepletionTime"}
        elif target == LOADING:
            changed[name] = {**child, "_target_": f"{LAWS}.power_law.PowerLaw"}
        elif target == PREVENTING:
            changed[name] = {**child, "_target_": f"{LAWS}.logistic.Logistic"}
        elif name != "t_dep":
            changed[name] = child
    return changed
