"""The two-zone baryon cycle of Pandya et al. (2023, ApJ 956, 118), thermal limit as in Pandya et al. (2026).

Gas falls into the CGM, cools onto the ISM, forms stars, is blown back by winds and leaves the halo where the CGM holds
more energy than it can bind. Mass, metals and energy are three budgets of directed flows (`two_zone`). Time is in Gyr,
energy in Msun (km/s)^2.
"""

import math
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from galdiff.baryons import two_zone
from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Equations, Outputs
from galdiff.baryons.halo_state import halo_state_at
from galdiff.baryons.hot_gas import LN_10
from galdiff.baryons.laws.black_hole import BlackHoleLaw, NoBlackHole
from galdiff.baryons.laws.capped_power_law import CappedPowerLaw
from galdiff.baryons.laws.constant_yields import ENERGY_YIELD, yields_of
from galdiff.baryons.laws.cooling import CoolingLaw
from galdiff.baryons.laws.cooling_time import CoolingTime
from galdiff.baryons.laws.depletion_time import DepletionTime
from galdiff.baryons.laws.law import Law, of_the_halo
from galdiff.baryons.laws.logistic import Logistic
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.baryons.laws.yields import YieldsLaw, with_energy
from galdiff.baryons.parameters import Z_SUN, Bounded, Parameters
from galdiff.baryons.patankar import Contents, Flows
from galdiff.baryons.rates import HALO_HOOK, STATE_HOOK, KnownRates, known_rates, rates_now
from galdiff.core import soft
from galdiff.core.correction import Correction, NoCorrection
from galdiff.records import Diagnostics

INFLOW: dict[str, Any] = {"log10_a": math.log10(0.25 * Z_SUN), "alpha0": 2.2, "beta": -1.3}  # metallicity
YIELDS = {"f_recycle": 0.4, "metal_yield": 0.02, "energy_yield": ENERGY_YIELD}


def flows(
    contents: Contents, d: KnownRates, p: Parameters, cooling: CoolingLaw, sharp: bool = False
) -> tuple[Flows, dict]:
    """All flows [Msun/Gyr, Msun (km/s)^2/Gyr] and what they follow from: section 5 of the model.

    Args:
      contents: of all reservoirs, any shape.
      d: what acts on them, same shape.
      p: parameters of the model.
      cooling: in what times the CGM cools.
      sharp: minima and maxima with kinks, as published, instead of smooth ones.

    Returns:
      Flows of the three budgets, and what they follow from: the known rates d, t_cool, temperature, sfr.
    """
    times = cooling(p.cooling, d.halo_state, contents, _at_least_one if sharp else soft.at_least)
    halo = two_zone.halo_gas(contents, d, times, sharp)
    made = two_zone.merged(
        two_zone.infall(d),
        two_zone.cooling_flow(contents, halo),
        two_zone.star_formation(contents, d),
        two_zone.wind(contents, d),
        two_zone.overflow(contents, halo),
        two_zone.enrichment(contents, d),
    )
    if p.turbulence is not None:
        made = two_zone.merged(made, two_zone.stirring(p.turbulence, contents, d, halo, made["energy"]))
    if d.black_hole is not None:
        made = two_zone.merged(made, two_zone.black_hole(contents, d))
    sfr = contents["mass"]["ism"] * d.rates.star_formation
    return made, dict(d=d, sfr=sfr, t_cool=halo.t_cool, temperature=jnp.exp(LN_10 * halo.log10_t))


def _at_least_one(x: Array) -> Array:
    return jnp.maximum(x, 1.0)


def diagnose(f_prevent: Any, d: KnownRates, **found: Any) -> Diagnostics:
    """Diagnostics from what `flows` found, with the rates that they followed."""
    return Diagnostics(
        t_dep=1 / d.rates.star_formation,
        eta_mass=d.rates.eta_mass,
        eta_energy=d.rates.eta_energy,
        eta_metal=d.rates.eta_metal,
        z_inflow=d.z_inflow,
        t_ff=d.halo_state.t_ff,
        t_dyn=d.halo_state.t_dyn,
        f_uv=d.halo_state.f_uv,
        f_prevent=f_prevent,
        **found,
    )


def published(**parts: Any) -> "Pandya23":
    """The cycle as Pandya et al. (2023, 2026) solve it, kinks apart (`sharp`): gas that radiates n^2 Lambda_N, which is
    4.0 times too much, and an inflow whose metallicity has no ceiling; `parts` are arguments of `Pandya23`.
    """
    inflow = PowerLaw(**INFLOW, log10_a_range=(-4.0, -1.5), alpha0_range=(0.0, 4.0), fitted_log10_m=(10.0, 12.0))
    return Pandya23(**{"cooling": CoolingTime(convention="n2"), "z_inflow": inflow, **parts})


