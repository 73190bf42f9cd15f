"""Bounded parameters from unbounded ones and back, as diffmah, diffstar and diffsky store them in their files.

A parameter is a logistic of its unbounded twin. Two conventions: `wide`, k = 0.1, of diffmah and diffsky; unit slope at
the centre, k = 4 / (high - low), of diffstar. Some bounds are other parameters: late growth is slower than early.
"""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.rolling import sigmoid, unsigmoid
from galdiff.errors import InputError

WIDE = 0.1
End = float | tuple[str, float]  # a number, or another parameter and what is added to it


@dataclasses.dataclass(frozen=True)
class Bound:
    """Where a parameter may be.

    Attributes:
      low, high: ends [unit of the parameter].
      k: slope of the logistic; None: unit slope at the centre.
      centre: where the logistic is half way; None: the middle between the ends.
    """

    low: End
    high: End
    k: float | None = None
    centre: float | None = None

    def logistic(self, values: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Centre, slope, low and high end, the latter [unit of the parameter], of the shapes of other parameters."""
        low, high = (_end(end, values) for end in (self.low, self.high))
        centre = (low + high) / 2 if self.centre is None else jnp.asarray(self.centre)
        return centre, jnp.asarray(4 / (high - low) if self.k is None else self.k), low, high


def _end(end: End, values: Mapping[str, Array]) -> Array:
    return values[end[0]] + end[1] if isinstance(end, tuple) else jnp.asarray(end)


def _wide(**ends: tuple[float, float]) -> dict[str, Bound]:
    return {name: Bound(low, high, WIDE) for name, (low, high) in ends.items()}


def _unit(**ends: tuple[float, float]) -> dict[str, Bound]:
    return {name: Bound(low, high) for name, (low, high) in ends.items()}


DIFFMAH = _wide(logm0=(0.0, 17.0), logtc=(-1.0, 1.0), late_index=(0.1, 5.0), t_peak=(0.05, 20.0)) | {
    "early_index": Bound(("late_index", 0.0), 10.0, WIDE, 0.0)
}
QUENCHING = _unit(lg_qt=(0.1, 2.0), qlglgdt=(-3.0, -0.01), lg_drop=(-3.0, 0.0)) | {
    "lg_rejuv": Bound(("lg_drop", 0.0), 0.0, 4 / 3, -1.5)
}
DIFFSTAR = _unit(lgmcrit=(9.0, 13.5), lgy_at_mcrit=(-12.0, -8.0), indx_lo=(0.0, 5.0), indx_hi=(-5.0, 0.0)) | QUENCHING
GAS_LAG = DIFFSTAR | _unit(lgy_at_mcrit=(-3.0, 0.0), tau_dep=(0.01, 20.0))
BURST = _wide(lgyr_peak=(5.0, 8.0)) | {
    "lgfburst": Bound(-8.0, -1.0, WIDE, -2.0),
    "lgyr_max": Bound(("lgyr_peak", 1.0), 9.0, WIDE),
}
UMZR = _wide(  # by the names of galdiff.sfh.metallicity.mass_metallicity; those of diffsky follow in UMZR_NAMES
    level=(-1.0, 0.25),
    centre=(10.25, 10.75),
    sharpness=(0.5, 2.0),
    slope_lo=(0.1, 1.0),
    drop_at=(-2.0, -1.0),
    drop_mass=(0.0, 0.5),
    rate_at=(-1.5, -0.5),
    rate_mass=(0.0, 0.5),
) | {"slope_hi": Bound(0.0, ("slope_lo", 0.0), WIDE, 0.0)}
UMZR_NAMES = {
    "mzr_t0_ytp": "level",
    "mzr_t0_x0": "centre",
    "mzr_t0_k": "sharpness",
    "mzr_t0_slope_lo": "slope_lo",
    "mzr_t0_slope_hi": "slope_hi",
    "c0_y_at_tlook_c": "drop_at",
    "c1_y_at_tlook_c": "drop_mass",
    "c0_early_time_slope": "rate_at",
    "c1_early_time_slope": "rate_mass",
}


def wide_bounds(ends: Mapping[str, tuple[float, float]]) -> dict[str, Bound]:
    """Bounds of the wide convention, of diffstarpop, diffmahpop and all of diffsky, by name."""
    return _wide(**dict(ends))


def bounded(bounds: Mapping[str, Bound], u: Mapping[str, Float[ArrayLike, "..."]]) -> dict[str, Float[Array, "..."]]:
    """Parameters [their units] from unbounded ones, of shapes that broadcast.

    Args:
      bounds: of these parameters, e.g. `DIFFSTAR`; more than are given do not count.
      u: unbounded values by the names of the parameters.

    Raises:
      InputError: a name that has no bounds, or whose bound is a parameter that is missing.
    """
    _check(bounds, u)
    found: dict[str, Array] = {}
    for name in _free_first(bounds, u):
        found[name] = sigmoid(u[name], *bounds[name].logistic(found))
    return {name: found[name] for name in u}


def unbounded(
    bounds: Mapping[str, Bound], values: Mapping[str, Float[ArrayLike, "..."]]
) -> dict[str, Float[Array, "..."]]:
    """The inverse of `bounded`: unbounded values from parameters [their units], of shapes that broadcast.

    Raises:
      InputError: as `bounded`.
    """
    _check(bounds, values)
    arrays = {name: jnp.asarray(value) for name, value in values.items()}
    return {name: unsigmoid(value, *bounds[name].logistic(arrays)) for name, value in arrays.items()}


def _free_first(bounds: Mapping[str, Bound], names: Mapping) -> list[str]:
    return sorted(names, key=lambda name: bool(_needs(bounds[name])))


def _needs(bound: Bound) -> list[str]:
    return [end[0] for end in (bound.low, bound.high) if isinstance(end, tuple)]


def _check(bounds: Mapping[str, Bound], given: Mapping) -> None:
    for name in given:
        if name not in bounds:
            raise InputError(f"parameter '{name}' has no bounds; those that have: {', '.join(bounds)}")
        if missing := [other for other in _needs(bounds[name]) if other not in given]:
            raise InputError(f"parameter '{name}' is bounded by '{missing[0]}', which is missing; give both")
