"""IllustrisTNG, AREPO's files (Nelson et al. 2019, Comput. Astrophys. Cosmol. 6, 2)."""

import numpy as np

from galdiff import units
from galdiff.io.simulations.convention import MPC_CGS, MSUN_CGS, YEAR_S, Columns, Convention, Field, Unit

HYDROGEN = 0.76  # mass fraction assumed in AREPO's ElectronAbundance and mean molecular weight
GAMMA = 5.0 / 3.0

_LENGTH = Unit("length", MPC_CGS / 1e3, 1.0, -1.0)
_MASS = Unit("mass", 1e10 * MSUN_CGS, h_power=-1.0)
_DENSITY_CGS = 1e10 * MSUN_CGS / (MPC_CGS / 1e3) ** 3
_COMMON = {
    "pos": Field(("Coordinates",), _LENGTH, width=3),
    "vel": Field(("Velocities",), Unit("velocity", 1e5, 0.5), width=3),
    "metallicity": Field(("GFM_Metallicity",)),
}


def temperature(energy: np.ndarray, electrons: np.ndarray) -> np.ndarray:
    """Gas temperature [K] from specific energy [(km/s)^2] and electrons per hydrogen nucleus [1], each (gas,).

    T = (gamma - 1) u mu m_p / k_B, mu = 4 / (1 + 3 X + 4 X x_e), X = 0.76 (Nelson et al. 2019, data release notes).
    """
    mu = 4.0 / (1.0 + 3.0 * HYDROGEN + 4.0 * HYDROGEN * electrons)
    return (GAMMA - 1.0) * energy * 1e10 * mu * units.PROTON_MASS_G / units.BOLTZMANN_ERG_K


def _stars_rule(columns: Columns) -> Columns:
    """Wind particles are gas that travels as PartType4: their formation time is not positive."""
    stars = ~(columns["formation"] <= 0)  # NaN stays, to be reported
    return {name: values[stars] for name, values in columns.items()}


def _gas_rule(columns: Columns) -> Columns:
    """Temperature, cell radius (3 V / 4 pi)^(1/3), and oxygen and hydrogen from the table of elements."""
    out = dict(columns)
    energy, electrons, density, metals = (out.pop(name, None) for name in ("energy", "electrons", "density", "metals"))
    if energy is not None and electrons is not None:
        out["temperature"] = temperature(energy, electrons)
    if density is not None and (density > 0).all():
        out["smoothing"] = (3.0 * out["mass"] / (4.0 * np.pi * density)) ** (1.0 / 3.0)
    if metals is not None:  # H, He, C, N, O, Ne, Mg, Si, Fe, other
        out["hydrogen"], out["oxygen"] = metals[:, 0], metals[:, 4]
    return out


def _recognise(paths, _header) -> bool:
    return any("/GFM_" in path for path in paths)


CONVENTION = Convention(
    name="illustris_tng",
    labels=("illustris", "tng"),
    recognise=_recognise,
    stars_rule=_stars_rule,
    gas_rule=_gas_rule,
    stars=_COMMON
    | {
        "mass": Field(("GFM_InitialMass",), _MASS),
        "mass_now": Field(("Masses",), _MASS, required=False),
        "formation": Field(("GFM_StellarFormationTime",)),
    },
    gas=_COMMON
    | {
        "mass": Field(("Masses",), _MASS),
        "energy": Field(("InternalEnergy",), Unit("energy", 1e10), required=False),
        "electrons": Field(("ElectronAbundance",), required=False),
        "density": Field(("Density",), Unit("density", _DENSITY_CGS, -3.0, 2.0), required=False),
        "sfr": Field(("StarFormationRate",), Unit("sfr", MSUN_CGS / YEAR_S), required=False),
        "metals": Field(("GFM_Metals",), width=10, required=False),
    },
)
