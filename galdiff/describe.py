"""What is known of a key of a config before anything is computed: value, kind, unit, range and meaning."""

import contextlib
import dataclasses
import difflib
import functools
import inspect
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from galdiff.arguments import dotted
from galdiff.build import build
from galdiff.core.buildable import located, type_called
from galdiff.core.constructors import written
from galdiff.core.fitted import Ranges, ranges_of
from galdiff.core.signatures import annotations, ranges, words
from galdiff.core.variables import Physical
from galdiff.errors import InputError
from galdiff.limits import SECTIONS, allowed
from galdiff.presets import presets, search_path

FIRST = ("simulate",)  # where a key is looked for first


def describe(args: Sequence[str], experiments: Sequence[str], found: Sequence[pathlib.Path]) -> list[str]:
    """Lines of `galdiff describe [EXPERIMENT] KEY [group=preset ...]`.

    Args:
      args: of the command; the first experiment that has the key is taken where none is named.
      experiments: names of all.
      found: folders of presets.

    Raises:
      InputError: no key, or one that no experiment has.
    """
    chosen = [text for text in args if "=" in text]
    names = [text for text in args if "=" not in text]
    named = names[0] if len(names) > 1 and names[0] in experiments else None
    if len(names) != 1 + (named is not None):
        raise InputError(
            "describe takes a key: galdiff describe [EXPERIMENT] KEY [group=preset ...], such as view.inclination"
        )
    key, known = names[-1], []
    order = sorted(experiments, key=lambda name: (name not in FIRST, name))
    for name in [named] if named else [name for name in order if (found[0] / f"{name}.yaml").is_file()]:
        with hydra.initialize_config_dir(str(found[0]), version_base="1.3"):
            config = hydra.compose(name, overrides=search_path(found, chosen if named or name == order[0] else []))
        keys = list(dotted(OmegaConf.to_container(config), ""))
        if key in keys:
            return [f"galdiff {name}", *described(config, key, found, name)]
        known += keys
    close = difflib.get_close_matches(key, known, n=1)
    raise InputError(
        f"{key}: no experiment has such a key; " + (f"did you mean '{close[0]}'?" if close else "see --cfg job")
    )


def described(config: DictConfig, key: str, found: Sequence[pathlib.Path], name: str) -> list[str]:
    """Lines about a key.

    Args:
      config: composed, of an experiment.
      key: dotted, and in the config.
      found: folders of presets.
      name: of the experiment.
    """
    outer, _, last = key.rpartition(".")
    plain = _plain(config)
    node = functools.reduce(lambda inner, name: inner[name], outer.split(".") if outer else [], plain)
    value = node[last]
    lines = [f"{key}: {_shown(value)}"]
    group = [path.stem for path in presets(found, key.replace(".", "/"))]
    lines += [f"  presets: {', '.join(group)}"] if group else []
    sections = SECTIONS.get(name, {})
    maker = node.get("_target_", sections.get(outer)) if outer else None
    lines += [f"  {said}" for said in allowed(name, key, value)]
    if isinstance(value, Mapping) and "_target_" in value:
        target = located(value["_target_"], key)
        lines += [f"  made by {value['_target_']}: {_first_line(target)}"]
        lines += [f"  {key}.{inner}: {_shown(v)}" for inner, v in value.items() if inner[0] != "_"]
    lines += [f"  fitted on {one.words()}" for one in _ranges(value, key) or _ranges(node, outer)]
    if maker is not None:
        target = located(maker, outer) if "_target_" in node else type_called(maker)
        made = written(maker)
        hint = annotations(target).get(last, made.hints.get(last) if made is not None else None)
        lines += [f"  {words(hint)}"] if hint is not None else []
        lines += (
            [f"  from {inside.lo:g} to {inside.hi:g} {inside.unit}".rstrip()]
            if (inside := ranges(target).get(last))
            else []
        )
        if inspect.isclass(target) or (made is not None and last in made.bounds):
            lines += _bounds({"_target_": maker, **node}, outer, last)
        lines += [f"  {said}  ({maker})" for said in _meaning(target, last)]
    lines += [f"  {path}: {said}" for path, said in _comments(found, key, name, plain)]
    return lines


