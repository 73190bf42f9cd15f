"""Optimisers by config: Adam with clipping, warm-up, cosine decay, and weight decay on corrections alone."""

import optax

from galdiff.core.buildable import buildable
from galdiff.errors import InputError


@buildable(reads=True)
def adamw(
    *,
    learning_rate: float,
    steps: int,
    warmup: int = 0,
    final: float = 0.05,
    clip: float | None = 1.0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """AdamW (Loshchilov & Hutter 2019).

    Args:
      learning_rate: at its peak; physics is trained in unbounded variables of order one.
      steps: of the whole training; warmup: of them until the peak.
      final: learning rate at the end over that at the peak.
      clip: largest norm of a gradient; None for any.
      weight_decay: towards zero, of corrections alone: physics does not belong at zero.
    """
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
