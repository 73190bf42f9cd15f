"""Star formation by the surface density of the gas (Kennicutt 1998, ApJ 498, 541, eq. 4), in an exponential disc."""

import math
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.disc import scale_length
from galdiff.baryons.laws.law import Law
from galdiff.baryons.patankar import Contents
from galdiff.core.variables import physical

PC2_PER_KPC2 = 1e6
THINNEST = 1e-12  # Msun/pc^2; a power below 1 has no slope at zero


class Schmidt(Law):
    """Stars formed per mass of ISM [1/Gyr]: Sigma_SFR = 10^log10_a Msun/yr/kpc^2 (Sigma_gas / Msun pc^-2)^slope.

    The gas is an exponential disc (`scale_length`); the integral of its star formation over radius is that of a disc
    with the density of its centre, over slope^2.
    """

    sees_contents: ClassVar[bool] = True

    def __init__(
        self, *, log10_a: float = -3.602, slope: float = 1.4, size_of_spin: float = math.sqrt(0.5), spin: float = 0.035
    ) -> None:
        self.log10_a = physical(log10_a, unit="dex(Msun/yr/kpc^2)", lo=-5.0, hi=-2.0)
        self.slope = physical(slope, unit="1", lo=1.0, hi=2.0)
        self.size_of_spin = physical(size_of_spin, unit="1", lo=0.1, hi=3.0)
        self.spin = spin

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Array:
        """Rate [1/Gyr] at the mass of the ISM."""
        assert contents is not None  # it is called inside the step
        r_disc = scale_length(p.size_of_spin, self.spin, halo_state.halo)
        central = contents["mass"]["ism"] / (2 * jnp.pi * PC2_PER_KPC2 * r_disc**2)  # Msun/pc^2
        at_one = 10**p.log10_a * (1e9 / PC2_PER_KPC2)  # 1/Gyr, where the surface density is 1 Msun/pc^2
        return at_one * jnp.maximum(central, THINNEST) ** (p.slope - 1) / p.slope**2
