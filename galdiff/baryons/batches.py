"""A population too large for the memory: halos made batch by batch, each with random numbers of its own, and timed.

A halo does not depend on how many are solved together, nor on the number of devices.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.baryons.evolve import Outputs, check_times
from galdiff.baryons.population import Population, Report, cut, pad
from galdiff.records import BaryonHistory, HaloHistory

Maker = Callable[[Float[Array, "halo"], int], HaloHistory]  # of log10 masses [Msun] and a seed


@dataclasses.dataclass
class BatchLog:
    """What a run has done until now."""

    making: float = 0.0  # seconds in which halos were made
    solving: list[float] = dataclasses.field(default_factory=list)  # seconds of each chunk
    reports: list[Report] = dataclasses.field(default_factory=list)  # of each chunk

    def add(self, other: "BatchLog") -> None:
        """Take in what was done elsewhere."""
        self.making += other.making
        self.solving += other.solving
        self.reports += other.reports

    def rate(self) -> float | None:
        """Halos solved per second, in chunks that did not compile: a method compiles where it is first used."""
        seen: set[str] = set()
        n, seconds = 0, 0.0
        for report, spent in zip(self.reports, self.solving, strict=True):
            used = {"grid"} | ({"own steps"} if report.refined else set()) | ({"stiff"} if report.stiff else set())
            if used <= seen:
                n, seconds = n + report.n, seconds + spent
            seen |= used
        return n / seconds if n else None


def make_batch(make: Maker, log10_mvir: Float[ArrayLike, "halo"], number: int, size: int, seed: int = 0) -> HaloHistory:
    """Halos number * size to (number + 1) * size, or to the last.

    The random numbers follow from (seed, number). A short batch is made in full and cut, so nothing compiles twice.

    Args:
      make: makes halos of some masses from a seed.
      log10_mvir: of all halos [Msun].
    """
    own = np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1  # fits int32
    part = np.asarray(log10_mvir)[number * size : (number + 1) * size]
    return jax.block_until_ready(cut(make(pad(part, size), int(own)), len(part)))


def n_batches(log10_mvir: Float[ArrayLike, "halo"], size: int) -> int:
    """Number of batches of a size that halos of masses [dex(Msun)] make, the last one maybe short."""
    return -(-len(np.asarray(log10_mvir)) // size)


def make_batches(
    make: Maker,
    log10_mvir: Float[ArrayLike, "halo"],
    size: int,
    outputs: Outputs,
    log: BatchLog,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
) -> Iterator[HaloHistory]:
    """Batch after batch of halos [log10_mvir in dex of Msun] that reach all outputs; arguments as of `make_batch`.

    Args:
      numbers: of the batches, all if None.

    Raises:
      InputError: outputs outside a halo's history.
    """
    for number in range(n_batches(log10_mvir, size)) if numbers is None else numbers:
        start = time.perf_counter()
        halos = make_batch(make, log10_mvir, number, size, seed)
        check_times(halos, outputs)
        log.making += time.perf_counter() - start
        yield halos


def watched(
    population: Population, batches: Iterable[HaloHistory], log: BatchLog, ids: Sequence[int] | None = None
) -> Iterator[tuple[BaryonHistory, Report]]:
    """What the population solves, chunk after chunk, with seconds and reports noted; ids are numbers by default."""
    start, made = time.perf_counter(), log.making
    for histories, report in population.stream(batches, ids):
        log.solving.append(time.perf_counter() - start - (log.making - made))
        log.reports.append(report)
        yield histories, report
        start, made = time.perf_counter(), log.making
