"""A pipeline wires stages by the names of the records they read and make."""

import dataclasses
import difflib
import graphlib
import typing
from collections.abc import Collection, Mapping, Sequence

from flax import nnx

from galdiff.core.buildable import buildable, type_called
from galdiff.core.stage import Stage


@buildable
@typing.final
class Pipeline(nnx.Module):
    """Stages keyed by the record each makes; wiring and types are checked when it is built.

    Args of the constructor:
      stages: record name -> the stage that makes it, in any order.
      inputs: names of the records given from outside, with their types (classes, or dotted paths of classes).

    Raises:
      ValueError: a record that nobody makes, a cycle, or a record of another type than its reader expects.
    """

    def __init__(self, *, stages: Mapping[str, Stage], inputs: Mapping[str, type | str]) -> None:
        types = {name: _resolve(kind) for name, kind in inputs.items()}
        for name in types.keys() & stages.keys():
            raise ValueError(f"record '{name}' is both an input and made by a stage; rename one of them")
        self.inputs = tuple(types.items())
        self.order = _order(stages, types)
        _check_types(stages, types | {name: stage.makes() for name, stage in stages.items()})
        self.stages = nnx.Dict({name: stages[name] for name in self.order})

    def __call__(self, *, wanted: Sequence[str] | None = None, **inputs: typing.Any) -> dict[str, typing.Any]:
        """Run the stages.

        Args:
          wanted: records to make; with it, only the stages they need run. All records by default.
          inputs: the input records, by name.

        Returns:
          The records made (or wanted), by name.
        """
        targets = self.order if wanted is None else tuple(wanted)
        known = dict(inputs)
        for name in known:
            if name not in dict(self.inputs):
                raise ValueError(f"'{name}' is no input of this pipeline; {_choose(name, dict(self.inputs))}")
        for name in self.needs(targets):
            stage = self.stages[name]
            reads = stage.reads()
            for read in reads:
                if read not in known and read not in stage.optional():
                    raise ValueError(f"stage '{name}' ({_name(stage)}) reads '{read}', which is missing; pass {read}=")
            known[name] = stage(**{read: known[read] for read in reads if read in known})
        return {name: known[name] for name in targets}

    def needs(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Names of the stages that must run to make the wanted records, in order."""
        for name in wanted:
            if name not in self.order:
                raise ValueError(f"no stage makes '{name}'; {_choose(name, self.order)}")
        needed = set(wanted)
        for name in reversed(self.order):
            if name in needed:
                needed |= self.stages[name].reads().keys()
        return tuple(name for name in self.order if name in needed)

    def describe(self) -> str:
        """The flow as text: one line per record with who makes it from what, then its fields with units."""
        lines = []
        for name, kind in self.inputs:
            lines += [f"{name}: {kind.__name__} (input)", *_fields(kind)]
        available = dict(self.inputs).keys() | set(self.order)
        for name in self.order:
            stage = self.stages[name]
            reads = ", ".join(read for read in stage.reads() if read in available)
            lines += [f"{name}: {stage.makes().__name__} <- {_name(stage)}({reads})"]
            lines += [f"  {note}" for note in stage.notes()] + _fields(stage.makes())
        return "\n".join(lines)


def _order(stages: Mapping[str, Stage], inputs: Mapping[str, type]) -> tuple[str, ...]:
    """Names of the stages, each after those it reads from; otherwise in the order given."""
    graph = {}
    for name, stage in stages.items():
        for read in stage.reads():
            if read not in stages and read not in inputs and read not in stage.optional():
                known = [*inputs, *stages]
                raise ValueError(
                    f"stage '{name}' ({_name(stage)}) reads '{read}', which no stage makes and is no input; "
                    + _choose(read, known)
                )
        graph[name] = [read for read in stage.reads() if read in stages]
    try:
        return tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        loop = " <- ".join(error.args[1])
        raise ValueError(f"stages form a cycle: {loop}; make one of them an input, or merge the two") from error


def _check_types(stages: Mapping[str, Stage], types: Mapping[str, type]) -> None:
    for name, stage in stages.items():
        for read, expected in stage.reads().items():
            kinds = tuple(k for k in typing.get_args(expected) if k is not type(None)) or (expected,)
            found = types.get(read)
            if found is None or not all(dataclasses.is_dataclass(k) for k in (found, *kinds)):
                continue  # arrays, random keys and settings have no record type to compare
            if not issubclass(found, kinds):
                names = " or ".join(k.__name__ for k in kinds)
                raise ValueError(
                    f"stage '{name}' ({_name(stage)}) reads '{read}' as {names}, but '{read}' is a {found.__name__}; "
                    f"put a stage between that makes {names}, or rename the record"
                )


def _fields(kind: type) -> list[str]:
    if not dataclasses.is_dataclass(kind):
        return []
    fields = [f for f in dataclasses.fields(kind) if not f.metadata.get("static")]
    return [f"    {f.name} [{f.metadata.get('unit') or '1'}] {f.metadata.get('meaning', '')}" for f in fields]


def _name(stage: Stage) -> str:
    return type(stage).__name__


def _resolve(kind: type | str) -> type:
    return type_called(kind) if isinstance(kind, str) else kind


def _choose(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{close[0]}'? known are {', '.join(known)}" if close else f"known are {', '.join(known)}"
