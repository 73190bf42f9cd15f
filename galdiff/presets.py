"""Presets: those of galdiff, and those in the folder conf/ of packages that the user trusts.

A trusted package is found by its name alone; none of its code is run to read its presets.
"""

import ast
import difflib
import importlib.util
import pathlib
import re
import sys
from collections.abc import Iterable, Sequence

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from galdiff.core.buildable import trusted, trusting
from galdiff.errors import InputError

FOLDER = "conf"  # of a package, beside its modules


def folders(conf: pathlib.Path, packages: Sequence[str] = ()) -> list[pathlib.Path]:
    """Folders of presets: galdiff's, then those of trusted packages and of installed plugins.

    Args:
      conf: folder of galdiff's.
      packages: that the user trusts by name.

    Raises:
      InputError: a package that is not there, or a preset with the name of one of galdiff's.
    """
    with trusting(packages):
        names = dict.fromkeys(trusted())
    found = [conf]
    for name in names:
        places = _places(name)
        if places is None and name in packages:
            raise InputError(
                f"packages names '{name}', but there is no such module; install it, or run where {name}.py lies"
            )
        for folder in (pathlib.Path(place) / FOLDER for place in places or ()):
            for path in sorted(folder.rglob("*.yaml")):
                if (conf / path.relative_to(folder)).exists():
                    raise InputError(f"{path}: galdiff has a preset of this name; give yours another one")
            found += [folder] if folder.is_dir() else []
    return found


def packages_of(argv: Iterable[str]) -> list[str]:
    """Packages that arguments of the command line trust: packages=[mynet], +packages=[mynet].

    Raises:
      InputError: a name without brackets.
    """
    found: list[str] = []
    for text in argv:
        if not re.match(r"\+{0,2}packages=", text):
            continue
        try:
            override = OverridesParser.create().parse_override(text)
        except OverrideParseException:
            continue  # Hydra says what is wrong
        if not override.is_sweep_override() and (value := override.value()):
            found += checked(value)
    return found


def checked(packages: object) -> list[str]:
    """Names of packages, as a list.

    Raises:
      InputError: one name without brackets, or no names.
    """
    if isinstance(packages, str) or not isinstance(packages, Iterable):
        raise InputError(f"packages is '{packages}'; give a list: packages=[{packages}]")
    return list(packages)


def search_path(found: Sequence[pathlib.Path], argv: Sequence[str] = ()) -> list[str]:
    """Arguments of the command line with all folders but the first, which is Hydra's own, on its search path."""
    kept, places = [], [f"file://{folder}" for folder in found[1:]]
    if not places:
        return list(argv)
    for text in argv:
        if text.startswith("hydra.searchpath="):
            places += OverridesParser.create().parse_override(text).value()  # type: ignore[operator, arg-type]
        else:
            kept.append(text)
    quoted = ",".join('"' + place.replace("\\", "\\\\").replace('"', '\\"') + '"' for place in places)
    at = next((k for k, text in enumerate(kept) if "=" in text and text[0] != "-"), 0)  # argparse wants them together
    return [*kept[:at], f"hydra.searchpath=[{quoted}]", *kept[at:]]


def groups(found: Iterable[pathlib.Path]) -> list[str]:
    """Config groups, such as instrument or baryons/star_formation."""
    return sorted({str(p.relative_to(folder)) for folder in found for p in folder.rglob("*") if p.is_dir()})


def presets(found: Iterable[pathlib.Path], group: str) -> list[pathlib.Path]:
    """Files of a group, by their names."""
    return sorted((p for folder in found for p in (folder / group).glob("*.yaml")), key=lambda p: p.stem)


def no_choice_of(group: str, experiment: str, conf: pathlib.Path) -> str:
    """What is wrong with the choice of a preset for an experiment that has none of its group; conf: its folder."""
    plain = yaml.safe_load((conf / f"{experiment}.yaml").read_text(encoding="utf-8"))
    own = [next(iter(entry)) for entry in plain.get("defaults", []) if isinstance(entry, dict)]
    named = ", ".join(name for name in own if not name.startswith("override "))
    return f"{group}: {experiment} has no choice of {group}; it has those of {named}"


def not_of_preset(key: str, known: Sequence[str], found: Sequence[pathlib.Path]) -> str:
    """What is wrong with a key of a group that its preset has not; nothing where it may be a slip of the pen.

    Args:
      key: as it was given, group.name.
      known: dotted keys of the config.
      found: folders of presets.
    """
    group, _, inside = key.partition(".")
    files = presets(found, group) if group in groups(found) else []
    having = [p.stem for p in files if inside in (yaml.safe_load(p.read_text(encoding="utf-8")) or {})]
    own = [name.removeprefix(f"{group}.") for name in known if re.fullmatch(rf"{group}\.[a-z]\w*", name)]
    if not files or not (having or own) or "." in inside or (not having and difflib.get_close_matches(inside, own)):
        return ""
    also = f" ({', '.join(having[1:])} too)" if having[1:] else ""
    remedies = [f"one of {', '.join(own)}"] if own else []
    remedies += [f"{group}={name} {key}=...{also}" for name in having[:1]]
    return f"{key}: the {group} chosen has no such key; give {', or '.join(remedies)}"


def listing(scripts: Iterable[pathlib.Path], found: Sequence[pathlib.Path]) -> list[str]:
    """Lines that name the experiments and, by group, the presets."""
    lines = ["experiments"]
    for path in scripts:
        summary = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
        lines.append(f"  {path.stem:24s} {summary}".rstrip())
    chosen = set()
    for folder in found:
        for path in folder.rglob("*.yaml"):  # a preset may choose presets of the groups below its own
            head, place = yaml.safe_load(path.read_text(encoding="utf-8")) or {}, path.parent.relative_to(folder)
            chosen |= {str(place / name) for e in head.get("defaults", []) if isinstance(e, dict) for name in e}
    for group in groups(found):
        files = presets(found, group)
        if files:  # what no experiment begins with is put in somewhere
            where = f"+{group}@PLACE=...   (PLACE: where it goes, such as baryons.correction)"
            lines += ["", f"{group}=..." if group in chosen else where]
        for path in files:
            said = (line for line in path.read_text(encoding="utf-8").split("\n") if not line.startswith("# @package"))
            first = next(said, "")
            lines.append(f"  {path.stem:24s} {first.lstrip('# ') if first.startswith('#') else ''}".rstrip())
    return lines


def _places(package: str) -> list[str] | None:
    """Folders of a package; none for a module that is one file, None where there is no such module."""
    if package in sys.modules:
        return list(getattr(sys.modules[package], "__path__", ()))
    spec = importlib.util.find_spec(package)
    return None if spec is None else list(spec.submodule_search_locations or ())
