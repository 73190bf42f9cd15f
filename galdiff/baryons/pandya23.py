"""The two-zone baryon cycle of Pandya et al. (2023, ApJ 956, 118), thermal limit as in Pandya et al. (2026).

Gas falls into the CGM, cools onto the ISM, forms stars, is blown back by winds and leaves the halo where the CGM holds
more energy than it can bind. Mass, metals and energy are three budgets of directed flows; every flow below is one of
their transfers. Time is in Gyr, energy in Msun (km/s)^2.
"""

import math
from typing import ClassVar

import jax.numpy as jnp
from flax import nnx

from galdiff import units
from galdiff.baryons.cooling import SmoothCooling
from galdiff.baryons.drive import HALO_HOOK, STATE_HOOK, Drive, all_drivers, drive, driven, limited
from galdiff.baryons.evolve import Equations, Outputs, evolve, evolve_adaptively
from galdiff.baryons.forcing import TEMPERATURE_UNIT, forcing_of
from galdiff.baryons.parameters import Z_SUN, Parameters, loading, preventing, prevention
from galdiff.baryons.patankar import Contents, Flows
from galdiff.core import soft
from galdiff.core.budget import Budget
from galdiff.core.correction import Correction, NoCorrection
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.records import BaryonHistory, Diagnostics, HaloHistory

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
HEAT = Budget(reservoirs=("heat", *_LEDGERS), ledgers=_LEDGERS, transfers=_HEAT)
HEAT_AND_TURBULENCE = Budget(
    reservoirs=("heat", "turbulence", *_LEDGERS), ledgers=_LEDGERS, transfers=_HEAT | _STIRRING
)
LOG10_T_OF_HEAT = math.log10(2 / 3 / TEMPERATURE_UNIT)  # of an isothermal CGM
LN_10 = 2.302585092994046  # exp(LN_10 x) is much faster than 10**x
DENSE_START, METAL_START = 1.0, 1e-4  # Msun of stars and of ISM, and metallicity over solar, at the start
CGM_START, TURBULENT_START = 0.5, 0.01  # share of the baryons in the CGM; turbulent over thermal energy there


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


