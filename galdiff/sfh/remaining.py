"""What is left of the stars that formed: dying stars return gas, by the mass function of the run."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff import units
from galdiff.core.record import quantity, record
from galdiff.imf import Imf, remnant_fraction, return_fraction
from galdiff.light_records import StellarHistory
from galdiff.sfh.panels import AgePanels

YOUNGEST = 1e-3  # Gyr; none has died before


@record
class RemainingMass:
    """Masses of a whole galaxy at the time at which it is seen."""

    formed: Float[Array, ""] = quantity("Msun", "all stars that ever formed")
    remaining: Float[Array, ""] = quantity("Msun", "stars that live, and remnants")
    remnants: Float[Array, ""] = quantity("Msun", "white dwarfs, neutron stars and black holes")


def remaining_mass(stars: StellarHistory, imf: Imf, metallicity: float = units.Z_SUN) -> RemainingMass:
    """Mass left of a history, after the returns of `galdiff.imf`, those of the baryon cycle.

    Args:
      stars: by age.
      imf: mass function; metallicity: mass fraction of metals, for the lifetimes of stars [1].
    """
    age = jnp.maximum(stars.age, YOUNGEST)
    return RemainingMass(
        formed=stars.mass.sum(),
        remaining=stars.mass @ (1 - return_fraction(imf, age, metallicity)),
        remnants=stars.mass @ remnant_fraction(imf, age, metallicity),
    )


def mean_sfr(stars: StellarHistory, ages: AgePanels, span: float = 0.1) -> Float[Array, ""]:
    """Star formation rate [Msun/yr], the mean of the last `span` [Gyr]; `ages` are its points."""
    width = ages.points_before(stars.time).width
    older = jnp.cumsum(width)
    share = jnp.clip((span - (older - width)) / jnp.where(width > 0, width, 1.0), 0.0, 1.0)
    return stars.mass @ jnp.where(width > 0, share, 0.0) / (span * 1e9)
