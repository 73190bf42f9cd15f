"""The equations of the two-zone model, term by term: budgets, start, and the flows of each process.

Pandya et al. (2023, ApJ 956, 118), section 2; what is open in them (star formation, cooling, loadings, prevention,
yields) comes from the laws. Every term gives its flows [Msun/Gyr; energy Msun (km/s)^2/Gyr] by conserved quantity, any
shape.
"""

import typing

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.hot_gas import hot_gas
from galdiff.baryons.laws.cooling import CoolingTimes
from galdiff.baryons.parameters import Z_SUN, Turbulence
from galdiff.baryons.patankar import Contents, Flows
from galdiff.baryons.rates import KnownRates
from galdiff.core import soft
from galdiff.core.budget import Budget

MASS = Budget(
    reservoirs=("stars", "ism", "cgm", "outside"),
    ledgers=("outside",),
    transfers={
        "inflow": ("outside", "cgm"),
        "cooling": ("cgm", "ism"),
        "star_formation": ("ism", "stars"),  # net of what dying stars return
        "wind": ("ism", "cgm"),
        "outflow": ("cgm", "outside"),
    },
)
METALS = Budget(
    reservoirs=("stars", "ism", "cgm", "outside", "nucleosynthesis"),
    ledgers=("outside", "nucleosynthesis"),
    transfers={
        **{flow: (donor, receiver) for flow, donor, receiver in MASS.transfers},
        "enrichment": ("nucleosynthesis", "ism"),
        "loading": ("nucleosynthesis", "cgm"),  # new metals that leave with the wind
    },
)
_HEAT = {
    "inflow": ("outside", "heat"),
    "wind": ("supernovae", "heat"),
    "cooling": ("heat", "radiation"),
    "outflow": ("heat", "outside"),
}
_STIRRING = {
    "stirring": ("outside", "turbulence"),
    "wind_stirring": ("supernovae", "turbulence"),
    "dissipation": ("turbulence", "heat"),
    "turbulent_outflow": ("turbulence", "outside"),
}
_LEDGERS = ("outside", "supernovae", "radiation")
_ACCRETION = {"cold_accretion": ("ism", "black_hole"), "hot_accretion": ("cgm", "black_hole")}
_MAINTENANCE = {"maintenance": ("accretion", "heat")}
HEAT = Budget(reservoirs=("heat", *_LEDGERS), ledgers=_LEDGERS, transfers=_HEAT)
HEAT_AND_TURBULENCE = Budget(
    reservoirs=("heat", "turbulence", *_LEDGERS), ledgers=_LEDGERS, transfers=_HEAT | _STIRRING
)
DENSE_START, METAL_START = 1.0, 1e-4  # Msun of stars and of ISM, and metallicity over solar, at the start
CGM_START, TURBULENT_START = 0.5, 0.01  # share of the baryons in the CGM; turbulent over thermal energy there


def budgets(turbulent: bool, black_hole: bool = False) -> dict[str, Budget]:
    """The three budgets; with turbulence for the full model, and with a black hole."""
    found = {"mass": MASS, "metals": METALS, "energy": HEAT_AND_TURBULENCE if turbulent else HEAT}
    if not black_hole:
        return found
    ledgers = {"energy": ("accretion",)}
    return {
        quantity: Budget(
            reservoirs=(*budget.reservoirs, *ledgers.get(quantity, ("black_hole",))),
            ledgers=(*budget.ledgers, *ledgers.get(quantity, ())),
            transfers={flow: (donor, receiver) for flow, donor, receiver in budget.transfers}
            | (_MAINTENANCE if quantity == "energy" else _ACCRETION),
        )
        for quantity, budget in found.items()
    }


def start(halo: typing.Any, cosmology: typing.Any, turbulent: bool, seed: Array | None = None) -> Contents:
    """Contents when the gas is first followed, for a halo (`HaloNow`) at that time.

    In its shape; `seed` is the mass of the black hole [Msun].
    """
    one = jnp.ones_like(halo.m_vir)
    cgm = CGM_START * cosmology.omega_b / cosmology.omega_m * halo.m_vir
    heat = cgm * halo.v_vir**2
    metals, nothing = METAL_START * Z_SUN, 0 * one
    energy = {"heat": heat} | ({"turbulence": TURBULENT_START * heat} if turbulent else {})
    first = {
        "mass": {"stars": DENSE_START * one, "ism": DENSE_START * one, "cgm": cgm, "outside": nothing},
        "metals": {"stars": metals * one, "ism": metals * one, "cgm": metals * cgm}
        | {name: nothing for name in METALS.ledgers},
        "energy": energy | {name: nothing for name in _LEDGERS},
    }
    if seed is None:
        return first
    hole = {"mass": {"black_hole": seed * one}, "metals": {"black_hole": metals * seed * one}}
    return {quantity: first[quantity] | hole.get(quantity, {"accretion": nothing}) for quantity in first}


class Halo(typing.NamedTuple):
    """State of the CGM, and the rates at which it cools and flows over."""

    log10_t: Array  # K, of an isothermal CGM
    t_cool: Array  # Gyr, in which heat is radiated
    cooling: Array  # 1/Gyr, of mass and metals
    radiation: Array  # 1/Gyr, of heat
    overflow: Array  # 1/Gyr, of all


