"""Line-of-sight velocity distributions and their moments, straight from the mass distribution."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from galdiff.core.kernels import VARIANCE
from galdiff.records import MassDistribution

WIDENING = VARIANCE["cubic"]  # of the B-spline along v [node spacing^2], beyond what the stars have


def losvd(mass_distribution: MassDistribution, weight: Float[Array, "node av"]) -> Float[Array, "y x v"]:
    """Weight in each velocity node of each spaxel.

    Args:
      mass_distribution: mass in bins [Msun].
      weight: weight per mass of each population and attenuation node: ones for mass, or Lsun/Msun in a band.

    Returns:
      B-spline coefficients of the velocity distribution [Msun, or Lsun], shape (y, x, v).
    """
    return jnp.einsum("yxvnq,nq->yxv", mass_distribution.mass, weight, precision="highest")


def moments(
    profile: Float[Array, "*spaxel v"], v_nodes: Float[Array, "v"]
) -> tuple[Float[Array, "*spaxel"], Float[Array, "*spaxel"], Float[Array, "*spaxel"]]:
    """Sum, mean and dispersion of velocity distributions; exact for cubic B-spline weights.

    The weights keep the mean and widen the square of the dispersion by h_v^2/3, which is subtracted. Moments follow
    the wings, so they differ from the V and sigma of a Gauss-Hermite fit.

    Args:
      profile: weight at the velocity nodes [any unit], velocity last.
      v_nodes: velocity of the nodes [km/s], uniform.

    Returns:
      Sum [unit of profile], V and sigma [km/s]; V and sigma are NaN where the sum is not positive, and sigma is 0
      where rounding leaves nothing. Gradients are finite everywhere.
    """
    total = jnp.sum(profile, -1)
    filled = total > 0
    share = profile / jnp.where(filled, total, 1)[..., None]
    mean = jnp.sum(share * v_nodes, -1)
    step = v_nodes[1] - v_nodes[0]
    variance = jnp.sum(share * (v_nodes - mean[..., None]) ** 2, -1) - WIDENING * step**2
    wide = filled & (variance > 0)
    sigma = jnp.where(wide, jnp.sqrt(jnp.where(wide, variance, 1)), 0)
    return total, blank(mean, filled), blank(sigma, filled)


def blank(values: Float[Array, "*spaxel"], keep: Bool[Array, "*spaxel"]) -> Float[Array, "*spaxel"]:
    """Values [any unit], NaN where there is nothing to measure."""
    return jnp.where(keep, values, jnp.nan)
