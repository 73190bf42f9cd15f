"""Noise that neighbouring spaxels share, as in cubes that were resampled from fibres or slices.

The correlation of two spaxels falls as a Gaussian of their distance d, rho = exp(-d^2 / (2 s^2)), as Westfall et al.
(2019, AJ 158, 231, fig. 8) measured for MaNGA with s = 1.92 spaxels. Sums over N spaxels are then noisier than their
variances say by sqrt(sum of rho / N): for MaNGA the 1 + 1.62 log10 N of Law et al. (2016, AJ 152, 83, sec. 9.3).
"""

import numpy as np


def correlation(n: int, sigma: float) -> np.ndarray:
    """Correlation of n spaxels in a row [1], shape (n, n).

    Args:
      n: spaxels.
      sigma: of the Gaussian, in spaxels; 0 for none.
    """
    distance = np.arange(n)[:, None] - np.arange(n)
    return np.eye(n) if sigma == 0 else np.exp(-0.5 * (distance / sigma) ** 2)


def root(matrix: np.ndarray) -> np.ndarray:
    """Symmetric square root of a correlation matrix [1], same shape; turns independent draws into correlated ones."""
    values, vectors = np.linalg.eigh(matrix)
    half = (vectors * np.sqrt(values.clip(0.0))) @ vectors.T
    return half / np.linalg.norm(half, axis=1, keepdims=True)  # each spaxel keeps its variance exactly


def averaged(sigmas: tuple[float, float]) -> float:
    """How many spaxels share their noise [1]: the sum of correlations with one of them; `sigmas` (y, x) in spaxels."""
    return float(np.prod([correlation(2 * int(8 * s + 1) + 1, s)[int(8 * s + 1)].sum() for s in sigmas]))


def excess(n_y: int, n_x: int, sigmas: tuple[float, float]) -> float:
    """Noise of the sum over n_y x n_x spaxels of equal variance over that of independent ones [1]; `sigmas` (y, x)."""
    sums = [correlation(n, s).sum() / n for n, s in zip((n_y, n_x), sigmas, strict=True)]
    return float(np.sqrt(np.prod(sums)))