def halo_gas(contents: Contents, d: KnownRates, times: CoolingTimes, sharp: bool) -> Halo:
    """The CGM cools in the times of its law, and flows over where it holds more energy than is bound.

    Args:
      contents: of all reservoirs.
      d: what acts on them.
      times: in which the CGM cools, by the law of cooling.
      sharp: minima and maxima with kinks, as published, instead of smooth ones.
    """
    r, gas, turbulence = d.rates, hot_gas(contents), contents["energy"].get("turbulence")
    held = gas.per_mass if turbulence is None else gas.per_mass + turbulence * gas.per_cgm
    bound = d.halo_state.e_vir / held
    return Halo(
        log10_t=gas.log10_t,
        t_cool=times.radiation,
        cooling=r.cooling / times.arrival,
        radiation=r.cooling / times.radiation,
        overflow=r.outflow * (jnp.maximum(1 - bound, 0.0) if sharp else soft.excess(bound)) / d.halo_state.t_dyn,
    )


def infall(d: KnownRates) -> Flows:
    """Gas enters the CGM at the virial temperature, with the metals of the inflow."""
    inflow = d.rates.inflow
    return _flows("inflow", mass=inflow, metals=d.z_inflow * inflow, energy=d.halo_state.e_vir * inflow)


def cooling_flow(contents: Contents, halo: Halo) -> Flows:
    """CGM cools onto the ISM, and its heat is radiated, in the two times of the law of cooling."""
    return _flows(
        "cooling",
        mass=contents["mass"]["cgm"] * halo.cooling,
        metals=contents["metals"]["cgm"] * halo.cooling,
        energy=contents["energy"]["heat"] * halo.radiation,
    )


def star_formation(contents: Contents, d: KnownRates) -> Flows:
    """ISM turns into stars, net of what dying stars return at once."""
    locked = d.locked * d.rates.star_formation
    return _flows("star_formation", mass=contents["mass"]["ism"] * locked, metals=contents["metals"]["ism"] * locked)


def wind(contents: Contents, d: KnownRates) -> Flows:
    """Supernovae drive ISM into the CGM, with a share of their energy.

    Flows [Msun/Gyr, Msun (km/s)^2/Gyr] in the shape of the contents.
    """
    r, ism = d.rates, contents["mass"]["ism"]
    blown = r.eta_mass * r.star_formation
    return _flows(
        "wind",
        mass=ism * blown,
        metals=contents["metals"]["ism"] * blown,
        energy=r.eta_energy * d.energy_yield * (ism * r.star_formation),
    )


def overflow(contents: Contents, halo: Halo) -> Flows:
    """CGM leaves the halo where it holds more energy than is bound."""
    return _flows(
        "outflow",
        mass=contents["mass"]["cgm"] * halo.overflow,
        metals=contents["metals"]["cgm"] * halo.overflow,
        energy=contents["energy"]["heat"] * halo.overflow,
    )


def enrichment(contents: Contents, d: KnownRates) -> Flows:
    """New metals go into the ISM, or leave with the wind."""
    r = d.rates
    made = r.metal_yield * (contents["mass"]["ism"] * r.star_formation)
    return {"metals": {"enrichment": (1 - r.eta_metal) * made, "loading": r.eta_metal * made}}


def black_hole(contents: Contents, d: KnownRates) -> Flows:
    """The black hole swallows ISM as stars form, and CGM, which its jets heat; metals go along.

    Flows [Msun/Gyr, Msun (km/s)^2/Gyr] in the shape of the contents.
    """
    a, mass = d.black_hole, contents["mass"]
    cold, hot = a.cold * d.rates.star_formation, a.hot * mass["black_hole"]  # 1/Gyr, of ISM and of CGM
    metals, swallowed = contents["metals"], hot * mass["cgm"]
    return {
        "mass": {"cold_accretion": cold * mass["ism"], "hot_accretion": swallowed},
        "metals": {"cold_accretion": cold * metals["ism"], "hot_accretion": hot * metals["cgm"]},
        "energy": {"maintenance": a.heating * swallowed},
    }


def stirring(p: Turbulence, contents: Contents, d: KnownRates, halo: Halo, energy: dict[str, Array]) -> Flows:
    """A share of the energy of infall and wind stirs the CGM; turbulence decays on an eddy time of its outer scale.

    Flows [Msun (km/s)^2/Gyr] in the shape of the contents.

    Args:
      p: shares that arrive as heat, and that scale.
      contents, d, halo: as above.
      energy: flows "inflow" and "wind" as if all were heat, which these replace.
    """
    turbulence = contents["energy"]["turbulence"]
    sigma = jnp.sqrt(2 * turbulence / contents["mass"]["cgm"])
    eddy_time = p.eddy * d.halo_state.t_dyn * d.halo_state.halo.v_vir / sigma
    changed = dict(
        inflow=p.heat_of_inflow * energy["inflow"],
        wind=p.heat_of_wind * energy["wind"],
        stirring=(1 - p.heat_of_inflow) * energy["inflow"],
        wind_stirring=(1 - p.heat_of_wind) * energy["wind"],
        dissipation=turbulence / eddy_time,
        turbulent_outflow=turbulence * halo.overflow,
    )
    return {"energy": changed}


def merged(*terms: Flows) -> Flows:
    """Flows of all terms; a later one replaces what it names again."""
    found: Flows = {"mass": {}, "metals": {}, "energy": {}}
    for term in terms:
        for quantity, named in term.items():
            found[quantity] |= named
    return found


def _flows(name: str, **rates: Array) -> Flows:
    return {quantity: {name: rate} for quantity, rate in rates.items()}
