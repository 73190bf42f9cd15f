"""The shape of the code: imports point down, nothing happens at import, and the budgets of the style hold."""

import ast
import builtins
import dis
import functools
import graphlib
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tokenize
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "galdiff"
FILES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted((ROOT / "experiments").glob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
LAYERS = [
    {"errors"},
    {"folders"},
    {"units", "program_cache"},
    {"runtime"},
    {"core"},
    {"cosmology", "imf"},
    {"records", "light_records", "nn"},
    {"halo", "baryons", "sfh", "galaxy", "sps", "nebular", "dust", "igm", "agn", "photometry", "kinematics", "ifu"},
    {"observables", "populations"},
    {"inference", "observing"},
    {"build"},
    {"io", "plotting"},
    {"train"},  # writes through io
    {"cases"},  # what trainings are about, with their figures
    {"arguments", "collecting", "endings", "presets"},  # of a command; presets: galdiff's and those of trusted packages
    {"limits"},  # what the keys of experiments may be
    {"describe"},  # a key of a config
    {"cli"},
    {"front"},  # the same as the command line, from Python
    {"__main__", "__init__"},  # entry points: anything below
]
LAYER = {part: i for i, parts in enumerate(LAYERS) for part in parts}
FILE_LINES, SCRIPT_LINES, FUNCTION_LINES, PARAMETERS, PUBLIC_NAMES = 300, 150, 60, 8, 40
LONG: set[str] = set()  # scripts above SCRIPT_LINES; may only shrink
PRINTING = {"cli.py"}  # the one place that talks to a terminal


def label(path: pathlib.Path) -> str:
    return str(path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT))


