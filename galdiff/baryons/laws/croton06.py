"""Quasar and radio mode of a black hole (Croton et al. 2006, MNRAS 365, 11, sections 3.4 and 3.5), without mergers."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.black_hole import BlackHoleLaw, BlackHoleRates
from galdiff.baryons.patankar import Contents
from galdiff.core.variables import physical
from galdiff.units import C_KMS, EDDINGTON_GYR

MOST = 0.02  # of the Eddington limit: no radio mode is seen above 1 to 3 % (Merloni & Heinz 2008, MNRAS 388, 1011)
V_RADIO, HOT_SHARE = 200.0, 0.1  # km/s, and M_cgm / M_vir, at which the radio mode has its amplitude (eq. 10)


class Croton06(BlackHoleLaw):
    """Cold gas as stars form, hot gas and its heat as M_bh M_cgm V_vir^slope.

    Per mass of stars formed it swallows 10^log10_cold (1+z)^beta_cold / (1 + (v_cold/V_vir)^2) of cold gas (eq. 8,
    there in mergers alone, whose growth this stands for). In the radio mode it shines with 10^log10_eddington of its
    Eddington limit where V_vir = 200 km/s and M_cgm = 0.1 M_vir, at most 0.02, all of it heat of the CGM, and
    `efficiency` of the rest energy that it swallows (eqs. 10 and 11).
    """

    def __init__(
        self,
        *,
        log10_cold: float,
        v_cold: float,
        beta_cold: float = 0.0,
        log10_eddington: float,
        slope: float,
        log10_seed: float = 3.0,
        efficiency: float = 0.1,
    ) -> None:
        self.log10_cold = physical(log10_cold, unit="dex", lo=-4.0, hi=-1.0)
        self.v_cold = physical(v_cold, unit="km/s", lo=0.0, hi=1000.0)
        self.beta_cold = physical(beta_cold, unit="1", lo=-3.0, hi=3.0)
        self.log10_eddington = physical(log10_eddington, unit="dex", lo=-6.0, hi=0.0)
        self.slope = physical(slope, unit="1", lo=0.0, hi=8.0)
        self.log10_seed = physical(log10_seed, unit="dex(Msun)", lo=1.0, hi=6.0)
        self.efficiency = physical(efficiency, unit="1", lo=0.01, hi=0.4)

    def seed(self, p: Any) -> Array:
        """Mass of the seed [Msun], shape ()."""
        return 10**p.log10_seed

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> BlackHoleRates:
        """The rates at V_vir [km/s] and M_vir [Msun]."""
        halo, one = halo_state.halo, jnp.ones_like(halo_state.t_dyn)
        power = jnp.exp(jnp.log(10.0) * p.log10_eddington + p.slope * jnp.log(halo.v_vir / V_RADIO))
        rate = power / (1 + power / MOST) / EDDINGTON_GYR  # L_Edd = M c^2 / t_Edd
        return BlackHoleRates(
            cold=10**p.log10_cold * (1 + halo.redshift) ** p.beta_cold / (1 + (p.v_cold / halo.v_vir) ** 2),
            hot=rate / p.efficiency / (HOT_SHARE * halo.m_vir),
            heating=p.efficiency * C_KMS**2 * one,
        )
