"""What constructors say of their arguments, read from their source: no module is imported, so nothing heavy is loaded.

Annotations, the bounds of `physical(...)` and `Within` ranges refuse a wrong value before JAX is there to compute with
a right one. What a source says in another way is left to the constructor itself, which says it when it is built.
"""

import ast
import functools
import operator
import pathlib
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from galdiff.core.signatures import FROM_HOOK, Within, expected, is_number, shown
from galdiff.errors import InputError

OPEN = ("redshift",)  # null in a config, where the experiment fills it in
PACKAGE = pathlib.Path(__file__).resolve().parent.parent
SIMPLE = {"float": float, "int": int, "str": str, "bool": bool}
GROUPS = {"tuple": tuple, "list": list, "dict": dict, "Sequence": Sequence, "Mapping": Mapping}
ARITHMETIC: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


class Numbers:
    """Stands for an array annotation, as `galdiff.core.signatures` tells one."""

    dtypes = ()


class Bounds(NamedTuple):
    """Bounds of a trainable parameter as they are written, open, with their unit; either may name other arguments."""

    lo: ast.expr
    hi: ast.expr
    unit: str


class Constructor(NamedTuple):
    """What is written of the arguments of a class or function, by their names."""

    module: str
    hints: Mapping[str, Any]  # annotations
    ranges: Mapping[str, Within]
    bounds: Mapping[str, Bounds]
    defaults: Mapping[str, ast.expr]


@functools.cache
def written(name: str) -> Constructor | None:
    """The constructor called `name`, as "galdiff.galaxy.view.StarView"; None where the source does not show one."""
    module, _, own = name.rpartition(".")
    node = next((n for n in _body(module) if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == own), None)
    if node is None:
        return None
    if isinstance(node, ast.ClassDef) and not any(_called(n, "__init__") for n in _lineage(node, module)):
        fields = [n for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
        told = {n.target.id: n.annotation for n in fields if isinstance(n.target, ast.Name)}
        hints, ranges = {name: _hint(of) for name, of in told.items()}, {}
        for name, of in told.items():
            ranges.update(_range(name, of))
        return Constructor(module, hints, ranges, {}, {}) if fields else None
    found = Constructor(module, {}, {}, {}, {})
    for function in [node] if isinstance(node, ast.FunctionDef) else _constructors(node, module):
        arguments = function.args
        given = [*arguments.args, *arguments.kwonlyargs]
        values = [*arguments.defaults, *arguments.kw_defaults]
        for argument, default in zip(reversed(given), [*reversed(values), *[None] * len(given)], strict=False):
            if argument.annotation is not None:
                found.hints.setdefault(argument.arg, _hint(argument.annotation))  # type: ignore[attr-defined]
                found.ranges.update(_range(argument.arg, argument.annotation))  # type: ignore[attr-defined]
            if default is not None:
                found.defaults.setdefault(argument.arg, default)  # type: ignore[attr-defined]
        found.bounds.update(_bounds(function))  # type: ignore[attr-defined]
    return found


def check_values(config: Any, sections: Mapping[str, str], path: str = "") -> None:
    """Refuse values that annotations, bounds and ranges do not allow, wherever a plain config names what it builds.

    Args:
      config: mappings, lists and scalars; what is interpolated (`${...}`) is checked where it comes from.
      sections: classes of nodes that name none, by their dotted path.
      path: of the node in the whole config.

    Raises:
      InputError: naming the key, its value and what is allowed.
    """
    if isinstance(config, Mapping):
        section = path in sections and "_target_" not in config
        name = sections.get(path) if section else config.get("_target_")
        if isinstance(name, str) and name.startswith("galdiff.") and (made := written(name)) is not None:
            for key, value in config.items():
                if section and value is None and key in OPEN:
                    continue
                _check_one(f"{path}.{key}" if path else str(key), str(key), value, made, config)
    items = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
    for name, child in items:
        check_values(child, sections, f"{path}.{name}" if path else str(name))


def limits_of(made: Constructor, key: str, config: Mapping[str, Any]) -> tuple[float, float, str] | None:
    """Open bounds and unit of an argument in a config; None where it has none, or none that can be read."""
    if (bounds := made.bounds.get(key)) is None:
        return None
    try:
        lo, hi = (_value(node, made, config) for node in (bounds.lo, bounds.hi))
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return None
    return (lo, hi, bounds.unit) if is_number(lo) and is_number(hi) else None


def _check_one(path: str, key: str, value: Any, made: Constructor, config: Mapping[str, Any]) -> None:
    hint, number = made.hints.get(key), isinstance(value, int | float) and not isinstance(value, bool)
    limits = limits_of(made, key, config) if number else None
    if limits is not None and not limits[0] < value < limits[1]:
        lo, hi, unit = limits
        unit = "" if unit == "1" else f" {unit}"
        raise InputError(f"{path} is {value:g}{unit}; give a number above {lo:g} and below {hi:g}{unit}")
    if hint is not None and not (value is None and key in FROM_HOOK) and (said := expected(value, hint)):
        raise InputError(f"{path} is {shown(value)}; give {said}")
    if number and key in made.ranges and not made.ranges[key].allows(value):
        raise InputError(f"{path} is {value}{made.ranges[key].told}")


@functools.cache
def _body(module: str) -> list[ast.stmt]:
    """Statements of a module of galdiff; none of any other."""
    top, *parts = module.split(".")
    path = PACKAGE.joinpath(*parts).with_suffix(".py") if top == "galdiff" and parts else None
    found = path is not None and all(part.isidentifier() for part in parts) and path.is_file()
    return ast.parse(path.read_text(encoding="utf-8")).body if found and path is not None else []


def literal(name: str) -> Any:
    """A constant of a module, as "galdiff.ifu.engine.ENGINES", from its source.

    Raises:
      LookupError: there is no such constant, or it is more than numbers, texts and other constants.
    """
    module, _, own = name.rpartition(".")
    for node in _body(module):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            if isinstance(target, ast.Name) and target.id == own:
                return _value(node.value, Constructor(module, {}, {}, {}, {}), {})  # type: ignore[attr-defined]
            names = [n.id for n in target.elts if isinstance(n, ast.Name)] if isinstance(target, ast.Tuple) else []
            if own in names and isinstance(node.value, ast.Tuple):  # type: ignore[attr-defined]
                value = node.value.elts[names.index(own)]  # type: ignore[attr-defined]
                return _value(value, Constructor(module, {}, {}, {}, {}), {})
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == own for a in node.names):
            return literal(f"{node.module}.{next(a.name for a in node.names if (a.asname or a.name) == own)}")
    raise LookupError(name)


