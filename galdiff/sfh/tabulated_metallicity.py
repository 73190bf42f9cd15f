"""Metallicity of newborn stars from a table over cosmic time: of a simulation, of another code, or of a fit."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.numbers import numeric
from galdiff.core.variables import physical, table
from galdiff.errors import InputError
from galdiff.light_records import StellarHistory
from galdiff.sfh.metallicity import LG_Z_MOST, MetallicityLaw

LG_Z_LIMITS = (-10.0, LG_Z_MOST)  # of a mass fraction; more is what [Z/H] of galaxies like the sun looks like


class TabulatedMetallicity(MetallicityLaw):
    """Straight lines through (time, log10 Z); the ends hold outside.

    Args of the constructor:
      time: cosmic times [Gyr], increasing.
      lgmet_table: log10 of the mass fraction of metals [dex] there, not relative to the sun.
      scatter: standard deviation of log10 Z among stars of one age [dex].
    """

    def __init__(self, *, time: tuple[float, ...], lgmet_table: tuple[float, ...], scatter: float = 0.1) -> None:
        t, lgmet = numeric(time, "time of the metallicity table"), numeric(lgmet_table, "lgmet_table")
        if t.ndim != 1 or t.size < 2 or lgmet.shape != t.shape:
            raise InputError(
                f"metallicity table has {t.shape} times and {lgmet.shape} values; give two or more, as many"
            )
        if not np.isfinite(t).all() or t[0] < 0 or (np.diff(t) <= 0).any():
            raise InputError("times of the metallicity table [Gyr] must be finite, from 0 on, and increase; sort them")
        lo, hi = LG_Z_LIMITS
        bad = lgmet[~((lgmet >= lo) & (lgmet <= hi))]
        if bad.size:
            raise InputError(
                f"lgmet_table holds {bad[0]:g} dex; it is log10 of the mass fraction of metals, {lo:g} to {hi:g}: add"
                " log10 0.0134 = -1.873 to [Z/H] relative to the sun"
            )
        self.time = table(t, float)
        self.lgmet_table = table(lgmet, float)
        self.scatter = physical(scatter, lo=1e-3, hi=2.0, unit="dex")

    def lgmet(self, stars: StellarHistory) -> Float[Array, "point"]:
        """log10 Z [dex] at the time of birth of each point's stars."""
        return jnp.interp(stars.time - stars.age, self.time[...], self.lgmet_table[...])

    def spread(self) -> Float[Array, ""]:
        """The scatter [dex]."""
        return self.scatter.bounded
