"""lambda_R, V/sigma, half-light radius and ellipticity from stars, with uncertainties, free of the mesh.

Spaxels with few stars take shot noise for rotation: with one star in each, lambda_R is one. Here stars inside the
half-light ellipse are binned so that each bin holds enough (halved at the median along the longer side), V is a plane
in each bin, the part of V^2 that the finite number leaves is taken off, and uncertainties come from a bootstrap over
stars with Poisson weights (Efron & Tibshirani 1993). So numbers depend neither on how many stars there are nor on the
size of bins, within their uncertainties.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

ENOUGH = 25  # stars per bin, at least; and the root of their number, so that bins shrink and fill as it grows
RIDGE = 1e-6  # of the normal equations, for stars that lie on a line
RESAMPLES = 64
MANY = 200_000  # stars above which a quarter of the resamples will do
ROUND_AT_MOST = 0.95  # ellipticity; keeps the axis ratio of an edge-on disc above zero
NAMES = ("r_half", "ellipticity", "lambda_r", "v_over_sigma")


def kd_bins(
    x: Float[np.ndarray, "star"], y: Float[np.ndarray, "star"], enough: int, smallest: float
) -> Int[np.ndarray, "star"]:
    """Bin of each star, from 0: cells of at least `enough` stars and no finer than `smallest` [unit of x, y]."""
    label, n = np.zeros(len(x), int), 0
    todo = [np.arange(len(x))]
    while todo:
        members = todo.pop()
        if len(members) >= 2 * enough:
            along = x[members] if np.ptp(x[members]) >= np.ptp(y[members]) else y[members]
            if np.ptp(along) >= 2 * smallest:
                order = np.argpartition(along, len(along) // 2)
                todo += [members[order[: len(order) // 2]], members[order[len(order) // 2 :]]]
                continue
        label[members], n = n, n + 1
    return label


def star_summary(
    x: Float[np.ndarray, "star"],
    y: Float[np.ndarray, "star"],
    v: Float[np.ndarray, "star"],
    light: Float[np.ndarray, "star"],
    *,
    smallest: float = 0.0,
    seed: int = 0,
    resamples: int | None = None,
) -> dict[str, Any]:
    """Summary of the stars of a galaxy as it is seen.

    Args:
      x, y: offsets to East and North from the centre of the field [kpc].
      v: line-of-sight velocities [km/s].
      light: weight of each star [any unit].
      smallest: no bin is finer than this [kpc]; a spaxel.
      seed: of the bootstrap; resamples: its number, by default 64, and a quarter for many stars; 0 for no errors.

    Returns:
      r_half [kpc], ellipticity, lambda_r, v_over_sigma [1], each also with _error; `bins`, their number, and
      `stars_per_bin`, the median.
    """
    x, y, v, light = (np.asarray(a, np.float64) for a in (x, y, v, light))
    light = light / light.mean()
    r_half, ellipticity, radius = size_of(x, y, light)
    inside = radius <= r_half
    enough = max(ENOUGH, int(np.sqrt(inside.sum())))
    label = kd_bins(x[inside], y[inside], enough, smallest)
    size = np.bincount(label)
    members = np.flatnonzero(inside)[np.argsort(label, kind="stable")]  # bin after bin: sums then go fast
    binned = x[members], y[members], v[members], size
    found = (r_half, ellipticity, *_rotation(light[members], *binned))
    rng = np.random.default_rng(seed)
    drawn = []
    usual = RESAMPLES if len(x) <= MANY else RESAMPLES // 4
    for _ in range(usual if resamples is None else resamples):
        again = light * rng.poisson(1.0, len(x))
        if again.any():
            drawn.append((*size_of(x, y, again, r_half)[:2], *_rotation(again[members], *binned)))
    values = {name: max(float(value), 0.0) for name, value in zip(NAMES, found, strict=True)}
    # at zero, where draws may all fall below, how far they do is how uncertain it is
    spread = [np.std(np.maximum(column, 0)) or np.std(column) for column in np.transpose(drawn)] if drawn else ()
    errors = {f"{name}_error": float(error) for name, error in zip(NAMES, spread, strict=bool(drawn))}
    return {**values, **errors, "bins": len(size), "stars_per_bin": float(np.median(size))}


def size_of(
    x: np.ndarray, y: np.ndarray, light: np.ndarray, near: float | None = None
) -> tuple[float, float, np.ndarray]:
    """Half-light semi-major axis, ellipticity [1], and elliptical radius of each star, by second moments.

    x and y are offsets (star,) [any unit, that of the radii], light the weight of each star [any unit]. Where a
    half-light axis is known that is `near` this one, no sorting is needed to find it to 1e-4.
    """
    total = light.sum()
    dx, dy = x - light @ x / total, y - light @ y / total
    moments = np.array([[light @ dx**2, light @ (dx * dy)], [0.0, light @ dy**2]]) / total
    (short, long), axes = np.linalg.eigh(moments, UPLO="U")
    ellipticity = min(1 - np.sqrt(max(short, 0.0) / long), ROUND_AT_MOST) if long > 0 else 0.0
    across, along = (x * axes[0, k] + y * axes[1, k] for k in (0, 1))
    radius = np.hypot(along, across / (1 - ellipticity))
    if near:
        return _half(radius, light, near), float(ellipticity), radius
    order = np.argsort(radius)
    half = np.searchsorted(np.cumsum(light[order]), total / 2)
    return float(radius[order[min(half, len(order) - 1)]]), float(ellipticity), radius


def _half(radius: np.ndarray, light: np.ndarray, near: float) -> float:
    """Radius that holds half of the light, linear between steps of 1e-4 of a radius that is `near`."""
    step = 1e-4 * near
    inner = np.minimum(radius / step, 20_000).astype(np.int32)  # the last counts all beyond twice of it
    inside = np.cumsum(np.bincount(inner, light))
    return float(np.interp(inside[-1] / 2, inside, step * np.arange(1, len(inside) + 1)))


def _rotation(w: np.ndarray, x: np.ndarray, y: np.ndarray, v: np.ndarray, size: np.ndarray) -> tuple[float, float]:
    """lambda_R and V/sigma of stars of weight w, bin after bin; eqs. as in `summary.lambda_r`, `summary.v_over_sigma`.

    In each bin, of `size` stars, the velocity is a plane in (x, y), so that rotation which the bin does not resolve
    counts as rotation; the variance of its residuals, over n - 3 degrees of freedom, is sigma^2, and what the plane
    takes up of it, its sampling variance at each star, is taken off V^2. n is the effective number of stars, (sum w)^2
    / sum w^2.
    """
    if not w.any():
        return 0.0, 0.0
    first = np.cumsum(size) - size

    def sums(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, first)

    def of_bin(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, size)

    speed = v - (w @ v) / w.sum()
    flux = sums(w)
    lit = flux > 0
    whole = np.where(lit, flux, 1.0)
    places, weighted = [np.ones(len(w))], [w]  # of a plane, and times w
    for offset in (x, y):
        offset = offset - of_bin(sums(w * offset) / whole)
        scale = np.sqrt(sums(w * offset**2) / whole)
        places.append(offset / of_bin(np.where(scale > 0, scale, 1.0)))
        weighted.append(w * places[-1])
    upper = {(i, j): sums(weighted[i] * places[j]) / whole for i in range(3) for j in range(i, 3)}
    normal = np.array([[upper[min(i, j), max(i, j)] for i in range(3)] for j in range(3)]).transpose(2, 0, 1)
    normal = np.linalg.inv(normal + RIDGE * np.eye(3))
    plane = np.einsum("nij,jn->ni", normal, [sums(wa * speed) / whole for wa in weighted])
    fitted = sum(of_bin(plane[:, k]) * a for k, a in enumerate(places))
    number = whole**2 / np.where(lit, sums(w**2), 1.0)
    left = sums(w * (speed - fitted) ** 2) / whole
    spread = left * number / np.maximum(number - 3, 1.0)
    noise = normal * (spread / number)[:, None, None]
    taken = sum(of_bin((1 + (i < j)) * noise[:, i, j]) * (places[i] * places[j]) for i, j in upper)
    square = fitted**2 - taken
    far, rotation = w * np.hypot(x, y), np.maximum(square, 0)
    bottom, hot = far @ np.sqrt(rotation + of_bin(spread)), flux @ spread
    lambda_r = far @ np.sqrt(rotation) / bottom if bottom > 0 else 0.0
    return float(lambda_r), _root(w @ square / hot) if hot > 0 else float("nan")


def _root(square: float) -> float:
    """Square root with the sign of its argument: a square that noise made negative still says how uncertain it is."""
    return math.copysign(math.sqrt(abs(square)), square)
