"""How far the galaxies of a baryon cycle with a black hole are from observed ones, relation by relation.

For one mean halo of each mass: cheap enough for a fit of many parameters with exact Jacobians. What counts for a
relation is chosen by smooth windows in stellar mass, so residuals have derivatives everywhere.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.observables import observed
from galdiff.records import BaryonHistory
from galdiff.units import YR_PER_GYR

REDSHIFTS = (2.0, 1.0, 0.0)  # of the histories, in this order
ERRORS = (0.11, 0.065, 0.05)  # dex in stellar mass, at these
QUENCHED = -11.5  # log10 sSFR [1/yr] below which a galaxy in a massive halo is to be
BULGE = 0.7  # share of the stars in the bulges of galaxies with a black hole that counts


def stellar_masses(history: BaryonHistory) -> Float[Array, "halo redshift"]:
    """Stellar mass over that of centrals in halos of this mass (Behroozi et al. 2019) [dex]."""
    found = [
        jnp.log10(history.m_star[:, k]) - observed.log10_mstar_behroozi19(jnp.log10(history.m_vir[:, k]), z)
        for k, z in enumerate(REDSHIFTS)
    ]
    return jnp.stack(found, -1)


def today(history: BaryonHistory) -> dict[str, Float[Array, "halo"]]:
    """At redshift 0, over the observed [dex]: gas fraction, oxygen, main sequence, black hole; sSFR [log10 1/yr]."""
    log10_m = jnp.log10(history.m_star[:, -1])
    log10_sfr = jnp.log10(history.diagnostics.sfr[:, -1] / YR_PER_GYR)
    oxygen = observed.oxygen_of_metallicity(history.metallicity("ism")[:, -1])
    hole = jnp.log10(history.contents["mass"]["black_hole"][:, -1])
    return {
        "gas": jnp.log10(history.m_ism[:, -1]) - log10_m - observed.log10_gas_fraction_peeples14(log10_m),
        "oxygen": oxygen - observed.oxygen_andrews_martini13(log10_m),
        "main_sequence": log10_sfr - observed.log10_sfr_renzini_peng15(log10_m),
        "black_hole": hole - observed.log10_black_hole_mcconnell_ma13(log10_m + jnp.log10(BULGE)),
        "log10_ssfr": log10_sfr - log10_m,
    }


def residuals(history: BaryonHistory) -> dict[str, Float[Array, "..."]]:
    """All differences over their errors [1], by relation; `history` of halos of rising mass at `REDSHIFTS`."""
    log10_m, now = jnp.log10(history.m_star[:, -1]), today(history)
    counts = jnp.log10(history.m_vir) > 10.3  # the relation is known from 10.5 on
    massive = jnp.log10(history.m_vir[:, -1]) > 12.7
    return {
        "stellar_mass": stellar_masses(history) / np.array(ERRORS) * counts,
        "gas": _within(log10_m, 8.8, 10.9) * now["gas"] / 0.12,
        "oxygen": _within(log10_m, 8.5, 11.0) * now["oxygen"] / 0.1,
        "main_sequence": _within(log10_m, 8.8, 10.4) * now["main_sequence"] / 0.12,
        "black_hole": _within(log10_m, 10.4, 12.0) * now["black_hole"] / 0.11,
        "quenching": massive * 0.1 * jax.nn.softplus((now["log10_ssfr"] - QUENCHED) / 0.1) / 0.15,
    }


def _within(x: Array, low: float, high: float) -> Array:
    """One between the limits [dex], zero outside, smooth over a tenth of a dex."""
    return jax.nn.sigmoid((x - low) / 0.1) * jax.nn.sigmoid((high - x) / 0.1)
