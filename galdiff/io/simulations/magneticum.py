"""Magneticum (Hirschmann et al. 2014, MNRAS 442, 2304; Teklu et al. 2015, ApJ 812, 29).

`Metallicity` holds the masses of 11 elements or groups: column 0 is helium, column 3 oxygen. For stars they belong
to the initial mass (helium over current mass would be an unphysical 0.44). The attributes of the star formation rate
(6.3e35 g/s) are not credible; read as Msun/yr the values are normal.
"""

from galdiff.io.simulations.convention import KELVIN, MPC_CGS, MSUN_CGS, YEAR_S, Columns, Convention, Field, Unit

_LENGTH = Unit("length", MPC_CGS / 1e3, 1.0, -1.0)
_MASS = Unit("mass", 1e10 * MSUN_CGS, h_power=-1.0)
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocity", "Velocities"), Unit("velocity", 1e5, 0.5), width=3),
    "metals": Field(("Metallicity",), _MASS, width=11, trusted=False),
}


def _stars_rule(columns: Columns) -> Columns:
    """Z = mass of all elements but helium over the mass formed."""
    out = dict(columns)
    out["metallicity"] = out.pop("metals")[:, 1:].sum(1) / out["mass"]
    return out


def _gas_rule(columns: Columns) -> Columns:
    """Z and oxygen over the gas mass; hydrogen is what the table of elements leaves."""
    out = dict(columns)
    fractions = out.pop("metals") / out["mass"][:, None]
    out |= {"metallicity": fractions[:, 1:].sum(1), "oxygen": fractions[:, 3], "hydrogen": 1.0 - fractions.sum(1)}
    return out


def _recognise(paths, _header) -> bool:
    return any(f"PartType{i}/Metallicity[11]" in paths for i in (0, 4))


CONVENTION = Convention(
    name="magneticum",
    labels=("magneticum",),
    recognise=_recognise,
    stars_rule=_stars_rule,
    gas_rule=_gas_rule,
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
        "sfr": Field(("StarFormationRate",), Unit("sfr", MSUN_CGS / YEAR_S), required=False, trusted=False),
        "smoothing": Field(("SmoothingLength",), _LENGTH, required=False),
    },
)
