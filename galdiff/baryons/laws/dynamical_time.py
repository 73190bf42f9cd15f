"""Star formation at a fixed efficiency per dynamical time of the disc (Kennicutt 1998, ApJ 498, 541, eq. 7)."""

import math
from typing import Any

from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.disc import scale_length
from galdiff.baryons.laws.law import Law
from galdiff.baryons.patankar import Contents
from galdiff.core.variables import physical


class DynamicalTime(Law):
    """Stars formed per mass of ISM [1/Gyr]: efficiency x V_vir / r, r the edge of the disc.

    The edge is `edge` scale lengths (`scale_length`) from the centre; V_vir stands for the rotation there.
    """

    def __init__(
        self,
        *,
        efficiency: float = 0.017,
        size_of_spin: float = math.sqrt(0.5),
        edge: float = 3.0,
        spin: float = 0.035,
    ) -> None:
        self.efficiency = physical(efficiency, unit="1", lo=0.0, hi=1.0)
        self.size_of_spin = physical(size_of_spin, unit="1", lo=0.1, hi=3.0)
        self.edge = edge
        self.spin = spin

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Array:
        """Rate [1/Gyr] of the halo; t_dyn = R_vir / V_vir."""
        r_over_r_vir = self.edge * scale_length(p.size_of_spin, self.spin, halo_state.halo) / halo_state.halo.r_vir
        return p.efficiency / (r_over_r_vir * halo_state.t_dyn)
