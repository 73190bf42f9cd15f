"""How the smooth cooling function that ships was fitted to the tables of Sutherland & Dopita (1993, ApJS 88, 253).

The fit is a sum over ranks of (cubic B-spline in log10 T) x (natural cubic spline in metallicity), found by alternating
least squares, reweighted towards the largest residuals.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import BSpline, CubicSpline

from galdiff.baryons.cooling import CoolingFit, CoolingTable, log10_lambda

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
PADDED_BELOW = 4.075  # log10 T [K]; rows of [Fe/H] = +0.5 below it are not of the paper

Values = Float[np.ndarray, "t z"]


def measured(table: CoolingTable) -> tuple[Float[np.ndarray, "t"], Values, Bool[np.ndarray, "t z"]]:
    """log10 T [K], log10 Lambda_N (temperature, metallicity), and which values are real (False in the padded rows)."""
    real = np.ones(table.log10_lambda.shape, bool)
    real[np.asarray(table.log10_t) < PADDED_BELOW, -1] = False
    return np.asarray(table.log10_t), np.asarray(table.log10_lambda), real


def extended_below(log10_t: Any, values: np.ndarray, real: np.ndarray) -> tuple:
    """Two rows more below the table, on its first secants, so that the fit leaves it with the slope of the table."""
    below = np.array([T_RANGE[0], (T_RANGE[0] + log10_t[0]) / 2])
    slope = (values[1] - values[0]) / (log10_t[1] - log10_t[0])
    rows = values[0] + slope * (below - log10_t[0])[:, None]
    return np.append(below, log10_t), np.vstack([rows, values]), np.vstack([np.zeros(rows.shape, bool), real])


def b_splines(log10_t: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t coef"]:
    """Uniform cubic B-splines [1] at the temperatures log10 T [dex of K], one column each."""
    lo, hi = T_RANGE
    step = (hi - lo) / INTERVALS
    knots = lo + step * np.arange(-3, INTERVALS + 4)
    return BSpline.design_matrix(np.clip(log10_t, lo, hi - 1e-12), knots, 3).toarray()


def solve_t(basis: Any, values: np.ndarray, weight: np.ndarray, in_z: Any, penalty: Any) -> Any:
    """B-spline coefficients [dex], shape (coefficient, rank), for given metallicity factors."""
    size = basis.shape[1] * in_z.shape[1]
    matrix = np.einsum("ij,ia,ic,jk,jl->akcl", weight, basis, basis, in_z, in_z, optimize=True).reshape(size, size)
    right = np.einsum("ij,ia,jk->ak", weight * values, basis, in_z, optimize=True).ravel()
    return np.linalg.solve(matrix + np.kron(penalty, np.eye(in_z.shape[1])), right).reshape(-1, in_z.shape[1])


def fit_cooling(
    log10_t: Float[np.ndarray, "t"], values: Values, real: Bool[np.ndarray, "t z"]
) -> tuple[Float[np.ndarray, "rank coef"], Float[np.ndarray, "rank node"]]:
    """Coefficients for `galdiff.baryons.cooling.make_fit`, with T_RANGE and Z_NODES.

    Args:
      log10_t: [K].
      values: log10 Lambda_N [erg cm^3/s] at the temperatures and COLUMNS.
      real: False where a value is a stand-in, which then has little weight.

    Returns:
      B-spline coefficients in temperature [dex], and factors at Z_NODES [1].
    """
    log10_t, values, real = extended_below(log10_t, values, real)
    basis = b_splines(log10_t)
    second, third = (np.diff(np.eye(basis.shape[1]), order, axis=0) for order in (2, 3))
    ends = second[[0, -1]]
    penalty = SMOOTHING * third.T @ third + 1e4 * ends.T @ ends + 1e-10 * np.eye(basis.shape[1])
    splines = CubicSpline(Z_NODES, np.eye(len(Z_NODES)), bc_type="natural")
    in_z = np.linalg.svd(values, full_matrices=False)[2][:RANK].T
    best, weight = (np.inf, np.empty(0), np.empty(0)), np.where(real, 1.0, LITTLE)
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


def straight_ends(in_t: Float[np.ndarray, "coef rank"]) -> Float[np.ndarray, "coef rank"]:
    """Remove the last trace of curvature [dex] at both ends, which the penalty left at 1e-6."""
    in_t = in_t.round(DIGITS)
    in_t[0], in_t[-1] = 2 * in_t[1] - in_t[2], 2 * in_t[-2] - in_t[-3]
    return in_t


def residuals(made: CoolingFit, log10_t: Float[np.ndarray, "t"], values: Values, real: np.ndarray) -> Values:
    """Fit minus table [dex], same shape, NaN in the padded rows."""
    return np.where(real, log10_lambda(log10_t[:, None], np.array(COLUMNS), made) - values, np.nan)


def coefficients_text(in_t: np.ndarray, in_z: np.ndarray) -> str:
    """The coefficients as the Python module `cooling_coefficients`."""
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
    return "\n".join(lines) + "\n"
