"""Star formation on a depletion time that is a power law of V_vir and 1 + z (Pandya et al. 2026, eq. 8)."""

from typing import Any

from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.law import Law
from galdiff.baryons.laws.power_law import power_law
from galdiff.baryons.patankar import Contents
from galdiff.core.variables import physical


class DepletionTime(Law):
    """Stars formed per mass of ISM [1/Gyr]: 1 / t_dep, t_dep = 10^log10_a Gyr (V_vir/125 km/s)^alpha0 (1+z)^beta."""

    def __init__(
        self,
        *,
        log10_a: float = 0.8,
        alpha0: float = -1.8,
        alpha_z: float = 0.0,
        beta: float = -0.7,
        log10_a_range: tuple[float, float] = (0.0, 1.1),
        alpha0_range: tuple[float, float] = (-4.0, 0.0),
    ) -> None:
        self.log10_a = physical(log10_a, unit="dex", lo=log10_a_range[0], hi=log10_a_range[1])
        self.alpha0 = physical(alpha0, unit="1", lo=alpha0_range[0], hi=alpha0_range[1])
        self.alpha_z = physical(alpha_z, unit="1", lo=-2.0, hi=2.0)
        self.beta = physical(beta, unit="1", lo=-5.0, hi=5.0)

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Array:
        """Rate [1/Gyr] at V_vir and redshift."""
        return 1 / power_law(p, halo_state)
