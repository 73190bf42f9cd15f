"""Velocity nodes and the bank: every basis template, at every node, as the spectrograph records it.

Between nodes, spectra are quintic B-splines in velocity. The bank is prefiltered so that the spline interpolates the
exact spectra at the nodes: solve (c[m-2] + 26 c[m-1] + 66 c[m] + 26 c[m+1] + c[m+2]) / 120 = exact[m] (Unser 1999, IEEE
SPM 16, 22).
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.ifu.response import PixelPlan, apply_response, response
from galdiff.ifu.velocity_modes import VelocityModes
from galdiff.records import Bank

SPARE = 3  # nodes beyond the velocity range on each side
BEYOND = (
    3  # and beyond those, which have spectra, but whose coefficients are not used: they bear the ends of the spline
)


def velocity_nodes(v_max: float, h_v: float) -> np.ndarray:
    """Nodes [km/s] that serve velocities in [-v_max, v_max] with spacing h_v, shape (node,); symmetric about 0."""
    half = math.ceil(v_max / h_v - 1e-9) + SPARE
    return h_v * np.arange(-half, half + 1)


def prefilter(n: int) -> np.ndarray:
    """Matrix from spectra at n nodes, and BEYOND more at each end, to quintic B-spline coefficients of the n nodes [1].

    Its shape is (n, n + 2 BEYOND). The two coefficients at each end are those of a parabola through the last three
    nodes.
    """
    n += 2 * BEYOND
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    band = np.select([apart == 0, apart == 1, apart == 2], [66.0, 26.0, 1.0], 0.0) / 120
    given, bend = np.eye(n), np.array([1.0, -2.0, 1.0]) / 4  # a B-spline widens by the variance 1/2
    for row, near in ((0, slice(0, 3)), (1, slice(0, 3)), (n - 2, slice(n - 3, n)), (n - 1, slice(n - 3, n))):
        band[row] = np.eye(n)[row]
        given[row, near] -= bend
    return np.linalg.solve(band, given)[BEYOND:-BEYOND]


def build_bank(
    plan: PixelPlan,
    templates: Float[Array, "rank sample"],
    n_nodes: int,
    sigma: Float[Array, "wave"],
    redshift: Float[Array, ""],
    modes: VelocityModes | None = None,
) -> Bank:
    """The bank of one instrument at one redshift; differentiable in sigma and redshift.

    Args:
      plan: pixels on the fine axis.
      templates: basis templates on the fine axis [Lsun per sample], shape (rank, sample).
      n_nodes: number of velocity nodes, odd; the middle one is v = 0.
      sigma: line-spread sigma to add [Angstrom], shape (wave,).
      redshift: systemic redshift.
      modes: what takes the place of the nodes.
    """
    half = n_nodes // 2 + BEYOND
    shifts = tuple(plan.grid.stride * m for m in range(-half, half + 1))
    exact = apply_response(response(plan, sigma, redshift), templates, shifts, plan.n_pixel)
    if modes is not None:
        return Bank(response=modes.spectra(exact))
    matrix = jnp.asarray(prefilter(n_nodes), exact.dtype)
    return Bank(response=jnp.einsum("mn,nrk->mrk", matrix, exact, precision="highest"))
