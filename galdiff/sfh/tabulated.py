"""Star formation from a table: straight lines between the rates of a simulation or of another code."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.numbers import numeric
from galdiff.core.variables import table
from galdiff.errors import InputError
from galdiff.light_records import Epoch
from galdiff.records import HaloGrowth
from galdiff.sfh.model import SfhLaw, refuse_after
from galdiff.sfh.panels import AgePoints
from galdiff.units import YR_PER_GYR


class Tabulated(SfhLaw):
    """Straight lines through (time, rate), zero before the first time; masses in any panel are exact.

    Args of the constructor:
      time: cosmic times [Gyr], increasing; sfr_table: rates [Msun/yr] there, zero or positive.
    """

    def __init__(self, *, time: tuple[float, ...], sfr_table: tuple[float, ...]) -> None:
        t, rate = numeric(time, "time of the star formation table"), numeric(sfr_table, "sfr_table")
        if t.ndim != 1 or t.size < 2 or rate.shape != t.shape:
            raise InputError(
                f"star formation table has {t.shape} times and {rate.shape} rates; give two or more of each, as many"
            )
        if not np.isfinite(t).all() or t[0] < 0 or (np.diff(t) <= 0).any():
            raise InputError(
                "times of the star formation table [Gyr] must be finite, from 0 on, and increase; sort them"
            )
        if (wrong := ~(np.isfinite(rate) & (rate >= 0))).any():
            raise InputError(
                f"sfr_table holds {rate[wrong][0]:g} Msun/yr; rates are finite and zero or positive: repair it"
            )
        if not rate.any():
            raise InputError("sfr_table holds only 0 Msun/yr; a galaxy without stars has no light: give positive rates")
        self.time = table(t, float)
        self.sfr_table = table(rate, float)

    def check_epoch(self, epoch: Epoch) -> None:
        """Refuse a galaxy whose first stars of the table are not there yet."""
        t, lit = np.asarray(self.time[...]), np.flatnonzero(np.asarray(self.sfr_table[...]))
        refuse_after(epoch, "time of the last rate of 0 before the first stars", t[max(lit[0] - 1, 0)])

    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Rate [Msun/yr] at cosmic times [Gyr] of any shape; the last one goes on."""
        return jnp.interp(time, self.time[...], self.sfr_table[...], left=0.0)

    def mass_formed(self, points: AgePoints, epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "point"]:
        """Mass formed at each point in age [Msun]: the exact mass of its panel, in the shares of its points."""
        t, rate = self.time[...], self.sfr_table[...]
        t, rate = jnp.append(t, jnp.maximum(epoch.time, t[-1] + 1e-3)), jnp.append(rate, rate[-1])
        starts, ends = (epoch.time - edge[:, None] for edge in (points.oldest, points.youngest))
        lower, upper = jnp.maximum(starts, t[:-1]), jnp.minimum(ends, t[1:])
        slope = jnp.diff(rate) / jnp.diff(t)
        mean = rate[:-1] + slope * ((lower + upper) / 2 - t[:-1])
        panel_mass = (jnp.maximum(upper - lower, 0.0) * mean).sum(-1) * YR_PER_GYR
        panel = points.oldest - points.youngest
        return panel_mass * points.width / jnp.where(panel > 0, panel, 1.0)
