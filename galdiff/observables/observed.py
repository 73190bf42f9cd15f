"""Relations of observed galaxies, as published fits: what a model of galaxies can be held against.

Masses are in Msun for stars of a Chabrier (2003) mass function, but where it says otherwise.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.units import OXYGEN_SUN_ASPLUND09, Z_SUN_ASPLUND09

# Behroozi, Wechsler, Hearin & Conroy (2019, MNRAS 488, 3143), table J1, central galaxies, as observed:
# c0 + c1 (a - 1) - c2 ln a + c3 z for the first three, c0 + c1 (a - 1) + c2 z for the next two
CENTRALS: dict[str, Any] = dict(
    m1=(12.081, 4.696, 4.485, -0.74),
    eps=(-1.435, 1.813, 1.353, -0.214),
    alpha=(1.957, -2.65, -1.953, 0.204),
    beta=(0.474, -0.903, -0.492),
    log10_gamma=(-1.065, -3.243, -1.107),
    delta=0.386,
)


def log10_mstar_behroozi19(log10_mpeak: Float[ArrayLike, "..."], redshift: float) -> Float[Array, "..."]:
    """Median log10 stellar mass [Msun] of centrals in halos of these peak masses, 10^10.5 to 10^15 Msun, z = 0 to 2.

    Args:
      log10_mpeak: log10 of the peak virial mass (Bryan & Norman 1998) [Msun].
      redshift: of the halos.

    Returns:
      log10 M* (appendix J of Behroozi et al. 2019), in the shape of the masses.
    """
    z, a, ln_a = redshift, 1 / (1 + redshift), -jnp.log1p(redshift)
    m1, eps, alpha = (
        c[0] + c[1] * (a - 1) - c[2] * ln_a + c[3] * z for c in (CENTRALS[k] for k in ("m1", "eps", "alpha"))
    )
    beta, log10_gamma = (c[0] + c[1] * (a - 1) + c[2] * z for c in (CENTRALS[k] for k in ("beta", "log10_gamma")))
    x = jnp.asarray(log10_mpeak) - m1
    bump = 10**log10_gamma * jnp.exp(-0.5 * (x / CENTRALS["delta"]) ** 2)
    return m1 + eps - jnp.log10(10 ** (-alpha * x) + 10 ** (-beta * x)) + bump


def log10_gas_fraction_peeples14(log10_mstar: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 of cold gas (H I, H2, helium) over stars [dex] of star-forming galaxies at z = 0, M* of 10^8.5 to 10^11
    Msun (log10_mstar): Peeples et al. (2014, ApJ 786, 54), with the H I of Papastergis et al. (2012, ApJ 759, 138).
    """
    x = jnp.asarray(log10_mstar)
    return jnp.log10(0.5 * (1.366 * 10 ** (-0.43 * x + 3.75) + 10 ** (-0.4814 * x + 4.3676)))


def oxygen_andrews_martini13(log10_mstar: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """12 + log10(O/H) of the gas [dex], direct method, M* of 10^7.4 to 10^10.5 Msun (log10_mstar): Andrews &
    Martini (2013, ApJ 765, 140).
    """
    return 8.798 - jnp.log10(1 + 10 ** (0.64 * (8.901 - jnp.asarray(log10_mstar))))


def oxygen_of_metallicity(z: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """12 + log10(O/H) of gas with a metal mass fraction Z [1], in the mixture of the Sun (Asplund et al. 2009)."""
    return OXYGEN_SUN_ASPLUND09 + jnp.log10(jnp.asarray(z) / Z_SUN_ASPLUND09)


def log10_sfr_renzini_peng15(log10_mstar: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 star formation rate [Msun/yr] of the main sequence at z = 0, M* of 10^8.5 to 10^11 Msun (Renzini & Peng
    2015, ApJ 801, L29).
    """
    return 0.76 * jnp.asarray(log10_mstar) - 7.64


def log10_black_hole_mcconnell_ma13(log10_mbulge: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 mass of the black hole [Msun] in a bulge of 10^9.5 to 10^12 Msun (McConnell & Ma 2013, ApJ 764, 184)."""
    return 8.46 + 1.05 * (jnp.asarray(log10_mbulge) - 11)


def log10_v_reyes11(log10_mstar: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 of the rotation speed at the radius of 80 % of the light [km/s] of disc galaxies with M* of 10^9 to 10^11
    Msun (log10_mstar, Kroupa): the Tully-Fisher relation of Reyes et al. (2011, MNRAS 417, 2347).
    """
    return 2.142 + 0.278 * (jnp.asarray(log10_mstar) - 10.102)


def log10_v_mcgaugh12(log10_mbaryon: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 of the flat rotation speed [km/s] at a mass of stars and gas of 10^7.5 to 10^11 Msun (log10_mbaryon), 47
    Msun V^4: the baryonic Tully-Fisher relation of McGaugh (2012, AJ 143, 40).
    """
    return (jnp.asarray(log10_mbaryon) - jnp.log10(47.0)) / 4


def log10_sigma_zahid16(log10_mstar: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 of the dispersion within 3 kpc [km/s] of quiescent galaxies with M* of 10^9.5 to 10^11.5 Msun
    (log10_mstar): Faber-Jackson in mass of Zahid et al. (2016, ApJ 832, 203), which bends at 10^10.26 Msun.
    """
    x = jnp.asarray(log10_mstar) - 10.26
    return 2.073 + jnp.where(x < 0, 0.403, 0.293) * x
