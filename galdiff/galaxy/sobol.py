"""Scrambled Sobol points in up to eight dimensions, bit for bit those of `scipy.stats.qmc.Sobol`.

SciPy's statistics take half a second to load; what is needed of them here fits on a page. Direction numbers are the
first of Joe & Kuo (2008, SIAM J. Sci. Comput. 30, 2635); points are scrambled by a random lower triangular matrix and a
shift (Matousek 1998, J. Complexity 14, 527) and follow each other in Gray code.
"""

import numpy as np
from jaxtyping import Float, UInt32

BITS = 30  # of a coordinate, as SciPy has it
# of each dimension after the first: coefficients of a primitive polynomial, as bits, and the first odd numbers m
DIRECTIONS = (
    (0, (1,)),
    (1, (1, 3)),
    (1, (1, 3, 1)),
    (2, (1, 1, 1)),
    (1, (1, 1, 3, 3)),
    (4, (1, 3, 5, 13)),
    (2, (1, 1, 5, 5, 17)),
)
MOST = 1 + len(DIRECTIONS)  # dimensions


def scrambled_sobol(power: int, dimensions: int, seed: int) -> Float[np.ndarray, "n dimension"]:
    """The first 2^power points in [0, 1) of a scrambled Sobol sequence [1], shape (n, dimension).

    Args:
      power: log2 of the number of points, at most 30.
      dimensions: at most 8.
      seed: of the scrambling.
    """
    if not 0 <= power <= BITS or not 1 <= dimensions <= MOST:
        raise ValueError(f"2^{power} points in {dimensions} dimensions; at most 2^{BITS} in {MOST} are known")
    rng = np.random.default_rng(seed).spawn(1)[0]  # as SciPy does with a generator that it is given
    places = np.arange(BITS, dtype=np.uint32)
    shift = rng.integers(2, size=(dimensions, BITS), dtype=np.uint32) @ (np.uint32(1) << places)
    mixing = np.tril(rng.integers(2, size=(dimensions, BITS, BITS), dtype=np.uint32))
    mixing[:, places, places] = 1
    highest_first = np.uint32(BITS - 1) - places
    bits = (direction_numbers()[:dimensions, :, None] >> highest_first) & 1  # (dimension, number, bit)
    mixed = np.einsum("dpk,dnk->dnp", mixing, bits) & 1
    numbers = (mixed << highest_first).sum(-1, dtype=np.uint32)
    points = np.empty((1 << power, dimensions), np.uint32)
    points[0] = shift
    for bit in range(power):  # a Gray code is that of one bit less, and the same in reverse with the new bit set
        half = 1 << bit
        points[half : 2 * half] = points[half - 1 :: -1] ^ numbers[:, bit]
    return points * 2.0**-BITS


def direction_numbers() -> UInt32[np.ndarray, "8 30"]:
    """Numbers [2^-30] of which a point is the exclusive or, one for each bit of its index, shape (8, 30); eq. 3."""
    made = [[1 << (BITS - 1 - bit) for bit in range(BITS)]]
    for polynomial, first in DIRECTIONS:
        degree = len(first)
        row = [m << (BITS - 1 - bit) for bit, m in enumerate(first)]
        for bit in range(degree, BITS):
            value = row[bit - degree] ^ (row[bit - degree] >> degree)
            for k in range(1, degree):
                value ^= row[bit - k] * (polynomial >> (degree - 1 - k) & 1)
            row.append(value)
        made.append(row)
    return np.array(made, np.uint32)
