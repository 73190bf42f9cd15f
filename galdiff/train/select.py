"""Which parameters of a model train: corrections, physics, both, or those whose path matches a pattern."""

from collections.abc import Sequence

from flax import nnx

from galdiff.core.correction import Correction
from galdiff.core.patterns import matching
from galdiff.errors import InputError
from galdiff.train.checkpoints import by_path

KINDS = ("corrections", "physics", "all")


def parts_of(model: nnx.Module) -> tuple[nnx.GraphDef, nnx.State, nnx.State, nnx.State]:
    """Structure, trainable parameters of the corrections, those of the physics, and all the rest (tables)."""
    inside = correction_paths(model)
    of_correction = lambda path, _: any(path[: len(prefix)] == prefix for prefix in inside)  # noqa: E731
    graph, *states = nnx.split(model, nnx.All(nnx.Param, of_correction), nnx.Param, ...)
    corrections, physics, rest = states
    return graph, corrections, physics, rest


def correction_paths(model: nnx.Module) -> list[tuple]:
    """Paths of the corrections in a model."""
    return [path for path, node in nnx.iter_graph(model) if isinstance(node, Correction)]


def trainable(model: nnx.Module, which: str | Sequence[str]) -> tuple[str, ...]:
    """Dotted paths of the parameters that train.

    Args:
      model: any module.
      which: corrections, physics (all `Param`s outside corrections), all; or patterns of dotted paths, such as
        ["*.eta_energy.*", "*.correction.*"]; a pattern that begins with ! takes away.

    Raises:
      InputError: a pattern, or the whole choice, that matches nothing.
    """
    _, corrections, physics, _ = parts_of(model)
    groups = {"corrections": list(by_path(corrections)), "physics": list(by_path(physics))}
    known = groups["corrections"] + groups["physics"]
    groups["all"] = known
    patterns = [which] if isinstance(which, str) else list(which)
    chosen = matching(patterns, known, "train.which", groups)
    if not chosen:
        raise InputError(f"train.which is {patterns}: nothing is left to train; choose one of {', '.join(KINDS)}")
    return tuple(chosen)
