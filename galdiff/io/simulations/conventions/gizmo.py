"""GIZMO (Hopkins 2015, MNRAS 450, 53), as FIRE-2 (Wetzel et al. 2023, ApJS 265, 44) and SIMBA write it.

`Metallicity` holds mass fractions: column 0 is all metals, 1 helium, 4 oxygen; tracers may follow column 10 (iron).
Stars keep their present mass, rarely the one they were born with. Times are scale factors in cosmological runs alone.
"""

import typing
from collections.abc import Mapping
from typing import Any

from galdiff.core.numbers import scalar
from galdiff.errors import InputError
from galdiff.io.simulations.convention import MPC_CGS, MSUN_CGS, YEAR_S, Columns, Field, Unit
from galdiff.io.simulations.cosmological import Cosmological
from galdiff.io.simulations.gas import temperature
from galdiff.io.simulations.look import Look, is_helium

ELEMENTS = 11
_LENGTH = Unit("length", MPC_CGS / 1e3, 1.0, -1.0)
_MASS = Unit("mass", 1e10 * MSUN_CGS, h_power=-1.0)
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocities",), Unit("velocity", 1e5, 0.5), width=3),
    "metals": Field(("Metallicity",), width=ELEMENTS, wider=True),
}
_UNITS = {"UnitLength_In_CGS": _LENGTH, "UnitMass_In_CGS": _MASS, "UnitVelocity_In_CGS": Unit("velocity", 1e5)}


@typing.final
class Gizmo(Cosmological):
    """Mass fractions of elements with their sum in front."""

    name = "gizmo"
    stars = _COMMON | {
        "mass": Field(("InitialMass", "InitialMasses"), _MASS, required=False, instead="mass_now"),
        "mass_now": Field(("Masses",), _MASS),
        "formation": Field(("StellarFormationTime",)),
    }
    gas = _COMMON | {
        "mass": Field(("Masses",), _MASS),
        "energy": Field(("InternalEnergy",), Unit("energy", 1e10), required=False),
        "electrons": Field(("ElectronAbundance",), required=False),
        "sfr": Field(("StarFormationRate",), Unit("sfr", MSUN_CGS / YEAR_S), required=False),
        "smoothing": Field(("SmoothingLength",), _LENGTH, required=False),
    }

    def recognises(self, look: Look) -> bool:
        """Whether `Metallicity` has 11 columns or more, of which the second is the mass fraction of helium."""
        metals = "PartType4/Metallicity"
        return look.columns(metals) >= ELEMENTS and is_helium(look.sample(metals)[:, 1])

    def check_header(self, header: Mapping[str, Any], path: str) -> None:
        """Refuse isolated runs, whose times are no scale factors, and code units that are not the usual ones."""
        comoving = scalar(header.get("ComovingIntegrationOn", 1), f"{path}: Header.ComovingIntegrationOn")
        if comoving != 1:
            raise InputError(
                f"{path}: Header.ComovingIntegrationOn is {comoving:g}: times are no scale factors, as 'gizmo' needs;"
                " write a table with ages [Gyr] (docs/snapshots.md)"
            )
        h = scalar(header.get("HubbleParam", 1.0), f"{path}: Header.HubbleParam")
        for name, unit in _UNITS.items():
            value = scalar(header.get(name, unit.cgs), f"{path}: Header.{name}")
            if min(abs(value / unit.cgs - 1.0), abs(value / (unit.cgs / h) - 1.0)) > 2e-3:  # per h, or with it
                raise InputError(
                    f"{path}: Header.{name} = {value:.6g}; expected {unit.cgs:.6g} (kpc/h, 1e10 Msun/h, km/s), as FIRE"
                    " and SIMBA have it; convert the columns, or write a table with units (docs/snapshots.md)"
                )

    def stars_rule(self, columns: Columns) -> Columns:
        """Z is the first column of the table of elements."""
        out = dict(columns)
        out["metallicity"] = out.pop("metals")[:, 0]
        return out

    def gas_rule(self, columns: Columns) -> Columns:
        """Z, oxygen, hydrogen as what metals and helium leave, and the temperature of such a mixture."""
        out = dict(columns)
        metals, energy, electrons = out.pop("metals"), out.pop("energy", None), out.pop("electrons", None)
        out |= {"metallicity": metals[:, 0], "oxygen": metals[:, 4], "hydrogen": 1.0 - metals[:, 0] - metals[:, 1]}
        if energy is not None and electrons is not None:
            out["temperature"] = temperature(energy, electrons, 1.0 - metals[:, 1])
        return out
