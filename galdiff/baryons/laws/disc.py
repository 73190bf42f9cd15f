"""Size of a galaxy's disc in its halo, for laws of star formation."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from galdiff.baryons.halo_state import HaloNow

SMALLEST_SPIN = 1e-3  # tables hold zeros, and a disc without size has no surface density


def scale_length(size_of_spin: ArrayLike, spin: float, halo: HaloNow) -> Array:
    """Scale length of an exponential disc [kpc]: size_of_spin x spin x R_vir (Mo, Mao & White 1998, MNRAS 295, 319).

    Args:
      size_of_spin: 1/sqrt 2 in their eq. 12.
      spin: of halos that do not know their own.
      halo: any shape, which is that of the length.
    """
    known = spin if halo.spin is None else halo.spin
    return halo.r_vir * jnp.maximum(known, SMALLEST_SPIN) * size_of_spin
