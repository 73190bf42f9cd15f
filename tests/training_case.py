"""A small regression to train: a straight line with a wrong slope and a correction that bends it.

As a script it trains in children that a parent kills, for tests/test_train.py: python training_case.py FOLDER KILLS.
"""

import os
import pathlib
import random
import signal
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from galdiff.core.correction import LogGain
from galdiff.core.variables import physical
from galdiff.train.data import InMemory
from galdiff.train.loop import Task, TrainingSettings, train


class Line(nnx.Module):
    """y = slope x, corrected."""

    def __init__(self, correction=None):
        self.slope = physical(2.0, unit="1", lo=0.0, hi=10.0)
        self.correction = correction

    def __call__(self, x):
        y = self.slope.bounded * x
        return y if self.correction is None else self.correction(y[..., None], x[..., None])[..., 0]


def model(seed=0) -> Line:
    zero = nnx.initializers.zeros_init()
    net = nnx.Sequential(
        nnx.Linear(1, 8, rngs=nnx.Rngs(seed)), jnp.tanh, nnx.Linear(8, 1, kernel_init=zero, rngs=nnx.Rngs(seed))
    )
    return Line(LogGain(net=net, bound=2.0))


def objective(line, batch, key):
    """Weighted mean square, with a little noise from the key."""
    x, y = batch.samples["x"], batch.samples["y"]
    noisy = y + 1e-3 * jax.random.normal(key, y.shape)
    square = (line(x) - noisy) ** 2
    loss = jnp.sum(batch.weight * square) / jnp.sum(batch.weight)
    return loss, {"worst": jnp.max(batch.weight * square)}


def samples(n=40, seed=0):
    x = np.random.default_rng(seed).uniform(0.5, 2.0, n)
    return {"x": x, "y": 3.0 * x**1.5}


def task(**changes) -> Task:
    made = dict(
        model=model(),
        objective=objective,
        optimiser=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
        which="all",
        source=InMemory(samples(), batch_size=16, seed=1),
        validation=InMemory(samples(10, seed=5)),
    )
    return Task(**{**made, **changes})


SETTINGS = dict(steps=60, validate_every=5, checkpoint_every=7, average=0.9)


def _child(folder: pathlib.Path) -> None:
    outcome = train(task(), TrainingSettings(**SETTINGS), folder)
    (folder / "end").write_text(outcome.end)


if __name__ == "__main__":
    where, kills = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    jax.config.update("jax_enable_x64", True)
    chance = random.Random(0)
    for attempt in range(kills + 1):
        child = os.fork()
        if child == 0:
            try:
                _child(where)
            finally:
                os._exit(0)
        begun = time.monotonic()
        log = where / "metrics.jsonl"
        had = log.stat().st_size if log.exists() else 0
        while attempt < kills:  # until it writes, then a random moment
            if os.waitpid(child, os.WNOHANG)[0]:
                break
            if (log.exists() and log.stat().st_size != had) or time.monotonic() - begun > 30:
                time.sleep(chance.uniform(0.0, 0.25))
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                break
            time.sleep(0.002)
        else:
            os.waitpid(child, 0)
