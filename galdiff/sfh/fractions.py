"""Ages at fixed shares of the cosmic time, and what a straight line of star formation between them adds to a library.

Rates are read at a few ages and taken to be straight lines in between, whose product with the hats of the library in
log10 age is integrated exactly: weights are never negative, and tables of light by age follow from the time alone.
Histories have to be smooth over a step: those of haloes and of baryon cycles are, bursts are not.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.light_records import StellarHistory
from galdiff.sfh.model import MASS_MIN
from galdiff.sfh.panels import LAST
from galdiff.units import YR_PER_GYR

FIRST = 0.002  # of the cosmic time, between the first ages: some 30 Myr
GROWTH = 0.5  # of a step over its age, until steps are as long as any
STEPS = (0.001, 0.2)


@buildable
@dataclasses.dataclass(frozen=True, kw_only=True)
class AgeFractions:
    """How ages are sampled.

    Attributes:
      step: longest step over the cosmic time [1]; 0.015 is 0.2 Gyr today.
    """

    step: float = 0.015

    def __post_init__(self) -> None:
        if not STEPS[0] <= self.step <= STEPS[1]:
            raise InputError(f"step is {self.step} of the cosmic time; give {STEPS[0]} to {STEPS[1]} (0.015 is usual)")

    @property
    def shares(self) -> np.ndarray:
        """Ages over the cosmic time [1], from 0 to almost 1, shape (point,)."""
        at = [0.0]
        while at[-1] < 1 - self.step / 2:
            at.append(at[-1] + min(self.step, max(FIRST, GROWTH * at[-1])))
        return np.asarray(at) * (LAST / at[-1])

    @property
    def widths(self) -> np.ndarray:
        """What a point stands for over the cosmic time [1], shape (point,)."""
        half = np.diff(self.shares) / 2
        return np.concatenate([half, [0.0]]) + np.concatenate([[0.0], half])

    def ages(self, time: Float[ArrayLike, ""]) -> Float[Array, "point"]:
        """Ages [Gyr] at a cosmic time [Gyr], young to old."""
        time = jnp.asarray(time)
        return time * self.shares.astype(time.dtype)

    def history(self, sfr: Float[Array, "point"], time: Float[ArrayLike, ""]) -> StellarHistory:
        """Mass formed of star formation rates [Msun/yr] at the ages before a cosmic time [Gyr]."""
        time = jnp.asarray(time, sfr.dtype)
        mass = sfr * (time * YR_PER_GYR * self.widths.astype(sfr.dtype))
        return StellarHistory(age=self.ages(time), mass=jnp.maximum(mass, MASS_MIN), time=time)

    def on_library(self, lg_age: Float[np.ndarray, "age"], time: float) -> Float[np.ndarray, "point age"]:
        """What mass formed at each point gives to each age of a library [1]; rows sum to 1.

        Args:
          lg_age: log10 of the ages of the library [dex(Gyr)], increasing; ends count beyond them.
          time: cosmic time [Gyr].
        """
        lg_age = np.asarray(lg_age, float)
        return self._integrals(
            lambda age: np.stack([np.interp(np.log10(age), lg_age, unit) for unit in np.eye(lg_age.size)], -1),
            10**lg_age,
            time,
        )

    def recent(self, span: float, time: float) -> Float[np.ndarray, "point"]:
        """Mean star formation rate over the last `span` [Gyr] per mass formed at each point [1/yr] at a time [Gyr]."""
        span = min(span, LAST * time)
        inside = self._integrals(lambda age: 1.0 * (age < span)[..., None], np.array([span]), time)
        return inside[:, 0] / (span * YR_PER_GYR)

    def _integrals(self, of: Callable[[np.ndarray], np.ndarray], breaks: np.ndarray, time: float) -> np.ndarray:
        """Means over the hat of each point of functions (..., column) of age [Gyr], smooth between breaks [Gyr]."""
        ages = self.shares * time
        cuts = np.union1d(ages, breaks[(breaks > 0) & (breaks < ages[-1])])
        at, weight = np.polynomial.legendre.leggauss(8)
        half = np.diff(cuts)[:, None] / 2
        fine = (cuts[:-1, None] + half * (1 + at)).reshape(-1)
        area = (half * weight).reshape(-1)
        hats = np.stack([np.interp(fine, ages, unit) for unit in np.eye(ages.size)])  # (point, fine)
        return (hats * area) @ of(fine) / (self.widths * time)[:, None]
