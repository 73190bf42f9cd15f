"""Light of the stars of each age and metallicity of a history, tabled at one cosmic time: no library in the loop.

Histories of a population are read at the same shares of the cosmic time (`galdiff.sfh.fractions`). What the stars of
each age add to bands is a fixed table then, and the light of many galaxies one product of matrices.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.imf.returns import return_fraction
from galdiff.imf.shape import Imf
from galdiff.populations.dust_population import share_inside
from galdiff.sfh.fractions import AgeFractions

RECENT = 0.1  # Gyr over which the star formation rate is a mean


@record
class PointTables:
    """What stars that formed at each point in age are at one cosmic time; rows are of all metallicities and points."""

    flux: Float[Array, "row column"] = quantity("Lsun Angstrom/Msun", "of young stars in parts of bands, then of old")
    left: Float[Array, "point"] = quantity("", "share of the mass that is in stars and remnants")
    recent: Float[Array, "point"] = quantity("1/yr", "what it adds to the star formation rate of the last 100 Myr")


def rows_of(
    shares: Float[np.ndarray, "point age"], columns: Float[np.ndarray, "met age column"]
) -> Float[np.ndarray, "row column"]:
    """Columns of a library by points in age [any unit]; rows are numbered by metallicity, ages within."""
    made = np.einsum("pa,mac->mpc", shares, columns)
    return np.asarray(made.reshape(columns.shape[0] * len(shares), columns.shape[-1]))


def point_tables(
    ages: AgeFractions,
    time: float,
    lg_age: Float[np.ndarray, "age"],
    flux: Float[np.ndarray, "met age part"],
    imf: Imf,
) -> PointTables:
    """Tables at one cosmic time.

    Args:
      ages: of the points; time: cosmic time [Gyr].
      lg_age: log10 of the ages of the library [dex(Gyr)].
      flux: of its nodes in the parts of bands [Lsun Angstrom/Msun]; imf: of the stars.
    """
    lg_age = np.asarray(lg_age, float)
    shares = ages.on_library(lg_age, time)
    inside = np.asarray(share_inside(jnp.asarray(lg_age)), float)[:, None]
    both = np.concatenate([flux * inside, flux * (1 - inside)], -1)
    left = shares @ (1 - np.asarray(return_fraction(imf, 10**lg_age), float))
    rows, kept, recent = (jnp.asarray(x, float) for x in (rows_of(shares, both), left, ages.recent(RECENT, time)))
    return PointTables(flux=rows, left=kept, recent=recent)
