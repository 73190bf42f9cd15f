"""Gas within the cooling radius arrives in a dynamical time (Croton et al. 2006, MNRAS 365, 11; Guo et al. 2011)."""

from collections.abc import Callable
from typing import Any, Literal

from flax import nnx
from jaxtyping import Array

from galdiff.baryons.cooling import SmoothCooling
from galdiff.baryons.halo_state import ALPHA_N, LN_EDGE, R_INNER, HaloState
from galdiff.baryons.hot_gas import cooling_time, known
from galdiff.baryons.laws.cooling import CoolingLaw, CoolingTimes
from galdiff.baryons.patankar import Contents
from galdiff.core import soft
from galdiff.core.fitted import Ranges, ranges_of

AT_EDGE = (3 + ALPHA_N) * LN_EDGE / (1 - R_INNER ** (3 + ALPHA_N))  # cooling time at R_vir over that of all the gas


class CoolingRadius(CoolingLaw):
    """M_cgm/t_dyn x min(r_cool/R_vir, 1) of gas cools (Guo et al. 2011, MNRAS 413, 101) and takes its heat along.

    At r_cool the local cooling time, which grows as r^1.5 with the density profile of this model, is R_vir/V_vir:
    quasi-static cooling inside, infall in a dynamical time where r_cool is beyond R_vir. Heat per mass of what stays is
    unchanged. `function` is log10 Lambda_N of (log10 T, log10 Z/Z_sun); None for the smooth fit. `convention` says
    which pairs of particles radiate, see `galdiff.baryons.hot_gas.cooling_time`.
    """

    def __init__(self, *, function: nnx.Module | None = None, convention: Literal["ne_nt", "n2"] = "ne_nt") -> None:
        self.function, self.convention = function or SmoothCooling(), known(convention)

    def fitted(self) -> Ranges:
        """The ranges of temperature [K] and metallicity of the cooling function."""
        return ranges_of(self.function)

    def __call__(
        self,
        p: Any,
        halo_state: HaloState,
        contents: Contents | None = None,
        at_least: Callable[[Array], Array] = soft.at_least,
    ) -> CoolingTimes:
        """The same time [Gyr] for heat and mass."""
        assert contents is not None  # it is called inside the step
        r_vir_over_r_cool = (AT_EDGE * cooling_time(self.function, halo_state, contents, self.convention)) ** (
            -1 / ALPHA_N
        )
        time = halo_state.t_dyn * at_least(r_vir_over_r_cool)
        return CoolingTimes(radiation=time, arrival=time)
