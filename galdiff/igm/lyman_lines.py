"""Coefficients of the absorption in the Lyman series: Inoue et al. (2014, MNRAS 442, 1805), table 2."""

import numpy as np

LIMIT = 911.8  # [Angstrom], of the Lyman continuum

# Lyman alpha to the 40th level [Angstrom]
WAVE = (
    1215.67, 1025.72, 972.537, 949.743, 937.803, 930.748, 926.226, 923.150, 920.963, 919.352, 918.129, 917.181, 916.429,
    915.824, 915.329, 914.919, 914.576, 914.286, 914.039, 913.826, 913.641, 913.480, 913.339, 913.215, 913.104, 913.006,
    912.918, 912.839, 912.768, 912.703, 912.645, 912.592, 912.543, 912.499, 912.458, 912.420, 912.385, 912.353, 912.324,
)  # fmt: skip

# Optical depth of the forest below 2.2 times the wavelength of the line, in 1e-2
FOREST = (
    1.68976, 0.469229, 0.223898, 0.131901, 0.0870656, 0.0617843, 0.0460924, 0.0356887, 0.0284278, 0.0231771, 0.0192348,
    0.0162155, 0.0138498, 0.0119611, 0.0104314, 0.00917397, 0.00812784, 0.00725069, 0.00650549, 0.00586816, 0.00531918,
    0.00484261, 0.0044274, 0.00406311, 0.00373821, 0.00345377, 0.00319891, 0.0029711, 0.00276635, 0.00258178,
    0.00241479, 0.00226347, 0.00212567, 0.00199967, 0.00188476, 0.00177928, 0.00168222, 0.00159286, 0.00150996,
)  # fmt: skip

# Optical depth of damped systems below 3 times the wavelength of the line, in 1e-4
DAMPED = (
    1.61698, 1.54539, 1.49767, 1.46031, 1.42893, 1.40159, 1.37714, 1.35495, 1.33452, 1.31561, 1.29785, 1.28117, 1.26540,
    1.25041, 1.23614, 1.22248, 1.20938, 1.19681, 1.18469, 1.17298, 1.16167, 1.15071, 1.14011, 1.12983, 1.11972, 1.11002,
    1.10051, 1.09125, 1.08220, 1.07337, 1.06473, 1.05629, 1.04802, 1.03991, 1.03198, 1.02420, 1.01657, 1.00908, 1.00168,
)  # fmt: skip


def forest_coefficients() -> np.ndarray:
    """A_j,1, A_j,2 and A_j,3 of the forest [1], shape (3, line).

    The second and third follow from the first: the optical depth is continuous where the power of 1 + z changes, to
    all six digits of the table.
    """
    first = np.array(FOREST) * 1e-2
    second = first * 2.2 ** (1.2 - 3.7)
    return np.stack([first, second, second * 5.7 ** (3.7 - 5.5)])


def damped_coefficients() -> np.ndarray:
    """A_j,1 and A_j,2 of damped systems [1], shape (2, line); continuous where the power changes."""
    first = np.array(DAMPED) * 1e-4
    return np.stack([first, first / 3])
