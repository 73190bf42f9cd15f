"""One step of training as a pure function of what it carries: gradient, optax, average, and steps that are no numbers.

A step whose loss or gradient is not finite changes nothing but the counts.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Sharding
from jaxtyping import Array

from galdiff.inference.fit import all_finite
from galdiff.train.data import Batch


def first_carry(train: Mapping[str, Array], optimiser: optax.GradientTransformation, seed: int) -> dict[str, Any]:
    """What is carried before the first step: parameters that train [any unit and shape], optimiser, average, random
    key, counts.
    """
    train = {path: jnp.copy(x) for path, x in train.items()}  # buffers are given away by the step
    return {
        "train": train,
        "average": jax.tree.map(jnp.copy, train),
        "optimiser": optimiser.init(train),
        "key": jax.random.key_data(jax.random.key(seed)),
        "step": jnp.zeros((), jnp.int32),
        "skipped": jnp.zeros((), jnp.int32),
        "in_a_row": jnp.zeros((), jnp.int32),
    }


def make_step(
    objective: Callable[[dict, dict, Batch, Array], tuple[Array, Mapping[str, Array]]],
    optimiser: optax.GradientTransformation,
    average: float,
    everywhere: Sharding | None = None,
) -> Callable:
    """`step(carry, fixed, batch) -> carry, report`, compiled; the carry's buffers are reused.

    Args:
      objective: loss [1] and pieces, each a scalar, of (parameters that train, fixed parameters, batch, random key).
      optimiser: of optax.
      average: decay of the exponential moving average; 0 for none.
      everywhere: sharding of all results, None for one device.
    """

    def step(carry: Any, fixed: Any, batch: Any) -> tuple:
        key, now = jax.random.split(jax.random.wrap_key_data(carry["key"]))
        (loss, pieces), slopes = jax.value_and_grad(objective, has_aux=True)(carry["train"], fixed, batch, now)
        updates, memory = optimiser.update(slopes, carry["optimiser"], carry["train"])
        moved = optax.apply_updates(carry["train"], updates)
        good = jnp.isfinite(loss) & all_finite(slopes) & all_finite(moved)
        keep = lambda new, old: jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)  # noqa: E731
        train = keep(moved, carry["train"])
        mean = jax.tree.map(lambda m, x: average * m + (1 - average) * x, carry["average"], train)
        after = {
            "train": train,
            "average": keep(mean, carry["average"]),
            "optimiser": keep(memory, carry["optimiser"]),
            "key": jax.random.key_data(key),
            "step": carry["step"] + 1,
            "skipped": carry["skipped"] + jnp.where(good, 0, 1),
            "in_a_row": jnp.where(good, 0, carry["in_a_row"] + 1),
        }
        report = {"loss": loss, "gradient_norm": optax.tree.norm(slopes), **pieces}
        return after, report | {name: after[name] for name in ("skipped", "in_a_row")}

    return jax.jit(step, donate_argnums=0, out_shardings=everywhere)