def module_name(path: pathlib.Path) -> str:
    return ".".join(["galdiff", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


MODULES = {module_name(path): path for path in FILES}


@functools.cache
def tree(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def part(name: str) -> str:
    """Part of the package a module belongs to: galdiff.ifu.bank -> ifu."""
    return [*name.split("."), "__init__"][1]


def imports(path: pathlib.Path) -> set[str]:
    """Modules of galdiff that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{label(path)}:{node.lineno} has a relative import; write galdiff. in full"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return {name for name in found if name.split(".")[0] == "galdiff"}


def functions(path: pathlib.Path):
    return [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def public(path: pathlib.Path):
    """Public functions and classes of a module, and public methods of public classes."""
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield inner


def overloaded(node) -> bool:
    return any(ast.unparse(d).endswith("overload") for d in node.decorator_list)


@pytest.mark.parametrize("path", FILES, ids=label)
def test_imports_point_down(path):
    own = part(module_name(path))
    assert own in LAYER, f"'{own}' has no layer; put it into LAYERS"
    for name in imports(path):
        other = part(name)
        if other == "__init__":  # `from galdiff import units` names the part itself, a bare galdiff only its docstring
            continue
        assert other == own or LAYER[other] < LAYER[own], f"{label(path)} imports {name}, which is not below it"


def test_no_two_modules_import_each_other():
    graph = {name: imports(path) - {name} for name, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the cycle
    assert graph["galdiff.cli"] >= {"galdiff.errors", "galdiff.folders"}


def test_nothing_imports_an_experiment():
    scripts = {"experiments", "galdiff.experiments", *(script.stem for script in SCRIPTS)}
    for path in (*FILES, *SCRIPTS):
        for node in ast.walk(tree(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                where = f"{label(path)}:{node.lineno} imports {name}; what two need belongs into galdiff"
                assert not any(name == script or name.startswith(f"{script}.") for script in scripts), where


def test_importing_everything_does_nothing():
    code = """
import importlib, json, os, pathlib, sys
opened, roots = [], json.loads(sys.argv[2])
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
import jax
assert not jax.config.jax_enable_x64 and not jax.config.jax_debug_nans
assert jax.config.jax_compilation_cache_dir is None
assert pathlib.Path(sys.modules["galdiff"].__file__).is_relative_to(roots[0]), sys.modules["galdiff"].__file__
paths = [pathlib.Path(os.path.abspath(os.fsdecode(p))) for p in opened if isinstance(p, (str, bytes, os.PathLike))]
data = [p for p in paths if p.suffix in (".yaml", ".yml", ".h5", ".hdf5", ".npz", ".npy", ".csv", ".json")]
assert not [p for p in data if any(p.is_relative_to(root) for root in roots)], data
for name in json.loads(sys.argv[1]):
    for key, value in vars(sys.modules[name]).items():
        assert not isinstance(value, jax.Array), f"{name}.{key} is a JAX array made at import"
jax.config.update("jax_num_cpu_devices", 3)  # refused once a backend exists
assert len(jax.devices()) == 3
"""
    names = [name for name in MODULES if not name.endswith("__main__")]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))} | {"JAX_PLATFORMS": "cpu"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [env.get("PYTHONPATH")])])
    # The folders of the project, not its name: the checkout may be called galdiff and hold an environment.
    roots = [str(ROOT / folder) for folder in ("galdiff", "conf", "experiments", "checkpoints")]
    command = [sys.executable, "-c", code, json.dumps(names), json.dumps(roots)]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS], ids=label)
def test_files_functions_and_parameter_lists_stay_small(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if path in SCRIPTS and path.name in LONG:
        assert lines > SCRIPT_LINES, f"{path.name} is short now; take it out of LONG"
        return
    assert lines <= (SCRIPT_LINES if path in SCRIPTS else FILE_LINES)
    for node in functions(path):
        where = f"{label(path)}:{node.lineno} {node.name}"
        assert node.end_lineno - node.lineno + 1 <= FUNCTION_LINES, where
        # A constructor spells its settings by keyword, like its config: those do not count.
        given = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
        extra = node.args.kwonlyargs if node.name != "__init__" else []
        assert len(given) + len(extra) <= PARAMETERS, where


@pytest.mark.parametrize("path", BENCHMARKS, ids=label)
def test_functions_of_benchmarks_stay_short(path):
    assert ast.get_docstring(tree(path))
    for node in functions(path):
        assert node.end_lineno - node.lineno + 1 <= FUNCTION_LINES, f"{label(path)}:{node.lineno} {node.name}"


TESTS_PER_CODE = 0.7  # lines of tests for each line of package and experiments
STORES = ("STORE_NAME", "STORE_GLOBAL")


def looked_up(code: types.CodeType):
    """Names that a code object and those inside it look up in its module."""
    yield from (i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from looked_up(inner)


def undefined(text: str) -> set[str]:
    """Names that a module uses and nobody defines; linters cannot say so where texts name the axes of arrays."""
    stored = {i.argval for code in all_code(text) for i in dis.get_instructions(code) if i.opname in STORES}
    return (
        set(looked_up(compile(text, "module", "exec"))) - stored - set(dir(builtins)) - {"__file__", "__annotations__"}
    )


def all_code(text: str):
    """The code of a module, of its classes, and of functions, which may declare globals."""
    module = compile(text, "module", "exec")
    yield module
    yield from (c for c in module.co_consts if isinstance(c, types.CodeType))


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS, *BENCHMARKS], ids=label)
def test_no_name_is_used_that_nobody_defines(path):
    assert undefined(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("path", [*SCRIPTS, *BENCHMARKS], ids=label)
def test_what_scripts_import_from_the_package_is_there(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "galdiff":
            home = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert name in dir(home) or importlib.util.find_spec(f"{node.module}.{name}"), f"{node.module}.{name}"


def test_a_name_that_a_renaming_left_behind_is_found():
    assert undefined("from a import b\ndef f(x):\n    return b(x) + gone(x)\n") == {"gone"}


@pytest.mark.parametrize("path", FILES, ids=label)
def test_what_is_public_is_documented(path):
    if path.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree(path)), f"{label(path)} has no docstring"
    missing = [
        f"{node.lineno} {node.name}" for node in public(path) if not ast.get_docstring(node) and not overloaded(node)
    ]
    assert not missing, f"{label(path)}: no docstring: {missing}"


@pytest.mark.parametrize("path", [*FILES, *(p for p in SCRIPTS if p.name not in LONG)], ids=label)
def test_habits_to_avoid_stay_out(path):
    assert ast.get_docstring(tree(path)) or not tree(path).body
    for node in ast.walk(tree(path)):
        where = f"{label(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "print" or path.name in PRINTING or path in SCRIPTS, f"{where} prints"
            assert called not in ("hasattr", "sys.exit", "exit", "quit"), f"{where} calls {called}"
            assert not called.endswith("simplefilter"), f"{where} filters all warnings; name the one that is meant"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where} has a bare except"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            assert "*" not in names, f"{where} has a star import"
            assert not any(n.startswith("jax._src") for n in names), f"{where} imports private JAX"
            settings = any(a.name == "config" for a in node.names) and getattr(node, "module", "") == "jax"
            assert not settings, f"{where} imports jax.config"
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "jax.config.update":
            assert path.name in ("runtime.py", "program_cache.py", "cli.py"), f"{where} changes a JAX setting"


def code_lines(text: str) -> int:
    """Lines with code: without docstrings, comments and blank ones."""
    said = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            said |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in silent]
    return len({n for t in tokens for n in range(t.start[0], t.end[0] + 1)} - said)


def test_code_is_matched_by_tests():
    tests = sum(code_lines(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob("*.py"))
    code = sum(code_lines(path.read_text(encoding="utf-8")) for path in (*FILES, *SCRIPTS))
    assert tests >= TESTS_PER_CODE * code, f"{tests} lines of tests for {code} of code: {tests / code:.3f}"


def test_lines_of_code_are_counted_by_hand():
    assert code_lines('"""What."""\n\n# why\ndef f(\n    x,\n):\n    """Twice."""\n    return 2 * x\n') == 4


def test_the_top_level_api_stays_small():
    names = [n for node in tree(PACKAGE / "__init__.py").body if isinstance(node, ast.ImportFrom) for n in node.names]
    assert len(names) <= PUBLIC_NAMES


def test_the_lock_file_names_no_host_and_serves_every_python():
    lock = (PACKAGE.parent / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index" not in lock
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    for name in ("jax", "flax", "hydra-core", "pytest", "numpyro"):
        assert f'"{name}' in project
        assert f"\n{name}==" in lock
