"""Names of what decides a program, which a later process gives to the same again: hashes of its content."""

import functools
import hashlib
import importlib.metadata
import io
import pathlib
import pickle
import sys
import types
from typing import Any

import jax
import numpy as np

OWN = "galdiff"
# Packages whose code may be part of a program beside galdiff's; what holds code of any other has no name.
TRACING = ("jax", "jaxlib", "numpy", "flax", "equinox", "diffrax", "optimistix", "lineax", "jaxtyping")
FLAGS = ("enable_x64", "default_matmul_precision", "threefry_partitionable", "numpy_dtype_promotion")
FLAGS += ("default_prng_impl", "debug_nans")
CODE = (type, types.FunctionType, types.BuiltinFunctionType, np.ufunc)


class Unnamed(Exception):
    """What a program depends on has no name: code of the user, or a function made by another one."""


def name_of(content: Any) -> str:
    """Hash of settings, modules split by NNX, structures of trees, classes and functions of known packages.

    Raises:
      Unnamed: something in it is none of these.
    """
    written = io.BytesIO()
    writer = _Writer(written, protocol=5)
    writer.fast = True  # nothing is told by whether two equal things are one
    try:
        writer.dump(content)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise Unnamed(str(error)) from error
    return hashlib.sha256(written.getvalue()).hexdigest()


class _Writer(pickle.Pickler):
    """Writes what is hashed; nothing reads it."""

    def persistent_id(self, thing: Any) -> Any:
        """What stands for things whose pickles differ between processes, or that may be foreign."""
        if isinstance(thing, np.ndarray | jax.Array):
            array = np.ascontiguousarray(thing)
            if array.dtype.hasobject:
                raise Unnamed("an array of objects")
            return isinstance(thing, np.ndarray), array.shape, array.dtype.str, hashlib.sha256(array.data).digest()
        if isinstance(thing, set | frozenset):
            return "set", sorted(name_of(element) for element in thing)
        if isinstance(thing, jax.tree_util.PyTreeDef):
            return "tree", thing.node_data(), thing.children()
        if isinstance(thing, CODE):
            return "code", address(thing)
        return None


def address(code: Any) -> tuple[str, str]:
    """Module and name of a class or function of a known package.

    Raises:
      Unnamed: the package is another, or the name does not lead to it.
    """
    name = getattr(code, "__qualname__", "") or getattr(code, "__name__", "<>")
    module = getattr(code, "__module__", None) or "numpy"  # of ufuncs
    root = module.partition(".")[0]
    if "<" in name or not (root in (OWN, *TRACING) or root in sys.stdlib_module_names):
        raise Unnamed(f"{module}.{name}")
    return module, name


def environment() -> tuple:
    """What decides a trace beside the function: sources and versions, settings of JAX, where it will run."""
    return _sources(), jax.default_backend(), *(getattr(jax.config, f"jax_{flag}") for flag in FLAGS)


@functools.cache
def _sources() -> str:
    """Hash of the sources of galdiff and of the versions of what traces them."""
    found = hashlib.sha256()
    for name in TRACING:
        found.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    root = pathlib.Path(__file__).resolve().parent.parent
    for path in sorted(root.rglob("*.py")):
        found.update(str(path.relative_to(root)).encode())
        found.update(path.read_bytes())
    return found.hexdigest()
