"""A power law of V_vir and 1 + z that levels off: metallicity of the inflow, which is below that of any cluster."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.power_law import PowerLaw, power_law
from galdiff.baryons.patankar import Contents
from galdiff.core.variables import physical

SHARPNESS = 4.0  # of the bend: a tenth below the power law where that is 0.85 of the ceiling


class CappedPowerLaw(PowerLaw):
    """x / (1 + (x / ceiling)^4)^(1/4) of the power law x [1]; `log10_ceiling` [dex] is bounded by its prior range.

    The power law of Pandya et al. (2026) alone gives 1.4, 3.3 and 7.7 times solar metallicity for what falls into halos
    of 10^13, 10^13.5 and 10^14 Msun; hot gas outside the cores of clusters has 0.3 (Werner et al. 2013, Nature 502,
    656).
    """

    def __init__(
        self,
        *,
        log10_a: float,
        alpha0: float,
        alpha_z: float = 0.0,
        beta: float = 0.0,
        log10_ceiling: float,
        log10_a_range: tuple[float, float],
        alpha0_range: tuple[float, float] = (-4.0, 0.0),
        log10_ceiling_range: tuple[float, float] = (-2.7, -1.7),
        fitted_log10_m: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(
            log10_a=log10_a,
            alpha0=alpha0,
            alpha_z=alpha_z,
            beta=beta,
            log10_a_range=log10_a_range,
            alpha0_range=alpha0_range,
            fitted_log10_m=fitted_log10_m,
        )
        lo, hi = log10_ceiling_range
        self.log10_ceiling = physical(log10_ceiling, unit="dex", lo=lo, hi=hi)

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Array:
        """The number at V_vir and redshift."""
        over = jnp.log(power_law(p, halo_state)) - jnp.log(10.0) * p.log10_ceiling
        return 10**p.log10_ceiling * jnp.exp(-jax.nn.softplus(-SHARPNESS * over) / SHARPNESS)
