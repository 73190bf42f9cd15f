"""Histories of haloes of given mass today: the DiffmahPop distribution of Hearin et al. (2021, OJAp 4, 7), section 5.

Haloes form early or late; in each family (u_early, u_late, log tc) are Gaussian, with means and Cholesky factors that
roll with mass. The numbers are the published calibration on Rockstar haloes of simulations with a Planck cosmology,
10^11 to 10^15 Msun; smaller and larger haloes follow the same sigmoids. Checked against diffmah 0.4.3.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from galdiff.core.compiled import quickly
from galdiff.core.fitted import Range
from galdiff.halo.diffmah import DiffmahParams

FITTED = (Range("m_vir", "Msun", 1e11, 1e15, "Hearin et al. 2021, OJAp 4, 7, section 5", at_end=True),)
_PIVOT, _ROLL = 13.0, 0.5  # of all sigmoids in log10 mass [dex, per dex]
_LATE_FRACTION = (0.35, 0.45)  # at low and at high mass
# Rows: means of u_early, u_late, log tc; log10 of the Cholesky diagonal in that order; its entries (u_late, u_early),
# (log tc, u_early), (log tc, u_late). Columns: low and high mass.
_EARLY = (
    (0.70, 3.50), (-0.40, -0.40), (-0.39, 0.91),
    (0.10, -0.25), (-0.25, 0.00), (-0.50, -1.30),
    (-0.65, -0.55), (0.00, -0.15), (-0.13, -0.25),
)  # fmt: skip
_LATE = (
    (0.50, 2.81), (-3.05, -1.65), (0.16, 1.90),
    (-0.20, -0.70), (0.10, -0.25), (-0.50, -1.15),
    (-1.20, 0.50), (-0.20, -0.03), (0.57, 0.39),
)  # fmt: skip


def _roll(ends: tuple, log10_m0: Array) -> Array:
    """Sigmoids in mass between the columns of `ends`: shape (row, *mass)."""
    low, high = np.asarray(ends).T.astype(log10_m0.dtype)
    share = jax.nn.sigmoid(_ROLL * (log10_m0 - _PIVOT))
    return jnp.tensordot(low, 1 - share, 0) + jnp.tensordot(high, share, 0)


def _means_and_factor(ends: tuple, log10_m0: Array) -> tuple[Array, Array]:
    """Means (*mass, 3) and lower Cholesky factors (*mass, 3, 3) of one family."""
    row = _roll(ends, log10_m0)
    zero, diagonal = jnp.zeros_like(log10_m0), 10 ** row[3:6]
    factor = [[diagonal[0], zero, zero], [row[6], diagonal[1], zero], [row[7], row[8], diagonal[2]]]
    return jnp.moveaxis(row[:3], 0, -1), jnp.stack([jnp.stack(line, -1) for line in factor], -2)


def _bounded(u: Array, log10_m0: Array) -> DiffmahParams:
    """Parameters from (u_early, u_late, log tc): both indices positive, the early one the larger."""
    late = jax.nn.softplus(u[..., 1])
    return DiffmahParams(
        logm0=log10_m0, logtc=u[..., 2], early_index=late + jax.nn.softplus(u[..., 0]), late_index=late,
        t_peak=jnp.full_like(log10_m0, jnp.inf),
    )  # fmt: skip


def late_fraction(log10_m0: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Share of late-forming haloes among those of mass log10_m0 [dex Msun] today [1]."""
    return _roll((_LATE_FRACTION,), _floating(log10_m0))[0]


def _floating(log10_m0: ArrayLike) -> Array:
    log10_m0 = jnp.asarray(log10_m0)
    return log10_m0.astype(jnp.result_type(log10_m0, float))


@quickly
def mean_params(log10_m0: Float[ArrayLike, "..."]) -> DiffmahParams:
    """The middle history of haloes of one mass: means over both families of (u_early, u_late, log tc).

    Args:
      log10_m0: log10 of the mass today [Msun], any shape.

    Returns:
      Parameters of that shape, smooth in mass.
    """
    mass = _floating(log10_m0)
    late = late_fraction(mass)[..., None]
    early_mean, late_mean = _means_and_factor(_EARLY, mass)[0], _means_and_factor(_LATE, mass)[0]
    return _bounded((1 - late) * early_mean + late * late_mean, mass)


def sample_params(key: PRNGKeyArray, log10_m0: Float[ArrayLike, "halo"]) -> DiffmahParams:
    """Random histories of haloes of given mass today.

    Args:
      key: random key.
      log10_m0: log10 of the mass today [Msun], one per halo.

    Returns:
      Parameters with one axis; each halo's are smooth in its mass but for the jumps where its family changes.
    """
    mass = _floating(log10_m0)
    key_family, key_scatter = jax.random.split(key)
    is_late = jax.random.uniform(key_family, mass.shape, mass.dtype) < late_fraction(mass)
    normal = jax.random.normal(key_scatter, (*mass.shape, 3), mass.dtype)
    draws = []
    for ends in (_EARLY, _LATE):
        mean, factor = _means_and_factor(ends, mass)
        draws.append(mean + jnp.einsum("...ij,...j->...i", factor, normal))
    return _bounded(jnp.where(is_late[..., None], draws[1], draws[0]), mass)
