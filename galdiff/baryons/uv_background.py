"""What the ultraviolet background keeps out of small halos."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.fitted import Range
from galdiff.cosmology import Cosmology

ALPHA, Z_OVERLAP, Z_REIONISED = 6, 9.0, 3.5  # Kravtsov, Gnedin & Klypin 2004, ApJ 609, 482, appendix B
JEANS_MASS = 0.0933 * 2.5e11  # Msun h^-1 Omega_m^-1/2 mu^-3/2
SUPPRESSION = 2  # alpha of Okamoto, Gao & Theuns 2008, MNRAS 390, 920, eq. 3
FITTED = (Range("redshift", "", 0.0, Z_OVERLAP, "Okamoto et al. 2008, MNRAS 390, 920: reionised at 9"),)
STEEPNESS = 25  # power of (1+z)/4.5 with which the smooth form passes z = 3.5: over 0.04 in ln(1+z)


def filtering_mass(
    redshift: Float[ArrayLike, "..."], cosmology: Cosmology, mean_weight: float, sharp: bool = False
) -> Float[Array, "..."]:
    """Filtering mass [Msun] (Kravtsov et al. 2004, eqs. B1 - B3, as coded by Pandya et al. 2026).

    Args:
      redshift: any shape.
      cosmology: for h and Omega_m.
      mean_weight: mean molecular weight mu [1].
      sharp: with the jump at z = 3.5 of the published form; else a blend of its two sides there.
    """
    a = 1 / (1 + jnp.asarray(redshift))
    a_o, a_r = 1 / (1 + Z_OVERLAP), 1 / (1 + Z_REIONISED)
    late = _late(a, a_o, a_r)
    # Clamped arguments keep the branch that is not taken finite.
    early = 3 * a / ((2 + ALPHA) * (5 + 2 * ALPHA)) * jnp.minimum(a / a_o, 1.0) ** ALPHA
    middle = 3 / a * a_o**2 * _overlap(a, a_o) + a**2 / 10 - a_o**2 / 10 * (5 - 4 * jnp.sqrt(a_o / a))
    before = jnp.where(a < a_o, early, middle)
    if sharp:
        f = jnp.where(a > a_r, late, before)
    else:
        share = 1 / (1 + jnp.minimum(a_r / a, a_r / a_o) ** STEEPNESS)
        f = before + (late - before) * jnp.where(a < a_o, 0.0, share)
    jeans = JEANS_MASS / (cosmology.h0 / 100) * cosmology.omega_m**-0.5 * mean_weight**-1.5
    return jeans * f * jnp.sqrt(f)  # a power costs ten times a root


def _overlap(a: Array, a_o: float) -> Array:
    return 1 / (2 + ALPHA) - 2 * jnp.sqrt(a_o / a) / (5 + 2 * ALPHA)


def _late(a: Array, a_o: float, a_r: float) -> Array:
    heated = a_r**2 / 10 * (5 - 4 * jnp.sqrt(a_r / a)) - a_o**2 / 10 * (5 - 4 * jnp.sqrt(a_o / a))
    cooled = a * a_r / 3 - a_r**2 / 3 * (3 - 2 * jnp.sqrt(a_r / a))
    return 3 / a * (a_o**2 * _overlap(a, a_o) + heated + cooled)


def suppression(m_vir: Float[ArrayLike, "..."], filtering: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Share of its baryons a halo of m_vir [Msun] can hold, 1/2 at the filtering mass (Okamoto et al. 2008)."""
    ratio = jnp.asarray(filtering) / m_vir
    root = jax.lax.rsqrt(1 + (2 ** (SUPPRESSION / 3) - 1) * ratio**SUPPRESSION)
    return root**3  # power -3 / SUPPRESSION without logarithms, which cost five times as much
