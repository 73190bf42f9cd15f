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


def compiled(pipeline: Pipeline, wanted: Sequence[str], quick: bool = False) -> tuple[Callable, nnx.State]:
    """Split once, jit over pure state: tables enter as arguments and are never baked into the program.

    Args:
      pipeline: what to run.
      wanted: records to make.
      quick: as `quickly`.

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


def quickly(fun: Callable, static_argnames: Sequence[str] = (), often: float = math.inf, key: Any = None) -> Callable:
    """Jit for what runs once, on little data: on a processor a third of the time to compile, three times that to run.

    Where a derivative is taken, or inside another program, it is as `jax.jit`.

    Args:
      fun: what to compile.
      static_argnames: names of its settings.
      often: number of calls after which it is compiled again, as `jax.jit` does.
      key: what decides `fun`, as of `Kept`.
    """
    plain = Kept(fun, key, static_argnames)

    @functools.cache
    def quick(backend: str) -> Callable:
        return plain if backend != "cpu" else Kept(fun, key, static_argnames, _unpolished())

    calls = itertools.count()

    @functools.wraps(fun)
    def run(*args: Any, **settings: Any) -> Any:
        if traced((args, settings)) or next(calls) >= often:  # inside another program options are refused
            return plain(*args, **settings)
        return quick(jax.default_backend())(*args, **settings)

    return run


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


def _program(graph: nnx.GraphDef, wanted: tuple[str, ...], quick: bool) -> Callable:
    def run(state: Any, **inputs: Any) -> Any:
        return nnx.merge(graph, state)(wanted=wanted, **inputs)

    key = graph, wanted
    return quickly(run, key=key) if quick else Kept(run, key)
