"""Public functions of arrays say their units and shapes; the few that do not are listed, and the list only shrinks."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARRAY = re.compile(r"\b(Array|ArrayLike|ndarray|Float|Int|Bool|Num|Scalar)\b")
AXES = re.compile(r"\b(Float|Int|Bool|Num)\[|\bScalar\b")  # jaxtyping writes the shape into the annotation
SAYS = {
    "unit": re.compile(r"\[[^\]]+\]"),
    "shape": re.compile(
        r"\bshape[sd]?\b|\bscalar\b|\baxes\b|\(\.\.\.|\(\w+,\)|\((\w+, )+(wave|node|y, x|3|parameter|centre)\)"
    ),
}
AT_LEAST = {"unit": 0.95, "shape": 0.95}  # shares that hold today; raise them when the lists shrink


def annotations(function: ast.FunctionDef) -> list[str]:
    """Annotations of arguments and of the result that name arrays."""
    args = function.args
    nodes = [a.annotation for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)] + [function.returns]
    return [text for node in nodes if node is not None and ARRAY.search(text := ast.unparse(node))]


def public(path: pathlib.Path):
    """(name, function) of the public functions and of the public methods of public classes of a file."""
    for node in ast.parse(path.read_text()).body:
        inside = [(node.name + ".", n) for n in node.body] if isinstance(node, ast.ClassDef) else [("", node)]
        for owner, function in inside:
            if isinstance(function, ast.FunctionDef) and not (owner.startswith("_") or function.name.startswith("_")):
                yield owner + function.name, function


def missing(function: ast.FunctionDef) -> set[str]:
    """What a function of arrays leaves unsaid: "unit", "shape" or both."""
    doc, arrays = ast.get_docstring(function) or "", annotations(function)
    said = {what for what, pattern in SAYS.items() if pattern.search(doc)}
    if all(AXES.search(text) for text in arrays):
        said.add("shape")
    return set(SAYS) - said


def list_of(what: str) -> pathlib.Path:
    """Functions that do not say it yet; `python tests/test_docstrings.py` takes off what is fixed or gone."""
    return ROOT / "tests" / "data" / f"without_{what}.txt"


def survey() -> dict[str, set[str]]:
    """What each public function of arrays in the package leaves unsaid."""
    return {
        f"{path.relative_to(ROOT)}:{name}": missing(function)
        for path in sorted((ROOT / "galdiff").rglob("*.py"))
        for name, function in public(path)
        if annotations(function)
    }


@pytest.fixture(scope="module")
def found():
    return survey()


@pytest.mark.parametrize("what", SAYS)
def test_functions_of_arrays_say_it_or_are_listed(what, found):
    listed = set(list_of(what).read_text().split())
    silent = {name for name, lacks in found.items() if what in lacks}
    assert silent - listed == set(), f"say the {what} of these arrays in the docstring"
    assert listed - silent == set(), f"these say the {what} now, or are gone: take them off the list"
    assert 1 - len(silent) / len(found) >= AT_LEAST[what]


def test_the_survey_sees_what_is_said_and_what_is_not():
    parse = lambda text: ast.parse(text).body[0]  # noqa: E731
    assert missing(parse("def f(x: Array) -> Array:\n 'Twice x.'")) == {"unit", "shape"}
    assert missing(parse("def f(x: Array) -> Array:\n 'Twice x [kpc].'")) == {"shape"}
    assert missing(parse("def f(x: Float[Array, 'n']) -> Array:\n 'Twice x [kpc].'")) == {"shape"}
    assert missing(parse("def f(x: Float[Array, 'n']) -> Float[Array, 'n']:\n 'Twice x.'")) == {"unit"}
    assert missing(parse("def f(x: Array) -> Array:\n 'Twice x [kpc], same shape.'")) == set()
    assert annotations(parse("def f(x: int) -> str:\n 'No array.'")) == []


if __name__ == "__main__":
    lacks = survey()
    for what in SAYS:
        file = list_of(what)
        file.write_text("".join(f"{n}\n" for n in file.read_text().split() if what in lacks.get(n, ())))
