"""Star formation by the surface density of the gas (Kennicutt 1998, ApJ 498, 541, eq. 4), in an exponential disc."""

import math
from typing import ClassVar

import jax.numpy as jnp

from galdiff.baryons.laws.law import Law
from galdiff.core.variables import physical

PC2_PER_KPC2 = 1e6


class Schmidt(Law):
    """Stars formed per mass of ISM [1/Gyr]: Sigma_SFR = 10^log10_a Msun/yr/kpc^2 (Sigma_gas / Msun pc^-2)^slope.

    The gas is an exponential disc of scale length size_of_spin x spin x R_vir (1/sqrt 2: Mo, Mao & White 1998, MNRAS
    295, 319, eq. 12); the integral of its star formation over radius is that of its centre over slope^2. `spin` is
    taken where a halo does not know its own.
    """

    sees_contents: ClassVar[bool] = True

    def __init__(
        self, *, log10_a: float = -3.602, slope: float = 1.4, size_of_spin: float = math.sqrt(0.5), spin: float = 0.035
    ):
        self.log10_a = physical(log10_a, unit="dex(Msun/yr/kpc^2)", lo=-5.0, hi=-2.0)
        self.slope = physical(slope, unit="1", lo=1.0, hi=2.0)
        self.size_of_spin = physical(size_of_spin, unit="1", lo=0.1, hi=3.0)
        self.spin = spin

    def __call__(self, p, forcing, contents):
        """Rate [1/Gyr] at the mass of the ISM."""
        spin = self.spin if forcing.halo.spin is None else forcing.halo.spin
        r_disc = p.size_of_spin * spin * forcing.halo.r_vir
        central = contents["mass"]["ism"] / (2 * jnp.pi * r_disc**2) / PC2_PER_KPC2  # Msun/pc^2
        at_one = 10**p.log10_a * 1e9 / PC2_PER_KPC2  # 1/Gyr, where the surface density is 1 Msun/pc^2
        return at_one * central ** (p.slope - 1) / p.slope**2
