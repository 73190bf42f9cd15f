"""SWIFT snapshots with COLIBRE's fields (Schaller et al. 2024, MNRAS 530, 2378; Schaye et al. 2025, arXiv:2508.21126).

No factor h anywhere; velocities are peculiar; one unit of star formation rate is 1e10 Msun per 977.8 Gyr.
"""

import typing

import numpy as np

from galdiff import units
from galdiff.io.simulations.convention import KELVIN, Columns, Field, Unit
from galdiff.io.simulations.cosmological import Cosmological
from galdiff.io.simulations.look import Look

_LENGTH = Unit("length", units.MPC_CM, 1.0)
_MASS = Unit("mass", 1e10 * units.MSUN_G)
_SFR_CGS = 1e10 * units.MSUN_G / (units.MPC_CM / 1e5)  # mass unit over Mpc/(km/s)
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocities",), Unit("velocity", 1e5), width=3),
    "metallicity": Field(("MetalMassFractions", "SmoothedMetalMassFractions")),
}


@typing.final
class Swift(Cosmological):
    """Plural names, scale factors at birth, no factor h."""

    name = "swift"
    labels = ("colibre", "swift", "flamingo")
    stars = _COMMON | {
        "mass": Field(("InitialMasses",), _MASS),
        "mass_now": Field(("Masses",), _MASS, required=False),
        "formation": Field(("BirthScaleFactors",)),
    }
    gas = _COMMON | {
        "mass": Field(("Masses",), _MASS),
        "temperature": Field(("Temperatures",), KELVIN, required=False),
        "sfr": Field(("StarFormationRates",), Unit("sfr", _SFR_CGS), required=False),
        "smoothing": Field(("SmoothingLengths",), _LENGTH, required=False),
        "oxygen": Field(("ElementMassFractions/Oxygen",), required=False),
        "hydrogen": Field(("ElementMassFractions/Hydrogen",), required=False),
    }

    def recognises(self, look: Look) -> bool:
        """Whether gas or stars have a field of its names."""
        names = ("PartType4/BirthScaleFactors", "PartType4/MetalMassFractions", "PartType0/MetalMassFractions")
        return any(look.has(name) for name in names)

    def gas_rule(self, columns: Columns) -> Columns:
        """A negative rate in SWIFT is minus the scale factor of the last star formation: the rate is zero."""
        if "sfr" in columns:
            columns = columns | {"sfr": np.maximum(columns["sfr"], 0.0)}
        return columns
