"""Fit the smooth cooling function that the package ships to the tables of Sutherland & Dopita (1993), and report it.

Run: python experiments/fit_cooling.py --write --figure docs/images/cooling_fit.png
Data: $GALDIFF_DATA/cooling/sd93_cie.csv or ../shared/data/cooling/sd93_cie.csv. The fit is a sum over ranks of
(cubic B-spline in log10 T) x (natural cubic spline in metallicity), found by alternating least squares, reweighted
towards the largest residuals. The two padded rows of [Fe/H] = +0.5 have no weight.
"""

import argparse
import os
import pathlib

import numpy as np
from scipy.interpolate import BSpline, CubicSpline

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data")) / "cooling" / "sd93_cie.csv"
COEFFICIENTS = ROOT / "galdiff" / "baryons" / "cooling_coefficients.py"
T_RANGE = (4.0, 8.5)  # log10 K
Z_NODES = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5)  # columns of the table
RANK = 4
INTERVALS = 45
SMOOTHING = 1e-5  # weight of squared third differences: the values are rounded to 0.01
ROUNDS = 80
DIGITS = 6


def load(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log10 T, log10 Lambda_N (temperature, metallicity) and weights, zero in the padded rows."""
    data = np.genfromtxt(path, delimiter=",", comments="#", skip_header=6)
    weight = np.ones((len(data), len(Z_NODES)))
    weight[data[:, 0] < 4.075, -1] = 0.0
    return data[:, 0], data[:, 1:8], weight


def b_splines(log10_t: np.ndarray) -> np.ndarray:
    """Uniform cubic B-splines at the temperatures, one column each."""
    lo, hi = T_RANGE
    step = (hi - lo) / INTERVALS
    knots = lo + step * np.arange(-3, INTERVALS + 4)
    return BSpline.design_matrix(np.clip(log10_t, lo, hi - 1e-12), knots, 3).toarray()


def solve_t(basis, values, weight, in_z, penalty):
    """B-spline coefficients (coefficient, rank) for given metallicity factors."""
    size = basis.shape[1] * in_z.shape[1]
    matrix = np.einsum("ij,ia,ic,jk,jl->akcl", weight, basis, basis, in_z, in_z, optimize=True).reshape(size, size)
    right = np.einsum("ij,ia,jk->ak", weight * values, basis, in_z, optimize=True).ravel()
    return np.linalg.solve(matrix + np.kron(penalty, np.eye(in_z.shape[1])), right).reshape(-1, in_z.shape[1])


def fit(log10_t, values, weight):
    """Coefficients in temperature (rank, coefficient) and factors at the columns (column, rank)."""
    basis = b_splines(log10_t)
    difference = np.diff(np.eye(basis.shape[1]), 3, axis=0)
    penalty = SMOOTHING * difference.T @ difference + 1e-10 * np.eye(basis.shape[1])
    padded = weight == 0
    start = np.where(padded, np.roll(values, 1, axis=1) + 0.3, values)
    in_z = np.linalg.svd(start, full_matrices=False)[2][:RANK].T
    best, used = (np.inf, None, None), weight.copy()
    for _ in range(ROUNDS):
        curves = basis @ solve_t(basis, values, used, in_z, penalty)
        for j, w in enumerate(np.sqrt(used).T):
            in_z[j] = np.linalg.lstsq(curves * w[:, None], values[:, j] * w, rcond=None)[0]
        in_z = np.linalg.qr(in_z)[0]
        in_t = solve_t(basis, values, used, in_z, penalty)
        error = np.abs(basis @ in_t @ in_z.T - values) * weight
        if error.max() < best[0]:
            best = (error.max(), in_t.copy(), in_z.copy())
        used = used * np.sqrt(error / error.max() + 0.02)
        used = np.maximum(used / used.max(), 1e-6) * weight
    return best[1].T, best[2]


def spline_terms(in_z):
    """Natural splines through the factors: offset, slope at the first node, then coefficients of (z - node)+ cubed."""
    rows = []
    for factor in in_z.T:
        cubic = CubicSpline(Z_NODES, factor, bc_type="natural")
        jumps = np.diff(cubic.c[0], prepend=0.0)
        rows.append(np.concatenate([[factor[0], cubic.c[2, 0]], jumps]))
    return np.array(rows)


def write(in_t: np.ndarray, in_z: np.ndarray) -> None:
    """Store the coefficients as a Python module."""
    lines = [
        '"""Coefficients of the smooth cooling function, written by experiments/fit_cooling.py."""',
        "",
        f"T_RANGE = {T_RANGE}  # log10 K",
        f"Z_NODES = {Z_NODES}  # log10 Z/Zsun",
    ]
    for name, rows, meaning in (
        ("IN_T", in_t, "uniform cubic B-spline coefficients in log10 T, one row per rank"),
        ("IN_Z", in_z, "offset, slope and cubes of (z - node)+, one row per rank"),
    ):
        lines += ["# fmt: off", f"{name} = (  # {meaning}"]
        for row in rows:
            texts = [f"{v:.{DIGITS}f}," for v in row]
            lines.append("    (")
            lines += ["        " + " ".join(texts[i : i + 9]) for i in range(0, len(texts), 9)]
            lines.append("    ),")
        lines += [")", "# fmt: on"]
    COEFFICIENTS.write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="store the coefficients in the package")
    args = parser.parse_args()
    in_t, in_z = fit(*load(DATA))
    if args.write:
        write(in_t, spline_terms(in_z))


if __name__ == "__main__":
    main()
