"""Speed of training: python benchmarks/training.py [--steps 60].

Overhead of the loop beyond the compiled step, the time that a checkpoint of 10 MB blocks it, steps per second, and the
efficiency of two devices. Times are medians of the clock, of steps that have ended; run it on an idle machine. The
processor is split into two devices; with GPUs at hand these are used, and a larger network, as their step is shorter.
"""

import argparse
import itertools
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from rich.console import Console
from rich.table import Table
from timing import accelerated, machine

from galdiff import runtime
from galdiff.train.checkpoints import Checkpoints
from galdiff.train.data import InMemory
from galdiff.train.loop import Task, TrainingSettings, train
from galdiff.train.run import Run

ROWS = 24576  # samples of a batch: a step of some 30 milliseconds on a core
SMALL_ROWS = 8192  # for two devices: with larger buffers the page faults of malloc take turns (docs/training.md)
FAST = (4096, 4, 2)  # width, rows over ROWS, and layers for an accelerator: some 30 milliseconds on a fast one
ROUNDS = 3  # of bare steps and of the loop, in turn: the machine is never the same for long
GOALS = {"overhead": 5.0, "save": 50.0, "efficiency": 80.0}  # percent, ms, percent


class Net(nnx.Module):
    """A perceptron, as wide and deep as asked."""

    def __init__(self, width: int, layers: int = 1):
        rngs, sizes = nnx.Rngs(0), (8, *[width] * layers)
        hidden = [part for pair in itertools.pairwise(sizes) for part in (nnx.Linear(*pair, rngs=rngs), jnp.tanh)]
        self.net = nnx.Sequential(*hidden, nnx.Linear(width, 1, rngs=rngs))


def objective(model, batch, key):
    """Weighted mean square."""
    square = (model.net(batch.samples["x"])[:, 0] - batch.samples["y"]) ** 2
    return jnp.sum(batch.weight * square) / jnp.sum(batch.weight), {}


def task(width: int, rows: int, layers: int = 1) -> Task:
    """Random samples in two batches an epoch."""
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(2 * rows, 8)).astype("f4"), "y": rng.normal(size=2 * rows).astype("f4")}
    held = InMemory(jax.tree.map(lambda x: x[:64], data))
    source = InMemory(data, batch_size=rows)
    return Task(
        model=Net(width, layers),
        objective=objective,
        optimiser=optax.adam(1e-3),
        which="all",
        source=source,
        validation=held,
    )


def bare_step(made: Task, steps: int, mesh=None) -> float:
    """Milliseconds of the compiled step alone, on a batch that is in place."""
    run = Run(made, TrainingSettings(steps=steps), mesh)
    batch, times = run._batch(0), []
    for _ in range(steps):
        begun = time.perf_counter()
        run.carry, metrics = run._advance(run.carry, (run.fixed, run.rest), batch)
        jax.block_until_ready((run.carry, metrics))
        times.append(time.perf_counter() - begun)
    return 1e3 * float(np.median(times[3:]))


def loop_step(made: Task, steps: int, mesh=None) -> float:
    """Milliseconds from step to step in the loop, with data, metrics and log."""
    times: list[float] = []
    settings = TrainingSettings(steps=steps, validate_every=steps, checkpoint_every=steps)
    with tempfile.TemporaryDirectory() as folder:
        train(made, settings, folder, mesh=mesh, report=lambda *_: times.append(time.perf_counter()))
    return 1e3 * float(np.median(np.diff(times)[3:-1]))


def save_blocks(repeats: int = 5) -> tuple[float, float]:
    """Milliseconds that saving blocks, and megabytes of the checkpoint."""
    run = Run(task(80_000, 64), TrainingSettings(), None)  # weights, and two moments of each
    size = sum(x.nbytes for x in jax.tree.leaves(run.parts())) / 1e6
    times = []
    with tempfile.TemporaryDirectory() as folder, Checkpoints(folder) as checkpoints:
        for k in range(1, repeats + 1):
            run.step = k
            begun = time.perf_counter()
            run.save(checkpoints, {})
            times.append(time.perf_counter() - begun)
            checkpoints.wait()
    return 1e3 * float(np.median(times[1:])), size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    steps = parser.parse_args().steps
    runtime.configure(cpu_devices=2)
    console = Console()
    console.print(machine())
    table = Table("what", "measured", "goal", title=f"training on {jax.devices()[0].device_kind}")
    width, times, layers = FAST if accelerated() else (512, 1, 1)
    rows = times * ROWS
    made = task(width, rows, layers)
    rounds = [(bare_step(made, steps), loop_step(made, steps)) for _ in range(ROUNDS)]
    bare, whole = np.median(rounds, 0)
    overhead = 100 * (whole / bare - 1)
    table.add_row("compiled step", f"{bare:.1f} ms", "> 20 ms, for the next to count")
    table.add_row("overhead of the loop", f"{overhead:.1f} % ({whole:.1f} ms)", f"< {GOALS['overhead']:.0f} %")
    table.add_row("speed", f"{1e3 / whole:.1f} steps/s, {1e3 * rows / whole:.0f} samples/s", "")
    blocked, size = save_blocks()
    table.add_row(f"a save of {size:.1f} MB blocks", f"{blocked:.0f} ms", f"< {GOALS['save']:.0f} ms")
    if len(jax.devices()) > 1:
        mesh = runtime.data_mesh(2)
        small = made if accelerated() else task(512, SMALL_ROWS)
        one, two = np.median([(bare_step(small, steps), bare_step(small, steps, mesh)) for _ in range(ROUNDS)], 0)
        share = f"{100 * one / (2 * two):.0f} % ({one:.1f} and {two:.1f} ms)"
        table.add_row("efficiency of two devices", share, f"> {GOALS['efficiency']:.0f} % where one uses one core")
    console.print(table)


if __name__ == "__main__":
    main()
