"""Preventative feedback as a logistic in log10 V_vir (Pandya et al. 2026), and its absence."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.law import Law
from galdiff.baryons.parameters import FIRE2
from galdiff.baryons.patankar import Contents
from galdiff.core.variables import physical


class Logistic(Law):
    """Share of the baryons that is let in [1]: from `low` in the smallest halos to `high` in the largest."""

    FITTED = (FIRE2._replace(high=math.inf),)  # it levels off

    def __init__(
        self, *, low: float = 0.25, high: float = 0.9641, steepness: float = 7.1348, log10_v: float = 1.8775
    ) -> None:
        self.low = physical(low, unit="1", lo=0.0, hi=1.0)
        self.high = physical(high, unit="1", lo=0.0, hi=1.0)
        self.steepness = physical(steepness, unit="1/dex", lo=0.0, hi=50.0)
        self.log10_v = physical(log10_v, unit="dex(km/s)", lo=1.0, hi=3.0)

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Array:
        """The share at V_vir [km/s]."""
        v_vir = halo_state.halo.v_vir
        return p.low + (p.high - p.low) / (1 + jnp.exp(-p.steepness * (jnp.log10(v_vir) - p.log10_v)))
