"""One number for all halos and times, not trained: no prevention (1), an inflow without metals (0)."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.law import Law
from galdiff.baryons.patankar import Contents
from galdiff.errors import InputError


class Constant(Law):
    """The same value everywhere, in the unit of the slot."""

    def __init__(self, *, value: float) -> None:
        if not value >= 0:
            raise InputError(f"value is {value}; what a law returns is zero or positive")
        self.value = float(value)

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Array:
        """The value, in the shape of the halo."""
        return jnp.full_like(halo_state.t_dyn, self.value)
