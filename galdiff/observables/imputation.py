"""True values of galaxies that were measured with errors in both axes, or whose y is a limit: drawn several times.

Data augmentation (Tanner & Wong 1987, JASA 82, 528): y scatters normally about a smooth relation of the true x, which
is a normal population; both are drawn anew given what was measured, in turn with the relation. Draws that are some
turns apart are imputations, which Rubin's rules combine (Rubin 1987, Multiple Imputation for Nonresponse in Surveys).
"""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

BEFORE, BETWEEN = 30, 5  # turns


def impute(
    x: Float[np.ndarray, "galaxy"],
    y: Float[np.ndarray, "galaxy"],
    x_error: Float[np.ndarray, "galaxy"],
    y_error: Float[np.ndarray, "galaxy"],
    limit: Float[np.ndarray, "galaxy"],
    *,
    n: int,
    degree: int = 2,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "draw galaxy"], Float[np.ndarray, "draw galaxy"]]:
    """True x and y of galaxies [units of both], some times.

    Args:
      x, y: as measured; x_error, y_error: standard deviations, 0 for none.
      limit: -1 where y is an upper limit, 1 where it is a lower one, 0 elsewhere.
      n: imputations; degree: of the polynomial that the relation is while values are drawn.
      seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    true_x, true_y = x.astype(float).copy(), y.astype(float).copy()
    censored, side = limit != 0, np.where(limit < 0, -1.0, 1.0)
    centre, width = float(np.mean(x)), max(float(np.std(x)), 1e-12)
    xs, ys = [], []
    for turn in range(BEFORE + BETWEEN * n):
        # the relation and the population, of galaxies drawn again: their uncertainty is in the imputations
        which = rng.integers(0, x.size, x.size)
        bends = np.polyfit((true_x[which] - centre) / width, true_y[which], degree)
        expected = _at(bends, true_x, centre, width)
        scatter = max(float(np.std((true_y - expected)[which])), 1e-6)
        mean, spread = float(np.mean(true_x[which])), max(float(np.std(true_x[which])), 1e-12)
        for _ in range(2):  # Metropolis steps, in x
            step = true_x + x_error * rng.normal(size=x.size)
            there = _at(bends, step, centre, width)
            gain = _height(step, x, x_error, mean, spread) - _height(true_x, x, x_error, mean, spread)
            gain -= 0.5 * ((true_y - there) ** 2 - (true_y - expected) ** 2) / scatter**2
            taken = np.log(rng.uniform(size=x.size)) < gain
            true_x, expected = np.where(taken, step, true_x), np.where(taken, there, expected)
        share = np.where(y_error > 0, scatter**2 / (scatter**2 + y_error**2), 1.0)
        drawn = expected + share * (y - expected) + np.sqrt(1 - share) * scatter * rng.normal(size=x.size)
        beyond = y + y_error * rng.normal(size=x.size)  # where a limit really lies
        true_y = np.where(censored, _beyond(expected, scatter, beyond, side, rng), np.where(y_error > 0, drawn, y))
        if turn >= BEFORE and (turn - BEFORE) % BETWEEN == 0:
            xs.append(true_x.copy())
            ys.append(true_y.copy())
    return np.stack(xs), np.stack(ys)


def _at(bends: np.ndarray, x: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.asarray(np.polyval(bends, (x - centre) / width))


def _height(true: np.ndarray, x: np.ndarray, error: np.ndarray, mean: float, spread: float) -> np.ndarray:
    """ln of the density of true values given what was measured and the population, but for a constant."""
    known = np.where(error > 0, (true - x) / np.where(error > 0, error, 1.0), 0.0)
    return np.asarray(-0.5 * (known**2 + ((true - mean) / spread) ** 2))


def _beyond(
    mean: np.ndarray, scatter: float, limit: np.ndarray, side: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Normal numbers below a limit (side -1) or above it (side 1)."""
    below = ndtr(-side * (limit - mean) / scatter)  # of what lies on the right side
    u = np.clip(rng.uniform(size=mean.size) * below, 1e-300, 1.0)
    return np.asarray(mean - side * scatter * ndtri(u))


def by_rubins_rules(
    means: Float[np.ndarray, "draw centre"], covariances: Float[np.ndarray, "draw centre centre"]
) -> tuple[Float[np.ndarray, "centre"], Float[np.ndarray, "centre centre"]]:
    """Mean and covariance [unit of y, its square] from those of each imputation: W + (1 + 1/m) B."""
    m = len(means)
    away = means - means.mean(0)
    between = away.T @ away / max(m - 1, 1)
    return means.mean(0), covariances.mean(0) + (1 + 1 / m) * between * (m > 1)
