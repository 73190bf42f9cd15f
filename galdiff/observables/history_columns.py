"""A baryon history as columns in the units of the literature: Msun/yr, erg, erg/s; and what follows from them.

NumPy in float64 throughout: an energy in erg overflows float32.
"""

import dataclasses
import typing
from collections.abc import Collection, Iterator, Mapping

import numpy as np
from jaxtyping import ArrayLike

from galdiff import units
from galdiff.core.record import unit_of
from galdiff.records import LEDGERS, BaryonHistory, Diagnostics
from galdiff.units import Z_SUN

T_VIR_PER_V2 = 35.9  # K/(km/s)^2; T_vir = 35.9 V_vir^2 (Pandya et al. 2023)
PREFIX = {"mass": "m", "metals": "mz", "energy": "e"}
PUBLIC = {  # unit inside galdiff: (unit of a column, factor to it)
    "": ("1", 1.0),
    "Msun/Gyr": ("Msun/yr", 1e-9),
    "Msun (km/s)^2": ("erg", units.MSUN_G * 1e10),
    "Msun (km/s)^2/Gyr": ("erg/s", units.MSUN_G * 1e10 / units.GYR_S),
}
WORDS = {
    "stars": "stars that survive, and remnants",
    "ism": "interstellar medium",
    "cgm": "circumgalactic medium",
    "outside": "universe outside the halo (given minus taken)",
    "nucleosynthesis": "nucleosynthesis (given: negative)",
    "heat": "circumgalactic medium, thermal",
    "turbulence": "circumgalactic medium, turbulent",
    "supernovae": "supernovae (given: negative)",
    "radiation": "radiation",
    "inflow": "inflow from outside",
    "cooling": "cooling of the CGM",
    "star_formation": "ISM to stars, net of what dying stars return",
    "wind": "wind from the ISM",
    "outflow": "outflow from CGM to outside",
    "enrichment": "new metals into the ISM",
    "loading": "new metals into the CGM",
    "stirring": "turbulence from inflow",
    "wind_stirring": "turbulence from wind",
    "dissipation": "turbulence to heat",
    "turbulent_outflow": "turbulence to outside",
}
_KINDS = {"mass": "mass", "metals": "metal mass", "energy": "energy"}


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """Values (float64, or bool) with unit and meaning."""

    values: np.ndarray
    unit: str
    meaning: str


def content_unit(quantity: str) -> str:
    """Unit of `contents[quantity]` inside galdiff."""
    return "Msun (km/s)^2" if quantity == "energy" else "Msun"


def leaves(history: BaryonHistory) -> Iterator[tuple[str, typing.Any, str, str]]:
    """Every array of a history, and the mass formed: (place such as "flows/energy/wind", array, unit inside galdiff,
    meaning)."""
    for field in dataclasses.fields(history):
        value = getattr(history, field.name)
        if field.name in ("contents", "flows"):
            rate = "/Gyr" if field.name == "flows" else ""
            for kind, named in value.items():
                for name, array in named.items():
                    words = f"{_KINDS.get(kind, kind)}{' rate' if rate else ''}: {WORDS.get(name, name)}"
                    yield f"{field.name}/{kind}/{name}", array, content_unit(kind) + rate, words
        elif isinstance(value, Diagnostics):
            for inner in dataclasses.fields(value):
                array = getattr(value, inner.name)
                if array is not None:
                    yield f"diagnostics/{inner.name}", array, inner.metadata["unit"], inner.metadata["meaning"]
        elif value is not None and not field.metadata.get("static"):
            yield field.name, value, unit_of(type(history), field.name), field.metadata["meaning"]
    yield "mass_formed", history.m_formed, "Msun", "stars ever formed; contents/mass/stars is what survives"


def column_name(place: str) -> str:
    """Column of a place: m_stars, mz_cgm, e_heat; mdot_wind, mzdot_wind, edot_wind; else the field's name."""
    group, _, rest = place.partition("/")
    if group in ("contents", "flows"):
        kind, _, name = rest.partition("/")
        return f"{PREFIX.get(kind, kind)}{'dot' if group == 'flows' else ''}_{name}"
    return rest or group


def public(values: ArrayLike, unit: str) -> tuple[np.ndarray, str]:
    """Values [unit], any shape, as float64 (or bool) in the unit of the literature, same shape, and that unit."""
    array = np.asarray(values)
    name, factor = PUBLIC.get(unit, (unit, 1.0))
    return (array if array.dtype == bool else array.astype(np.float64) * factor), name


def columns(history: BaryonHistory) -> dict[str, Column]:
    """All of a history and what `derived` adds, by name; each of shape (t), (galaxy, t) or, once per galaxy, (galaxy).

    Names: time [Gyr], redshift, m_vir, r_vir, v_vir, c_nfw, spin, error, solved; contents m_*, mz_* [Msun], e_* [erg];
    flows mdot_*, mzdot_* [Msun/yr], edot_* [erg/s]; the fields of `Diagnostics`.
    """
    made = {column_name(place): Column(*public(array, unit), words) for place, array, unit, words in leaves(history)}
    return made | derived(made, history.ledgers)


def derived(given: Mapping[str, Column], ledgers: Collection[str] = LEDGERS) -> dict[str, Column]:
    """Columns that follow from others, where those are there; NaN where a ratio or logarithm does not exist.

    `ledgers` are reservoirs that only count what left and what came, which are no baryons of the halo.

    baryon_fraction, metallicity_* (mass fraction), log10_z_* (over 0.02), t_cool_over_t_ff, t_over_t_vir, eta_outflow.
    """
    made: dict[str, Column] = {}
    inside = [n for n in given if n.startswith("m_") and n != "m_vir" and n.removeprefix("m_") not in ledgers]
    baryons = sum((given[n].values for n in inside), np.zeros(()))
    text = "baryons inside the halo over virial mass"
    made["baryon_fraction"] = Column(_ratio(baryons, given["m_vir"].values), "1", text)
    for name in (n.removeprefix("m_") for n in inside):
        if f"mz_{name}" in given:
            z = _ratio(given[f"mz_{name}"].values, given[f"m_{name}"].values)
            words = WORDS.get(name, name)
            made[f"metallicity_{name}"] = Column(z, "1", f"metal mass fraction: {words}")
            made[f"log10_z_{name}"] = Column(log10(z / Z_SUN), "dex", f"log10 Z/{Z_SUN}: {words}")
    if "t_cool" in given and "t_ff" in given:
        ratio = _ratio(given["t_cool"].values, given["t_ff"].values)
        made["t_cool_over_t_ff"] = Column(ratio, "1", "cooling time over free-fall time of the CGM")
    if "temperature" in given:
        ratio = _ratio(given["temperature"].values, T_VIR_PER_V2 * given["v_vir"].values ** 2)
        made["t_over_t_vir"] = Column(ratio, "1", "temperature of the CGM over virial temperature")
    if "mdot_outflow" in given:
        ratio = _ratio(given["mdot_outflow"].values, given["sfr"].values)
        made["eta_outflow"] = Column(ratio, "1", "halo outflow over star formation")
    return made


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, NaN where b is zero."""
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b != 0)


def log10(x: np.ndarray) -> np.ndarray:
    """log10 [dex] of x, same shape; NaN where x is not positive."""
    return np.log10(x, out=np.full(np.shape(x), np.nan), where=np.asarray(x) > 0)
