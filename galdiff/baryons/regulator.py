"""A gas regulator: stars form from one reservoir of gas, which inflow fills and winds empty (Lilly et al. 2013).

Lilly et al. 2013 (ApJ 772, 119): star formation is gas over a depletion time, and a wind takes gas in proportion to it.
What falls into the halo reaches the galaxy at once, but for a share that is prevented (Carr et al. 2023, ApJ 949, 21,
follow the hot gas that prevents it; here it is a number). Two budgets, mass and metals; there is no gas in the halo and
no energy, hence no quenching. Time is in Gyr.
"""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Equations, Outputs
from galdiff.baryons.halo_state import HaloNow, HaloState, halo_state_at
from galdiff.baryons.laws.constant import Constant
from galdiff.baryons.laws.constant_yields import yields_of
from galdiff.baryons.laws.depletion_time import DepletionTime
from galdiff.baryons.laws.law import Law, Laws, of_the_halo, tabled, with_contents
from galdiff.baryons.laws.logistic import Logistic
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.baryons.laws.yields import YieldsLaw
from galdiff.baryons.parameters import Z_SUN
from galdiff.baryons.patankar import Contents, Flows
from galdiff.baryons.rates import HALO_HOOK, halo_drivers
from galdiff.core.budget import Budget
from galdiff.core.correction import Correction, NoCorrection
from galdiff.core.record import quantity, record
from galdiff.records import Diagnostics

MASS = Budget(
    reservoirs=("stars", "ism", "outside"),
    ledgers=("outside",),
    transfers={
        "inflow": ("outside", "ism"),
        "star_formation": ("ism", "stars"),  # net of what dying stars return
        "wind": ("ism", "outside"),
    },
)
METALS = Budget(
    reservoirs=("stars", "ism", "outside", "nucleosynthesis"),
    ledgers=("outside", "nucleosynthesis"),
    transfers={
        **{flow: (donor, receiver) for flow, donor, receiver in MASS.transfers},
        "enrichment": ("nucleosynthesis", "ism"),
    },
)
YIELDS = {"f_recycle": 0.4, "metal_yield": 0.02}
DENSE_START, METAL_START = 1.0, 1e-4  # Msun of stars and of ISM, and metallicity over solar, at the start


@record
class RegulatorParameters:
    """All parameters of the regulator in natural units."""

    star_formation: Any = quantity("", "of the law of star formation, epsilon")
    eta_mass: Any = quantity("", "of the mass loading of the wind, lambda")
    z_inflow: Any = quantity("", "of the metal mass fraction of the inflow")
    prevent: Any = quantity("", "of preventative feedback")
    yields: Any = quantity("", "of what a generation of stars gives back: R, and (1 - R) y")


@record
class RegulatorRates:
    """What a correction may scale, each by its own factor; everything else follows from these."""

    inflow: Array = quantity("Msun/Gyr", "gas that reaches the ISM")
    star_formation: Array = quantity("1/Gyr", "stars formed per mass of ISM")
    eta_mass: Array = quantity("", "wind mass per mass of stars formed")
    metal_yield: Array = quantity("", "new metals per mass of stars formed")
    recycling: Array = quantity("", "mass that dying stars return over mass that stays locked")


@record
class RegulatorKnown:
    """All that acts on the contents at some times and does not depend on them."""

    halo_state: HaloState = quantity("", "the halo as its baryons feel it")
    rates: RegulatorRates = quantity("", "primitive rates, corrected")
    z_inflow: Array = quantity("", "metal mass fraction of the inflow")


def start(halo: HaloNow) -> Contents:
    """Contents when the gas is first followed: a trace of each, soon forgotten."""
    one = jnp.ones_like(halo.m_vir)
    trace = DENSE_START * one
    metals = METAL_START * Z_SUN * trace
    return {
        "mass": {"stars": trace, "ism": trace, "outside": 0 * one},
        "metals": {"stars": metals, "ism": metals, "outside": 0 * one, "nucleosynthesis": 0 * one},
    }


def known_rates(laws: Laws, p: RegulatorParameters, halo_state: HaloState, correction: Correction) -> RegulatorKnown:
    """Primitive rates at some times, corrected by what the halo tells (`halo_drivers`); any shape.

    Args:
      laws: by slot; where one sees the contents, its rate is one here, times the correction.
      p: parameters of the model.
      halo_state: the halo as its baryons feel it.
      correction: of `RegulatorRates`.
    """
    said = tabled(laws, p, halo_state)
    stars = said["yields"]
    rates = RegulatorRates(
        inflow=said["prevent"] * halo_state.baryons,
        star_formation=said["star_formation"],
        eta_mass=said["eta_mass"],
        metal_yield=stars.metal_yield,
        recycling=stars.f_recycle / (1 - stars.f_recycle),
    )
    if not isinstance(correction, NoCorrection):
        rates = correction(rates, halo_drivers(halo_state))
    return RegulatorKnown(halo_state=halo_state, rates=rates, z_inflow=said["z_inflow"])