def _value(node: ast.expr, made: Constructor, config: Mapping[str, Any]) -> Any:
    """Value of an expression of numbers, constants and arguments."""
    inner = functools.partial(_value, made=made, config=config)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(inner(x) for x in node.elts)
    if isinstance(node, ast.Dict):
        return {inner(k): None for k in node.keys if k is not None}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -inner(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        return ARITHMETIC[type(node.op)](inner(node.left), inner(node.right))
    if isinstance(node, ast.Subscript):
        return inner(node.value)[inner(node.slice)]
    if isinstance(node, ast.Name) and node.id in config:
        return config[node.id]
    if isinstance(node, ast.Name) and node.id in made.defaults:
        return inner(made.defaults[node.id])
    if isinstance(node, ast.Name):
        return literal(f"{made.module}.{node.id}")
    raise LookupError(ast.unparse(node))


def _lineage(node: ast.ClassDef, module: str) -> list[ast.ClassDef]:
    """A class, and the bases of it that the same module defines."""
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
    own = [n for n in _body(module) if isinstance(n, ast.ClassDef) and n.name in bases]
    return [node, *(c for base in own for c in _lineage(base, module))]


def _called(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == name), None)


def _constructors(node: ast.ClassDef, module: str) -> list[ast.FunctionDef]:
    """The constructor of a class and, as long as each takes any keyword, those that it hands them to."""
    found: list[ast.FunctionDef] = []
    for one in _lineage(node, module):
        if (function := _called(one, "__init__")) is not None:
            found.append(function)
            if function.args.kwarg is None:
                break
    return found


def _bounds(function: ast.FunctionDef) -> dict[str, Bounds]:
    """Bounds of `physical(argument, lo=..., hi=..., unit=...)`, by argument."""
    found = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "physical":
            said = {k.arg: k.value for k in node.keywords}
            first, unit = node.args[0] if node.args else None, said.get("unit")
            if isinstance(first, ast.Name) and isinstance(unit, ast.Constant) and "lo" in said and "hi" in said:
                found[first.id] = Bounds(said["lo"], said["hi"], str(unit.value))
    return found


def _range(name: str, annotation: ast.expr) -> dict[str, Within]:
    """The `Within` of an `Annotated` argument."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Within":
            return {name: Within(*(ast.literal_eval(x) for x in node.args))}
    return {}


def _hint(node: ast.expr) -> Any:
    """The annotation as a type that `expected` can read; Any for what it could not tell."""
    if isinstance(node, ast.Constant) and node.value is None:
        return type(None)
    if isinstance(node, ast.Name):
        return SIMPLE.get(node.id, Any)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return typing.Union[_hint(node.left), _hint(node.right)]  # noqa: UP007 - of values
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        name, inside = node.value.id, node.slice
        parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        if name in ("Float", "Int", "Integer"):
            return Numbers
        if name == "Annotated":
            return _hint(parts[0])
        if name == "Literal":
            return typing.Literal[tuple(ast.literal_eval(part) for part in parts)]
        if name in GROUPS:
            of = tuple(... if _is_dots(part) else _hint(part) for part in parts)
            return GROUPS[name][of if len(of) > 1 else of[0]]  # type: ignore[index]
    return Any


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
