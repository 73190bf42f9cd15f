"""A pipeline as one compiled function of its parameters and input records."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx

from galdiff.core.pipeline import Pipeline


def compiled(pipeline: Pipeline, wanted: Sequence[str]) -> tuple[Callable, nnx.State]:
    """Split once, jit over pure state: tables enter as arguments and are never baked into the program.

    Args:
      pipeline: what to run.
      wanted: records to make.

    Returns:
      `run(state, **inputs) -> dict of records`, compiled once for each set of shapes, and the state to pass to it.
      Its derivative in the state is that in all parameters and tables; merge and split by `nnx` to choose among them.
    """
    graph, state = nnx.split(pipeline)
    names = tuple(wanted)

    @jax.jit
    def run(state: Any, **inputs: Any) -> Any:
        return nnx.merge(graph, state)(wanted=names, **inputs)

    return run, state
