"""Fit the smooth cooling function that the package ships to the tables of Sutherland & Dopita (1993), and report it.

Run: python experiments/fit_cooling.py --write --figure docs/images/cooling_fit.png
Data: $GALDIFF_DATA/cooling/sd93_cie.csv or ../shared/data/cooling/sd93_cie.csv. The fit is a sum over ranks of
(cubic B-spline in log10 T) x (natural cubic spline in metallicity), found by alternating least squares, reweighted
towards the largest residuals. The two padded rows of [Fe/H] = +0.5 are replaced,
with little weight, by the solar ones plus the step between the columns at log T = 4.10.
"""

import argparse
import os
import pathlib

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import BSpline, CubicSpline

from galdiff.baryons.cooling import CoolingFit, log10_lambda, make_fit
from galdiff.io.cooling_tables import load_sd93_csv

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data")) / "cooling" / "sd93_cie.csv"
COEFFICIENTS = ROOT / "galdiff" / "baryons" / "cooling_coefficients.py"
T_RANGE = (3.9, 8.5)  # log10 K; the empty interval below the table lets the curvature vanish before the straight line
COLUMNS = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5)  # [Fe/H] of the table
Z_NODES = COLUMNS  # of the splines in metallicity
SHOWN = (-3.0, -1.5, -0.5, 0.5)  # metallicities at which one factor is 1 and the others 0
RANK = 4
INTERVALS = 46
SMOOTHING = 1e-5  # weight of squared third differences: the values are rounded to 0.01
ROUNDS = 120
LARGEST = 0.02  # residual [dex]; of the rounds below it, the one of least rms is taken
LITTLE = 0.01  # weight of the replaced and added rows over the mean weight
DIGITS = 6


