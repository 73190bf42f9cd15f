"""What a config may build: a closed list, declared beside each definition, and the packages that the user trusts.

`@buildable` marks what only computes, so that a checkpoint may name it; `@buildable(reads=True)` what reads files or
belongs to a command line (a case, an optimiser), which a checkpoint may not. Of other people's packages the names in
`NAMED` are open, each by itself.
"""

import contextlib
import contextvars
import difflib
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from galdiff.errors import InputError

OWN = "galdiff"
PLUGINS = "galdiff.plugins"  # entry points of installed packages that extend galdiff
MARK = "_buildable"
ACTIVATIONS = ("celu", "elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "swish", "tanh")
INITIALISERS = ("glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform")
NAMED = frozenset(
    {
        "flax.nnx.Linear",
        *(f"jax.nn.{name}" for name in ACTIVATIONS),
        *(f"jax.nn.initializers.{name}" for name in (*INITIALISERS, "normal", "ones", "uniform", "zeros")),
    }
)
NAMED_ON_COMMAND = frozenset(f"optax.{name}" for name in ("adam", "adamw", "lion", "nadam", "sgd"))
# Libraries that nobody trusts as a whole by writing their name, beside the standard library: they can do anything.
FOREIGN = frozenset(
    {
        *("astropy", "beartype", "cloudpickle", "diffrax", "dill", "equinox", "etils", "flax", "fsspec", OWN, "h5py"),
        *("hydra", "jax", "jaxlib", "jaxtyping", "joblib", "lineax", "matplotlib", "msgpack", "numpy", "numpyro"),
        *(
            "omegaconf",
            "optax",
            "optimistix",
            "orbax",
            "pandas",
            "pip",
            "pyarrow",
            "pytest",
            "requests",
            "rich",
            "scipy",
        ),
        *("setuptools", "tensorstore", "torch", "yaml", "zarr"),
    }
)
_trusted: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("trusted", default=())


def buildable(target: Any = None, *, reads: bool = False) -> Any:
    """Open a class or function to configs; with `reads` to those of the command line alone.

    The mark holds for this very class, not for what derives from it.
    """
    if target is None:
        return lambda real: buildable(real, reads=reads)
    setattr(target, MARK, "config" if reads else "checkpoint")
    return target


@contextlib.contextmanager
def trusting(packages: Sequence[str]) -> Iterator[None]:
    """Inside, configs and checkpoints may also name what these packages define."""
    for name in packages:
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(f"packages: {name!r} is no name of a top-level package; give names, such as [mynet]")
        if _foreign(name):
            raise InputError(
                f"packages names '{name}', a library that can do anything; put what you need of it into a module of"
                " your own, and name that"
            )
    token = _trusted.set((*_trusted.get(), *packages))
    try:
        yield
    finally:
        _trusted.reset(token)


def trusted() -> tuple[str, ...]:
    """Packages whose definitions are open: those of `trusting`, and installed ones that declare themselves plugins."""
    plugins = importlib.metadata.entry_points(group=PLUGINS)
    roots = (plugin.value.split(":")[0].split(".")[0] for plugin in plugins)
    return (*_trusted.get(), *(root for root in roots if not _foreign(root)))


def packages_in(config: Any) -> tuple[str, ...]:
    """Packages of users that the targets of a plain config name, in alphabetical order; libraries are none."""
    found: set[str] = set()
    if isinstance(config, Mapping):
        name = config.get("_target_")
        top = name.split(".")[0] if isinstance(name, str) else ""
        found |= {top} if top.isidentifier() and not _foreign(top) else set()
    for child in config.values() if isinstance(config, Mapping) else config if isinstance(config, list) else ():
        found.update(packages_in(child))
    return tuple(sorted(found))


def refuse_untrusted(packages: Sequence[str], path: object) -> None:
    """Raise InputError where a checkpoint needs packages that the user has not named; it never names them itself."""
    missing = [name for name in packages if name not in trusted() and not _foreign(name)]
    if missing:
        names = ", ".join(missing)
        quoted = ", ".join(f'"{name}"' for name in missing)
        raise InputError(
            f"the model is made of code of your own in {names}; if you trust it, name it: packages=[{names}] on the"
            f' command line, galdiff.load("{path}", packages=[{quoted}])'
        )


def _foreign(package: str) -> bool:
    return package in FOREIGN or package in sys.stdlib_module_names


def located(name: Any, where: str, checkpoint: bool = False) -> Callable:
    """The object of the closed list called `name`; nothing outside trusted packages is imported to find it.

    Args:
      name: dotted, of a module and what it holds; no reaching through other modules.
      where: place in the config, for errors.
      checkpoint: whether a checkpoint says it.

    Raises:
      InputError: it is not on the list, or not there.
    """
    named = NAMED if checkpoint else NAMED | NAMED_ON_COMMAND
    top = name.split(".")[0] if isinstance(name, str) else ""
    ours = top == OWN or (isinstance(name, str) and name in named)
    packages = () if ours else trusted()  # which reads the metadata of all that is installed
    if name not in named if isinstance(name, str) else True:
        if top not in (OWN, *packages):
            raise InputError(f"{where}: _target_ is {name!r}; {_remedy(top)}")
        if any(part.startswith("_") or not part.isidentifier() for part in name.split(".")):
            raise InputError(f"{where}: _target_ is {name!r}; give the dotted name of a public class or function")
    target = _held(name, where)
    mark = getattr(target, "__dict__", {}).get(MARK)
    own = str(getattr(target, "__module__", "")).split(".")[0]
    opened = name in named or own in packages or mark == "checkpoint" or (mark == "config" and not checkpoint)
    if not opened or not callable(target) or (name not in named and own not in (OWN, *packages)):
        if mark == "config":
            raise InputError(f"{where}: {name} reads files or belongs to a command line; a checkpoint may not call it")
        raise InputError(f"{where}: {name} is no class or function that a config may build; {_remedy(own)}")
    return target


def type_called(name: str) -> type:
    """A class of galdiff or of a trusted package, by its dotted name: the type of a record.

    Raises:
      InputError: it is no such class.
    """
    if name == "jax.Array":
        return importlib.import_module("jax").Array  # here, for the command line reads presets without JAX
    if name.split(".")[0] in (OWN, *trusted()):
        found = _held(name, "inputs")
        if isinstance(found, type):
            return found
    raise InputError(f"inputs: {name!r} is no type of a record; give one of galdiff.records")


def _remedy(package: str) -> str:
    named = package.isidentifier() and not package.startswith("_") and not _foreign(package)
    package = package if named else "mynet"  # what a notebook defines, in __main__, goes into a module first
    return (
        "only what galdiff opens to configs may be built; if the code is yours and you trust it, name its package:"
        f' packages=[{package}] on the command line, galdiff.load(path, packages=["{package}"])'
    )


def _held(name: str, where: str) -> Any:
    """What a module holds under a name; of the module alone, never of what it imports."""
    module, _, attribute = name.rpartition(".")
    try:
        return vars(importlib.import_module(module))[attribute]
    except (ImportError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{where}: there is no {name}{_alternative(module, attribute)}") from error


def _alternative(module: str, attribute: str) -> str:
    if module not in sys.modules:
        return f"; check the module '{module}'"
    close = difflib.get_close_matches(attribute, [n for n in vars(sys.modules[module]) if not n.startswith("_")], n=1)
    return f"; did you mean {module}.{close[0]}?" if close else f"; '{module}' has nothing like it"
