"""What a generation of stars returns, leaves behind and gives: mass, energy and metals per mass formed.

Stars die at the age of Raiteri, Villata & Navarro (1996, A&A 315, 105, eq. 3), which fits the Padova tracks for 0.6 to
120 Msun and Z = 7e-5 to 0.03. They leave the remnants of Renzini & Ciotti (1993, ApJ 416, L49), as in FSPS: white
dwarfs of 0.48 + 0.077 m below 8.5 Msun, neutron stars of 1.4 Msun up to 40, and black holes of m/2 above.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff import units
from galdiff.core.buildable import buildable
from galdiff.imf.shape import Imf, moment

Z_LIMITS = (7e-5, 0.03)  # of the lifetimes
M_SUPERNOVA = 8.0  # smallest mass of a core-collapse supernova [Msun] (Smartt 2009, ARA&A 47, 63: 8 +- 1)
M_NEUTRON_STAR, M_BLACK_HOLE = 8.5, 40.0  # where the kind of remnant changes [Msun]
M_FAILED = 40.0  # heavier stars keep their metals [Msun]: end of the range of Raiteri et al. (1996)
SUPERNOVA_ERG = 1e51  # kinetic energy of one supernova


def turnoff_mass(age: Float[ArrayLike, "..."], metallicity: float = units.Z_SUN) -> Float[Array, "..."]:
    """Initial mass of the stars that die now [Msun], after Raiteri et al. (1996), eq. 3, solved for the mass.

    Args:
      age: of the generation [Gyr], above zero; any shape.
      metallicity: metal mass fraction, held within 7e-5 to 0.03.

    Returns:
      Mass of the shape of age. Ages below the shortest lifetime, about 3 Myr, give the mass at which the fit turns,
      some 100 Msun.
    """
    log_z = jnp.log10(jnp.clip(metallicity, *Z_LIMITS))
    a0 = 10.13 + 0.07547 * log_z - 0.008084 * log_z**2
    a1 = -4.424 - 0.7939 * log_z - 0.1187 * log_z**2
    a2 = 1.262 + 0.3385 * log_z + 0.05417 * log_z**2
    log_t = jnp.log10(1.0 * jnp.asarray(age)) + 9.0
    under = a1**2 - 4 * a2 * (a0 - log_t)
    root = jnp.sqrt(jnp.where(under > 0, under, 1.0))
    return 10 ** ((-a1 - jnp.where(under > 0, root, 0.0)) / (2 * a2))


def remnant_mass(m: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Mass that a star of initial mass m [Msun] leaves [Msun] (Renzini & Ciotti 1993), any shape."""
    m = jnp.asarray(m)
    heavy = jnp.where(m < M_BLACK_HOLE, 1.4, 0.5 * m)
    return jnp.minimum(jnp.where(m < M_NEUTRON_STAR, 0.48 + 0.077 * m, heavy), m)


@buildable
def return_fraction(
    imf: Imf, age: Float[ArrayLike, "..."] = 10.0, metallicity: float = units.Z_SUN
) -> Float[Array, "..."]:
    """Share of the mass formed that dead stars have returned at an age [1], R(t); what is left is stars and remnants.

    Args:
      imf: mass function.
      age: of the generation [Gyr], above zero, any shape; metallicity: metal mass fraction of its stars.
    """
    kinks = (M_NEUTRON_STAR, M_BLACK_HOLE)
    return moment(imf, lambda m: m - remnant_mass(m), turnoff_mass(age, metallicity), kinks)


def remnant_fraction(
    imf: Imf, age: Float[ArrayLike, "..."] = 10.0, metallicity: float = units.Z_SUN
) -> Float[Array, "..."]:
    """Share of the mass formed [1] that is in remnants at an age [Gyr], any shape; as `return_fraction`."""
    return moment(imf, remnant_mass, turnoff_mass(age, metallicity), (M_NEUTRON_STAR, M_BLACK_HOLE))


def supernova_rate(imf: Imf) -> Float[Array, ""]:
    """Core-collapse supernovae per solar mass formed [1/Msun]: stars above 8 Msun."""
    return moment(imf, jnp.ones_like, M_SUPERNOVA)


@buildable
def supernova_energy(imf: Imf, energy: float = SUPERNOVA_ERG) -> Float[Array, ""]:
    """Energy of core-collapse supernovae per mass formed [(km/s)^2]; `energy` of each [erg]."""
    return supernova_rate(imf) * (energy / units.MSUN_G / 1e10)


@buildable
def metal_yield(imf: Imf) -> Float[Array, ""]:
    """New metals of core-collapse supernovae per mass formed [1].

    Oxygen 4.586e-4 m^2.721 Msun and iron 2.802e-4 m^1.864 Msun of Raiteri et al. (1996, eqs. 6-7; fits to Woosley &
    Weaver 1995 for 8 to 40 Msun), all metals as 2.09 O + 1.06 Fe (Shen, Wadsley & Stinson 2010, MNRAS 407,
    1581). Heavier stars give nothing; what comes late (carbon and nitrogen of giants, iron of type Ia) is left out.
    """

    def metals(m: Array) -> Array:
        made = 2.09 * 4.586e-4 * m**2.721 + 1.06 * 2.802e-4 * m**1.864
        return jnp.where(m < M_FAILED, made, 0.0)

    return moment(imf, metals, M_SUPERNOVA, (M_FAILED,))
