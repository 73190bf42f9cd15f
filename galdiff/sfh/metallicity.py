"""Metallicity of stars at birth: one number, or a closed law of stellar mass and time."""

import abc
import math
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.core.fitted import Ranges
from galdiff.core.powers import log10
from galdiff.core.rolling import rolling_line
from galdiff.core.variables import physical
from galdiff.light_records import StellarHistory

LG_Z_SCALE = math.log10(0.012)  # the fits count from this metallicity
LG_Z_MOST = -0.9  # Z = 0.13: no stars have more, but [Z/H] relative to the sun looks like it
PIVOT = 10.5  # log10 M_* of the present-day relation
T_REFERENCE = 12.5  # Gyr: look-back is counted from here
SHARPNESS = 1.6  # per Gyr, of the evolution


class MetallicityLaw(nnx.Module):
    """log10 Z of the stars that form, and its scatter; one file or class and one yaml each."""

    same_at_all_ages: ClassVar[bool] = False  # True: stars of all ages have one distribution, laid down once

    def fitted(self) -> Ranges:
        """The ranges of `birth` [Gyr of cosmic time] and `m_star` [Msun] that it was fitted in; none for free forms."""
        return ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def lgmet(self, stars: StellarHistory) -> Float[Array, "point"]:
        """log10 of the metal mass fraction [dex] at each point in age."""

    @abc.abstractmethod
    def spread(self) -> Float[Array, ""]:
        """Standard deviation of log10 Z [dex] among stars of one age."""


class OneMetallicity(MetallicityLaw):
    """The same mean for all ages: a lognormal distribution."""

    same_at_all_ages = True

    def __init__(self, *, lgmet: float = -1.85, scatter: float = 0.1) -> None:
        """lgmet: mean log10 of the metal mass fraction [dex]; scatter: standard deviation [dex]."""
        self.mean = physical(lgmet, lo=-6.0, hi=LG_Z_MOST, unit="dex")
        self.scatter = physical(scatter, lo=1e-3, hi=2.0, unit="dex")

    def lgmet(self, stars: StellarHistory) -> Float[Array, "point"]:
        """The mean [dex], for every point in age."""
        return jnp.broadcast_to(self.mean.bounded, stars.age.shape)

    def spread(self) -> Float[Array, ""]:
        """The scatter [dex]."""
        return self.scatter.bounded


def log10_formed_before(stars: StellarHistory) -> Float[Array, "point"]:
    """log10 of the stellar mass that has formed [dex(Msun)] at the birth of each point in age, half of it included."""
    number = stars.mass.shape[-1]
    earlier = np.tri(number, k=-1) + 0.5 * np.eye(number)  # a product, which for many galaxies is faster than a sum
    return log10(jnp.maximum(stars.mass @ earlier.astype(stars.mass.dtype), 1.0))


