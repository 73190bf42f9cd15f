"""A power law of V_vir and 1 + z: loading factors of winds, metallicity of the inflow (Pandya et al. 2026, eq. 8)."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.law import Law
from galdiff.baryons.parameters import V_0
from galdiff.baryons.patankar import Contents
from galdiff.core.fitted import Range, Ranges
from galdiff.core.variables import physical


def power_law(p: Any, halo_state: HaloState) -> Array:
    """10^log10_a (V_vir/V_0)^(alpha0 + alpha_z (1+z)) (1+z)^beta [unit of a], the shape of the halo."""
    ln_v, ln_1pz = jnp.log(halo_state.halo.v_vir / V_0), jnp.log1p(halo_state.halo.redshift)
    slope = p.alpha0 + p.alpha_z * jnp.exp(ln_1pz)
    return jnp.exp(jnp.log(10.0) * p.log10_a + slope * ln_v + p.beta * ln_1pz)


class PowerLaw(Law):
    """A dimensionless number as a power law; amplitude [dex] and slope are bounded by their prior ranges.

    `fitted_log10_m` [dex(Msun)]: masses today of the halos that the numbers were fitted to; None for no fit.
    """

    def __init__(
        self,
        *,
        log10_a: float,
        alpha0: float,
        alpha_z: float = 0.0,
        beta: float = 0.0,
        log10_a_range: tuple[float, float],
        alpha0_range: tuple[float, float] = (-4.0, 0.0),
        fitted_log10_m: tuple[float, float] | None = None,
    ) -> None:
        self.fitted_log10_m = None if fitted_log10_m is None else (float(fitted_log10_m[0]), float(fitted_log10_m[1]))
        self.log10_a = physical(log10_a, unit="dex", lo=log10_a_range[0], hi=log10_a_range[1])
        self.alpha0 = physical(alpha0, unit="1", lo=alpha0_range[0], hi=alpha0_range[1])
        self.alpha_z = physical(alpha_z, unit="1", lo=-2.0, hi=2.0)
        self.beta = physical(beta, unit="1", lo=-5.0, hi=5.0)

    def fitted(self) -> Ranges:
        """The masses of halos [Msun] that the numbers were fitted to."""
        if self.fitted_log10_m is None:
            return ()
        low, high = (10**x for x in self.fitted_log10_m)
        return (Range("m_vir", "Msun", low, high, "its fitted_log10_m", at_end=True),)

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Array:
        """The number at V_vir and redshift."""
        return power_law(p, halo_state)
