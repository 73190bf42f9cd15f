"""Fewer velocities for fainter templates: modes in place of velocity nodes, where the detector is rendered.

Nodes one sigma of the sharpest line apart follow every wiggle of a spectrum in velocity; few spectra have such wiggles,
and the later templates of a basis are faint. Of the bank B[m, r], weighted by how strong each template is in the
library, s_r, and by how nodes are used by velocities in the range (the Gram matrix of their B-splines and the slopes of
these, G = S S), the principal components along m are taken, Y[j, r] = (E^T S B)[j, r] s_r, and of each of these modes
the principal components along r, U_j. The strongest of those are kept, so that what is left out is SHARE of what the
basis itself leaves out.

    sum_mr b_m c_r B[m, r] ~ sum_j (b S^-1 E)_j sum_n (c / s U_j)_n (U_j^T Y_j)_n
"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter1d

from galdiff.core.one_thread import one_thread
from galdiff.ifu.basis import Basis
from galdiff.ifu.deposit import V_TAPS, Bins

SHARE = 0.7  # of the residual of the basis, in spectra and their slopes together
SLOPE = 1.0  # nodes by which a slope in velocity is multiplied to count like a value
UNUSED = 1e-4  # weight of nodes that no velocity uses, which coefficients may hold all the same
WORTH = 0.8  # of the channels; with more of them kept, the nodes themselves serve
PER_NODE = 20  # velocities at which the use of nodes is summed
LARGE = 1 << 24  # coefficients of a field
AT_ONCE = 2048  # samples whose modes are held


@dataclasses.dataclass(frozen=True, eq=False)
class VelocityModes:
    """How nodes become modes (host numbers, float64)."""

    from_nodes: np.ndarray  # coefficients at nodes to those of modes, shape (node, mode)
    of_spectra: np.ndarray  # exact spectra at nodes, and those beyond, to spectra of modes, shape (mode, shift)
    to_channels: tuple[np.ndarray, ...]  # of each mode, coefficients of templates to those kept, shape (rank, channel)
    of_templates: tuple[np.ndarray, ...]  # and spectra of templates to those kept, shape (channel, rank)

    @property
    def kept(self) -> tuple[int, ...]:
        """Spectra kept of each mode."""
        return tuple(len(m) for m in self.of_templates)

    def coefficients(self, coef: Float[Array, "y x v rank"]) -> Float[Array, "y x channel"]:
        """Coefficients [any unit] of the channels that are kept; row after row of a large field, which is then in the
        processor's cache.
        """
        if coef.size > LARGE and len(coef) > 1:
            return jax.lax.map(lambda row: self.coefficients(row[None])[0], coef)
        turned = jnp.einsum("yxvr,vj->jyxr", coef, jnp.asarray(self.from_nodes, coef.dtype), precision="highest")
        return jnp.concatenate([_times(t, m) for t, m in zip(turned, self.to_channels, strict=True)], axis=-1)

    def spectra(self, exact: Float[Array, "shift rank wave"]) -> Float[Array, "channel wave"]:
        """Spectra [any unit] of the channels that are kept."""
        turned = jnp.einsum("jm,mrk->jkr", jnp.asarray(self.of_spectra, exact.dtype), exact, precision="highest")
        parts = [_times(t, m.T) for t, m in zip(turned, self.of_templates, strict=True)]
        return jnp.concatenate(parts, axis=-1).T


def _times(values: Float[Array, "... rank"], matrix: Float[np.ndarray, "rank channel"]) -> Float[Array, "... channel"]:
    return jnp.matmul(values, jnp.asarray(matrix, values.dtype), precision="highest")


@one_thread()
def velocity_modes(
    basis: Basis,
    templates: np.ndarray,
    bins: Bins,
    prefilter: np.ndarray,
    stride: int,
    sigma: float,
    least: float = 0.0,
) -> VelocityModes | None:
    """Modes of a basis, None where they would save little.

    Args:
      basis: the compressed library.
      templates: its templates on the fine axis, shape (rank, sample).
      bins: with the velocity nodes.
      prefilter: from exact spectra to spline coefficients [1], shape (node, shift).
      stride: fine samples per node.
      sigma: the least by which the spectrograph widens the templates [fine samples].
      least: what may be left out at least [1], of spectra of unit mean.
    """
    values, vectors = np.linalg.eigh(_use_of_nodes(bins))
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    smooth = gaussian_filter1d(templates, sigma, axis=1, mode="nearest")[:, ::stride] * basis.strength[:, None]
    n_shift = prefilter.shape[1]
    moved = np.lib.stride_tricks.sliding_window_view(smooth, n_shift, axis=1)[..., ::-1]  # to the red with the node
    gram = sum(template.T @ template for template in moved)
    power = np.trace(gram) / n_shift
    weighted = root @ prefilter
    modes = _signed(np.linalg.eigh(weighted @ gram @ weighted.T)[1][:, ::-1])
    rows = modes.T @ weighted
    products = sum(np.matmul(part, part.transpose(0, 2, 1)) for part in _in_modes(moved, rows))
    energy, components = np.linalg.eigh(products / power)
    components = _signed(components)
    kept = _strongest(np.maximum(energy, 0), max(SHARE * basis.rms, least) ** 2)
    if kept.sum() > WORTH * energy.size:
        return None
    used = kept > 0
    strength = np.maximum(basis.strength, np.finfo(float).tiny)[:, None]
    chosen = [c[:, ::-1][:, :n] for c, n in zip(components[used], kept[used], strict=True)]
    return VelocityModes(
        from_nodes=(inverse @ modes)[:, used],
        of_spectra=rows[used],
        to_channels=tuple(c / strength for c in chosen),
        of_templates=tuple((c * strength).T for c in chosen),
    )


def _in_modes(moved: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Spectra of the modes, of the shape (mode, rank, sample), some samples at a time.

    `moved` are those of the templates at all shifts (rank, sample, shift), and `rows` the modes (mode, shift).
    """
    for first in range(0, moved.shape[1], AT_ONCE):
        yield np.stack([rows @ template[first : first + AT_ONCE].T for template in moved], 1)


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Eigenvectors, shape (..., element, vector), with signs that round-off does not turn."""
    along = 1 + np.arange(vectors.shape[-2]) / vectors.shape[-2]  # neither even nor odd
    return vectors * np.where(along @ vectors < 0, -1.0, 1.0)[..., None, :]


def _use_of_nodes(bins: Bins) -> np.ndarray:
    """Mean product of the weights of two nodes, and of their slopes, over the range of velocities [1], shape
    (node, node).
    """
    taps, n_nodes = V_TAPS[bins.v_kernel], len(bins.v_nodes)
    spline = BSpline.basis_element(np.arange(taps + 1) - taps / 2, extrapolate=False)
    v = np.linspace(-bins.v_max, bins.v_max, PER_NODE * n_nodes)
    away = (v[:, None] - bins.v_nodes) / (bins.v_nodes[1] - bins.v_nodes[0])
    weights = np.concatenate([np.nan_to_num(spline(away)), SLOPE * np.nan_to_num(spline.derivative()(away))])
    use = weights.T @ weights / len(v)
    return use + UNUSED * np.trace(use) / n_nodes * np.eye(n_nodes)


def _strongest(energy: np.ndarray, most: float) -> np.ndarray:
    """How many components of each mode to keep, shape (mode,), so that at most this energy [1] is left out.

    `energy` has the shape (mode, component).
    """
    ordered = np.sort(energy, axis=None)
    left = int(np.searchsorted(np.cumsum(ordered), most, side="right"))
    return np.sum(energy >= ordered[left], axis=1) if left < energy.size else np.zeros(len(energy), int)