def load(path: pathlib.Path = DATA) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log10 T, log10 Lambda_N (temperature, metallicity), and which values are real (False in the padded rows)."""
    table = load_sd93_csv(path)
    real = np.ones(table.log10_lambda.shape, bool)
    real[table.log10_t < 4.075, -1] = False
    return np.asarray(table.log10_t), np.asarray(table.log10_lambda), real


def extended(log10_t, values, real):
    """Two rows more below the table, on its first secants, so that the fit leaves it with the slope of the table."""
    below = np.array([T_RANGE[0], (T_RANGE[0] + log10_t[0]) / 2])
    slope = (values[1] - values[0]) / (log10_t[1] - log10_t[0])
    rows = values[0] + slope * (below - log10_t[0])[:, None]
    return np.append(below, log10_t), np.vstack([rows, values]), np.vstack([np.zeros(rows.shape, bool), real])


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


def fit(log10_t, values, real):
    """B-spline coefficients in temperature (rank, coefficient) and factors at Z_NODES (rank, node)."""
    log10_t, values, real = extended(log10_t, values, real)
    basis = b_splines(log10_t)
    second, third = (np.diff(np.eye(basis.shape[1]), order, axis=0) for order in (2, 3))
    ends = second[[0, -1]]
    penalty = SMOOTHING * third.T @ third + 1e4 * ends.T @ ends + 1e-10 * np.eye(basis.shape[1])
    splines = CubicSpline(Z_NODES, np.eye(len(Z_NODES)), bc_type="natural")
    in_z = np.linalg.svd(values, full_matrices=False)[2][:RANK].T
    best, weight = (np.inf, None, None), np.where(real, 1.0, LITTLE)
    for _ in range(ROUNDS):
        curves = basis @ solve_t(basis, values, weight, in_z, penalty)
        root = np.sqrt(weight)
        matrix = np.einsum("ij,ik,jd->ijdk", root, curves, splines(COLUMNS)).reshape(values.size, -1)
        nodes = np.linalg.lstsq(matrix, (root * values).ravel())[0].reshape(-1, RANK)
        nodes = nodes @ np.linalg.inv(splines(SHOWN) @ nodes)
        in_z = splines(COLUMNS) @ nodes
        in_t = solve_t(basis, values, weight, in_z, penalty)
        error = np.abs(basis @ in_t @ in_z.T - values) * real
        score = np.sqrt((error**2).sum() / real.sum()) + max(error.max() - LARGEST, 0.0)
        if score < best[0]:
            best = (score, in_t, nodes)
        weight = weight * (error / error.max() + 0.02) ** 0.2
        weight = np.where(real, np.maximum(weight / weight.max(), 1e-6), LITTLE * weight[real].mean())
    return straight_ends(best[1]).T, best[2].T


def straight_ends(in_t):
    """Remove the last trace of curvature at both ends, which the penalty left at 1e-6."""
    in_t = in_t.round(DIGITS)
    in_t[0], in_t[-1] = 2 * in_t[1] - in_t[2], 2 * in_t[-2] - in_t[-3]
    return in_t


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
        ("IN_Z", in_z, "values at Z_NODES of natural cubic splines, one row per rank"),
    ):
        lines += ["# fmt: off", f"{name} = (  # {meaning}"]
        for row in rows:
            texts = [f"{v:.{DIGITS}f}," for v in row.round(DIGITS) + 0.0]  # no minus zero
            lines.append("    (")
            lines += ["        " + " ".join(texts[i : i + 9]) for i in range(0, len(texts), 9)]
            lines.append("    ),")
        lines += [")", "# fmt: on"]
    COEFFICIENTS.write_text("\n".join(lines) + "\n")


def residuals(made: CoolingFit, log10_t, values, real) -> np.ndarray:
    """Fit minus table [dex], NaN in the padded rows."""
    return np.where(real, log10_lambda(log10_t[:, None], np.array(COLUMNS), made) - values, np.nan)


def draw(path: pathlib.Path, made: CoolingFit, log10_t, values, real) -> None:
    """Table and fit for all metallicities, between them too, and the residuals."""
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(8, 8), sharex=True, height_ratios=(3, 1), layout="constrained")
    fine = np.linspace(3.7, 8.8, 800)
    for z in np.arange(-2.75, 0.5, 0.5):
        top.plot(fine, log10_lambda(fine, z, made), color="0.8", lw=0.8)
    left = residuals(made, log10_t, values, real)
    for j, z in enumerate(COLUMNS):
        colour = plt.cm.viridis(j / len(COLUMNS))
        top.plot(fine, log10_lambda(fine, z, made), color=colour, lw=1.2, label=f"{z:+.1f}")
        top.plot(log10_t[real[:, j]], values[real[:, j], j], ".", color=colour, ms=4)
        bottom.plot(log10_t, left[:, j], ".-", color=colour, ms=3, lw=0.5)
    top.set(ylim=(-24.6, -20.2), ylabel=r"log $\Lambda_N$ [erg cm$^3$ s$^{-1}$]")
    top.legend(title="[Fe/H]", ncols=2, loc="upper right")
    top.set_title("Sutherland & Dopita (1993): table (points) and fit (lines; grey: between the columns)", fontsize=10)
    for level in (-0.03, 0.03):
        bottom.axhline(level, color="k", lw=0.8, ls=":")
    bottom.set(xlabel="log T [K]", ylabel="fit - table [dex]", ylim=(-0.04, 0.04))
    fig.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="store the coefficients in the package")
    parser.add_argument("--figure", type=pathlib.Path, help="picture to draw")
    args = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    data = load()
    in_t, in_z = fit(*data)
    made = make_fit(T_RANGE, in_t, Z_NODES, in_z)
    left = residuals(made, *data)
    print(f"largest residual {np.nanmax(np.abs(left)):.4f} dex, rms {np.sqrt(np.nanmean(left**2)):.4f} dex")
    for z, column in zip(COLUMNS, left.T, strict=True):
        print(f"[Fe/H] {z:+.1f}: {np.nanmax(np.abs(column)):.4f} dex")
    if args.write:
        write(in_t, in_z)
    if args.figure:
        draw(args.figure, made, *data)


if __name__ == "__main__":
    main()
