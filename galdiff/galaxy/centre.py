"""Where a galaxy is and how it moves: centre, half-mass radius, systemic velocity; one rule for readers and views.

Every function takes NumPy arrays as well as those of JAX and answers in kind: readers work in the float64 of the file,
whatever the precision of the process, and compile nothing for a new number of particles; views are traced. Particles
without mass do not count anywhere, so a padded galaxy is the galaxy. A quantile is found by a sort in NumPy, and in JAX
by bisection, which is faster there on every backend and needs no extra memory; both give the same element.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from galdiff.errors import InputError

SYSTEMIC_RADIUS = 10.0  # kpc; the systemic velocity is that of the stars inside (RUBIX and SimSpin: 10 kpc)
FEWEST = 10  # stars that tell a systemic velocity
SHARPEST = 1e-6  # kpc, radius at which a sphere ends to shrink
CENTRES = ("given", "median", "shrinking_sphere")
Any_ = Array | np.ndarray  # of either library


def weighted_quantile(x: Float[Any_, "n"], weight: Float[Any_, "n"], q: float) -> Float[Any_, ""]:
    """Smallest element of x below which (itself included) lies a share q of the weight; carries no gradient.

    Args:
      x: values, any unit.
      weight: weights >= 0, any unit; elements of weight zero do not count.
      q: share of the weight, in (0, 1].

    Returns:
      The element [unit of x]; 0 where there is no weight.
    """
    return _sorted_quantile(x, weight, q) if _plain(x, weight) else _bisected_quantile(x, weight, q)


def _sorted_quantile(x: Any, weight: Any, q: float) -> Any:
    order = np.argsort(x)
    total = np.cumsum(weight[order])
    if not len(x) or not total[-1] > 0:
        return x.dtype.type(0)
    return x[order][np.searchsorted(total, q * total[-1])]


def _bisected_quantile(x: Any, weight: Any, q: float) -> Array:
    x, weight = jax.lax.stop_gradient((jnp.asarray(x), jnp.asarray(weight)))
    target = q * jnp.sum(weight)
    used = weight > 0
    low = jnp.min(jnp.where(used, x, jnp.inf))
    high = jnp.max(jnp.where(used, x, -jnp.inf))
    steps = 64 if x.dtype == jnp.float64 else 32

    def halve(_: Any, bracket: Any) -> tuple:
        lo, hi = bracket
        middle = lo + (hi - lo) / 2
        enough = jnp.sum(jnp.where(x <= middle, weight, 0)) >= target
        return jnp.where(enough, lo, middle), jnp.where(enough, middle, hi)

    found = jax.lax.fori_loop(0, steps, halve, (low, high))[1]
    return jnp.where(target > 0, found, 0)


def median(x: Float[Any_, "n 3"], counts: Bool[Any_, "n"]) -> Float[Any_, "3"]:
    """Median of each column over the rows that count [unit of x], midway between two middle ones; no gradient."""
    xp = _library(x, counts)
    weight = xp.where(counts, 1.0, 0.0).astype(x.dtype)
    rows = xp.concatenate([x.T, -x.T])  # the middle one from below, and from above
    if xp is np:
        found: Any = np.stack([_sorted_quantile(row, weight, 0.5) for row in rows])
    else:
        found = jax.vmap(lambda row: _bisected_quantile(row, weight, 0.5))(rows)  # one loop for all
    return found[:3] / 2 - found[3:] / 2


def half_mass_radius(pos: Float[Any_, "n 3"], mass: Float[Any_, "n"]) -> Float[Any_, ""]:
    """Radius of the sphere around the origin that holds half of the mass [kpc]; carries no gradient.

    Args:
      pos: positions [kpc], centred.
      mass: masses [any unit].
    """
    xp = _library(pos, mass)
    return weighted_quantile(xp.sqrt(_square(pos)), order_one(mass), 0.5)


def shrinking_sphere(
    pos: Float[Any_, "n 3"], mass: Float[Any_, "n"], *, shrink: float = 0.9, n_min: int = 100
) -> Float[Any_, "3"]:
    """Centre of mass of the densest region (Power et al. 2003, MNRAS 338, 14, section 2.5).

    A sphere around the centre of mass that reaches to the farthest particle shrinks by a tenth at a time, each time
    around the centre of mass of what it held, until it holds fewer than n_min particles (or 1 % of all, if that is
    more): the centre of mass of the last one that held enough is the centre. A particle on the edge is inside. The
    choice of that last sphere is constant; the mean inside it is differentiable.

    Args:
      pos: positions [kpc].
      mass: masses [any unit].
      shrink: ratio of successive radii.
      n_min: number of particles at which it stops.

    Returns:
      Centre [kpc].
    """
    xp, weight = _library(pos, mass), order_one(mass)
    fixed_pos, fixed_weight = (pos, weight) if xp is np else jax.lax.stop_gradient((pos, weight))
    has_mass = fixed_weight > 0
    fewest = xp.maximum(n_min, 0.01 * xp.sum(has_mass))

    def mean(inside: Any, x: Any, w: Any) -> Any:
        w = xp.where(inside, w, 0)
        return xp.stack([xp.sum(w * x[:, k]) for k in range(3)]) / xp.maximum(xp.sum(w), np.finfo(w.dtype).tiny)

    def step(state: Any) -> tuple:
        _, inside, _, radius = state
        centre = mean(inside, fixed_pos, fixed_weight)
        radius = radius * shrink
        return inside, has_mass & (_square(fixed_pos - centre) <= radius**2), centre, radius

    start = mean(has_mass, fixed_pos, fixed_weight)
    farthest = xp.sqrt(xp.max(xp.where(has_mass, _square(fixed_pos - start), 0)))
    go_on = lambda state: (xp.sum(state[1]) >= fewest) & (state[3] > SHARPEST)  # noqa: E731
    last = _repeated(xp, go_on, step, (has_mass, has_mass, start, farthest))[0]
    return mean(last, pos, weight)


def systemic_velocity(pos: Float[Any_, "n 3"], vel: Float[Any_, "n 3"], mass: Float[Any_, "n"]) -> Float[Any_, "3"]:
    """Median velocity of the stars within min(10 kpc, half-mass radius) [km/s]; carries no gradient.

    Where fewer than ten are that near, those within the half-mass radius tell it.

    Args:
      pos: positions [kpc], centred.
      vel: velocities [km/s].
      mass: masses [any unit]; particles without mass do not count.
    """
    xp = _library(pos, vel, mass)
    half = half_mass_radius(pos, mass)
    near = within(pos, xp.minimum(half, SYSTEMIC_RADIUS)) & (mass > 0)
    few = xp.sum(near) < FEWEST
    return median(vel, xp.where(few, within(pos, half) & (mass > 0), near))


def find_centre(
    method: str, pos: Float[Any_, "n 3"], vel: Float[Any_, "n 3"], mass: Float[Any_, "n"]
) -> tuple[Float[Any_, "3"], Float[Any_, "3"]]:
    """Centre [kpc] and systemic velocity [km/s] by one of CENTRES; zero for "given".

    Raises:
      InputError: no such method.
    """
    xp = _library(pos, vel, mass)
    if method == "given":
        return xp.zeros(3, pos.dtype), xp.zeros(3, vel.dtype)
    if method not in CENTRES:
        raise InputError(f"centre is '{method}'; choose one of {', '.join(CENTRES)}")
    centre = median(pos, mass > 0) if method == "median" else shrinking_sphere(pos, mass)
    return centre, systemic_velocity(pos - centre, vel, mass)


def order_one(mass: Float[Any_, "n"]) -> Float[Any_, "n"]:
    """Masses over their mean [1], so that sums of squares stay in the range of float32."""
    xp = _library(mass)
    mean = xp.mean(mass)
    return mass / xp.where(mean > 0, mean, 1)


def within(pos: Float[Any_, "n 3"], radius: Float[Any_, ""]) -> Bool[Any_, "n"]:
    """Which particles lie inside a radius around the origin, or on it to the rounding of float32; both in [kpc]."""
    return _square(pos) <= radius**2 * (1 + 4 * np.finfo(np.float32).eps)


def _square(pos: Any) -> Any:
    """Squared distances from the origin; no matmul, which some backends round, nor a slow sum over an axis of three."""
    return pos[:, 0] ** 2 + pos[:, 1] ** 2 + pos[:, 2] ** 2


def _plain(*arrays: Any) -> bool:
    return all(isinstance(x, np.ndarray | np.generic) for x in arrays)


def _library(*arrays: Any) -> Any:
    """The library that computes with these arrays: NumPy where all are its own."""
    return np if _plain(*arrays) else jnp


def _repeated(xp: Any, go_on: Callable, step: Callable, state: Any) -> Any:
    """The state after the last step, as `jax.lax.while_loop`."""
    if xp is not np:
        return jax.lax.while_loop(go_on, step, state)
    while go_on(state):
        state = step(state)
    return state
