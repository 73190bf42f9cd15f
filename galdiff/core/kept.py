"""Jitted functions whose traces stay on disk, so that a later process neither traces nor lowers them again.

A trace is the StableHLO of `jax.export`, beside the compiled programs of JAX's own cache. Its name is a hash of all
that decides it: the function, its settings, structure and shapes of its arguments, the sources of galdiff and the
versions of what traces them, settings of JAX. What has no such name, and what cannot be exported, is traced as ever.
"""

import dataclasses
import functools
import inspect
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from galdiff.core.naming import Unnamed, address, environment, name_of
from galdiff.core.outline import outline, rebuilt
from galdiff.program_cache import read_trace, traces, write_trace

Program = tuple[Any, Callable[[Sequence[Any]], Any]]  # of arrays alone, and what makes records of its results


class Kept:
    """`jax.jit` of a function of records and arrays, whose traces are kept where there is a folder for them.

    Inside another program, for derivatives and on several devices it is as `jax.jit`.

    Args of the constructor:
      fun: what to compile.
      key: what decides `fun` beside its name, where another function made it; without it such a function is not kept.
      static_argnames: names of its settings.
      options: of the compiler.
    """

    def __init__(
        self, fun: Callable, key: Any = None, static_argnames: Sequence[str] = (), options: dict[str, Any] | None = None
    ) -> None:
        self.plain: Any = jax.jit(fun, static_argnames=tuple(static_argnames), compiler_options=options)
        self.fun, self.key, self.static, self.options = fun, key, tuple(static_argnames), options
        self.signature = inspect.signature(fun)
        self.programs: dict[Any, Program | None] = {}
        functools.update_wrapper(self, fun)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """What the function returns."""
        leaves, found = self._found(args, settings)
        return self.plain(*args, **settings) if found is None else found[1](found[0](*leaves))

    def compiled(self, *args: Any, **settings: Any) -> Callable:
        """The compiled program for arguments like these."""
        leaves, found = self._found(args, settings)
        if found is None:
            return self.plain.lower(*args, **settings).compile()
        program, rebuild = found[0].lower(*leaves).compile(), found[1]
        return lambda *args, **settings: rebuild(program(*self._parted(args, settings)[0]))

    def _parted(self, args: Any, settings: Any) -> tuple[list, Any, dict[str, Any]]:
        """Arrays, their structure, and settings."""
        given = dict(self.signature.bind(*args, **settings).arguments)
        fixed = {name: given.pop(name) for name in self.static if name in given}
        return *jax.tree.flatten(given), fixed

    def _found(self, args: Any, settings: Any) -> tuple[list, Program | None]:
        """Arrays of the arguments, and the program for them; None where none is kept."""
        folder = traces()
        if folder is None or traced((args, settings)) or jax.device_count() > 1:
            return [], None
        leaves, structure, fixed = self._parted(args, settings)
        at = (folder, structure, *map(jax.typeof, leaves), *fixed.items(), *environment())
        try:
            known = at in self.programs
        except TypeError:  # something has no hash
            return [], None
        if not known:
            self.programs[at] = self._program(folder, leaves, structure, fixed)
        return leaves, self.programs[at]

    def _program(self, folder: pathlib.Path, leaves: list, structure: Any, fixed: dict[str, Any]) -> Program | None:
        """The program as it is kept, else traced and kept; None where it has no name or cannot be exported."""
        kinds = [jax.typeof(leaf) for leaf in leaves]
        shapes = [jax.ShapeDtypeStruct(kind.shape, kind.dtype, weak_type=kind.weak_type) for kind in kinds]
        try:
            function = address(self.fun) if self.key is None else (self.fun.__module__, self.fun.__qualname__, self.key)
            given = [(shape.shape, str(shape.dtype), shape.weak_type) for shape in shapes]
            name = name_of((function, structure, given, fixed, environment()))
            stored = read_trace(folder, name)
            if stored is None:
                stored = self._exported(shapes, structure, fixed)
                write_trace(folder, name, *stored)
        except (Unnamed, ValueError, NotImplementedError):
            return None
        made = json.loads(stored[0])
        call = restored(stored[1], kinds, made["kept"], made["results"]).call
        return jax.jit(call, compiler_options=self.options), functools.partial(rebuilt, made["outline"])

    def _exported(self, shapes: list, structure: Any, fixed: dict[str, Any]) -> tuple[bytes, bytes]:
        """What is made and from which arguments, as JSON, and the program."""
        outlines = []

        def flat(*leaves: Any) -> list:
            given = inspect.BoundArguments(self.signature, structure.unflatten(leaves) | fixed)
            made, out = jax.tree.flatten(self.fun(*given.args, **given.kwargs))
            outlines.append(outline(out))
            return made

        exported = export.export(jax.jit(flat))(*shapes)
        if exported.ordered_effects or exported.unordered_effects:
            raise Unnamed("it does more than to compute")
        results = [(aval.shape, np.dtype(str(aval.dtype)).name) for aval in exported.out_avals]
        said = {"outline": outlines[-1], "results": results, "kept": exported.module_kept_var_idx}
        return json.dumps(said).encode(), exported.mlir_module_serialized


def restored(program: bytes, kinds: Sequence[Any], kept: Sequence[int], results: Sequence[Any]) -> export.Exported:
    """An exported program of arrays from its StableHLO; `Exported.serialize` takes a package that JAX does not bring.

    Args:
      program: the StableHLO, as a portable artefact.
      kinds: of its arguments, as `jax.typeof` has them; kept: numbers of those that it reads.
      results: shape and type of each result.
    """
    made = [jax.core.ShapedArray(tuple(shape), np.dtype(kind)) for shape, kind in results]
    fields: dict[str, Any] = {"in_avals": tuple(kinds), "out_avals": tuple(made)}
    fields |= {"in_tree": jax.tree.structure((tuple(kinds), {})), "out_tree": jax.tree.structure(made)}
    for field in dataclasses.fields(export.Exported):  # and where arguments and results lie: on the one device
        side = field.name.lstrip("_").partition("_")[0]
        if field.name not in fields and side in ("in", "out"):
            fields[field.name] = getattr(_of_one(), field.name) * len(kinds if side == "in" else made)
    return dataclasses.replace(_of_one(), **fields, mlir_module_serialized=program, module_kept_var_idx=tuple(kept))


@functools.cache
def _of_one() -> export.Exported:
    """An exported program of one argument and one result."""
    return export.export(jax.jit(lambda x: [x]))(jax.ShapeDtypeStruct((), np.float32))


def traced(tree: Any) -> bool:
    """Whether this runs inside another program, or any leaf belongs to one."""
    here = jnp.asarray(np.float32(0))
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((here, tree)))
