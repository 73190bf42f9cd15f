"""When and where from a galaxy is seen."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from galdiff import units
from galdiff.core.buildable import buildable
from galdiff.cosmology import Cosmology, age, luminosity_distance
from galdiff.errors import InputError
from galdiff.light_records import Epoch

HIGHEST = 20.0


@buildable
def epoch_at(*, redshift: ArrayLike, cosmology: Cosmology) -> Epoch:
    """The epoch of a redshift [1], a scalar; at redshift 0 the galaxy is seen from 10 pc: magnitudes are absolute.

    Raises:
      InputError: a redshift below 0 or above 20.
    """
    if not isinstance(redshift, jax.core.Tracer):
        given = np.asarray(redshift, float)
        if not ((given >= 0) & (given <= HIGHEST)).all():
            raise InputError(f"redshift is {redshift}; give 0 to {HIGHEST:g}")
    redshift = jnp.asarray(redshift, float)
    distance = jnp.maximum(luminosity_distance(cosmology, redshift), units.TEN_PC_MPC)
    return Epoch(time=age(cosmology, redshift), redshift=redshift, luminosity_distance=distance)
