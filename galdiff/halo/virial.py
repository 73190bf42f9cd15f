"""Size and circular velocity of a halo of given mass, for the usual definitions of its edge."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff import units
from galdiff.cosmology import Cosmology, critical_density, matter_fraction
from galdiff.errors import InputError

DEFINITIONS = ("bn98", "200c", "200m")


def check_definition(definition: str) -> None:
    """Raise InputError unless `definition` names a halo edge: bn98, 200c or 200m."""
    if definition not in DEFINITIONS:
        raise InputError(f"halo definition is '{definition}'; choose one of {', '.join(DEFINITIONS)}")


def overdensity_bn98(cosmology: Cosmology, redshift: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Virial overdensity of a flat universe, Bryan & Norman (1998, ApJ 495, 80), eq. 6.

    Args:
      cosmology: any flat universe; the fit was made for a cosmological constant.
      redshift: redshift [1].

    Returns:
      Mean density inside the virial radius over the critical density [1]: 18 pi^2 where matter dominates.
    """
    x = matter_fraction(cosmology, redshift) - 1
    return 18 * np.pi**2 + 82 * x - 39 * x**2


def mean_density(
    cosmology: Cosmology, redshift: Float[ArrayLike, "..."], definition: str = "bn98"
) -> Float[Array, "..."]:
    """Mean density inside the edge of a halo.

    Args:
      cosmology: the universe.
      redshift: redshift [1].
      definition: bn98 (virial), 200c or 200m (200 times the critical or the mean matter density).

    Returns:
      Density [Msun/kpc^3, proper], shape of redshift.
    """
    check_definition(definition)
    critical = critical_density(cosmology, redshift)
    if definition == "bn98":
        return critical * overdensity_bn98(cosmology, redshift)
    return 200 * critical * (matter_fraction(cosmology, redshift) if definition == "200m" else 1.0)


def virial_radius(
    mass: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."], cosmology: Cosmology, definition: str = "bn98"
) -> Float[Array, "..."]:
    """Radius that holds `mass` at the mean density of the definition.

    Args:
      mass: mass of the halo in that definition [Msun], positive.
      redshift: redshift [1]; broadcasts with mass.
      cosmology: the universe.
      definition: bn98, 200c or 200m.

    Returns:
      Radius [kpc, proper].
    """
    # The mass of a cluster times kpc^3 stays within single precision; the cube of its radius too.
    return jnp.cbrt(jnp.asarray(mass) * (3 / (4 * np.pi)) / mean_density(cosmology, redshift, definition))


def virial_velocity(mass: Float[ArrayLike, "..."], radius: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Circular velocity sqrt(G M / R) at the edge [km/s]; mass [Msun] and proper radius [kpc], both positive."""
    return jnp.sqrt(units.G_KPC_KMS2_MSUN * jnp.asarray(mass) / radius)
