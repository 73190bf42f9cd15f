"""Star formation that rises and falls as powers of time: 1 / ((t/tau)^falling + (t/tau)^-rising).

Behroozi et al. (2013, ApJ 770, 57, eq. 23); Carnall et al. (2018, MNRAS 480, 4379, eq. 10).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.variables import physical
from galdiff.light_records import Epoch
from galdiff.records import HaloGrowth
from galdiff.sfh.model import LOG10_MASS, SfhLaw
from galdiff.units import YR_PER_GYR

_U, _W = np.polynomial.legendre.leggauss(128)
E_FOLDS = 12.0  # of time before the epoch that are integrated for the norm


class DoublePowerLaw(SfhLaw):
    """Normalised to the mass formed up to the epoch."""

    def __init__(
        self, *, log10_mformed: float = 10.5, tau: float = 4.0, rising: float = 2.0, falling: float = 2.0
    ) -> None:
        """log10_mformed: all that ever formed [dex(Msun)]; tau: time of the turn [Gyr]; powers of time [1]."""
        self.log10_mformed = physical(log10_mformed, lo=LOG10_MASS[0], hi=LOG10_MASS[1], unit="dex(Msun)")
        self.tau = physical(tau, lo=0.05, hi=30.0, unit="Gyr")
        self.rising = physical(rising, lo=0.01, hi=1000.0, unit="1")
        self.falling = physical(falling, lo=0.01, hi=1000.0, unit="1")

    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Rate [Msun/yr] at cosmic times [Gyr] of any shape."""
        ln_tau = jnp.log(self.tau.bounded)
        # The turn is sharp in log time where the powers are large: points gather there.
        ln_end = jnp.log(epoch.time)
        first, turn = ln_end - E_FOLDS, jnp.clip(ln_tau, ln_end - E_FOLDS / 2, ln_end)
        ln_formed = jax.nn.logsumexp(jnp.stack([self._ln_integral(first, turn), self._ln_integral(turn, ln_end)]))
        ln_rate = self._ln_shape(jnp.log(time)) - ln_formed
        return 10 ** (self.log10_mformed.bounded - jnp.log10(YR_PER_GYR)) * jnp.exp(ln_rate)

    def _ln_shape(self, ln_t: Array) -> Array:
        x = ln_t - jnp.log(self.tau.bounded)
        return -jnp.logaddexp(self.falling.bounded * x, -self.rising.bounded * x)

    def _ln_integral(self, start: Array, end: Array) -> Array:
        """ln of the integral of the shape over time between two ln t."""
        half = (end - start) / 2
        ln_t = (start + end) / 2 + half * _U.astype(half.dtype)
        return jax.nn.logsumexp(self._ln_shape(ln_t) + ln_t, b=half * _W.astype(half.dtype))
