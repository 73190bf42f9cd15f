"""Metallicity of newborn stars from published relations of stellar mass and oxygen in the gas that they form from."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff import cosmology as cosmo
from galdiff import units
from galdiff.core.fitted import Range, Ranges
from galdiff.core.variables import physical
from galdiff.cosmology import Cosmology
from galdiff.light_records import StellarHistory
from galdiff.sfh.metallicity import MAIOLINO, MetallicityLaw, log10_formed_before, maiolino08

LG_Z_SUN, LOG_OH_SUN = math.log10(units.Z_SUN_ASPLUND09), units.OXYGEN_SUN_ASPLUND09
FLOOR = -5.0  # dex of log10 Z: a parabola in log10 M_* falls without end


def stars_of_oxygen(log_oh: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 of the metal mass fraction [dex] at 12 + log10(O/H) [dex], any shape: the mixture of the sun."""
    return jnp.asarray(log_oh) - LOG_OH_SUN + LG_Z_SUN


class AndrewsMartini13(MetallicityLaw):
    """The direct-method relation of stacked SDSS galaxies (Andrews & Martini 2013, ApJ 765, 140, eq. 5), at all times.

    12 + log10(O/H) = asymptote - log10(1 + (M_turn / M_*)^slope).

    Args of the constructor:
      asymptote: at large masses [dex]; log10_m_turn: turnover [dex(Msun)]; slope: at small masses [1].
      scatter: standard deviation of log10 Z among stars of one age [dex].
    """

    def __init__(
        self, *, asymptote: float = 8.798, log10_m_turn: float = 8.901, slope: float = 0.64, scatter: float = 0.1
    ) -> None:
        self.asymptote = physical(asymptote, lo=7.0, hi=10.0, unit="dex")
        self.log10_m_turn = physical(log10_m_turn, lo=6.0, hi=12.0, unit="dex(Msun)")
        self.slope = physical(slope, lo=0.0, hi=2.0, unit="1")
        self.scatter = physical(scatter, lo=1e-3, hi=2.0, unit="dex")

    def fitted(self) -> Ranges:
        """The stellar masses [Msun] of the stacks."""
        return (Range("m_star", "Msun", 10**7.4, 10**10.5, "Andrews & Martini 2013, ApJ 765, 140"),)

    def lgmet(self, stars: StellarHistory) -> Float[Array, "point"]:
        """log10 Z [dex] at the mass that had formed when each point's stars were born."""
        return stars_of_oxygen(self.log_oh(log10_formed_before(stars)))

    def log_oh(self, log10_mstar: Float[Array, "..."]) -> Float[Array, "..."]:
        """12 + log10(O/H) [dex] at a stellar mass [dex(Msun)], any shape."""
        below = self.slope.bounded * (self.log10_m_turn.bounded - log10_mstar)
        return self.asymptote.bounded - jnp.logaddexp(0.0, below * math.log(10.0)) / math.log(10.0)

    def spread(self) -> Float[Array, ""]:
        """The scatter [dex]."""
        return self.scatter.bounded


class Maiolino08(MetallicityLaw):
    """The evolving relation of Maiolino et al. (2008, A&A 488, 463, eq. 2) at the redshift of each birth.

    Args of the constructor:
      cosmology: gives the redshift at a cosmic time.
      scatter: standard deviation of log10 Z among stars of one age [dex].
    """

    def __init__(self, *, cosmology: Cosmology, scatter: float = 0.1) -> None:
        knots = np.array([z for z, _, _ in MAIOLINO])[::-1]
        self.redshifts = tuple(float(z) for z in knots)
        self.times = tuple(float(t) for t in np.asarray(cosmo.age(cosmology, knots)))  # Gyr, increasing
        self.scatter = physical(scatter, lo=1e-3, hi=2.0, unit="dex")

    def fitted(self) -> Ranges:
        """The cosmic times [Gyr] between the redshifts 3.5 and 0.07 of the samples."""
        return (Range("birth", "Gyr", self.times[0], self.times[-1], "Maiolino et al. 2008, A&A 488, 463"),)

    def lgmet(self, stars: StellarHistory) -> Float[Array, "point"]:
        """log10 Z [dex] at the mass and the time of birth, at least -5; beyond z = 0.07 and 3.5 the ends hold."""
        # straight lines in time between the four redshifts: 0.02 dex from those in redshift
        birth = stars.time - stars.age
        mass = log10_formed_before(stars)
        rows = jnp.stack([maiolino08(mass, z) for z in self.redshifts])
        t = np.array(self.times)
        share = jnp.clip((birth - t[:-1, None]) / np.diff(t)[:, None], 0.0, 1.0)
        log_oh = rows[0] + (share * jnp.diff(rows, axis=0)).sum(0) + 12.0
        return jnp.maximum(stars_of_oxygen(log_oh), FLOOR)

    def spread(self) -> Float[Array, ""]:
        """The scatter [dex]."""
        return self.scatter.bounded