class Pandya23(BaryonCycle):
    """Baryons of a halo in two zones; limits and defaults of the laws are the published priors. What is not
    right in the published model is mended; `published` gives it as it is.

    `correction` scales the primitive rates (`Rates`) by what the halo does, once for all steps; `state_correction` also
    sees the contents (`all_drivers`) and is evaluated at every stage of every step. `cooling` may be a function
    for `CoolingTime`; f_recycle, metal_yield and energy_yield are those of `ConstantYields`, where no yields are given.
    """

    hooks: ClassVar = {"correction": HALO_HOOK, "state_correction": STATE_HOOK}
    slots: ClassVar = (
        "star_formation",
        "eta_mass",
        "eta_energy",
        "eta_metal",
        "z_inflow",
        "prevent",
        "cooling",
        "yields",
        "black_hole",
    )

    def __init__(
        self,
        *,
        star_formation: Law | None = None,
        eta_mass: Law | None = None,
        eta_energy: Law | None = None,
        eta_metal: Law | None = None,
        z_inflow: Law | None = None,
        prevent: Law | None = None,
        cooling: CoolingLaw | nnx.Module | None = None,
        yields: YieldsLaw | None = None,
        black_hole: BlackHoleLaw | None = None,
        f_recycle: float | None = None,
        metal_yield: float | None = None,
        energy_yield: float | None = None,
        turbulence: Bounded | None = None,
        correction: Correction | None = None,
        state_correction: Correction | None = None,
        outputs: Outputs | None = None,
        sharp: bool = False,
    ) -> None:
        self.star_formation = star_formation or DepletionTime()
        self.eta_mass = eta_mass or PowerLaw(log10_a=0.0, alpha0=-1.0, log10_a_range=(-2.0, 1.0))
        self.eta_energy = eta_energy or PowerLaw(log10_a=-1.0, alpha0=-1.0, log10_a_range=(-2.0, 0.0))
        self.eta_metal = eta_metal or PowerLaw(log10_a=-1.7, alpha0=-0.3, log10_a_range=(-2.0, 0.0))
        inflow = z_inflow or CappedPowerLaw(
            **INFLOW, log10_ceiling=-2.0, log10_a_range=(-4.0, -1.5), alpha0_range=(0.0, 4.0)
        )
        self.z_inflow = of_the_halo("z_inflow", inflow)
        self.prevent = of_the_halo("prevent", prevent or Logistic())
        self.cooling = cooling if isinstance(cooling, CoolingLaw) else CoolingTime(function=cooling)
        numbers = {"f_recycle": f_recycle, "metal_yield": metal_yield, "energy_yield": energy_yield}
        self.yields = with_energy(yields_of(yields, YIELDS, numbers), "Pandya23")
        self.black_hole = black_hole or NoBlackHole()
        self.turbulence = nnx.data(turbulence)
        self.correction = correction or NoCorrection()
        self.state_correction = state_correction or NoCorrection()
        self.outputs = outputs or Outputs(n_times=64, n_steps=128)
        self.sharp = sharp

    def parameters(self) -> Parameters:
        """All parameters in natural units."""
        return Parameters(
            **{slot: law.parameters() for slot, law in self.laws().items()},
            turbulence=None if self.turbulence is None else self.turbulence(),
        )

    def equations(self, parameters: Parameters | None = None) -> Equations:
        """The model with these parameters, or its own, filled in."""
        p = self.parameters() if parameters is None else parameters
        laws = {slot: law for slot, law in self.laws().items() if slot != "cooling"}  # of the rates
        turbulent, hole = p.turbulence is not None, self.black_hole
        has_hole = not isinstance(hole, NoBlackHole)

        def start(halo: Any, cosmology: Any) -> Contents:
            seed = hole.seed(p.black_hole) if has_hole else None
            return two_zone.start(halo, cosmology, turbulent, seed)

        early = isinstance(self.state_correction, NoCorrection) and not any(x.sees_contents for x in laws.values())

        def flows_of(contents: Any, d: Any) -> Any:
            d = d if early else rates_now(laws, p, d, contents, self.state_correction, self.sharp)
            return flows(contents, d, p, self.cooling, self.sharp)

        return Equations(
            budgets=two_zone.budgets(turbulent, has_hole),
            start=start,
            halo_state=lambda halo, cosmology: halo_state_at(halo, cosmology, self.sharp),
            known_rates=lambda halo_state: known_rates(laws, p, halo_state, self.correction, self.sharp, limit=early),
            flows=flows_of,
            diagnose=lambda found: diagnose(laws["prevent"](p.prevent, found["d"].halo_state), **found),
        )
