"""EAGLE (Schaye et al. 2015, MNRAS 446, 521; data release: McAlpine et al. 2016, Astron. Comput. 15, 72)."""

import typing

from galdiff.io.simulations.convention import KELVIN, MPC_CGS, MSUN_CGS, YEAR_S, Field, Unit
from galdiff.io.simulations.cosmological import Cosmological
from galdiff.io.simulations.look import Look

_LENGTH = Unit("length", MPC_CGS, 1.0, -1.0)
_MASS = Unit("mass", 1e10 * MSUN_CGS, h_power=-1.0)
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocity", "Velocities"), Unit("velocity", 1e5, 0.5), width=3),
    "metallicity": Field(("SmoothedMetallicity", "Metallicity")),
}


@typing.final
class Eagle(Cosmological):
    """Names of Gadget-3, smoothed metal fractions, lengths in Mpc/h."""

    name = "eagle"
    labels = ("eagle",)
    stars = _COMMON | {
        "mass": Field(("InitialMass",), _MASS),
        "mass_now": Field(("Mass", "Masses"), _MASS, required=False),
        "formation": Field(("StellarFormationTime",)),
    }
    gas = _COMMON | {
        "mass": Field(("Mass", "Masses"), _MASS),
        "temperature": Field(("Temperature",), KELVIN, required=False),
        "sfr": Field(("StarFormationRate",), Unit("sfr", MSUN_CGS / YEAR_S), required=False),
        "smoothing": Field(("SmoothingLength",), _LENGTH, required=False),
        "oxygen": Field(("SmoothedElementAbundance/Oxygen", "ElementAbundance/Oxygen"), required=False),
        "hydrogen": Field(("SmoothedElementAbundance/Hydrogen", "ElementAbundance/Hydrogen"), required=False),
    }

    def recognises(self, look: Look) -> bool:
        """Whether stars have plain metal fractions under its names, and gas comes as particles."""
        smoothed = look.columns("PartType4/SmoothedMetallicity") == 1
        plain = look.columns("PartType4/Metallicity") == 1 and look.has("PartType4/InitialMass")
        born = look.has("PartType4/StellarFormationTime")
        cells = look.has("PartType0/dx") or ("NumPart_This" in look.header and "Time" not in look.header)
        return (smoothed or (plain and born)) and not cells
