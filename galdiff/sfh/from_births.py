"""Star formation and metals at birth from the history of a galaxy's baryons, read as particles of it are."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.hermite import hermite
from galdiff.core.interpolation import monotone_slopes
from galdiff.core.variables import physical, table
from galdiff.errors import InputError
from galdiff.light_records import Epoch, StellarHistory
from galdiff.records import BaryonHistory, HaloGrowth
from galdiff.sfh.metallicity import MetallicityLaw
from galdiff.sfh.model import SfhLaw
from galdiff.units import YR_PER_GYR

FEWEST = 8  # times of a history
LATE = 1e-6  # relative: a history that ends so much before the epoch does not reach it


def at_times(known: Float[Array, "t"], ln_t: Float[Array, "t"], time: Float[Array, "..."]) -> Float[Array, "..."]:
    """A logarithm of a history [any unit] at cosmic times, which its nodes bound: monotone in the log of the time.

    Args:
      known: at the nodes [any unit]; ln_t: their logarithms [ln Gyr], increasing; time: asked for [Gyr], any shape.
    """
    inside = jnp.clip(jnp.log(time), ln_t[0], ln_t[-1])
    return hermite(inside, ln_t, known, monotone_slopes(known, ln_t))[0]


def _check(history: BaryonHistory) -> None:
    if jnp.ndim(history.time) != 1 or history.time.shape[0] < FEWEST:
        raise InputError(
            f"time of the history has the shape {history.time.shape}; stars need one galaxy and {FEWEST} or more times:"
            " baryons.outputs.n_times=64"
        )


class BirthRates(SfhLaw):
    """The rate of star formation of a baryon history, zero before it begins.

    Args of the constructor:
      history: of one galaxy, up to the epoch when it is seen.
    """

    def __init__(self, *, history: BaryonHistory) -> None:
        _check(history)
        self.ln_t = table(jnp.log(history.time))
        self.ln_sfr = table(jnp.log(history.sfr))

    def check_epoch(self, epoch: Epoch) -> None:
        """Refuse an epoch after the end of the history."""
        last = float(jnp.exp(self.ln_t[...][-1]))
        if last < float(epoch.time) * (1 - LATE):
            raise InputError(
                f"baryon history ends at a cosmic time of {last:.4g} Gyr, but the galaxy is seen at"
                f" {float(epoch.time):.4g} Gyr; set halo.observed_redshift to its redshift"
            )

    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Rate [Msun/yr] at cosmic times [Gyr] of any shape."""
        rate = jnp.exp(at_times(self.ln_sfr[...], self.ln_t[...], time)) / YR_PER_GYR
        return jnp.where(jnp.log(time) < self.ln_t[...][0], 0.0, rate)


class BirthMetallicity(MetallicityLaw):
    """Stars have the metals of the interstellar medium that they are born from.

    Args of the constructor:
      history: of one galaxy; scatter: standard deviation of log10 Z of stars of one age [dex].
    """

    def __init__(self, *, history: BaryonHistory, scatter: float) -> None:
        _check(history)
        self.ln_t = table(jnp.log(history.time))
        self.lg_z = table(jnp.log10(history.metallicity("ism")))
        self.scatter = physical(scatter, lo=1e-3, hi=2.0, unit="dex")

    def lgmet(self, stars: StellarHistory) -> Float[Array, "point"]:
        """log10 Z [dex] of the medium when the stars of each point in age were born."""
        return at_times(self.lg_z[...], self.ln_t[...], stars.time - stars.age)

    def spread(self) -> Float[Array, ""]:
        """The scatter [dex]."""
        return self.scatter.bounded
