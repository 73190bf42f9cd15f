"""Gas cools in a cooling time, then falls freely (Pandya et al. 2023, ApJ 956, 118, section 2)."""

from collections.abc import Callable
from typing import Any, Literal

from flax import nnx
from jaxtyping import Array

from galdiff.baryons.cooling import SmoothCooling
from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.hot_gas import cooling_time, known
from galdiff.baryons.laws.cooling import CoolingLaw, CoolingTimes
from galdiff.baryons.patankar import Contents
from galdiff.core import soft
from galdiff.core.fitted import Ranges, ranges_of


class CoolingTime(CoolingLaw):
    """Heat is radiated in t_cool = E/Edot, not below t_dyn; gas arrives in t_cool + t_ff.

    `function` is log10 Lambda_N of (log10 T, log10 Z/Z_sun); None for the smooth fit. `convention` says which pairs of
    particles radiate, see `galdiff.baryons.hot_gas.cooling_time`.
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
        """Both times [Gyr]."""
        assert contents is not None  # it is called inside the step
        t_cool = halo_state.t_dyn * at_least(cooling_time(self.function, halo_state, contents, self.convention))
        return CoolingTimes(radiation=t_cool, arrival=t_cool + halo_state.t_ff)