def _plain(config: Any) -> dict[str, Any]:
    """A config as mappings, each part resolved where it can be: the folder of a run and required values cannot yet."""
    found = OmegaConf.to_container(config, resolve=False)
    for name in config:
        if not isinstance(found[name], dict | list):  # type: ignore[index, call-overload]
            continue
        with contextlib.suppress(OmegaConfBaseException):
            found[name] = OmegaConf.to_container(config[name], resolve=True)  # type: ignore[index, call-overload]
    return found  # type: ignore[return-value]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{...}" if "_target_" not in value else value["_target_"].split(".")[-1]
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _bounds(node: Mapping[str, Any], path: str, name: str) -> list[str]:
    """Unit, range and prior of a parameter, from the object that its node makes."""
    try:
        more = {"redshift": 0.05} if path == "placement" and node["redshift"] is None else {}
        variable = getattr(build({**node, **more}, path=path), name, None)
    except (InputError, OSError):
        return []
    if not isinstance(variable, Physical):
        return []
    unit = "" if variable.unit == "1" else f" {variable.unit}"
    between = "any finite value" if variable.lo is None else f"above {variable.lo:g} and below {variable.hi:g}"
    believed = variable.believed()
    prior = "" if believed is None else f"; {believed.words()}"
    return [f"  trainable: {between}{unit}{prior}"]


def _ranges(node: Any, path: str) -> Ranges:
    """Where the law that a node makes was fitted."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return ()
    target = located(node["_target_"], path)
    if getattr(target, "fitted", None) is None:  # a function, or a class without a method that asks its numbers
        return ranges_of(target)
    try:
        return ranges_of(build(node, path=path))
    except (InputError, OSError):
        return ()


def _first_line(target: Any) -> str:
    return (inspect.getdoc(target) or "").split("\n")[0]


def _meaning(target: Any, name: str) -> Iterator[str]:
    """What the docstring, or the field of a record, says of an argument."""
    if dataclasses.is_dataclass(target):
        for field in dataclasses.fields(target):
            if field.name == name and (text := field.metadata.get("meaning")):
                unit = field.metadata.get("unit")
                yield f"{text} [{unit}]" if unit else text
    text = "\n".join(inspect.getdoc(part) or "" for part in (target, getattr(target, "__init__", None)))
    names = rf"^ *(?:\w+, )*{re.escape(name)}(?:, \w+)*: "
    for match in re.finditer(names + r"(.*(?:\n {4,}.*)*)", text, re.MULTILINE):
        yield " ".join(match.group(1).split())
        return


def _comments(
    found: Sequence[pathlib.Path], key: str, name: str, config: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Comments beside the key in the files that may set it: file, comment."""
    parts, node = key.split("."), config
    for depth in range(len(parts)):
        group = "/".join(parts[:depth])
        target = node.get("_target_") if depth else None
        for folder in found:
            for path in [folder / f"{name}.yaml"] if depth == 0 else sorted((folder / group).glob("*.yaml")):
                text = path.read_text(encoding="utf-8") if path.is_file() else ""
                if depth and (target is None or not re.search(rf"^_target_: {re.escape(target)}$", text, re.MULTILINE)):
                    continue
                if said := _comment(text, parts[depth:]):
                    yield str(path.relative_to(folder)), said
                    return
        node = node[parts[depth]] if isinstance(node[parts[depth]], Mapping) else {}


def _comment(text: str, parts: Sequence[str]) -> str:
    """The comment of a nested key of a YAML text, found by its indentation."""
    lines, indent = text.split("\n"), 0
    for depth, part in enumerate(parts):
        at = next((i for i, line in enumerate(lines) if line.startswith(f"{' ' * indent}{part}:")), None)
        if at is None:
            return ""
        if depth == len(parts) - 1:
            return lines[at].partition("#")[2].strip()
        rest = lines[at + 1 :]
        end = next((i for i, line in enumerate(rest) if line.strip() and not line.startswith(" " * (indent + 1))), None)
        lines = rest[:end]
        indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
    return ""