class MassMetallicity(MetallicityLaw):
    """A mean that follows the stellar mass and the time of birth: the form of diffsky's mzr and umzr.

    log10 Z = log10 0.012 + line in log10 M_* of rolling slope, lowered at look-back times beyond some Gyr, the more the
    smaller the galaxy.

    Args of the constructor:
      level: log10 of Z over 0.012 at the pivot today [dex]; centre: log10 M_* [dex(Msun)] where the slope rolls.
      pivot: log10 M_* [dex(Msun)] at which `level` holds, that of umzr; None is the centre, as in mzr.
      sharpness: how fast [1/dex]; slope_lo, slope_hi: at small and large masses [1].
      drop_at, drop_mass: log10 Z lost at `look_back`, at log10 M_* = 0, and per dex of mass [dex, 1].
      rate_at, rate_mass: of the loss per Gyr beyond, at log10 M_* = 0, and per dex of mass [dex/Gyr, 1/Gyr].
      look_back: where the evolution turns [Gyr before 12.5 Gyr]; scatter: standard deviation [dex].
    """

    def __init__(
        self,
        *,
        level: float = 0.05,
        centre: float = 10.5,
        pivot: float | None = PIVOT,
        sharpness: float = 1.0,
        slope_lo: float = 0.4,
        slope_hi: float = 0.1,
        drop_at: float = -1.455,
        drop_mass: float = 0.13,
        look_back: float = 8.44,
        rate_at: float = -0.959,
        rate_mass: float = 0.067242,
        scatter: float = 0.1,
    ) -> None:
        self.pivot = pivot
        self.level = physical(level, lo=-1.0, hi=0.5, unit="dex")
        self.centre = physical(centre, lo=8.0, hi=12.0, unit="dex(Msun)")
        self.sharpness = physical(sharpness, lo=0.1, hi=5.0, unit="1/dex")
        self.slope_lo = physical(slope_lo, lo=0.0, hi=2.0, unit="1")
        self.slope_hi = physical(slope_hi, lo=-1.0, hi=1.0, unit="1")
        self.drop_at = physical(drop_at, lo=-3.0, hi=0.0, unit="dex")
        self.drop_mass = physical(drop_mass, lo=0.0, hi=0.5, unit="1")
        self.look_back = physical(look_back, lo=1.0, hi=12.0, unit="Gyr")
        self.rate_at = physical(rate_at, lo=-2.0, hi=0.0, unit="dex/Gyr")
        self.rate_mass = physical(rate_mass, lo=0.0, hi=0.5, unit="1/Gyr")
        self.scatter = physical(scatter, lo=1e-3, hi=2.0, unit="dex")

    def lgmet(self, stars: StellarHistory) -> Float[Array, "point"]:
        """log10 Z [dex] at the mass that the galaxy had and the time it was when the stars formed."""
        return self.relation(log10_formed_before(stars), stars.time - stars.age)

    def relation(self, log10_mstar: Float[ArrayLike, "..."], time: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """log10 Z [dex] at a stellar mass [dex(Msun)] and a cosmic time [Gyr], of shapes that broadcast."""
        p = {name: getattr(self, name).bounded for name in vars(self) if name in _MZR_NAMES}
        pivot = p["centre"] if self.pivot is None else self.pivot
        return mass_metallicity(jnp.asarray(log10_mstar), jnp.asarray(time), pivot=pivot, **p)

    def spread(self) -> Float[Array, ""]:
        """The scatter [dex]."""
        return self.scatter.bounded


_MZR_NAMES = (
    *("level", "centre", "sharpness", "slope_lo", "slope_hi"),
    *("drop_at", "drop_mass", "look_back", "rate_at", "rate_mass"),
)


def mass_metallicity(
    log10_mstar: Float[Array, "..."], time: Float[Array, "..."], *, pivot: ArrayLike = PIVOT, **p: ArrayLike
) -> Float[Array, "..."]:
    """log10 Z [dex] of diffsky's relations.

    Args:
      log10_mstar: stellar mass [dex(Msun)]; time: cosmic time [Gyr]; of shapes that broadcast.
      pivot: mass at which `level` holds [dex(Msun)]: 10.5 for umzr, `centre` for mzr.
      **p: the parameters of `MassMetallicity`, but for the scatter.
    """
    today = rolling_line(log10_mstar, (pivot, p["level"]), p["centre"], p["sharpness"], (p["slope_lo"], p["slope_hi"]))
    drop = p["drop_at"] + p["drop_mass"] * log10_mstar
    rate = p["rate_at"] + p["rate_mass"] * log10_mstar
    before = jnp.maximum(T_REFERENCE - time, 0.0)
    t = p["look_back"]
    lost = rolling_line(before, (t, drop), t, SHARPNESS, (drop / t, rate))
    return LG_Z_SCALE + today + jnp.minimum(lost, 0.0)


MAIOLINO = ((0.07, 11.18, 9.04), (0.7, 11.57, 9.04), (2.2, 12.38, 8.99), (3.5, 12.76, 8.79))  # z, log M_0, K_0


def maiolino08(log10_mstar: Float[ArrayLike, "..."], redshift: float) -> Float[Array, "..."]:
    """log10 of O/H by number [dex] of star-forming galaxies (Maiolino et al. 2008, A&A 488, 463, eq. 2 and table 5).

    Args:
      log10_mstar: stellar mass [dex(Msun)], any shape.
      redshift: between the four of the table both constants follow straight lines; beyond them the nearest holds.
    """
    z, m0, k0 = (jnp.asarray(column) for column in zip(*MAIOLINO, strict=True))
    curve = -0.0864 * (jnp.asarray(log10_mstar) - jnp.interp(redshift, z, m0)) ** 2
    return curve + jnp.interp(redshift, z, k0) - 12
