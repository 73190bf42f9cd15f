"""A pipeline as one compiled function of its parameters and input records."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx

from galdiff.core.kept import Kept, traced
from galdiff.core.pipeline import Pipeline

KEPT = 16  # programs, which hold their tables as long


def compiled(pipeline: Pipeline, wanted: Sequence[str], quick: bool = False) -> "tuple[Kept | Quick, nnx.State]":
    """Split once, jit over pure state: tables enter as arguments and are never baked into the program.

    Args:
      pipeline: what to run.
      wanted: records to make.
      quick: as `Quick`.

    Returns:
      `run(state, **inputs) -> dict of records`, compiled once for each set of shapes, and the state to pass to it.
      Pipelines that differ in their parameters alone get the same `run`.
      Its derivative in the state is that in all parameters and tables; merge and split by `nnx` to choose among them.
    """
    graph, state = nnx.split(pipeline)
    return cached(_program, graph, tuple(wanted), quick), state


def cached(make: Callable, *key: Any) -> Any:
    """What a function makes of a key, kept for the next time; made anew where the key has no hash.

    Stages of the same structure and settings share a program so, whatever their parameters.
    """
    try:
        hash(key)
    except TypeError:
        return make(*key)
    return _shelf(jax.dtypes.canonicalize_dtype(float))(make, key)


@functools.lru_cache(1)
def _shelf(precision: Any) -> Callable:
    """Programs of one precision; those of another go: JAX gives the constants of a living program to the next one."""
    del precision
    return functools.lru_cache(KEPT)(lambda make, key: make(*key))


class Quick:
    """Jit for what runs once, on little data: on a processor a third of the time to compile, three times that to run.

    Where a derivative is taken, or inside another program, it is as `jax.jit`.

    Args of the constructor:
      fun: what to compile.
      static_argnames: names of its settings.
      often: number of calls after which it is compiled again, as `jax.jit` does.
      key: what decides `fun`, as of `Kept`.
    """

    def __init__(
        self, fun: Callable, static_argnames: Sequence[str] = (), often: int | float = math.inf, key: Any = None
    ) -> None:
        self.plain = Kept(fun, key, static_argnames)
        self.often, self.calls = often, itertools.count()
        functools.update_wrapper(self, fun)

    @functools.cached_property
    def unpolished(self) -> Kept:
        """The program of a processor."""
        return Kept(self.plain.fun, self.plain.key, self.plain.static, _unpolished())

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """What the function returns."""
        if traced((args, settings)) or next(self.calls) >= self.often:  # inside another program options are refused
            return self.plain(*args, **settings)
        return self._here()(*args, **settings)

    @property
    def polished(self) -> Kept:
        """The program of `jax.jit`, for callers who know that it will run often."""
        return self.plain

    def compiled(self, *args: Any, **settings: Any) -> Callable:
        """The compiled program for arguments like these."""
        return self._here().compiled(*args, **settings)

    def _here(self) -> Kept:
        return self.unpolished if jax.default_backend() == "cpu" else self.plain


quickly = Quick  # a function made quick


@functools.cache
def _unpolished() -> dict[str, Any]:
    """Options of a compiler for processors that leave out what takes long; newer JAX knows fewer."""
    options: dict[str, Any] = {"xla_backend_optimization_level": 0}
    older = options | {"xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda: 0, compiler_options=older).lower().compile()
    except jax.errors.JaxRuntimeError:
        return options
    return older


def _program(graph: nnx.GraphDef, wanted: tuple[str, ...], quick: bool) -> "Kept | Quick":
    def run(state: Any, **inputs: Any) -> Any:
        return nnx.merge(graph, state)(wanted=wanted, **inputs)

    key = graph, wanted
    return Quick(run, key=key) if quick else Kept(run, key)
