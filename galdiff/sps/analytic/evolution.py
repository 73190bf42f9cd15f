"""Lifetimes, luminosities and radii of stars: published analytic fits.

Zero-age main sequence: Tout, Pols, Eggleton & Han (1996, MNRAS 281, 257), eqs. 1-2. Lifetimes, end of the main
sequence and base of the giant branch: Hurley, Pols & Tout (2000, MNRAS 315, 543, "HPT"), eqs. 4-10 and appendix A. The
fits hold for 1e-4 <= Z <= 0.03 and 0.1 <= m <= 100 Msun; Z is held at those limits beyond them. Ages and metallicities
are never traced, so this file is NumPy in float64 (m^19.5 overflows float32) and costs no compilation.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from galdiff.units import Z_SUN_TRACKS

Array = np.ndarray

ZETA_LIMITS = (-2.3, 0.17609)  # log10(Z / 0.02) of the tracks

# coefficients of powers of zeta = log10(Z / 0.02)
ZAMS_L = (
    (0.39704170, -0.32913574, 0.34776688, 0.37470851, 0.09011915),
    (8.52762600, -24.41225973, 56.43597107, 37.06152575, 5.45624060),
    (0.00025546, -0.00123461, -0.00023246, 0.00045519, 0.00016176),
    (5.43288900, -8.62157806, 13.44202049, 14.51584135, 3.39793084),
    (5.56357900, -10.32345224, 19.44322980, 18.97361347, 4.16903097),
    (0.78866060, -2.90870942, 6.54713531, 4.05606657, 0.53287322),
    (0.00586685, -0.01704237, 0.03872348, 0.02570041, 0.00383376),
)
ZAMS_R = (
    (1.71535900, 0.62246212, -0.92557761, -1.16996966, -0.30631491),
    (6.59778800, -0.42450044, -12.13339427, -10.73509484, -2.51487077),
    (10.08855000, -7.11727086, -31.67119479, -24.24848322, -5.33608972),
    (1.01249500, 0.32699690, -0.00923418, -0.03876858, -0.00412750),
    (0.07490166, 0.02410413, 0.07233664, 0.03040467, 0.00197741),
    (0.01077422,),
    (3.08223400, 0.94472050, -2.15200882, -2.49219496, -0.63848738),
    (17.84778000, -7.45345690, -48.96066856, -40.05386135, -9.09331816),
    (0.00022582, -0.00186899, 0.00388783, 0.00142402, -0.00007671),
)
HPT = {  # a_n of appendix A
    1: (1.593890e3, 2.053038e3, 1.231226e3, 2.327785e2),
    2: (2.706708e3, 1.483131e3, 5.772723e2, 7.411230e1),
    3: (1.466143e2, -1.048442e2, -6.795374e1, -1.391127e1),
    4: (4.141960e-2, 4.564888e-2, 2.958542e-2, 5.571483e-3),
    5: (3.426349e-1,),
    6: (1.949814e1, 1.758178e0, -6.008212e0, -4.470533e0),
    7: (4.903830e0,),
    8: (5.212154e-2, 3.166411e-2, -2.750074e-3, -2.271549e-3),
    9: (1.312179e0, -3.294936e-1, 9.231860e-2, 2.610989e-2),
    10: (8.073972e-1,),
    11: (1.031538e0, -2.434480e-1, 7.732821e0, 6.460705e0, 1.374484e0),  # times a14
    12: (1.043715e0, -1.577474e0, -5.168234e0, -5.596506e0, -1.299394e0),  # times a14
    13: (7.859573e2, -8.542048e0, -2.642511e1, -9.585707e0),
    14: (3.858911e3, 2.459681e3, -7.630093e1, -3.486057e2, -4.861703e1),
    15: (2.888720e2, 2.952979e2, 1.850341e2, 3.797254e1),
    16: (7.196580e0, 5.613746e-1, 3.805871e-1, 8.398728e-2),
    18: (2.187715e-1, -2.154437e0, -3.768678e0, -1.975518e0, -3.021475e-1),  # times a20
    19: (1.466440e0, 1.839725e0, 6.442199e0, 4.023635e0, 6.957529e-1),  # times a20
    20: (2.652091e1, 8.178458e1, 1.156058e2, 7.633811e1, 1.950698e1),
    21: (1.472103e0, -2.947609e0, -3.312828e0, -9.945065e-1),
    22: (3.071048e0, -5.679941e0, -9.745523e0, -3.594543e0),
    23: (2.617890e0, 1.019135e0, -3.292551e-2, -7.445123e-2),
    24: (1.075567e-2, 1.773287e-2, 9.610479e-3, 1.732469e-3),
    25: (1.476246e0, 1.899331e0, 1.195010e0, 3.035051e-1),
    26: (5.502535e0, -6.601663e-2, 9.968707e-2, 3.599801e-2),
    27: (9.511033e1, 6.819618e1, -1.045625e1, -1.474939e1),
    28: (3.113458e1, 1.012033e1, -4.650511e0, -2.463185e0),
    29: (1.413057e0, 4.578814e-1, -6.850581e-2, -5.588658e-2),  # to the power a32
    30: (3.910862e1, 5.196646e1, 2.264970e1, 2.873680e0),
    31: (4.597479e0, -2.855179e-1, 2.709724e-1),
    32: (6.682518e0, 2.827718e-1, -7.294429e-2),
}
RTMS_C1 = -8.672073e-2  # eq. 9
LBGB_C2, LBGB_C3 = 9.301992, 4.637345  # eq. 10


def track_zeta(metallicity: Float[Array, "..."]) -> Float[Array, "..."]:
    """log10(Z / 0.02) [dex], held inside the range of the fits."""
    return np.asarray(np.clip(np.log10(metallicity / Z_SUN_TRACKS), *ZETA_LIMITS))


def _poly(coefficients: tuple[float, ...], zeta: Array) -> Any:
    total = np.zeros_like(zeta) + coefficients[-1]
    for c in coefficients[-2::-1]:
        total = total * zeta + c
    return total


def zams_luminosity(m: Float[Array, "..."], zeta: Float[Array, "..."]) -> Float[Array, "..."]:
    """Luminosity on the zero-age main sequence [Lsun] (Tout et al. 1996, eq. 1); m [Msun], zeta [dex]."""
    a, b, c, d, e, f, g = (_poly(row, zeta) for row in ZAMS_L)
    top = a * m**5.5 + b * m**11.0
    return top / (c + m**3.0 + d * m**5.0 + e * m**7.0 + f * m**8.0 + g * m**9.5)


def zams_radius(m: Float[Array, "..."], zeta: Float[Array, "..."]) -> Float[Array, "..."]:
    """Radius on the zero-age main sequence [Rsun] (Tout et al. 1996, eq. 2); m [Msun], zeta [dex]."""
    a, b, c, d, e, f, g, h, i = (_poly(row, zeta) for row in ZAMS_R)
    top = a * m**2.5 + b * m**6.5 + c * m**11.0 + d * m**19.0 + e * m**19.5
    return top / (f + g * m**2.0 + h * m**8.5 + m**18.5 + i * m**19.5)


def giant_branch_time(m: Float[Array, "..."], zeta: Float[Array, "..."]) -> Float[Array, "..."]:
    """Age at the base of the giant branch [Gyr] (HPT eq. 4); m [Msun], zeta [dex]."""
    a1, a2, a3, a4, a5 = (_poly(HPT[n], zeta) for n in range(1, 6))
    myr = (a1 + a2 * m**4.0 + a3 * m**5.5 + m**7.0) / (a4 * m**2.0 + a5 * m**7.0)
    return myr * 1e-3


def main_sequence_time(m: Float[Array, "..."], zeta: Float[Array, "..."]) -> Float[Array, "..."]:
    """Age at the end of the main sequence [Gyr] (HPT eqs. 5-7); m [Msun], zeta [dex]."""
    a6, a7, a8, a9, a10 = (_poly(HPT[n], zeta) for n in range(6, 11))
    x = np.clip(0.95 - 0.03 * (zeta + 0.30103), 0.95, 0.99)
    mu = np.maximum(0.5, 1 - 0.01 * np.maximum(a6 * m**-a7, a8 + a9 * m**-a10))
    return np.maximum(mu, x) * giant_branch_time(m, zeta)


def turnoff_luminosity(m: Float[Array, "..."], zeta: Float[Array, "..."]) -> Float[Array, "..."]:
    """Luminosity at the end of the main sequence [Lsun] (HPT eq. 8); m [Msun], zeta [dex]."""
    a11, a12, a13, a14, a15, a16 = (_poly(HPT[n], zeta) for n in range(11, 17))
    top = a11 * a14 * m**3.0 + a12 * a14 * m**4.0 + a13 * m ** (a16 + 1.8)
    return top / (a14 + a15 * m**5.0 + m**a16)


def turnoff_radius(m: Float[Array, "..."], zeta: Float[Array, "..."]) -> Float[Array, "..."]:
    """Radius at the end of the main sequence [Rsun] (HPT eq. 9); m [Msun], zeta [dex]."""
    sigma = np.log10(Z_SUN_TRACKS) + zeta
    upper = np.clip(0.1461 + 0.1237 * (sigma + 2), 0.097, 0.1461)
    a17 = 10 ** np.maximum(0.097 - 0.1072 * (sigma + 3), upper)
    a18, a19, a20, a21, a22 = (_poly(HPT[n], zeta) for n in range(18, 23))
    a23, a24, a25, a26 = (_poly(HPT[n], zeta) for n in range(23, 27))

    def light(m: np.ndarray) -> np.ndarray:
        return a20 * (a18 + a19 * m**a21) / (a20 + m**a22)

    def heavy(m: np.ndarray) -> np.ndarray:
        return (RTMS_C1 * m**3.0 + a23 * m**a26 + a24 * m ** (a26 + 1.5)) / (a25 + m**5.0)

    share = np.clip((m - a17) / 0.1, 0.0, 1.0)
    between = light(a17) * (1 - share) + heavy(a17 + 0.1) * share
    radius = np.where(m <= a17, light(m), np.where(m >= a17 + 0.1, heavy(m), between))
    return np.maximum(radius, np.where(m < 0.5, 1.5 * zams_radius(m, zeta), 0.0))


def giant_base_luminosity(m: Float[Array, "..."], zeta: Float[Array, "..."]) -> Float[Array, "..."]:
    """Luminosity at the base of the giant branch [Lsun] (HPT eq. 10); m [Msun], zeta [dex]."""
    a27, a28, a29, a30, a31, a32 = (_poly(HPT[n], zeta) for n in range(27, 33))
    return (a27 * m**a31 + a28 * m**LBGB_C2) / (a29**a32 + a30 * m**LBGB_C3 + m**a32)


def helium_flash_mass(zeta: Float[Array, "..."]) -> Float[Array, "..."]:
    """Largest mass with a degenerate helium flash, hence with a long red giant branch [Msun] (HPT eq. 2)."""
    return 1.995 + 0.25 * zeta + 0.087 * zeta**2
