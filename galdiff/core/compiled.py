"""A pipeline as one compiled function of its parameters and input records."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx

from galdiff.core.pipeline import Pipeline

KEPT = 16  # programs, which hold their tables as long


def compiled(pipeline: Pipeline, wanted: Sequence[str]) -> tuple[Callable, nnx.State]:
    """Split once, jit over pure state: tables enter as arguments and are never baked into the program.

    Args:
      pipeline: what to run.
      wanted: records to make.

    Returns:
      `run(state, **inputs) -> dict of records`, compiled once for each set of shapes, and the state to pass to it.
      Pipelines that differ in their parameters alone get the same `run`.
      Its derivative in the state is that in all parameters and tables; merge and split by `nnx` to choose among them.
    """
    graph, state = nnx.split(pipeline)
    return cached(_program, graph, tuple(wanted)), state


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


def _program(graph: nnx.GraphDef, wanted: tuple[str, ...]) -> Callable:
    @jax.jit
    def run(state: Any, **inputs: Any) -> Any:
        return nnx.merge(graph, state)(wanted=wanted, **inputs)

    return run
