"""IllustrisTNG, AREPO's files (Nelson et al. 2019, Comput. Astrophys. Cosmol. 6, 2)."""

import typing

import numpy as np

from galdiff.io.simulations.convention import MPC_CGS, MSUN_CGS, YEAR_S, Columns, Field, Unit
from galdiff.io.simulations.cosmological import Cosmological
from galdiff.io.simulations.gas import temperature
from galdiff.io.simulations.look import Look

_LENGTH = Unit("length", MPC_CGS / 1e3, 1.0, -1.0)
_MASS = Unit("mass", 1e10 * MSUN_CGS, h_power=-1.0)
_DENSITY_CGS = 1e10 * MSUN_CGS / (MPC_CGS / 1e3) ** 3
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocities",), Unit("velocity", 1e5, 0.5), width=3),
    "metallicity": Field(("GFM_Metallicity",)),
}


@typing.final
class IllustrisTng(Cosmological):
    """Fields that begin with GFM_; also those of Illustris and of other runs of AREPO."""

    name = "illustris_tng"
    labels = ("illustris", "tng")
    stars = _COMMON | {
        "mass": Field(("GFM_InitialMass",), _MASS),
        "mass_now": Field(("Masses",), _MASS, required=False),
        "formation": Field(("GFM_StellarFormationTime",)),
    }
    gas = _COMMON | {
        "mass": Field(("Masses",), _MASS),
        "energy": Field(("InternalEnergy",), Unit("energy", 1e10), required=False),
        "electrons": Field(("ElectronAbundance",), required=False),
        "density": Field(("Density",), Unit("density", _DENSITY_CGS, -3.0, 2.0), required=False),
        "sfr": Field(("StarFormationRate",), Unit("sfr", MSUN_CGS / YEAR_S), required=False),
        "metals": Field(("GFM_Metals",), width=10, required=False),
    }

    def recognises(self, look: Look) -> bool:
        """Whether gas or stars have a field that begins with GFM_."""
        return any(name.startswith(("PartType0/GFM_", "PartType4/GFM_")) for name in look.shapes)

    def stars_rule(self, columns: Columns) -> Columns:
        """Wind particles are gas that travels as PartType4: their formation time is not positive."""
        stars = ~(columns["formation"] <= 0)  # NaN stays, to be reported
        return {name: values[stars] for name, values in columns.items()}

    def gas_rule(self, columns: Columns) -> Columns:
        """Temperature, cell radius (3 V / 4 pi)^(1/3), and oxygen and hydrogen from the table of elements."""
        out = dict(columns)
        read = ("energy", "electrons", "density", "metals")
        energy, electrons, density, metals = (out.pop(name, None) for name in read)
        if energy is not None and electrons is not None:
            out["temperature"] = temperature(energy, electrons)
        if density is not None and (density > 0).all():
            out["smoothing"] = (3.0 * out["mass"] / (4.0 * np.pi * density)) ** (1.0 / 3.0)
        if metals is not None:  # H, He, C, N, O, Ne, Mg, Si, Fe, other
            out["hydrogen"], out["oxygen"] = metals[:, 0], metals[:, 4]
        return out
