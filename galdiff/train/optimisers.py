"""Optimisers by config: Adam with clipping, warm-up, cosine decay, and weight decay on corrections alone."""

from typing import Annotated

import optax

from galdiff.core.buildable import buildable
from galdiff.core.signatures import Within, check_ranges
from galdiff.errors import InputError


@buildable(reads=True)
def adamw(
    *,
    learning_rate: Annotated[float, Within(1e-12, 1e3)],
    steps: Annotated[int, Within(1, 1e9)],
    warmup: Annotated[int, Within(0, 1e9)] = 0,
    final: Annotated[float, Within(0.0, 1.0)] = 0.05,
    clip: Annotated[float | None, Within(0.0, 1e9, "", True)] = 1.0,
    weight_decay: Annotated[float, Within(0.0, 1e3)] = 0.0,
) -> optax.GradientTransformation:
    """AdamW (Loshchilov & Hutter 2019).

    Args:
      learning_rate: at its peak; physics is trained in unbounded variables of order one.
      steps: of the whole training; warmup: of them until the peak.
      final: learning rate at the end over that at the peak.
      clip: largest norm of a gradient; None for any.
      weight_decay: towards zero, of corrections alone: physics does not belong at zero.
    """
    given = {"steps": steps, "warmup": warmup, "final": final, "clip": clip, "weight_decay": weight_decay}
    check_ranges(adamw, {"learning_rate": learning_rate, **given})
    if not learning_rate > 0 or not 0 <= final <= 1 or not 0 <= warmup < steps:
        raise InputError(
            f"optimiser: learning_rate={learning_rate}, final={final}, warmup={warmup}, steps={steps};"
            " give learning_rate > 0, final in [0, 1], warmup below steps"
        )
    schedule = optax.warmup_cosine_decay_schedule(
        learning_rate if warmup == 0 else 0.0, learning_rate, warmup, steps, final * learning_rate
    )
    decayed = lambda parameters: {path: "correction" in path for path in parameters}  # noqa: E731
    adam = optax.adamw(schedule, weight_decay=weight_decay, mask=decayed)
    return adam if clip is None else optax.chain(optax.clip_by_global_norm(clip), adam)
