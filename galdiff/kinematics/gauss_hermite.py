"""Gauss-Hermite fits to binned velocity distributions (van der Marel & Franx 1993, ApJ 407, 525; signs as in pPXF).

    L(v) = gamma / (sigma sqrt(2 pi)) exp(-w^2 / 2) [1 + h3 H3(w) + h4 H4(w)],  w = (v - V) / sigma

The model is convolved with the B-spline of the velocity nodes, so nothing has to be subtracted. The fit is unweighted
least squares in a box; its derivative is that of the solution (implicit function theorem), not of the iterations.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.kinematics.moments import blank, moments

OVERSAMPLING = 4  # model points per velocity node; sums over a B-spline are then exact to 1e-6 for sigma >= h_v / 2
SIGMA_MIN = 0.5  # smallest dispersion [node spacing]; below, a velocity distribution has no shape to fit
H_MAX = 0.3  # bounds of h3 and h4, as in pPXF
STEP_MAX = 0.05  # a fit that still moves by more in its last step has failed
DONE = 300.0  # steps end when none moves by more than this many times the round-off [node spacing, 1]
NEAR, SLACK = 1e-3, 16.0  # a step so small may raise the squared residual by this many round-offs
BLOCK = 32  # fits that end together


def gauss_hermite_profile(v: Float[Array, "v"], parameters: Float[Array, "5"]) -> Float[Array, "v"]:
    """L(v) for parameters (gamma, V, sigma, h3, h4) [gamma's unit per unit of v]; eqs. 5 to 9 of the paper."""
    gamma, mean, sigma, h3, h4 = parameters
    w = (v - mean) / sigma
    third, fourth = _hermite(w)
    return gamma / (sigma * math.sqrt(2 * math.pi)) * jnp.exp(-(w**2) / 2) * (1 + h3 * third + h4 * fourth)


def _hermite(w: Array) -> tuple[Array, Array]:
    """H3 and H4."""
    third = (2 * math.sqrt(2.0) * w**3 - 3 * math.sqrt(2.0) * w) / math.sqrt(6.0)
    return third, (4 * w**4 - 12 * w**2 + 3) / math.sqrt(24.0)


def _slopes(v: Array, parameters: Array) -> Array:
    """Derivatives of `gauss_hermite_profile` in its parameters, shape (5, v)."""
    gamma, mean, sigma, h3, h4 = parameters
    w = (v - mean) / sigma
    third, fourth = _hermite(w)
    gauss, shape = jnp.exp(-(w**2) / 2) / (sigma * math.sqrt(2 * math.pi)), 1 + h3 * third + h4 * fourth
    slope = h3 * (6 * w**2 - 3) * math.sqrt(2 / 6) + h4 * (16 * w**3 - 24 * w) / math.sqrt(24.0)
    moved = gamma * gauss / sigma * (w * shape - slope)
    widened = moved * w - gamma * gauss / sigma * shape
    return jnp.stack([gauss * shape, moved, widened, gamma * gauss * third, gamma * gauss * fourth])


@functools.partial(jax.jit, static_argnames="n_iter")
def fit_gauss_hermite(
    profile: Float[Array, "*spaxel v"], v_nodes: Float[Array, "v"], n_iter: int = 20
) -> tuple[Float[Array, "*spaxel"], ...]:
    """Fit gamma, V, sigma, h3, h4 to velocity distributions given by cubic B-spline weights.

    Damped Gauss-Newton steps from the moments, with sigma >= h_v/2, |h3| and |h4| <= 0.3 and V inside the nodes.

    Args:
      profile: weight at the velocity nodes [any unit], velocity last.
      v_nodes: velocity of the nodes [km/s], uniform.
      n_iter: number of steps; each is taken only where it lowers the squared residual.

    Returns:
      gamma [unit of profile], V, sigma [km/s], h3, h4 [1]; NaN where the sum is not positive or the fit failed.
    """
    shape = profile.shape[:-1]
    flat = profile.reshape(-1, profile.shape[-1])
    step = v_nodes[1] - v_nodes[0]
    n_v = flat.shape[-1]
    grid = jnp.arange(n_v, dtype=flat.dtype)  # nodes in units of their spacing: float32 has no squares to lose
    total = jnp.sum(flat, -1)
    filled = total > 0
    gaussian = jnp.exp(-((grid - n_v / 2) ** 2) / 8)
    data = jnp.where(filled[:, None], flat / jnp.where(filled, total, 1)[:, None], gaussian / jnp.sum(gaussian))
    low = jnp.array([0.0, 0.0, SIGMA_MIN, -H_MAX, -H_MAX], flat.dtype)
    high = jnp.array([3.0, n_v - 1.0, float(n_v), H_MAX, H_MAX], flat.dtype)
    start = jnp.clip(_start(data, grid), low, high)
    fit = jax.vmap(lambda d, p: _fit_one(d, p, low, high, n_iter))
    found, moved = _in_blocks(fit, data, jax.lax.stop_gradient(start))
    good = filled & jnp.isfinite(found).all(-1) & (moved < STEP_MAX)
    gamma, mean, sigma, h3, h4 = jnp.moveaxis(found, -1, 0)
    values = (gamma * total, v_nodes[0] + mean * step, sigma * step, h3, h4)
    return tuple(blank(value, good).reshape(shape) for value in values)


def _in_blocks(fit: Callable, data: Array, start: Array) -> tuple[Array, Array]:
    """Fits of all rows, some at a time: each block ends when its own slowest fit has."""
    n = len(data)
    size = min(BLOCK, n)
    folded = (jnp.pad(x, ((0, -n % size), (0, 0)), mode="edge").reshape(-1, size, x.shape[-1]) for x in (data, start))
    found, moved = jax.lax.map(lambda block: fit(*block), tuple(folded))
    return found.reshape(-1, start.shape[-1])[:n], moved.reshape(-1)[:n]


def _fine(n_v: int) -> np.ndarray:
    """Fine grid from two nodes before the first of n_v nodes to two after the last; OVERSAMPLING points per node."""
    return np.arange((n_v + 3) * OVERSAMPLING) / OVERSAMPLING - 2


def _spread(values: Array, n_v: int) -> Array:
    """B-spline weights (..., v) of profiles on `_fine` (..., sample): sums over the four intervals around each node."""
    x = np.abs(_fine(1).reshape(4, OVERSAMPLING))
    weights = np.where(x < 1, (4 - 6 * x**2 + 3 * x**3) / 6, np.clip(2 - x, 0, None) ** 3 / 6) / OVERSAMPLING
    intervals = values.reshape(*values.shape[:-1], n_v + 3, OVERSAMPLING)
    # written out, as one loop over nodes: products of matrices this small take twice as long
    terms = (intervals[..., k : k + n_v, j] * float(weights[k, j]) for k in range(4) for j in range(OVERSAMPLING))
    return functools.reduce(jnp.add, terms)


def _start(data: Array, grid: Array) -> Array:
    """Parameters from moments: to first order, skewness is 4 sqrt(3) h3 and excess kurtosis 8 sqrt(6) h4."""
    _, mean, sigma = moments(data, grid)
    sigma = jnp.maximum(sigma, SIGMA_MIN)
    w = (grid - mean[:, None]) / sigma[:, None]
    third, fourth = (jnp.sum(data * w**power, -1) for power in (3, 4))
    widening = (2 / sigma**2, (1 / 3 - 1 / 30) / sigma**4)  # of the fourth moment by the B-spline: 6 s^2/3, 3/9 - 1/30
    h3 = jnp.clip(third / (4 * math.sqrt(3)), -0.15, 0.15)
    h4 = jnp.clip((fourth - widening[0] - widening[1] - 3) / (8 * math.sqrt(6)), -0.15, 0.15)
    sigma = sigma / jnp.sqrt(1 + math.sqrt(6) * h4)
    return jnp.stack([jnp.ones_like(mean), mean - math.sqrt(3) * h3 * sigma, sigma, h3, h4], -1)


def _model(parameters: Array, n_v: int) -> Array:
    return _spread(gauss_hermite_profile(jnp.asarray(_fine(n_v), parameters.dtype), parameters), n_v)


def _fit_one(data: Array, start: Any, low: Array, high: Array, n_iter: int) -> Array:
    """Parameters of one profile that sums to 1, in units of the node spacing, and the size of the last step."""

    round_off = float(jnp.finfo(data.dtype).eps)
    least = DONE * round_off

    def residual(p: Any, d: Any) -> Any:
        return _model(p, d.shape[0]) - d

    def slope(p: Any, d: Any) -> tuple:
        jac = _spread(_slopes(jnp.asarray(_fine(d.shape[0]), p.dtype), p), d.shape[0]).T
        return jnp.matmul(residual(p, d), jac, precision="highest"), jac

    def step(_: Any, state: Any) -> tuple:
        p, damping, _ = state
        g, jac = slope(p, data)
        held = ((p <= low) & (g > 0)) | ((p >= high) & (g < 0))
        normal = jnp.matmul(jac.T, jac, precision="highest")
        normal = normal + damping * jnp.diag(jnp.diag(normal) + 1e-10)
        normal = jnp.where(held[:, None] | held, jnp.eye(5, dtype=p.dtype), normal)
        delta = -jnp.linalg.solve(normal, jnp.where(held, 0, g))
        trial = jnp.clip(p + delta, low, high)
        moved = jnp.max(jnp.abs(trial - p))
        # near the minimum the squares say nothing more than their round-off, and the slope still does
        slack = jnp.where(moved < NEAR, SLACK * round_off, 0.0)
        better = jnp.sum(residual(trial, data) ** 2) <= jnp.sum(residual(p, data) ** 2) * (1 + slack)
        damping = jnp.where(better, jnp.maximum(damping / 5, 1e-6), jnp.minimum(damping * 5, 1e4))
        return jnp.where(better, trial, p), damping, moved

    def solve(_: Any, p: Any) -> tuple:
        def go_on(state: Any) -> Array:
            k, (_, _, moved) = state
            return (k < n_iter) & (moved > least)

        begin = (p, jnp.asarray(1e-2, p.dtype), jnp.asarray(jnp.inf, p.dtype))
        _, (p, _, moved) = jax.lax.while_loop(go_on, lambda state: (state[0] + 1, step(*state)), (0, begin))
        return p, moved

    def optimality(p: Any) -> Any:
        # zero at the minimum of the box: the gradient where free, the distance to the bound where held
        return p - jnp.clip(p - slope(p, data)[0], low, high)

    def tangent_solve(linear: Any, y: Any) -> Array:
        return jnp.linalg.solve(jax.jacfwd(linear)(y), y)

    return jax.lax.custom_root(optimality, start, solve, tangent_solve, has_aux=True)
