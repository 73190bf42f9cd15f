"""Horizon-AGN (Dubois et al. 2014, MNRAS 444, 1453), as cut out for SimSpin.

Positions are physical kpc of 3.08e21 cm, masses are solar masses of 2e33 g, gas comes as AMR cells of size `dx`. Every
initial mass is the current one over 0.88. The unit of the star formation rate (6.3e17 g/s) is not credible, so that
field is left out.
"""

import typing

from galdiff.io.simulations.convention import KELVIN, MPC_CGS, Field, Unit
from galdiff.io.simulations.cosmological import Cosmological
from galdiff.io.simulations.look import Look
from galdiff.units import KPC_HORIZON_CM, MSUN_HORIZON_G

_LENGTH = Unit("length", KPC_HORIZON_CM)
_MASS = Unit("mass", MSUN_HORIZON_G)
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocity", "Velocities"), Unit("velocity", 1e5), width=3),
    "metallicity": Field(("SmoothedMetallicity", "Metallicity")),
}


@typing.final
class HorizonAgn(Cosmological):
    """Names of EAGLE in physical units, with gas in cells of AMR."""

    name = "horizon_agn"
    labels = ("horizon",)
    box = Field(("BoxSize",), Unit("length", MPC_CGS, 1.0, -1.0))
    stars = _COMMON | {
        "mass": Field(("InitialMass",), _MASS),
        "mass_now": Field(("Mass", "Masses"), _MASS, required=False),
        "formation": Field(("StellarFormationTime",)),
    }
    gas = _COMMON | {
        "mass": Field(("Mass", "Masses"), _MASS),
        "temperature": Field(("Temperature",), KELVIN, required=False),
        "smoothing": Field(("dx",), _LENGTH, required=False),
        "oxygen": Field(("SmoothedElementAbundance/Oxygen",), required=False),
        "hydrogen": Field(("SmoothedElementAbundance/Hydrogen",), required=False),
    }

    def recognises(self, look: Look) -> bool:
        """AMR cells, or the header that only this cutout has; the star fields are those of EAGLE."""
        return look.has("PartType0/dx") or ("NumPart_This" in look.header and "Time" not in look.header)
