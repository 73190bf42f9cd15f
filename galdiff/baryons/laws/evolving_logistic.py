"""Preventative feedback as a logistic in log10 V_vir whose middle moves with redshift."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.law import Law
from galdiff.baryons.patankar import Contents
from galdiff.core.variables import physical


class EvolvingLogistic(Law):
    """Share of the baryons that is let in [1], as `Logistic`, half way at 10^log10_v km/s (1+z)^beta.

    At one mass V_vir grows as (1+z)^0.5, so beta of 0.5 keeps the halo mass of the middle, and more lets less into
    halos of one mass the earlier they are. The power is for a fit: no source gives it.
    """

    def __init__(self, *, low: float, high: float, steepness: float, log10_v: float, beta: float) -> None:
        self.low = physical(low, unit="1", lo=0.0, hi=1.0)
        self.high = physical(high, unit="1", lo=0.0, hi=1.0)
        self.steepness = physical(steepness, unit="1/dex", lo=0.0, hi=50.0)
        self.log10_v = physical(log10_v, unit="dex(km/s)", lo=1.0, hi=3.0)
        self.beta = physical(beta, unit="1", lo=-3.0, hi=3.0)

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Array:
        """The share at V_vir [km/s] and redshift."""
        halo = halo_state.halo
        above = jnp.log10(halo.v_vir) - p.log10_v - p.beta * jnp.log10(1 + halo.redshift)
        return p.low + (p.high - p.low) / (1 + jnp.exp(-p.steepness * above))
