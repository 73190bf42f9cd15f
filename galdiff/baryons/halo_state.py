"""What a halo imposes on its baryons: everything that depends on neither parameters nor contents, once per time."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff import units
from galdiff.baryons import uv_background
from galdiff.core.hermite import backward_slopes, curves_with_slope, hermite, interval
from galdiff.core.interpolation import monotone_slopes
from galdiff.core.record import quantity, record
from galdiff.cosmology import Cosmology, ln_scale_at_ages
from galdiff.records import HaloHistory
from galdiff.units import MEAN_WEIGHT

T_VIR = 35.9  # K per (km/s)^2; Barkana & Loeb 2001, eq. 26, for this mu
TEMPERATURE_UNIT = units.BOLTZMANN_ERG_K / (MEAN_WEIGHT * units.PROTON_MASS_G) * 1e-10  # k T / mu m_p [(km/s)^2/K]
E_VIR = 1.5 * T_VIR * TEMPERATURE_UNIT  # thermal energy per mass at the virial temperature, in V_vir^2
TIME_UNIT = units.KPC_KM / units.GYR_S  # kpc/(km/s) [Gyr]
R_MAX = 2.16  # radius of the peak circular velocity, in scale radii
ALPHA_N, R_INNER = -1.5, 0.1  # slope of the density profile of the CGM; its inner edge over R_vir
LN_EDGE = float(np.log(1 / R_INNER))  # integral of n^2 r^2 dr over n_0^2 R^3 at this slope

# Radiated power over M_cgm^2 / R^3 Lambda, as log10 of [Msun (km/s)^2/Gyr] per [Msun^2/kpc^3 erg cm^3/s].
_DENSITY = (3 + ALPHA_N) / (4 * np.pi * (1 - R_INNER ** (3 + ALPHA_N)))  # n_0 mu m_p over M/R^3
_NUMBER = np.log10(_DENSITY) + np.log10(units.MSUN_G) - np.log10(MEAN_WEIGHT * units.PROTON_MASS_G)
_CM_PER_KPC = np.log10(units.KPC_KM) + 5
_POWER = np.log10(units.GYR_S) - np.log10(units.MSUN_G) - 10  # erg/s to Msun (km/s)^2/Gyr
LOG10_RADIATED = float(np.log10(4 * np.pi * LN_EDGE) + 2 * _NUMBER - 3 * _CM_PER_KPC + _POWER)


@record
class HaloNow:
    """A halo at some times."""

    time: Float[Array, "..."] = quantity("Gyr", "cosmic time")
    redshift: Float[Array, "..."] = quantity("", "redshift")
    m_vir: Float[Array, "..."] = quantity("Msun", "virial mass")
    mdot_vir: Float[Array, "..."] = quantity("Msun/Gyr", "rate at which it grows")
    r_vir: Float[Array, "..."] = quantity("kpc", "virial radius")
    v_vir: Float[Array, "..."] = quantity("km/s", "virial velocity")
    c_nfw: Float[Array, "..."] = quantity("", "concentration")
    spin: Float[Array, "..."] | None = quantity("", "spin parameter, where known", default=None)


@record
class HaloState:
    """A halo at some times, as its baryons feel it."""

    halo: HaloNow = quantity("", "the halo itself")
    f_uv: Float[Array, "..."] = quantity("", "share of the baryons that the UV background lets in")
    baryons: Float[Array, "..."] = quantity("Msun/Gyr", "cosmic share of baryons in the growth, times f_uv")
    e_vir: Float[Array, "..."] = quantity("(km/s)^2", "thermal energy per mass at the virial temperature")
    t_dyn: Float[Array, "..."] = quantity("Gyr", "R_vir / V_vir")
    t_ff: Float[Array, "..."] = quantity("Gyr", "free-fall time at the peak of the circular velocity")
    log10_radiated: Float[Array, "..."] = quantity("dex", "log10 of radiated power / (M_cgm^2 Lambda)")


def halo_at(history: HaloHistory, time: Float[ArrayLike, "..."]) -> HaloNow:
    """One halo at any times [Gyr], by the rule that its history names (see `HaloHistory`)."""
    time = jnp.asarray(time)
    ln_t, nodes = jnp.log(time), jnp.log(history.time)
    # Redshifts are exact at the nodes, and a Hermite cubic in ln t with exact slopes between them.
    ln_scale, growth = ln_scale_at_ages(history.cosmology, history.time)
    logs = [jnp.log(x) for x in (history.m_vir, history.r_vir, history.v_vir, history.c_nfw)]
    if history.interpolation == "backward":
        index = interval(ln_t, nodes)
        ln_a = hermite(ln_t, nodes, ln_scale, growth, index=index)[0]
        values = jnp.stack([*logs, jnp.log(history.mdot_vir)], -1)
        backward = backward_slopes(values, history.time)
        read = jnp.exp(hermite(time, history.time, values, backward, index=index)[0])
        m, r_vir, v_vir, c_nfw, mdot = (read[..., i] for i in range(5))
    else:
        accretion = history.mdot_vir * history.time / history.m_vir
        slopes = [accretion, *(monotone_slopes(curve, nodes) for curve in logs[1:]), growth]
        found = curves_with_slope(ln_t, nodes, [*logs, ln_scale], slopes)
        m, r_vir, v_vir, c_nfw = (jnp.exp(found[i]) for i in range(4))
        ln_a, mdot = found[4], m * jnp.maximum(found[5], 0.0) / time
    spin = None if history.spin is None else jnp.broadcast_to(history.spin, time.shape)
    return HaloNow(
        time=time,
        redshift=jnp.expm1(-ln_a),
        m_vir=m,
        mdot_vir=mdot,
        r_vir=r_vir,
        v_vir=v_vir,
        c_nfw=c_nfw,
        spin=spin,
    )


def halo_state_at(halo: HaloNow, cosmology: Cosmology, sharp: bool = False) -> HaloState:
    """Derived quantities of a halo; any shape.

    Args:
      halo: the halo at some times.
      cosmology: of its history.
      sharp: the filtering mass with its published jump at z = 3.5.
    """
    f_uv = uv_background.suppression(
        halo.m_vir, uv_background.filtering_mass(halo.redshift, cosmology, MEAN_WEIGHT, sharp)
    )
    c = halo.c_nfw
    cx = R_MAX  # c x at x = R_MAX / c
    enclosed = (float(np.log1p(cx)) - cx / (1 + cx)) / (jnp.log(1 + c) - c / (1 + c))  # m(x) over m(1), NFW
    x = cx / c
    t_dyn = TIME_UNIT * halo.r_vir / halo.v_vir
    return HaloState(
        halo=halo,
        f_uv=f_uv,
        baryons=cosmology.omega_b / cosmology.omega_m * f_uv * halo.mdot_vir,
        e_vir=E_VIR * halo.v_vir**2,
        t_dyn=t_dyn,
        t_ff=t_dyn * x / jnp.sqrt(enclosed / x),
        log10_radiated=LOG10_RADIATED - 3 * jnp.log10(halo.r_vir),
    )
