"""Weights as DSPS counts them (Hearin et al. 2023, MNRAS 521, 1741), for comparison with its results.

Differences of the cumulative mass of a table at edges of bins in age. On uneven ages those edges are not midpoints
(0.3 % of a spectrum in the median, 2 % at worst), and single precision does not carry young bins.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.rolling import triweight_cdf
from galdiff.units import YR_PER_GYR

SFR_MIN = 1e-14  # Msun/yr
T_FIRST = 1e-3  # Gyr
LGMET_ENDS = (-10.0, 10.0)  # outer edges of the bins in metallicity


def dsps_edges(nodes: np.ndarray) -> np.ndarray:
    """Edges of the bins of nodes [unit of nodes], shape (node + 1,), as DSPS places them."""
    edges = np.empty(nodes.size + 1)
    edges[0] = nodes[0] - (nodes[1] - nodes[0]) / 2
    edges[1:-2] = nodes[1:-1] - (nodes[2:] - nodes[:-2]) / 4
    last = nodes[-1] + (nodes[-1] - nodes[-3]) / 4 - (nodes[-1] + nodes[-2]) / 2
    edges[-2:] = nodes[-1] - last / 2, nodes[-1] + last / 2
    return edges


def log10_formed(time: Float[ArrayLike, "t"], sfr: Float[ArrayLike, "t"]) -> Float[Array, "t"]:
    """log10 of the mass formed [dex(Msun)] at the times [Gyr] of a table of rates [Msun/yr], shape (t,)."""
    t = jnp.concatenate([jnp.full(1, T_FIRST), jnp.asarray(time)])
    rate = jnp.concatenate([jnp.full(1, SFR_MIN), jnp.maximum(jnp.asarray(sfr), SFR_MIN)])
    return jnp.log10(jnp.cumsum((rate[1:] + rate[:-1]) / 2 * jnp.diff(t)) * YR_PER_GYR)


def dsps_mass(time: ArrayLike, sfr: ArrayLike, t_obs: ArrayLike) -> Float[Array, ""]:
    """Mass formed [Msun] at t_obs [Gyr], from a table of times [Gyr] and rates [Msun/yr] of shape (t,)."""
    return 10 ** jnp.interp(jnp.log10(t_obs), jnp.log10(time), log10_formed(time, sfr))


def dsps_age_weights(
    time: Float[ArrayLike, "t"], sfr: Float[ArrayLike, "t"], t_obs: ArrayLike, lg_age_gyr: np.ndarray
) -> Float[Array, "age"]:
    """Share of the stars in each bin in age [1].

    Args:
      time, sfr: a table of cosmic times [Gyr] and rates [Msun/yr].
      t_obs: cosmic time of the observation [Gyr], a scalar.
      lg_age_gyr: ages of the library [dex(Gyr)], shape (age,).
    """
    born = jnp.maximum(jnp.asarray(t_obs) - 10 ** dsps_edges(np.asarray(lg_age_gyr)), T_FIRST)
    formed = 10 ** jnp.interp(jnp.log10(born), jnp.log10(time), log10_formed(time, sfr))
    mass = formed[:-1] - formed[1:]
    return mass / mass.sum()


def dsps_met_weights(lgmet: ArrayLike, scatter: ArrayLike, ssp_lgmet: np.ndarray) -> Float[Array, "... met"]:
    """Share of the stars in each bin in metallicity [1], on a new last axis.

    Args:
      lgmet: mean log10 Z [dex], any shape; scatter: standard deviation [dex] of the triweight kernel, positive.
      ssp_lgmet: log10 Z of the library, shape (met,).
    """
    edges = dsps_edges(np.asarray(ssp_lgmet))
    edges[0], edges[-1] = LGMET_ENDS
    mean = jnp.asarray(lgmet)[..., None]
    below = triweight_cdf((mean - edges) / scatter)
    share = below[..., :-1] - below[..., 1:]
    total = share.sum(-1, keepdims=True)
    one_end = jnp.eye(len(ssp_lgmet))[jnp.where(mean < edges[0], 0, -1)[..., 0]]
    return jnp.where(total > 0, share / jnp.where(total > 0, total, 1.0), one_end)


def dsps_joint_weights(
    time: Float[ArrayLike, "t"],
    sfr: Float[ArrayLike, "t"],
    lgmet_table: Float[ArrayLike, "t"],
    scatter: ArrayLike,
    t_obs: ArrayLike,
    nodes: tuple[np.ndarray, np.ndarray],
) -> Float[Array, "met age"]:
    """Share of the stars at each node [1] for a history of metallicity.

    Args:
      time, sfr, lgmet_table: a table of cosmic times [Gyr], rates [Msun/yr] and log10 Z [dex].
      scatter: of log10 Z [dex]; t_obs: cosmic time of the observation [Gyr]; scalars.
      nodes: log10 Z [dex] and log10 age [dex(Gyr)] of the library, shapes (met,) and (age,).
    """
    lgmet, lg_age = nodes
    born = jnp.log10(jnp.maximum(jnp.asarray(t_obs) - 10 ** np.asarray(lg_age), T_FIRST))
    mean = jnp.interp(born, jnp.log10(time), jnp.asarray(lgmet_table))
    weights = dsps_met_weights(mean, scatter, lgmet) * dsps_age_weights(time, sfr, t_obs, lg_age)[:, None]
    return (weights / weights.sum()).T