def flows(contents: Contents, d: RegulatorKnown) -> tuple[Flows, dict]:
    """All flows [Msun/Gyr] and the star formation rate: Lilly et al. (2013), section 2, with metals riding along.

    Where gas is steady, Z_ISM = Z_inflow + metal_yield / (1 - R + eta_mass); where it grows as exp(g t), g t_dep adds
    to that denominator.

    Args:
      contents: of all reservoirs, any shape.
      d: what acts on them, same shape.

    Returns:
      Flows of the two budgets, and what they follow from: the known rates d, sfr.
    """
    r = d.rates
    sfr = contents["mass"]["ism"] * r.star_formation
    metal_sfr = contents["metals"]["ism"] * r.star_formation
    locked = 1 / (1 + r.recycling)
    mass_flows = dict(inflow=r.inflow, star_formation=locked * sfr, wind=r.eta_mass * sfr)
    metal_flows = dict(
        inflow=d.z_inflow * r.inflow,
        star_formation=locked * metal_sfr,
        wind=r.eta_mass * metal_sfr,
        enrichment=r.metal_yield * sfr,
    )
    return {"mass": mass_flows, "metals": metal_flows}, dict(d=d, sfr=sfr)


def diagnose(f_prevent: Any, d: RegulatorKnown, **found: Any) -> Diagnostics:
    """Diagnostics from what `flows` found; the model knows nothing of energy or of the gas in the halo."""
    return Diagnostics(
        t_dep=1 / d.rates.star_formation,
        eta_mass=d.rates.eta_mass,
        z_inflow=d.z_inflow,
        t_dyn=d.halo_state.t_dyn,
        f_uv=d.halo_state.f_uv,
        f_prevent=f_prevent,
        **found,
    )


class Regulator(BaryonCycle):
    """Baryons of a halo as a gas regulator. What differs from case to case is in its laws.

    Defaults: R = 0.4 as Lilly et al. (2013); a loading of 1 at 125 km/s that falls as V_vir^-2, as where energy drives
    winds (Murray et al. 2005, ApJ 618, 569); inflow without metals; depletion time, yield and prevention as `Pandya23`,
    so that the two models differ by what the gas in the halo does. None of this is a fit. `correction` scales the
    primitive rates (`RegulatorRates`) by what the halo does, once for all steps.
    """

    slots: ClassVar = ("star_formation", "eta_mass", "z_inflow", "prevent", "yields")
    hooks: ClassVar = {"correction": HALO_HOOK._replace(n_out=len(dataclasses.fields(RegulatorRates)))}

    def __init__(
        self,
        *,
        star_formation: Law | None = None,
        eta_mass: Law | None = None,
        z_inflow: Law | None = None,
        prevent: Law | None = None,
        yields: YieldsLaw | None = None,
        f_recycle: float | None = None,
        metal_yield: float | None = None,
        correction: Correction | None = None,
        outputs: Outputs | None = None,
    ) -> None:
        self.star_formation = star_formation or DepletionTime()
        self.eta_mass = eta_mass or PowerLaw(log10_a=0.0, alpha0=-2.0, log10_a_range=(-2.0, 1.0))
        self.z_inflow = of_the_halo("z_inflow", z_inflow or Constant(value=0.0))
        self.prevent = of_the_halo("prevent", prevent or Logistic())
        self.yields = yields_of(yields, YIELDS, {"f_recycle": f_recycle, "metal_yield": metal_yield})
        self.correction = correction or NoCorrection()
        self.outputs = outputs or Outputs(n_times=64, n_steps=128)

    def parameters(self) -> RegulatorParameters:
        """All parameters in natural units."""
        return RegulatorParameters(**{slot: law.parameters() for slot, law in self.laws().items()})

    def equations(self, parameters: RegulatorParameters | None = None) -> Equations:
        """The model with these parameters, or its own, filled in."""
        p, laws = self.parameters() if parameters is None else parameters, self.laws()

        def flows_of(contents: Any, d: Any) -> Any:
            rates = dataclasses.replace(d.rates, **with_contents(laws, p, d.halo_state, contents, d.rates))
            return flows(contents, dataclasses.replace(d, rates=rates))

        return Equations(
            budgets={"mass": MASS, "metals": METALS},
            start=lambda halo, cosmology: start(halo),
            halo_state=halo_state_at,
            known_rates=lambda halo_state: known_rates(laws, p, halo_state, self.correction),
            flows=flows_of,
            diagnose=lambda found: diagnose(laws["prevent"](p.prevent, found["d"].halo_state), **found),
        )
