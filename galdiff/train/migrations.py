"""Checkpoints written with older names, in the names of today."""

from collections.abc import Collection
from typing import Any

OLD_CYCLES = ("galdiff.baryons.pandya23.Pandya23", "galdiff.baryons.regulator.Regulator")
LOADING, PREVENTING = "galdiff.baryons.parameters.loading", "galdiff.baryons.parameters.preventing"
LAWS = "galdiff.baryons.laws"
_OF_POWER_LAW = ("log10_a", "alpha0", "alpha_z", "beta")


def laws_in_slots(node: Any) -> Any:
    """A config, plain mappings and lists, in which every baryon cycle has its laws in slots.

    `t_dep` became `star_formation`, functions became classes; what is in the names of today stays as it is.
    """
    if isinstance(node, list):
        return [laws_in_slots(child) for child in node]
    if not isinstance(node, dict):
        return node
    node = {name: laws_in_slots(child) for name, child in node.items()}
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


def saved_path(path: str, saved: Collection[str]) -> str:
    """Dotted path under which a checkpoint holds the array that is called `path` today, given all that it holds."""
    parts = [p for p in path.split(".") if p != "yields"]  # which were numbers of the cycle itself
    older = ".".join("t_dep" if p == "star_formation" and parts[-1] in _OF_POWER_LAW else p for p in parts)
    return older if path not in saved and older in saved else path
