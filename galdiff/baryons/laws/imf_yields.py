"""Recycling and yields of a mass function: what its stars return by an age, their metals and their supernovae."""

from typing import Any

import jax
import jax.numpy as jnp

from galdiff.baryons.laws.yields import Generation, YieldsLaw
from galdiff.core.fitted import Range
from galdiff.core.variables import physical, table
from galdiff.imf import Imf, metal_yield, return_fraction, supernova_energy
from galdiff.imf.returns import SUPERNOVA_ERG, Z_LIMITS
from galdiff.units import Z_SUN


class ImfYields(YieldsLaw):
    """R(age), metal yield and supernova energy per mass formed (`galdiff.imf.returns`, which names the sources).

    All at once, as the cycle asks for; `age` [Gyr] is when a generation is counted.
    """

    FITTED = (Range("metallicity.ism", "", *Z_LIMITS, "Padova tracks: Raiteri et al. 1996, A&A 315, 105"),)

    def __init__(
        self, *, imf: Imf, age: float = 10.0, metallicity: float = Z_SUN, supernova_erg: float = SUPERNOVA_ERG
    ) -> None:
        self.imf = table(imf)
        self.age = physical(age, unit="Gyr", lo=0.03, hi=15.0)
        self.metallicity = metallicity
        self.supernova_erg = supernova_erg

    def generation(self, p: Any) -> Generation:
        """What stars of the mass function give [1, 1, (km/s)^2]."""
        imf = jax.tree.map(lambda x: x.astype(jnp.result_type(p.age)), self.imf.get_value())
        return Generation(
            f_recycle=return_fraction(imf, p.age, self.metallicity),
            metal_yield=metal_yield(imf),
            energy_yield=supernova_energy(imf, self.supernova_erg),
        )
