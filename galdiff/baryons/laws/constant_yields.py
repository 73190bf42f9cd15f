"""Recycling and yields as numbers (Pandya et al. 2026), and their older names."""

import warnings
from collections.abc import Mapping
from typing import Any

from galdiff import units
from galdiff.baryons.laws.yields import Generation, YieldsLaw
from galdiff.core.variables import physical
from galdiff.errors import InputError

ENERGY_YIELD = 1e51 / 100 / units.MSUN_G / 1e10  # 1e51 erg for 100 Msun of stars [(km/s)^2]


class ConstantYields(YieldsLaw):
    """Share of the stars formed that dies at once [1], new metals [1] and energy of supernovae per mass formed.

    Without `energy_yield` [(km/s)^2] it is for cycles without energy.
    """

    def __init__(self, *, f_recycle: float, metal_yield: float, energy_yield: float | None = None) -> None:
        self.f_recycle = physical(f_recycle, unit="1", lo=0.0, hi=0.9)
        self.metal_yield = physical(metal_yield, unit="1", lo=0.0, hi=0.1)
        if energy_yield is not None:
            self.energy_yield = physical(energy_yield, unit="(km/s)^2", lo=0.0, hi=10 * ENERGY_YIELD)

    def generation(self, p: Any) -> Generation:
        """The numbers [1, 1, (km/s)^2] themselves."""
        return Generation(**{name: getattr(p, name) for name in self._physical()})


def yields_of(law: YieldsLaw | None, defaults: Mapping[str, float], given: Mapping[str, float | None]) -> YieldsLaw:
    """The law in the slot of yields, or constants; numbers beside it are older names of its own.

    Args:
      law: as given; None for constants.
      defaults: of the constants.
      given: numbers that the cycle was given by name, None where it was not.

    Raises:
      InputError: a number beside a law that computes it.
    """
    numbers = {name: value for name, value in given.items() if value is not None}
    if law is None:
        return ConstantYields(**{**defaults, **numbers})
    if not numbers:
        return law
    names = ", ".join(numbers)
    if not isinstance(law, ConstantYields):
        raise InputError(
            f"{names} is given beside yields, a {type(law).__name__}, which computes it; leave it out, or give"
            f" yields=constant and yields.{names}"
        )
    own = {name: float(variable.bounded) for name, variable in law._physical().items()}
    changed = ConstantYields(**{**own, **numbers})
    warnings.warn(f"{names}: this key is yields.{names} now; its value is used", stacklevel=3)
    return changed
