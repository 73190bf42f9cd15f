"""Numbers of the two-zone model: as plain pytrees for the equations, and as bounded variables for training."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record
from galdiff.core.variables import physical

V_0 = 125.0  # km/s, pivot of the power laws
Z_SUN = 0.02


@record
class PowerLaw:
    """p(V, z) = 10^log10_a (V/V_0)^(alpha0 + alpha_z (1+z)) (1+z)^beta."""

    log10_a: Float[Array, ""] = quantity("dex", "log10 of the value at V_0 and redshift 0 (for alpha_z = 0)")
    alpha0: Float[Array, ""] = quantity("", "slope in V_vir")
    alpha_z: Float[Array, ""] = quantity("", "growth of that slope with 1 + z")
    beta: Float[Array, ""] = quantity("", "slope in 1 + z")


def power_law(p: PowerLaw, ln_v: Array, ln_1pz: Array) -> Array:
    """Value of the power law at ln(V_vir/V_0) and ln(1+z), any shape (Pandya et al. 2026, eq. 8)."""
    slope = p.alpha0 + p.alpha_z * jnp.exp(ln_1pz)
    return jnp.exp(jnp.log(10.0) * p.log10_a + slope * ln_v + p.beta * ln_1pz)


@record
class Prevention:
    """Share of the baryons that preventative feedback lets in: a logistic in log10 V_vir."""

    low: Float[Array, ""] = quantity("", "in the smallest halos")
    high: Float[Array, ""] = quantity("", "in the largest halos")
    steepness: Float[Array, ""] = quantity("1/dex", "slope of the logistic")
    log10_v: Float[Array, ""] = quantity("dex(km/s)", "where it passes half way")


@record
class Turbulence:
    """Turbulent energy of the CGM (Pandya et al. 2023)."""

    heat_of_inflow: Float[Array, ""] = quantity("", "share of the energy of the inflow that arrives as heat")
    heat_of_wind: Float[Array, ""] = quantity("", "share of the energy of the wind that arrives as heat")
    eddy: Float[Array, ""] = quantity("", "outer scale of the turbulence over R_vir")


@record
class Parameters:
    """All numbers of the two-zone model in natural units."""

    t_dep: PowerLaw = quantity("Gyr", "depletion time of the ISM")
    eta_mass: PowerLaw = quantity("", "mass loading of the wind")
    eta_energy: PowerLaw = quantity("", "energy loading of the wind, before its limit of 1")
    eta_metal: PowerLaw = quantity("", "share of new metals that the wind takes, before its limit of 1")
    z_inflow: PowerLaw = quantity("", "metal mass fraction of the inflow")
    prevent: Prevention = quantity("", "preventative feedback")
    f_recycle: Float[Array, ""] = quantity("", "share of the stars formed that dies at once")
    metal_yield: Float[Array, ""] = quantity("", "new metals per mass of stars formed")
    energy_yield: Float[Array, ""] = quantity("(km/s)^2", "supernova energy per mass of stars formed")
    turbulence: Turbulence | None = quantity("", "turbulent energy; None for the thermal limit", default=None)


def prevention(p: Prevention, v_vir: Array) -> Array:
    """f_prev at V_vir [km/s] (Pandya et al. 2026)."""
    return p.low + (p.high - p.low) / (1 + jnp.exp(-p.steepness * (jnp.log10(v_vir) - p.log10_v)))


@buildable
class Bounded(nnx.Module):
    """Physical variables of one record; calling it gives the record with the bounded values."""

    def __init__(self, kind: type, **variables):
        self.kind = kind
        self.names = tuple(variables)
        for name, variable in variables.items():
            setattr(self, name, variable)

    def __call__(self):
        """The record of plain values."""
        return self.kind(**{name: getattr(self, name).bounded for name in self.names})


@buildable
def loading(
    *,
    log10_a: float,
    alpha0: float,
    alpha_z: float = 0.0,
    beta: float = 0.0,
    log10_a_range: tuple[float, float],
    alpha0_range: tuple[float, float] = (-4.0, 0.0),
) -> Bounded:
    """A trainable power law, amplitude [dex] and slope bounded by their prior ranges."""
    return Bounded(
        PowerLaw,
        log10_a=physical(log10_a, unit="dex", lo=log10_a_range[0], hi=log10_a_range[1], prior="uniform"),
        alpha0=physical(alpha0, unit="1", lo=alpha0_range[0], hi=alpha0_range[1], prior="uniform"),
        alpha_z=physical(alpha_z, unit="1", lo=-2.0, hi=2.0),
        beta=physical(beta, unit="1", lo=-5.0, hi=5.0),
    )


@buildable
def preventing(
    *, low: float = 0.25, high: float = 0.9641, steepness: float = 7.1348, log10_v: float = 1.8775
) -> Bounded:
    """Trainable preventative feedback with the numbers of Pandya et al. (2026)."""
    return Bounded(
        Prevention,
        low=physical(low, unit="1", lo=0.0, hi=1.0),
        high=physical(high, unit="1", lo=0.0, hi=1.0),
        steepness=physical(steepness, unit="1/dex", lo=0.0, hi=50.0),
        log10_v=physical(log10_v, unit="dex(km/s)", lo=1.0, hi=3.0),
    )


@buildable
def turbulent(*, heat_of_inflow: float = 0.5, heat_of_wind: float = 0.5, eddy: float = 0.5) -> Bounded:
    """Trainable turbulence of the CGM. The shares and the scale are round numbers, not published fits."""
    return Bounded(
        Turbulence,
        heat_of_inflow=physical(heat_of_inflow, unit="1", lo=0.0, hi=1.0),
        heat_of_wind=physical(heat_of_wind, unit="1", lo=0.0, hi=1.0),
        eddy=physical(eddy, unit="R_vir", lo=0.01, hi=2.0),
    )