def flows(contents: Contents, d: Drive, p: Parameters, cooling=None, sharp: bool = False) -> tuple[Flows, dict]:
    """All flows [Msun/Gyr, Msun (km/s)^2/Gyr] and what they follow from: section 5 of the model.

    Args:
      contents: of all reservoirs, any shape.
      d: what acts on them, same shape.
      p: numbers of the model.
      cooling: log10 Lambda of (log10 T, log10 Z/Zsun); None for the smooth fit.
      sharp: minima and maxima with kinks, as published, instead of smooth ones.

    Returns:
      Flows of the three budgets, and what they follow from: the drive d, t_cool, temperature, sfr.
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
    new_metals = r.metal_yield * sfr
    wind_energy = r.eta_energy * p.energy_yield * sfr
    inflow_energy = f.e_vir * r.inflow
    mass_flows = dict(
        inflow=r.inflow,
        cooling=mass["cgm"] * cooled,
        star_formation=d.locked * sfr,
        wind=r.eta_mass * sfr,
        outflow=mass["cgm"] * overflow,
    )
    metal_flows = dict(
        inflow=d.z_inflow * r.inflow,
        cooling=metals["cgm"] * cooled,
        star_formation=d.locked * metal_sfr,
        wind=r.eta_mass * metal_sfr,
        outflow=metals["cgm"] * overflow,
        enrichment=(1 - r.eta_metal) * new_metals,
        loading=r.eta_metal * new_metals,
    )
    energy_flows = dict(
        inflow=inflow_energy, wind=wind_energy, cooling=r.cooling * heat / t_cool, outflow=heat * overflow
    )
    if turbulence is not None:
        energy_flows |= _stir(p.turbulence, f, inflow_energy, wind_energy, turbulence, mass["cgm"], overflow)
    found = dict(d=d, sfr=sfr, t_cool=t_cool, temperature=jnp.exp(LN_10 * log10_t))
    return {"mass": mass_flows, "metals": metal_flows, "energy": energy_flows}, found


def _stir(p, f, inflow_energy, wind_energy, turbulence, cgm, overflow):
    """Energy flows with turbulence, which decays on an eddy time of its outer scale."""
    sigma = jnp.sqrt(2 * turbulence / cgm)
    eddy_time = p.eddy * f.t_dyn * f.halo.v_vir / sigma
    return dict(
        inflow=p.heat_of_inflow * inflow_energy,
        wind=p.heat_of_wind * wind_energy,
        stirring=(1 - p.heat_of_inflow) * inflow_energy,
        wind_stirring=(1 - p.heat_of_wind) * wind_energy,
        dissipation=turbulence / eddy_time,
        turbulent_outflow=turbulence * overflow,
    )


def diagnose(p: Parameters, d: Drive, **found) -> Diagnostics:
    """Diagnostics from what `flows` found, with the rates that they followed."""
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


ENERGY_YIELD = 1e51 / 100 / units.MSUN_G / 1e10  # 1e51 erg for 100 Msun of stars [(km/s)^2]


class Pandya23(Stage):
    """Baryons of a halo. Powers of V_vir and 1 + z come from `loading`; limits and defaults are the published priors.

    `correction` scales the primitive rates (`Rates`) by what the halo does, once for all steps; `state_correction` also
    sees the contents (`all_drivers`) and is evaluated at every stage of every step.
    """

    hooks: ClassVar = {"correction": HALO_HOOK, "state_correction": STATE_HOOK}

    def __init__(
        self,
        *,
        t_dep=None,
        eta_mass=None,
        eta_energy=None,
        eta_metal=None,
        z_inflow=None,
        prevent=None,
        f_recycle: float = 0.4,
        metal_yield: float = 0.02,
        energy_yield: float = ENERGY_YIELD,
        turbulence=None,
        cooling=None,
        correction: Correction | None = None,
        state_correction: Correction | None = None,
        outputs: Outputs | None = None,
        sharp: bool = False,
    ):
        self.t_dep = t_dep or loading(log10_a=0.8, alpha0=-1.8, beta=-0.7, log10_a_range=(0.0, 1.1))
        self.eta_mass = eta_mass or loading(log10_a=0.0, alpha0=-1.0, log10_a_range=(-2.0, 1.0))
        self.eta_energy = eta_energy or loading(log10_a=-1.0, alpha0=-1.0, log10_a_range=(-2.0, 0.0))
        self.eta_metal = eta_metal or loading(log10_a=-1.7, alpha0=-0.3, log10_a_range=(-2.0, 0.0))
        self.z_inflow = z_inflow or loading(
            log10_a=math.log10(0.25 * Z_SUN), alpha0=2.2, beta=-1.3, log10_a_range=(-4.0, -1.5), alpha0_range=(0.0, 4.0)
        )
        self.prevent = prevent or preventing()
        self.f_recycle = physical(f_recycle, unit="1", lo=0.0, hi=0.9)
        self.metal_yield = physical(metal_yield, unit="1", lo=0.0, hi=0.1)
        self.energy_yield = physical(energy_yield, unit="(km/s)^2", lo=0.0, hi=10 * ENERGY_YIELD)
        self.turbulence = nnx.data(turbulence)
        self.cooling = cooling or SmoothCooling()
        self.correction = correction or NoCorrection()
        self.state_correction = state_correction or NoCorrection()
        self.outputs = outputs or Outputs(n_times=64, n_steps=128)
        self.sharp = sharp

    def __call__(self, halo: HaloHistory) -> BaryonHistory:
        """History of the baryons at the times of `outputs`."""
        return evolve(self.equations(), halo, self.outputs)

    def adaptively(self, halo: HaloHistory, rtol: float, **options) -> BaryonHistory:
        """The same with steps that keep rtol, however stiff; options of `evolve_adaptively`."""
        return evolve_adaptively(self.equations(), halo, self.outputs, rtol, **options)

    def parameters(self) -> Parameters:
        """All numbers in natural units."""
        return Parameters(
            t_dep=self.t_dep(),
            eta_mass=self.eta_mass(),
            eta_energy=self.eta_energy(),
            eta_metal=self.eta_metal(),
            z_inflow=self.z_inflow(),
            prevent=self.prevent(),
            f_recycle=self.f_recycle.bounded,
            metal_yield=self.metal_yield.bounded,
            energy_yield=self.energy_yield.bounded,
            turbulence=None if self.turbulence is None else self.turbulence(),
        )

    def equations(self, parameters: Parameters | None = None) -> Equations:
        """The model with these numbers, or its own, filled in."""
        p = self.parameters() if parameters is None else parameters
        by_state = not isinstance(self.state_correction, NoCorrection)

        def flows_of(contents, d):
            if by_state:
                rates = self.state_correction(d.rates, all_drivers(contents, d.forcing))
                d = driven(d.forcing, limited(rates, self.sharp), d.z_inflow)
            return flows(contents, d, p, self.cooling, self.sharp)

        return Equations(
            budgets=budgets(p.turbulence is not None),
            start=lambda halo, cosmology: start(halo, cosmology, p.turbulence is not None),
            force=lambda halo, cosmology: forcing_of(halo, cosmology, self.sharp),
            drive=lambda forcing: drive(p, forcing, self.correction, self.sharp, limit=not by_state),
            flows=flows_of,
            diagnose=lambda found: diagnose(p, **found),
        )
