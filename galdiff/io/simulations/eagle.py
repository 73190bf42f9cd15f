"""EAGLE (Schaye et al. 2015, MNRAS 446, 521; data release: McAlpine et al. 2016, Astron. Comput. 15, 72)."""

from galdiff.io.simulations.convention import KELVIN, MPC_CGS, MSUN_CGS, YEAR_S, Convention, Field, Unit

_LENGTH = Unit("length", MPC_CGS, 1.0, -1.0)
_MASS = Unit("mass", 1e10 * MSUN_CGS, h_power=-1.0)
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocity", "Velocities"), Unit("velocity", 1e5, 0.5), width=3),
    "metallicity": Field(("SmoothedMetallicity", "Metallicity")),
}


def _recognise(paths, _header) -> bool:
    return "PartType4/StellarFormationTime" in paths or any("/SmoothedMetallicity" in path for path in paths)


CONVENTION = Convention(
    name="eagle",
    labels=("eagle",),
    recognise=_recognise,
    stars=_COMMON
    | {
        "mass": Field(("InitialMass",), _MASS),
        "mass_now": Field(("Mass", "Masses"), _MASS, required=False),
        "formation": Field(("StellarFormationTime",)),
    },
    gas=_COMMON
    | {
        "mass": Field(("Mass", "Masses"), _MASS),
        "temperature": Field(("Temperature",), KELVIN, required=False),
        "sfr": Field(("StarFormationRate",), Unit("sfr", MSUN_CGS / YEAR_S), required=False),
        "smoothing": Field(("SmoothingLength",), _LENGTH, required=False),
        "oxygen": Field(("SmoothedElementAbundance/Oxygen", "ElementAbundance/Oxygen"), required=False),
        "hydrogen": Field(("SmoothedElementAbundance/Hydrogen", "ElementAbundance/Hydrogen"), required=False),
    },
)
