"""A small basis for all spectra of a library, also dimmed by dust.

Node spectra, each divided by its mean, are compressed by an SVD: L_n = sum_r C[n, r] T_r. With attenuation the basis
is a joint one over (age, Z, A_V), since exp(-A k) has tiny rank: exp(-A k) = sum_q f_q(A) g_q, with f_q smooth
functions of A_V alone.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.one_thread import one_thread

MAG = 0.4 * np.log(10.0)  # A_V in mag to optical depth
LANES = 8  # numbers of templates by which loops over them vectorise: 51 take several times as long as 56
DEGREE = 12  # of the Chebyshev polynomials f_q


@dataclasses.dataclass(frozen=True, eq=False)
class Attenuation:
    """Separable form of 10^(-0.4 A_V k(wave)) for 0 <= A_V <= a_v_max (host numbers)."""

    modes: np.ndarray  # g_q, shape (av, wave)
    weights: np.ndarray  # Chebyshev coefficients of f_q, shape (DEGREE + 1, av)
    a_v_max: float  # [mag]


def no_attenuation(n_wave: int) -> Attenuation:
    """The trivial form: one mode, one."""
    return Attenuation(modes=np.ones((1, n_wave)), weights=np.ones((1, 1)), a_v_max=0.0)


@one_thread()
def separate_attenuation(k: np.ndarray, a_v_max: float, n_modes: int) -> Attenuation:
    """Separate attenuation in A_V and wavelength.

    Args:
      k: A_wave / A_V at the library's wavelengths, shape (wave,).
      a_v_max: largest A_V served [mag].
      n_modes: rank; 5 gives 1.5e-4, 6 gives 5e-6 for A_V <= 3 and a Milky Way curve over the optical.
    """
    t = np.cos(np.pi * (np.arange(64) + 0.5) / 64)  # Chebyshev points of (-1, 1)
    dimming = np.exp(-MAG * a_v_max * 0.5 * (t + 1)[:, None] * k)
    modes = np.linalg.svd(dimming, full_matrices=False)[2][:n_modes]
    weights = np.polynomial.chebyshev.chebfit(t, dimming @ modes.T, DEGREE)
    return Attenuation(modes=modes, weights=weights, a_v_max=a_v_max)


def attenuation_weights(a_v: Float[Array, "star"], attenuation: Attenuation) -> Float[Array, "star av"]:
    """f_q(A_V) [1] of each star; A_V [mag] beyond the range counts as its edge."""
    if attenuation.a_v_max == 0.0:
        return jnp.ones((*a_v.shape, 1), a_v.dtype)
    t = (2 * jnp.clip(a_v, 0.0, attenuation.a_v_max) / attenuation.a_v_max - 1)[..., None]
    coefficients = jnp.asarray(attenuation.weights, a_v.dtype)
    ahead, behind = jnp.zeros_like(t), jnp.zeros_like(t)  # Clenshaw
    for row in coefficients[:0:-1]:
        ahead, behind = row + 2 * t * ahead - behind, ahead
    return coefficients[0] + t * ahead - behind


@dataclasses.dataclass(frozen=True, eq=False)
class Basis:
    """Templates and the coefficients of every node (host numbers, float64)."""

    templates: np.ndarray  # T_r on the library's wavelengths, orthonormal rows, shape (rank, wave)
    coefficients: np.ndarray  # C, shape (node, av, rank) [Lsun/Angstrom/Msun]
    strength: np.ndarray  # rms coefficient of each template in spectra of unit mean, shape (rank,)
    rms: float  # residual of the node spectra, relative to their means


@one_thread()
def build_basis(nodes: np.ndarray, n_fit: int, rank: int, attenuation: Attenuation, tolerance: float = 0.0) -> Basis:
    """Compress a library.

    Args:
      nodes: spectra of the nodes [Lsun/Angstrom/Msun], shape (node, wave), in the range that will be observed.
      n_fit: the first n_fit nodes are spectra and fix the basis; the rest (slopes) are only projected.
      rank: templates to keep at most.
      attenuation: its separable form on the same wavelengths.
      tolerance: residual [1], of spectra of unit mean, that needs no more templates.
    """
    levels = np.linspace(0.0, attenuation.a_v_max, attenuation.weights.shape[1])
    f = np.asarray(
        np.polynomial.chebyshev.chebval(2 * levels / max(attenuation.a_v_max, 1e-30) - 1, attenuation.weights)
    )
    dimming = f.T @ attenuation.modes  # (level, wave)
    sample = (nodes[:n_fit, None] * dimming).reshape(-1, nodes.shape[1])
    sample = sample / sample.mean(1, keepdims=True)
    # eigenvectors of the smaller Gram matrix: as accurate as needed (1e-7) and much faster than an SVD
    if sample.shape[0] < sample.shape[1]:
        values, vectors = np.linalg.eigh(sample @ sample.T)
        rank = min(rank, _needed(values, tolerance**2 * sample.size))
        templates = np.linalg.qr((vectors[:, ::-1][:, :rank].T @ sample).T)[0].T
    else:
        values, vectors = np.linalg.eigh(sample.T @ sample)
        rank = min(rank, _needed(values, tolerance**2 * sample.size))
        templates = vectors[:, ::-1][:, :rank].T
    coefficients = project(nodes, attenuation.modes, templates)
    of_sample = sample @ templates.T
    residual = sample - of_sample @ templates
    return Basis(
        templates=templates,
        coefficients=coefficients,
        strength=np.sqrt(np.mean(of_sample**2, axis=0)),
        rms=float(np.sqrt(np.mean(residual**2))),
    )


def _needed(values: np.ndarray, most: float) -> int:
    """How many of the largest eigenvalues, given in rising order, leave at most this sum to the others; a multiple of
    LANES.
    """
    needed = len(values) - int(np.searchsorted(np.cumsum(np.maximum(values, 0)), most, side="right"))
    return -(-needed // LANES) * LANES


def project(nodes: Any, modes: Any, templates: Any) -> Any:
    """C[n, q] = projection of L_n g_q on the templates; works on NumPy and JAX arrays, shape (node, av, rank)."""
    return (nodes[:, None] * modes) @ templates.T
