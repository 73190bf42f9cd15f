"""Magneticum (Hirschmann et al. 2014, MNRAS 442, 2304; Teklu et al. 2015, ApJ 812, 29).

`Metallicity` holds the masses of 11 elements or groups: column 0 is helium, column 3 oxygen. For stars they belong
to the initial mass (helium over current mass would be an unphysical 0.44). The attributes of the star formation rate
(6.3e35 g/s) are not credible; read as Msun/yr the values are normal.
"""

import typing

from galdiff.io.simulations.convention import KELVIN, MPC_CGS, MSUN_CGS, YEAR_S, Columns, Field, Unit
from galdiff.io.simulations.cosmological import Cosmological
from galdiff.io.simulations.look import Look, is_helium

_LENGTH = Unit("length", MPC_CGS / 1e3, 1.0, -1.0)
_MASS = Unit("mass", 1e10 * MSUN_CGS, h_power=-1.0)
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocity", "Velocities"), Unit("velocity", 1e5, 0.5), width=3),
    "metals": Field(("Metallicity",), _MASS, width=11, trusted=False),
}


@typing.final
class Magneticum(Cosmological):
    """Element masses of 11 columns, to be divided by the mass formed."""

    name = "magneticum"
    labels = ("magneticum",)
    stars = _COMMON | {
        "mass": Field(("InitialMass",), _MASS),
        "mass_now": Field(("Mass", "Masses"), _MASS, required=False),
        "formation": Field(("StellarFormationTime",)),
    }
    gas = _COMMON | {
        "mass": Field(("Mass", "Masses"), _MASS),
        "temperature": Field(("Temperature",), KELVIN, required=False),
        "sfr": Field(("StarFormationRate",), Unit("sfr", MSUN_CGS / YEAR_S), required=False, trusted=False),
        "smoothing": Field(("SmoothingLength",), _LENGTH, required=False),
    }

    def recognises(self, look: Look) -> bool:
        """Whether `Metallicity` has 11 columns, of which the first is helium in the unit of the mass formed."""
        metals, mass = "PartType4/Metallicity", "PartType4/InitialMass"
        if look.columns(metals) != 11 or look.columns(mass) != 1:
            return False
        helium, formed = look.sample(metals)[:, 0], look.sample(mass).ravel()
        good = formed[: len(helium)] > 0
        return is_helium(helium[: len(formed)][good] / formed[: len(helium)][good])

    def stars_rule(self, columns: Columns) -> Columns:
        """Z = mass of all elements but helium over the mass formed."""
        out = dict(columns)
        out["metallicity"] = out.pop("metals")[:, 1:].sum(1) / out["mass"]
        return out

    def gas_rule(self, columns: Columns) -> Columns:
        """Z and oxygen over the gas mass; hydrogen is what the table of elements leaves."""
        out = dict(columns)
        fractions = out.pop("metals") / out["mass"][:, None]
        out |= {"metallicity": fractions[:, 1:].sum(1), "oxygen": fractions[:, 3], "hydrogen": 1.0 - fractions.sum(1)}
        return out
