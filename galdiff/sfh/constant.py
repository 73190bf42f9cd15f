"""Star formation at a constant rate from some time on, and a burst: one step each."""

import jax.numpy as jnp

from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.light_records import Epoch
from galdiff.sfh.model import LOG10_MASS, refuse_after
from galdiff.sfh.top_hats import Steps, TopHats

SHORTEST = 1e-4  # Gyr


class Constant(TopHats):
    """Constant since `t_start` [Gyr] of cosmic time; log10_mformed: all that ever formed [dex(Msun)]."""

    def __init__(self, *, log10_mformed: float = 10.5, t_start: float = 1.0) -> None:
        self.log10_mformed = physical(log10_mformed, lo=LOG10_MASS[0], hi=LOG10_MASS[1], unit="dex(Msun)")
        self.t_start = physical(t_start, lo=0.0, hi=13.8, unit="Gyr")

    def check_epoch(self, epoch: Epoch) -> None:
        """Refuse a galaxy that has not begun."""
        refuse_after(epoch, "t_start", self.t_start.bounded)

    def steps(self, epoch: Epoch) -> Steps:
        """One step; a galaxy that has not begun at the epoch forms all in its last 0.1 Myr."""
        span = jnp.maximum(epoch.time - self.t_start.bounded, SHORTEST)
        return Steps(youngest=jnp.zeros(1), oldest=span[None], mass=10 ** self.log10_mformed.bounded[None])


class Burst(TopHats):
    """All stars within `duration` up to the age `age` [Gyr]; log10_mformed: all that ever formed [dex(Msun)].

    Where a traced duration exceeds the age, all stars form between the two.
    """

    def __init__(self, *, log10_mformed: float = 9.0, age: float = 0.1, duration: float = 0.01) -> None:
        self.log10_mformed = physical(log10_mformed, lo=LOG10_MASS[0], hi=LOG10_MASS[1], unit="dex(Msun)")
        self.age = physical(age, lo=SHORTEST, hi=13.8, unit="Gyr")
        self.duration = physical(duration, lo=SHORTEST, hi=10.0, unit="Gyr")

    def check_epoch(self, epoch: Epoch) -> None:
        """Refuse a burst older than the universe, or longer than its age: it would go on after the epoch.

        Raises:
          InputError: naming both.
        """
        refuse_after(epoch, "age", self.age.bounded)
        age, duration = float(self.age.bounded), float(self.duration.bounded)
        if duration > age * (1 + 1e-6):
            raise InputError(
                f"duration is {duration:.4g} Gyr, but the oldest stars of the burst have an age of {age:.4g} Gyr; give"
                " at most as much, or sfh=constant for stars that still form"
            )

    def steps(self, epoch: Epoch) -> Steps:
        """One step, from its oldest stars on."""
        oldest = jnp.minimum(self.age.bounded, epoch.time)
        youngest = jnp.maximum(oldest - self.duration.bounded, 0.0)
        return Steps(youngest=youngest[None], oldest=oldest[None], mass=10 ** self.log10_mformed.bounded[None])
