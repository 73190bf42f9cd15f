"""How the benchmarks take time: seconds of the processor, or of the clock where an accelerator does the work.

A busy machine does not change CPU seconds; those of the process count all its threads. An accelerator's work shows in
none of them, so there the clock counts. Either way a call ends when its results are there.
"""

import os
import time
from typing import NamedTuple

import jax
import numpy as np

from galdiff import runtime

SHORT = 0.1  # s: what is shorter is called several times
MOST_CALLS = 1024


class Taken(NamedTuple):
    """Seconds that a call takes."""

    first: float  # of the clock, with compilation
    cpu: float
    wall: float

    @property
    def seconds(self) -> float:
        """What counts on this device."""
        return self.wall if accelerated() else self.cpu


def accelerated() -> bool:
    """Whether the default device is no processor."""
    return jax.default_backend() != "cpu"


def unit() -> str:
    """Name of the seconds that count here."""
    return "wall s" if accelerated() else "CPU s"


def measure(call, *args, repeat: int = 3) -> Taken:
    """First call, then the least of some repetitions, of several calls where one is short.

    The kernel counts the time of threads that still run in ticks of some milliseconds, so that a short call seems to
    take less than it does.
    """
    begin = time.perf_counter()
    jax.block_until_ready(call(*args))
    first, cpu, wall = time.perf_counter() - begin, np.inf, np.inf
    calls = 1
    while repeat:
        t, c = time.perf_counter(), time.process_time()
        for _ in range(calls):
            jax.block_until_ready(call(*args))
        taken, passed = time.process_time() - c, time.perf_counter() - t
        if passed < SHORT and calls < MOST_CALLS:
            calls *= 2
            continue
        cpu, wall, repeat = min(cpu, taken / calls), min(wall, passed / calls), repeat - 1
    return Taken(first, cpu, wall)


def machine() -> str:
    """What the figures were taken on, in a line."""
    kinds = ", ".join(f"{d.platform}:{d.device_kind}" for d in jax.devices())
    flags = os.environ.get("XLA_FLAGS", "no XLA_FLAGS")
    cores = f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
    return f"{kinds}; {flags}; {cores}, load {os.getloadavg()[0]:.1f}, jax {runtime.versions()['jax']}; {unit()}"


def peak_mb() -> float | None:
    """Peak memory of the first device until now [MB], where it is an accelerator that tells."""
    statistics = jax.devices()[0].memory_stats() if accelerated() else None
    return statistics["peak_bytes_in_use"] / 1e6 if statistics else None
