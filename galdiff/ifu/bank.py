"""Velocity nodes and the bank: every basis template, at every node, as the spectrograph records it.

Between nodes, spectra are cubic B-splines in velocity. The bank is prefiltered so that the spline interpolates the
exact spectra at the nodes: solve (c[m-1] + 4 c[m] + c[m+1]) / 6 = exact[m] (Unser 1999, IEEE SPM 16, 22).
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.ifu.response import PixelPlan, apply_response, response
from galdiff.records import Bank

SPARE = 3  # nodes beyond the velocity range on each side


def velocity_nodes(v_max: float, h_v: float) -> np.ndarray:
    """Nodes [km/s] that serve velocities in [-v_max, v_max] with spacing h_v, shape (node,); symmetric about 0."""
    half = math.ceil(v_max / h_v - 1e-9) + SPARE
    return h_v * np.arange(-half, half + 1)


def prefilter(n: int) -> np.ndarray:
    """Matrix from spectra at n nodes to cubic B-spline coefficients [1], shape (n, n)."""
    band = (np.diag(np.full(n, 4.0)) + np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)) / 6
    band[0, :2] = band[-1, -2:] = [1.0, 0.0]
    band[-1, -2:] = [0.0, 1.0]
    return np.linalg.inv(band)


def build_bank(
    plan: PixelPlan,
    templates: Float[Array, "rank sample"],
    n_nodes: int,
    sigma: Float[Array, "wave"],
    redshift: Float[Array, ""],
) -> Bank:
    """The bank of one instrument at one redshift; differentiable in sigma and redshift.

    Args:
      plan: pixels on the fine axis.
      templates: basis templates on the fine axis [Lsun per sample], shape (rank, sample).
      n_nodes: number of velocity nodes, odd; the middle one is v = 0.
      sigma: line-spread sigma to add [Angstrom], shape (wave,).
      redshift: systemic redshift.
    """
    half = n_nodes // 2
    shifts = tuple(plan.grid.stride * m for m in range(-half, half + 1))
    exact = apply_response(response(plan, sigma, redshift), templates, shifts, plan.n_pixel)
    matrix = jnp.asarray(prefilter(n_nodes), exact.dtype)
    return Bank(response=jnp.einsum("mn,nrk->mrk", matrix, exact, precision="highest"))
