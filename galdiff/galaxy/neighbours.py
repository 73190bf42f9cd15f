"""Smoothing lengths of stars: their own, or half the distance to the k-th neighbour.

With k neighbours inside r_k, a Gaussian of sigma = r_k/2 holds about k stars of a thin disc (4 pi sigma^2 times their
surface density), so the noise of the smoothed surface density is about 1/sqrt(k).
"""

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from galdiff.errors import InputError
from galdiff.records import GasParticles, StarParticles

KINDS = ("auto", "neighbours", "none")
MOST = 100_000  # stars in a search
LEAST = 4  # neighbours that are looked for
CELLS = 64  # along each axis, by which stars are put in order
WIDTH = 0.5  # sigma over the distance to the k-th neighbour


def smoothing_lengths(pos: Float[np.ndarray, "star dim"], neighbours: int) -> Float[np.ndarray, "star"]:
    """Half the distance to the k-th neighbour, shape (star,) [unit of pos].

    Of more than `MOST` stars every m-th stands for m of them, and is the (k/m)-th neighbour that counts.

    Args:
      pos: positions in space, or on the sky.
      neighbours: k; at most all other stars are taken.
    """
    pos = np.asarray(pos, np.float64)
    k = min(neighbours, len(pos) - 1)
    if k < 1:
        return np.zeros(len(pos))
    every = max(min(len(pos) // MOST, k // LEAST), 1)
    order = _near_together(pos)
    found = np.empty((len(pos), 2))
    found[order] = cKDTree(pos[::every]).query(pos[order], k=[k // every, k // every + 1])[0]
    own = np.arange(len(pos)) % every == 0  # finds itself first
    return WIDTH * np.where(own, found[:, 1], found[:, 0])


def _near_together(pos: np.ndarray) -> np.ndarray:
    """Order of stars (star,) in which neighbours follow each other: a search then finds the tree in the cache."""
    low, high = np.percentile(pos, [1, 99], axis=0)
    cell = np.clip((pos - low) / np.where(high > low, high - low, 1) * CELLS, 0, CELLS - 1).astype(np.uint32)
    key = np.zeros(len(pos), np.uint32)  # bits of the axes in turn
    for bit in range(CELLS.bit_length() - 1):
        for axis, number in enumerate(cell.T):
            key |= (number >> bit & 1) << (cell.shape[1] * bit + axis)
    return np.argsort(key, kind="stable")


def smoothing_of(
    stars: StarParticles | GasParticles, *, kind: str = "auto", neighbours: int = 32
) -> Float[np.ndarray, "star"]:
    """Gaussian sigma by which each star is spread on the sky [kpc], shape (star,).

    Args:
      stars: concrete.
      kind: auto (their own smoothing length where the snapshot has it, else neighbours), neighbours (in space), none.
      neighbours: which neighbour's distance counts.

    Raises:
      InputError: unknown kind, a k below 1, or own lengths that are negative or not finite.
    """
    if kind not in KINDS:
        raise InputError(f"smoothing.kind is '{kind}'; choose one of {', '.join(KINDS)}")
    if neighbours < 1:
        raise InputError(f"smoothing.neighbours is {neighbours}; give a whole number of at least 1")
    if kind == "none":
        return np.zeros(len(stars.mass))
    if kind == "auto" and stars.smoothing is not None:
        own = np.asarray(stars.smoothing)
        if bad := int((~(np.isfinite(own) & (own >= 0))).sum()):
            raise InputError(f"smoothing of {bad} stars is negative or not finite; mend it, or set smoothing.kind=none")
        return own
    return smoothing_lengths(np.asarray(stars.pos), neighbours)
