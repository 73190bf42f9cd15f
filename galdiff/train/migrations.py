"""Checkpoints written with older names, in the names of today."""

import re
from collections.abc import Collection
from typing import Any

MENDED = (0, 2)  # version whose gas radiates n_e n_t Lambda_N, not n^2 Lambda_N, and whose inflow has a ceiling
OLD_CYCLES = ("galdiff.baryons.pandya23.Pandya23", "galdiff.baryons.regulator.Regulator")
LOADING, PREVENTING = "galdiff.baryons.parameters.loading", "galdiff.baryons.parameters.preventing"
LAWS = "galdiff.baryons.laws"
COOLING = (f"{LAWS}.cooling_time.CoolingTime", f"{LAWS}.cooling_radius.CoolingRadius")
WITHOUT_CEILING = {
    "_target_": f"{LAWS}.power_law.PowerLaw",
    **{"log10_a": -2.30103, "alpha0": 2.2, "beta": -1.3},
    **{"log10_a_range": [-4.0, -1.5], "alpha0_range": [0.0, 4.0]},
}
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


def as_written(config: Any, versions: Any) -> Any:
    """The config in the names of today, and with the physics of the version that wrote it."""
    config = laws_in_slots(config)
    written = versions.get("galdiff") if isinstance(versions, dict) else None
    found = re.match(r"(\d+)\.(\d+)", str(written))
    old = found is not None and tuple(map(int, found.groups())) < MENDED
    return as_published(config) if old else config


def as_published(node: Any) -> Any:
    """A config in which the CGM of every two-zone cycle radiates n^2 Lambda_N, and the metallicity of the inflow has no
    ceiling, where it says nothing else.
    """
    if isinstance(node, list):
        return [as_published(child) for child in node]
    if not isinstance(node, dict):
        return node
    node = {name: as_published(child) for name, child in node.items()}
    if node.get("_target_") == OLD_CYCLES[0]:
        law = node.get("cooling")
        if isinstance(law, dict) and law.get("_target_") in COOLING:
            node["cooling"] = {"convention": "n2"} | law
        else:
            node["cooling"] = {"_target_": COOLING[0], "convention": "n2"} | ({} if law is None else {"function": law})
        if node.get("z_inflow") is None:
            node["z_inflow"] = WITHOUT_CEILING
    return node


def saved_path(path: str, saved: Collection[str]) -> str:
    """Dotted path under which a checkpoint holds the array that is called `path` today, given all that it holds."""
    parts = [p for p in path.split(".") if p != "yields"]  # which were numbers of the cycle itself
    older = ".".join("t_dep" if p == "star_formation" and parts[-1] in _OF_POWER_LAW else p for p in parts)
    return older if path not in saved and older in saved else path
