"""Histograms, luminosity functions and fractions of galaxies that are differentiable: each galaxy is a small kernel.

As in diffsky's population statistics (Hearin et al. 2023, MNRAS 521, 1741, section 5), each value is spread by a
triweight kernel, so that a bin takes the share of the kernel that lies in it. A histogram of several quantities is the
sum over galaxies of the product of their shares: matrix products, in any number of dimensions.
"""

import math
import string
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.rolling import triweight_cdf
from galdiff.errors import InputError


def bin_shares(
    values: Float[ArrayLike, "galaxy"], edges: Float[ArrayLike, "edge"], width: ArrayLike
) -> Float[Array, "galaxy bin"]:
    """Share of each galaxy [1] in each bin.

    Args:
      values: any unit; edges: increasing, in the same unit, at least two.
      width: standard deviation of the kernel [unit of values], positive, of shape () or (galaxy,).

    Returns:
      Shares, positive; their sum is 1 for a galaxy well inside the edges and 0 well outside.

    Raises:
      InputError: edges that do not increase.
    """
    if not isinstance(edges, Array):
        ladder = np.asarray(edges, float)
        if ladder.ndim != 1 or ladder.size < 2 or not (np.diff(ladder) > 0).all():
            raise InputError(f"edges of the histogram are {ladder.tolist()}; give two or more that increase")
    x = jnp.asarray(values)[:, None]
    scale = jnp.broadcast_to(jnp.asarray(width, x.dtype), x.shape[:1])[:, None]
    return jnp.diff(triweight_cdf((jnp.asarray(edges, x.dtype) - x) / scale), axis=-1)


def soft_histogram(
    values: Sequence[Float[ArrayLike, "galaxy"]],
    edges: Sequence[Float[ArrayLike, "edge"]],
    widths: Sequence[ArrayLike],
    weights: Float[ArrayLike, "galaxy"] | None = None,
) -> Float[Array, "*bins"]:
    """Weighted number of galaxies in bins of one or more quantities, differentiable in values, weights and edges.

    Args:
      values: one array per quantity, such as magnitude and colour [their units].
      edges: of the bins of each; widths: standard deviation of the kernel of each [same unit].
      weights: number or probability that each galaxy stands for [1]; one if None.

    Returns:
      Counts [unit of weights], of shape (bins of the first quantity, of the second, ...).

    Raises:
      InputError: numbers of values, edges and widths that differ, or edges that do not increase.
    """
    if not len(values) == len(edges) == len(widths) or not values:
        raise InputError(
            f"histogram has {len(values)} quantities, {len(edges)} sets of edges and {len(widths)} widths; give as many"
        )
    shares = [bin_shares(*each) for each in zip(values, edges, widths, strict=True)]
    n = shares[0].shape[0]
    one = jnp.ones(n, shares[0].dtype) if weights is None else jnp.asarray(weights, shares[0].dtype)
    axes = string.ascii_lowercase[: len(shares)]
    reads = ",".join(f"z{axis}" for axis in axes)
    return jnp.einsum(f"z,{reads}->{axes}", one, *shares, optimize="greedy")


def luminosity_function(
    magnitudes: Float[ArrayLike, "galaxy"],
    edges: Float[ArrayLike, "edge"],
    volume: ArrayLike,
    width: ArrayLike = 0.1,
    weights: Float[ArrayLike, "galaxy"] | None = None,
) -> Float[Array, "bin"]:
    """Galaxies per volume and magnitude, or per volume and dex of a mass.

    Args:
      magnitudes: absolute [mag], or log10 of masses [dex], shape (galaxy,).
      edges: of the bins [mag], shape (bin + 1,); volume: that the galaxies fill [Mpc^3], positive, shape ().
      width: of the kernel [mag], shape () or (galaxy,); it flattens a steep function: keep it below the bins.
      weights: number that each galaxy stands for [1], shape (galaxy,); one if None.

    Returns:
      [1/Mpc^3/mag], shape (bin,).
    """
    counts = soft_histogram([magnitudes], [edges], [width], weights)
    return counts / jnp.diff(jnp.asarray(edges, counts.dtype)) / volume


def binned_mean(
    quantity: Float[ArrayLike, "galaxy"],
    values: Float[ArrayLike, "galaxy"],
    edges: Float[ArrayLike, "edge"],
    width: ArrayLike,
    weights: Float[ArrayLike, "galaxy"] | None = None,
) -> tuple[Float[Array, "bin"], Float[Array, "bin"]]:
    """Mean and standard deviation of a quantity in bins of another; a fraction if the quantity is 0 to 1.

    Args:
      quantity: any unit; values: that the bins are of, any unit; weights: of galaxies [1]; each of shape (galaxy,).
      edges: of the bins, shape (bin + 1,); width: of the kernel [unit of values], shape () or (galaxy,).

    Returns:
      Both [unit of the quantity], of shape (bin,); 0 with zero gradients in bins that hold nothing.
    """
    share = bin_shares(values, edges, width)
    if weights is not None:
        share = share * jnp.asarray(weights, share.dtype)[:, None]
    q = jnp.asarray(quantity, share.dtype)
    n = share.sum(0)
    filled = n > 0
    safe = jnp.where(filled, n, 1.0)
    mean = jnp.where(filled, q @ share / safe, 0.0)
    variance = jnp.where(filled, ((q[:, None] - mean) ** 2 * share).sum(0) / safe, 0.0)
    some = variance > 0
    return mean, jnp.where(some, jnp.sqrt(jnp.where(some, variance, 1.0)), 0.0)


def counting_loss(
    model: Float[ArrayLike, "*bins"], data: Float[ArrayLike, "*bins"], galaxies: ArrayLike
) -> Float[Array, ""]:
    """How unlike two histograms are: minus the log likelihood of Poisson counts, over the number of galaxies [1].

    Args:
      model, data: counts of the same bins, any shape and common unit, at least 0.
      galaxies: of the data, sets the scale.

    Returns:
      Zero where both are equal, positive elsewhere: the deviance over two.
    """
    floor = 1e-6 * galaxies / max(math.prod(jnp.shape(data)), 1)  # empty bins of the model must not rule
    mu, k = jnp.asarray(model) + floor, jnp.asarray(data) + floor
    return (mu - k - k * jnp.log(mu / k)).sum() / galaxies
