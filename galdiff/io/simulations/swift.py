"""SWIFT snapshots with COLIBRE's fields (Schaller et al. 2024, MNRAS 530, 2378; Schaye et al. 2025, arXiv:2508.21126).

No factor h anywhere; velocities are peculiar; one unit of star formation rate is 1e10 Msun per 977.8 Gyr.
"""

import numpy as np

from galdiff import units
from galdiff.io.simulations.convention import KELVIN, Columns, Convention, Field, Unit

_LENGTH = Unit("length", units.MPC_CM, 1.0)
_MASS = Unit("mass", 1e10 * units.MSUN_G)
_SFR_CGS = 1e10 * units.MSUN_G / (units.MPC_CM / 1e5)  # mass unit over Mpc/(km/s)
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocities",), Unit("velocity", 1e5), width=3),
    "metallicity": Field(("MetalMassFractions", "SmoothedMetalMassFractions")),
}


def _recognise(paths, _header) -> bool:
    return "PartType4/BirthScaleFactors" in paths or any("/MetalMassFractions" in path for path in paths)


def _gas_rule(columns: Columns) -> Columns:
    """A negative rate in SWIFT is minus the scale factor of the last star formation: the rate is zero."""
    if "sfr" in columns:
        columns = columns | {"sfr": np.maximum(columns["sfr"], 0.0)}
    return columns


CONVENTION = Convention(
    name="swift",
    labels=("colibre", "swift", "flamingo"),
    recognise=_recognise,
    gas_rule=_gas_rule,
    stars=_COMMON
    | {
        "mass": Field(("InitialMasses",), _MASS),
        "mass_now": Field(("Masses",), _MASS, required=False),
        "formation": Field(("BirthScaleFactors",)),
    },
    gas=_COMMON
    | {
        "mass": Field(("Masses",), _MASS),
        "temperature": Field(("Temperatures",), KELVIN, required=False),
        "sfr": Field(("StarFormationRates",), Unit("sfr", _SFR_CGS), required=False),
        "smoothing": Field(("SmoothingLengths",), _LENGTH, required=False),
        "oxygen": Field(("ElementMassFractions/Oxygen",), required=False),
        "hydrogen": Field(("ElementMassFractions/Hydrogen",), required=False),
    },
)
