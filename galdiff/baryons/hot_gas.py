"""The hot gas of the two-zone model: one temperature, a density that falls as r^-1.5 between 0.1 and 1 R_vir."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import TEMPERATURE_UNIT, HaloState
from galdiff.baryons.patankar import Contents
from galdiff.errors import InputError
from galdiff.units import MEAN_WEIGHT, Z_SUN

LOG10_T_OF_HEAT = math.log10(2 / 3 / TEMPERATURE_UNIT)  # of an isothermal CGM
LN_10 = 2.302585092994046  # exp(LN_10 x) is much faster than 10**x
LONGEST = 1e15  # dynamical times: gas below 1000 K never cools, and squares must fit into float32


class HotGas(NamedTuple):
    """State of the CGM, from its mass and heat alone."""

    per_cgm: Array  # 1/Msun
    per_mass: Array  # (km/s)^2, heat
    log10_t: Array  # K


def hot_gas(contents: Contents) -> HotGas:
    """Heat per mass and temperature of the CGM, in the shape of the contents."""
    per_cgm = 1 / contents["mass"]["cgm"]  # divisions are dear
    per_mass = contents["energy"]["heat"] * per_cgm
    return HotGas(per_cgm, per_mass, jnp.log10(per_mass) + LOG10_T_OF_HEAT)


# Lambda_N is per pair of an electron and an ion, of which ionised hydrogen and helium of this mean weight hold fewer
# than pairs of any two particles: n_e n_t / n^2, with X hydrogen by mass, mu = 4 / (3 + 5 X).
_X = (4 / MEAN_WEIGHT - 3) / 5
PAIRS = (1 + _X) / 2 * (1 + 3 * _X) / 4 * MEAN_WEIGHT**2
CONVENTIONS = {"ne_nt": math.log10(PAIRS), "n2": 0.0}  # log10 of what the power of n^2 Lambda_N is multiplied by


def known(convention: str) -> str:
    """The convention, if there is one of this name.

    Raises:
      InputError: there is none.
    """
    if convention not in CONVENTIONS:
        raise InputError(f"convention of cooling is {convention!r}; give one of {', '.join(CONVENTIONS)}")
    return convention


def cooling_time(
    function: Callable[[Array, Array], Array], halo_state: HaloState, contents: Contents, convention: str = "ne_nt"
) -> Array:
    """Heat of the CGM over the power it radiates, E/Edot, over R_vir/V_vir [1]: Pandya et al. (2023), section 2.

    Args:
      function: log10 Lambda_N [erg cm^3/s] of (log10 T [K], log10 Z/Z_sun).
      halo_state, contents: any shape, which is that of the ratio.
      convention: ne_nt radiates n_e n_t Lambda_N, as it is defined (Sutherland & Dopita 1993, ApJS 88, 253);
        n2 radiates n^2 Lambda_N with all particles, 4.0 times as much, as Pandya et al. (2023, 2026).
    """
    gas, cgm = hot_gas(contents), contents["mass"]["cgm"]
    z_cgm = contents["metals"]["cgm"] * gas.per_cgm
    log10_lambda = function(gas.log10_t, jnp.log10(z_cgm * (1 / Z_SUN)))
    radiated = jnp.exp(LN_10 * (log10_lambda + halo_state.log10_radiated + CONVENTIONS[convention])) * cgm  # per mass
    # The divisor is held, not the ratio: else its gradient is 0 times infinity where nothing is radiated.
    return gas.per_mass / jnp.maximum(radiated * halo_state.t_dyn, gas.per_mass * (1 / LONGEST))
