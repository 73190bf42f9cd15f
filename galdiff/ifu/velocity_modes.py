"""Fewer velocities for fainter templates: modes in place of velocity nodes, where the detector is rendered.

Nodes one sigma of the sharpest line apart follow every wiggle of a spectrum in velocity; few spectra have such wiggles,
and the later templates of a basis are faint. Of the bank B[m, r], weighted by how strong each template is in the
library and how nodes are used by velocities in the range (the Gram matrix of their B-splines, G = S S), the principal
components along m are taken. Of each mode j only the first templates are kept, so that what is left out is SHARE of
what the basis itself leaves out.

    sum_m b_m B[m, r] ~ sum_j (b S^-1 E)_j (E^T S B)[j, r]
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter1d

from galdiff.core.one_thread import one_thread
from galdiff.ifu.basis import Basis
from galdiff.ifu.deposit import V_TAPS, Bins

SHARE = 0.3  # of the residual of the basis: 5 % more in quadrature
UNUSED = 1e-4  # weight of nodes that no velocity uses, which coefficients may hold all the same
WORTH = 0.8  # of the channels; with more of them kept, the nodes themselves serve
PER_NODE = 20  # velocities at which the use of nodes is summed


@dataclasses.dataclass(frozen=True, eq=False)
class VelocityModes:
    """How nodes become modes (host numbers, float64)."""

    from_nodes: np.ndarray  # coefficients at nodes to those of modes, shape (node, mode)
    of_spectra: np.ndarray  # exact spectra at nodes, and those beyond, to spectra of modes, shape (mode, shift)
    kept: tuple[int, ...]  # templates kept of each mode

    def coefficients(self, coef: Float[Array, "y x v rank"]) -> Float[Array, "y x channel"]:
        """Coefficients [any unit] of the channels that are kept."""
        turned = jnp.einsum("yxvr,vj->jyxr", coef, jnp.asarray(self.from_nodes, coef.dtype), precision="highest")
        return jnp.concatenate([turned[j, ..., :n] for j, n in enumerate(self.kept)], axis=-1)

    def spectra(self, exact: Float[Array, "shift rank wave"]) -> Float[Array, "channel wave"]:
        """Spectra [any unit] of the channels that are kept."""
        turned = jnp.einsum("jm,mrk->jrk", jnp.asarray(self.of_spectra, exact.dtype), exact, precision="highest")
        return jnp.concatenate([turned[j, :n] for j, n in enumerate(self.kept)])


@one_thread()
def velocity_modes(
    basis: Basis, templates: np.ndarray, bins: Bins, prefilter: np.ndarray, stride: int, sigma: float
) -> VelocityModes | None:
    """Modes of a basis, None where they would save little.

    Args:
      basis: the compressed library.
      templates: its templates on the fine axis, shape (rank, sample).
      bins: with the velocity nodes.
      prefilter: from exact spectra to spline coefficients [1], shape (node, shift).
      stride: fine samples per node.
      sigma: the least by which the spectrograph widens the templates [fine samples].
    """
    values, vectors = np.linalg.eigh(_use_of_nodes(bins))
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    smooth = gaussian_filter1d(templates, sigma, axis=1, mode="nearest")[:, ::stride]
    n_shift = prefilter.shape[1]
    gram = np.empty((len(templates), n_shift, n_shift))
    for template, product in zip(smooth, gram, strict=True):
        moved = np.lib.stride_tricks.sliding_window_view(template, n_shift)[:, ::-1]  # to the red with the node
        product[:] = moved.T @ moved
    gram *= basis.strength[:, None, None] ** 2
    power = np.trace(gram, axis1=1, axis2=2).sum() / n_shift
    weighted = root @ prefilter
    modes = np.linalg.eigh(weighted @ gram.sum(0) @ weighted.T)[1][:, ::-1]
    rows = modes.T @ weighted
    energy = np.einsum("jm,rmn,jn->jr", rows, gram, rows, optimize=True) / power
    kept = _kept(energy, (SHARE * basis.rms) ** 2)
    if kept.sum() > WORTH * energy.size:
        return None
    used = kept > 0
    return VelocityModes((inverse @ modes)[:, used], rows[used], tuple(int(n) for n in kept[used]))


def _use_of_nodes(bins: Bins) -> np.ndarray:
    """Mean product of the weights of two nodes over the range of velocities [1], shape (node, node)."""
    taps, n_nodes = V_TAPS[bins.v_kernel], len(bins.v_nodes)
    spline = BSpline.basis_element(np.arange(taps + 1) - taps / 2, extrapolate=False)
    v = np.linspace(-bins.v_max, bins.v_max, PER_NODE * n_nodes)
    weights = np.nan_to_num(spline((v[:, None] - bins.v_nodes) / (bins.v_nodes[1] - bins.v_nodes[0])))
    use = weights.T @ weights / len(v)
    return use + UNUSED * np.trace(use) / n_nodes * np.eye(n_nodes)


def _kept(energy: np.ndarray, most: float) -> np.ndarray:
    """Templates of each mode, the first ones, that leave at most this energy [1] out; shape (mode,)."""
    energy = np.maximum(energy, 0)
    low, high = -40.0, 0.0  # decades: what has less energy than 10^x is left out
    first = np.arange(energy.shape[1])
    for _ in range(20):
        middle = (low + high) / 2
        kept = (energy > 10**middle).sum(1)
        left = energy[first >= kept[:, None]].sum()
        low, high = (middle, high) if left <= most else (low, middle)
    return (energy > 10**low).sum(1)
