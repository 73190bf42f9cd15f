"""What drives the two-zone model: primitive rates at given times, and what corrections may look at."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.law import Laws, tabled, with_contents
from galdiff.baryons.parameters import V_0, Z_SUN, Parameters
from galdiff.baryons.patankar import Contents
from galdiff.core import soft
from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.record import quantity, record


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
class KnownRates:
    """All that acts on the contents at some times and does not depend on them."""

    halo_state: HaloState = quantity("", "the halo as its baryons feel it")
    rates: Rates = quantity("", "primitive rates, with limits and corrections that see the halo applied")
    z_inflow: Array = quantity("", "metal mass fraction of the inflow")
    locked: Array = quantity("", "share of the stars formed that stays locked")
    energy_yield: Array = quantity("(km/s)^2", "supernova energy per mass of stars formed")
    black_hole: Any = quantity("", "`BlackHoleRates`; None without a black hole", default=None)


def with_locked(rates: Rates, **known: Any) -> KnownRates:
    """Known rates, with the share of stars that stays locked [1]; all in the shape of the halo state."""
    return KnownRates(rates=rates, locked=1 / (1 + rates.recycling), **known)


def known_rates(
    laws: Laws, p: Parameters, halo_state: HaloState, correction: Correction, sharp: bool = False, limit: bool = True
) -> KnownRates:
    """Primitive rates at some times, corrected by what the halo tells (`halo_drivers`); any shape.

    Args:
      laws: by slot; where one sees the contents, its rate is one here, times the correction (see `rates_now`).
      p: parameters of the model.
      halo_state: the halo as its baryons feel it.
      correction: of `Rates`.
      sharp: limits with kinks, as published.
      limit: whether to apply them; not where `rates_now` follows.
    """
    said = tabled(laws, p, halo_state)
    one, stars = jnp.ones_like(halo_state.t_dyn), said["yields"]
    rates = Rates(
        inflow=said["prevent"] * halo_state.baryons,
        cooling=one,
        star_formation=said["star_formation"],
        eta_mass=said["eta_mass"],
        eta_energy=said["eta_energy"],
        eta_metal=said["eta_metal"],
        metal_yield=stars.metal_yield,
        outflow=one,
        recycling=stars.f_recycle / (1 - stars.f_recycle),
    )
    if not isinstance(correction, NoCorrection):
        rates = correction(rates, halo_drivers(halo_state))
    rates = limited(rates, sharp) if limit else rates
    known = dict(halo_state=halo_state, z_inflow=said["z_inflow"], energy_yield=stars.energy_yield)
    return with_locked(rates, black_hole=said["black_hole"], **known)


def rates_now(
    laws: Laws, p: Parameters, d: KnownRates, contents: Contents, correction: Correction, sharp: bool = False
) -> KnownRates:
    """The rates once the contents are known: laws that see them, then the correction that does, then the limits."""
    rates = dataclasses.replace(d.rates, **with_contents(laws, p, d.halo_state, contents, d.rates))
    if not isinstance(correction, NoCorrection):
        rates = correction(rates, all_drivers(contents, d.halo_state))
    known = dict(halo_state=d.halo_state, z_inflow=d.z_inflow, energy_yield=d.energy_yield)
    return with_locked(limited(rates, sharp), black_hole=d.black_hole, **known)


def halo_drivers(halo_state: HaloState) -> Array:
    """What a correction of the halo sees [1], shape (..., 4), all of order one.

    log10 V_vir/(125 km/s); log10 (1+z); log10 M_vir/(1e12 Msun); log10 of growth, d ln M_vir/dt in 1/Gyr.
    """
    halo = halo_state.halo
    growth = jnp.log10(jnp.maximum(halo.mdot_vir / halo.m_vir, 1e-6))
    drivers = (jnp.log10(halo.v_vir / V_0), jnp.log10(1 + halo.redshift), jnp.log10(halo.m_vir) - 12, growth)
    return jnp.stack(drivers, -1)


def all_drivers(contents: Contents, halo_state: HaloState) -> Array:
    """What a correction of the contents sees [1], shape (..., 8): `halo_drivers`, then four of the contents.

    log10 of: ISM over stars; metallicity of the ISM over solar; metallicity of the CGM over solar; heat of the CGM per
    mass over that at the virial temperature.
    """
    mass, metals = contents["mass"], contents["metals"]
    state = (
        mass["ism"] / mass["stars"],
        metals["ism"] / mass["ism"] / Z_SUN,
        metals["cgm"] / mass["cgm"] / Z_SUN,
        contents["energy"]["heat"] / mass["cgm"] / halo_state.e_vir,
    )
    return jnp.concatenate([halo_drivers(halo_state), jnp.stack([jnp.log10(x) for x in state], -1)], -1)


HALO_HOOK = Hook(
    drivers=("log10 V_vir/(125 km/s)", "log10 (1+z)", "log10 M_vir/(1e12 Msun)", "log10 growth [1/Gyr]"),
    offset=(0.0, 0.3, 0.0, -1.0),
    scale=(0.5, 0.3, 1.5, 1.0),
    n_out=len(dataclasses.fields(Rates)),
    bound=1.0,
)
STATE_HOOK = HALO_HOOK._replace(
    drivers=(*HALO_HOOK.drivers, "log10 ISM/stars", "log10 Z_ism/Z_sun", "log10 Z_cgm/Z_sun", "log10 heat/virial"),
    offset=(*HALO_HOOK.offset, -1.0, -0.5, -1.0, 0.0),
    scale=(*HALO_HOOK.scale, 1.0, 0.5, 1.0, 0.5),
)


def limited(rates: Rates, sharp: bool) -> Rates:
    """Energy and metal loading within their limit of 1."""
    cap = (lambda x: jnp.minimum(x, 1.0)) if sharp else soft.at_most
    fields = {f: getattr(rates, f) for f in Rates.__dataclass_fields__}
    return Rates(**fields | dict(eta_energy=cap(rates.eta_energy), eta_metal=cap(rates.eta_metal)))
