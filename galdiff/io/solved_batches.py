"""Batches of halos solved here or by the workers of a cluster, in the order of the halos."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from galdiff.baryons.batches import BatchLog, Maker, make_batches, n_batches, watched
from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Outputs
from galdiff.baryons.population import Population, Report
from galdiff.io.cluster import NONE, connected, in_order
from galdiff.records import BaryonHistory

Chunks = Iterator[tuple[BaryonHistory, Report]]
Solved = tuple[list[tuple[BaryonHistory, Report]], BatchLog]


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """All halos of a run.

    Attributes:
      make: makes halos of some masses from a seed; mass: log10 of all masses [dex(Msun)], shape (halo,).
      size: of a batch, at most; seed: of the random numbers.
      outputs: when histories are wanted; stage: their physics; population: solves them.
    """

    make: Maker
    mass: np.ndarray
    size: int
    seed: int
    outputs: Outputs
    stage: BaryonCycle
    population: Population

    def chunks(self, log: BatchLog, numbers: range | None = None) -> Chunks:
        """Chunks of the batches of consecutive numbers, all if None, one after another."""
        numbers = range(n_batches(self.mass, self.size)) if numbers is None else numbers
        made = make_batches(self.make, self.mass, self.size, self.outputs, log, self.seed, numbers)
        return watched(self.population, made, log, range(numbers.start * self.size, len(self.mass)))

    def solve(self, number: int) -> Solved:
        """All chunks of one batch, and what they took."""
        log = BatchLog()
        return list(self.chunks(log, range(number, number + 1))), log


@contextlib.contextmanager
def solved_by(
    cluster: str, workers: int, batches: Batches, log: BatchLog, prepare: Callable[[str], Callable], said: str
) -> Iterator[Chunks]:
    """Chunks of all batches, from here where cluster is none, else as `galdiff.io.cluster.in_order`.

    Args:
      cluster, workers: as of `connected`; batches: of the run; log: takes in what was done.
      prepare: makes, in a worker, from `said` what solves a batch of a number, as `Batches.solve`.
    """
    if cluster == NONE:
        yield batches.chunks(log)
        return

    def noted(pieces: Iterable[Solved]) -> Chunks:
        for chunks, spent in pieces:
            log.add(spent)
            yield from chunks

    with connected(cluster, workers) as client:
        yield noted(in_order(client, prepare, said, range(n_batches(batches.mass, batches.size))))
