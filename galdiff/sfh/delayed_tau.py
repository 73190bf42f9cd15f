"""Star formation that rises linearly and falls exponentially: t exp(-t/tau), e.g. Lee et al. (2010, ApJ 725, 1644)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.variables import physical
from galdiff.light_records import Epoch
from galdiff.records import HaloGrowth
from galdiff.sfh.model import LOG10_MASS, SfhLaw, refuse_after
from galdiff.units import YR_PER_GYR


class DelayedTau(SfhLaw):
    """(t - t_start) exp(-(t - t_start) / tau), normalised to the mass formed up to the epoch."""

    def __init__(self, *, log10_mformed: float = 10.5, t_start: float = 1.0, tau: float = 3.0) -> None:
        """log10_mformed: all that ever formed [dex(Msun)]; t_start: time of the first stars, tau: scale [Gyr]."""
        self.log10_mformed = physical(log10_mformed, lo=LOG10_MASS[0], hi=LOG10_MASS[1], unit="dex(Msun)")
        self.t_start = physical(t_start, lo=0.0, hi=13.0, unit="Gyr")
        self.tau = physical(tau, lo=0.01, hi=100.0, unit="Gyr")

    def check_epoch(self, epoch: Epoch) -> None:
        """Refuse a galaxy that has not begun."""
        refuse_after(epoch, "t_start", self.t_start.bounded)

    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Rate [Msun/yr] at cosmic times [Gyr] of any shape; zero before t_start."""
        since, span = ((jnp.maximum(t - self.t_start.bounded, 0.0)) / self.tau.bounded for t in (time, epoch.time))
        formed = -jnp.expm1(-span) - span * jnp.exp(-span)  # integral of x exp(-x) up to the epoch
        per_time = 10 ** (self.log10_mformed.bounded - jnp.log10(YR_PER_GYR)) / self.tau.bounded
        return per_time * since * jnp.exp(-since) / jnp.maximum(formed, 1e-30)
