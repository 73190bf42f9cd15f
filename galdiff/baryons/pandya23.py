"""The two-zone baryon cycle of Pandya et al. (2023, ApJ 956, 118), thermal limit as in Pandya et al. (2026).

Gas falls into the CGM, cools onto the ISM, forms stars, is blown back by winds and leaves the halo where the CGM holds
more energy than it can bind. Mass, metals and energy are three budgets of directed flows; every flow below is one of
their transfers. Time is in Gyr, energy in Msun (km/s)^2.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.cooling import SmoothCooling
from galdiff.baryons.forcing import TEMPERATURE_UNIT, Forcing
from galdiff.baryons.parameters import V_0, Z_SUN, Parameters, power_law, prevention
from galdiff.core import soft
from galdiff.core.budget import Budget
from galdiff.core.correction import Correction, NoCorrection
from galdiff.core.record import quantity, record
from galdiff.records import Diagnostics

Contents = dict[str, dict[str, Array]]
Flows = dict[str, dict[str, Array]]

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
        **dict(zip(("inflow", "cooling", "star_formation", "wind", "outflow"), [t[1:] for t in MASS.transfers])),
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
HEAT = Budget(reservoirs=("heat", *_LEDGERS), ledgers=_LEDGERS, transfers=_HEAT)
HEAT_AND_TURBULENCE = Budget(
    reservoirs=("heat", "turbulence", *_LEDGERS), ledgers=_LEDGERS, transfers=_HEAT | _STIRRING
)
LOG10_T_OF_HEAT = math.log10(2 / 3 / TEMPERATURE_UNIT)  # of an isothermal CGM
LN_10 = 2.302585092994046  # exp(LN_10 x) is much faster than 10**x
DENSE_START, METAL_START = 1.0, 1e-4  # Msun of stars and of ISM, and metallicity over solar, at the start
CGM_START, TURBULENT_START = 0.5, 0.01  # share of the baryons in the CGM; turbulent over thermal energy there


@record
class Rates:
    """What a correction may scale, each by its own factor; everything else follows from these."""

    inflow: Array = quantity("Msun/Gyr", "gas that enters the CGM")
    cooling: Array = quantity("", "factor on the cooling flow")
    star_formation: Array = quantity("1/Gyr", "stars formed per mass of ISM")
    eta_mass: Array = quantity("", "wind mass per mass of stars formed")
    eta_energy: Array = quantity("", "wind energy over that of supernovae, before its limit of 1")
    eta_metal: Array = quantity("", "share of new metals that the wind takes, before its limit of 1")
    metal_yield: Array = quantity("", "new metals per mass of stars formed")
    outflow: Array = quantity("", "factor on the halo outflow")
    recycling: Array = quantity("", "mass that dying stars return over mass that stays locked")


@record
class Drive:
    """All that acts on the contents at some times and does not depend on them."""

    forcing: Forcing = quantity("", "the halo as its baryons feel it")
    rates: Rates = quantity("", "primitive rates, with limits and halo-driven corrections applied")
    z_inflow: Array = quantity("", "metal mass fraction of the inflow")


def budgets(turbulent: bool) -> dict[str, Budget]:
    """The three budgets; with turbulence for the full model."""
    return {"mass": MASS, "metals": METALS, "energy": HEAT_AND_TURBULENCE if turbulent else HEAT}


def start(halo, cosmology, turbulent: bool) -> Contents:
    """Contents when the gas is first followed, for a halo (`HaloNow`) at that time."""
    one = jnp.ones_like(halo.m_vir)
    cgm = CGM_START * cosmology.omega_b / cosmology.omega_m * halo.m_vir
    heat = cgm * halo.v_vir**2
    metals, nothing = METAL_START * Z_SUN, 0 * one
    energy = {"heat": heat} | ({"turbulence": TURBULENT_START * heat} if turbulent else {})
    return {
        "mass": {"stars": DENSE_START * one, "ism": DENSE_START * one, "cgm": cgm, "outside": nothing},
        "metals": {"stars": metals * one, "ism": metals * one, "cgm": metals * cgm}
        | {name: nothing for name in METALS.ledgers},
        "energy": energy | {name: nothing for name in _LEDGERS},
    }


def drive(p: Parameters, forcing: Forcing, correction: Correction, sharp: bool = False, limit: bool = True) -> Drive:
    """Primitive rates at some times, corrected by what the halo tells: sections 2 - 5 of the model.

    The drivers of the correction, on a new last axis, are log10 V_vir/(125 km/s), log10 (1+z),
    log10 M_vir/(1e12 Msun) and log10 of growth per Gyr, d ln M_vir/dt.
    """
    halo = forcing.halo
    ln_v, ln_1pz = jnp.log(halo.v_vir / V_0), jnp.log1p(halo.redshift)
    f_prevent = prevention(p.prevent, halo.v_vir)
    one = jnp.ones_like(ln_v)
    rates = Rates(
        inflow=f_prevent * forcing.baryons,
        cooling=one,
        star_formation=1 / power_law(p.t_dep, ln_v, ln_1pz),
        eta_mass=power_law(p.eta_mass, ln_v, ln_1pz),
        eta_energy=power_law(p.eta_energy, ln_v, ln_1pz),
        eta_metal=power_law(p.eta_metal, ln_v, ln_1pz),
        metal_yield=p.metal_yield * one,
        outflow=one,
        recycling=p.f_recycle / (1 - p.f_recycle) * one,
    )
    if not isinstance(correction, NoCorrection):
        growth = jnp.log10(jnp.maximum(halo.mdot_vir / halo.m_vir, 1e-6))
        drivers = (ln_v / jnp.log(10.0), ln_1pz / jnp.log(10.0), jnp.log10(halo.m_vir) - 12, growth)
        rates = correction(rates, jnp.stack(drivers, -1))
    z_inflow = power_law(p.z_inflow, ln_v, ln_1pz)
    return Drive(forcing=forcing, rates=limited(rates, sharp) if limit else rates, z_inflow=z_inflow)


def limited(rates: Rates, sharp: bool) -> Rates:
    """Energy and metal loading within their limit of 1."""
    cap = (lambda x: jnp.minimum(x, 1.0)) if sharp else soft.at_most
    fields = {f: getattr(rates, f) for f in Rates.__dataclass_fields__}
    return Rates(**fields | dict(eta_energy=cap(rates.eta_energy), eta_metal=cap(rates.eta_metal)))


def flows(contents: Contents, d: Drive, p: Parameters, cooling=None, sharp: bool = False) -> tuple[Flows, dict]:
    """All flows [Msun/Gyr, Msun (km/s)^2/Gyr] and what they follow from: section 5 of the model.

    Args:
      contents: of all reservoirs, any shape.
      d: what acts on them, same shape.
      p: numbers of the model.
      cooling: log10 Lambda of (log10 T, log10 Z/Zsun); None for the smooth fit.
      sharp: minima and maxima with kinks, as published, instead of smooth ones.

    Returns:
      Flows of the three budgets, and the diagnostics t_cool, temperature, sfr.
    """
    cooling = SmoothCooling() if cooling is None else cooling
    mass, metals, energy = contents["mass"], contents["metals"], contents["energy"]
    f, r = d.forcing, d.rates
    heat, turbulence = energy["heat"], energy.get("turbulence")
    per_cgm = 1 / mass["cgm"]  # divisions are dear
    z_cgm, per_mass = metals["cgm"] * per_cgm, heat * per_cgm

    log10_t = jnp.log10(per_mass) + LOG10_T_OF_HEAT
    log10_lambda = cooling(log10_t, jnp.log10(z_cgm * (1 / Z_SUN)))
    radiated = jnp.exp(LN_10 * (log10_lambda + f.log10_radiated)) * mass["cgm"]  # per mass
    in_t_dyn = per_mass / (radiated * f.t_dyn)
    t_cool = f.t_dyn * (jnp.maximum(in_t_dyn, 1.0) if sharp else soft.at_least(in_t_dyn))
    cooled = r.cooling / (t_cool + f.t_ff)

    held = per_mass if turbulence is None else per_mass + turbulence * per_cgm
    bound = f.e_vir / held
    overflow = r.outflow * (jnp.maximum(1 - bound, 0.0) if sharp else soft.excess(bound)) / f.t_dyn

    sfr = mass["ism"] * r.star_formation
    metal_sfr = metals["ism"] * r.star_formation
    locked = 1 / (1 + r.recycling)
    new_metals = r.metal_yield * sfr
    wind_energy = r.eta_energy * p.energy_yield * sfr
    inflow_energy = f.e_vir * r.inflow
    mass_flows = dict(
        inflow=r.inflow,
        cooling=mass["cgm"] * cooled,
        star_formation=locked * sfr,
        wind=r.eta_mass * sfr,
        outflow=mass["cgm"] * overflow,
    )
    metal_flows = dict(
        inflow=d.z_inflow * r.inflow,
        cooling=metals["cgm"] * cooled,
        star_formation=locked * metal_sfr,
        wind=r.eta_mass * metal_sfr,
        outflow=metals["cgm"] * overflow,
        enrichment=(1 - r.eta_metal) * new_metals,
        loading=r.eta_metal * new_metals,
    )
    energy_flows = dict(
        inflow=inflow_energy, wind=wind_energy, cooling=r.cooling * heat / t_cool, outflow=heat * overflow
    )
    if turbulence is not None:
        energy_flows |= _stir(p, f, inflow_energy, wind_energy, turbulence, mass["cgm"], overflow)
        energy_flows["inflow"] = p.turbulence.heat_of_inflow * inflow_energy
        energy_flows["wind"] = p.turbulence.heat_of_wind * wind_energy
    found = dict(sfr=sfr, t_cool=t_cool, temperature=jnp.exp(LN_10 * log10_t))
    return {"mass": mass_flows, "metals": metal_flows, "energy": energy_flows}, found


def _stir(p, f, inflow_energy, wind_energy, turbulence, cgm, overflow):
    """Flows of turbulent energy: it decays on an eddy time of its outer scale."""
    sigma = jnp.sqrt(2 * turbulence / cgm)
    eddy_time = p.turbulence.eddy * f.t_dyn * f.v_vir / sigma
    return dict(
        stirring=(1 - p.turbulence.heat_of_inflow) * inflow_energy,
        wind_stirring=(1 - p.turbulence.heat_of_wind) * wind_energy,
        dissipation=turbulence / eddy_time,
        turbulent_outflow=turbulence * overflow,
    )


def diagnose(d: Drive, p: Parameters, found: dict) -> Diagnostics:
    """Diagnostics from what `flows` found."""
    return Diagnostics(
        t_dep=1 / d.rates.star_formation,
        eta_mass=d.rates.eta_mass,
        eta_energy=d.rates.eta_energy,
        eta_metal=d.rates.eta_metal,
        z_inflow=d.z_inflow,
        t_ff=d.forcing.t_ff,
        t_dyn=d.forcing.t_dyn,
        f_uv=d.forcing.f_uv,
        f_prevent=prevention(p.prevent, d.forcing.halo.v_vir),
        **found,
    )
