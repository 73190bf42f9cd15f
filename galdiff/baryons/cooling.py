"""Radiative cooling of gas in collisional ionisation equilibrium (Sutherland & Dopita 1993, ApJS 88, 253).

Everything is log10: a cooling function in erg cm^3/s underflows float32. Lambda_N is the loss rate over n_e n_t, with
n_t the density of all ions. `SmoothCooling` is a C2 fit; `TableCooling` is bilinear in a table, kinked at its nodes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, ArrayLike, Float
from scipy.interpolate import BSpline, CubicSpline, PPoly

from galdiff.baryons import cooling_coefficients
from galdiff.core.buildable import buildable
from galdiff.core.fitted import Range, Ranges
from galdiff.core.record import quantity, record, static
from galdiff.core.variables import Table
from galdiff.errors import InputError
from galdiff.units import Z_SUN

SD93 = (  # their tables
    Range("diagnostics.temperature", "K", 1e4, 10**8.5, "Sutherland & Dopita 1993, ApJS 88, 253"),
    Range("metallicity.cgm", "", 1e-3 * Z_SUN, 10**0.5 * Z_SUN, "Sutherland & Dopita 1993, ApJS 88, 253"),
)
KEPT = "cooling"  # name of what a rematerialised solver may keep instead of looking up again


@record
class CoolingFit:
    """log10 Lambda_N as a sum over ranks of (curve in log10 T) x (factor in log10 Z/Zsun), both cubic splines.

    The first and last intervals of the curves are straight and reach to infinity.
    """

    pieces: Float[Array, "coef interval"] = quantity("dex", "powers 0 to 3 of the place in the interval, rank by rank")
    start: float = static("log10 T [K] where interval 1 starts")
    per_dex: float = static("intervals per dex of temperature")
    z_nodes: tuple[float, ...] = static("nodes in log10 Z/Zsun of the factors, increasing")
    factors: tuple[tuple[float, ...], ...] = static("per rank: offset, slope at the first node, a cube per node")


def make_fit(
    t_range: tuple[float, float],
    in_t: Float[ArrayLike, "rank coef"],
    z_nodes: tuple[float, ...],
    in_z: Float[ArrayLike, "rank node"],
) -> CoolingFit:
    """Prepare a fit for fast evaluation; runs on the host.

    Args:
      t_range: first and last log10 T [K] of uniform cubic B-splines, which must be straight at both ends.
      in_t: their coefficients [dex], each row one more than intervals plus two.
      z_nodes: nodes in log10 Z/Zsun [dex] of natural cubic splines, increasing.
      in_z: their values at the nodes [1].

    Returns:
      The fit, continued along straight lines beyond both ranges, with continuous second derivatives everywhere.
    """
    lo, hi = t_range
    curves, count = np.asarray(in_t, float), np.shape(in_t)[1] - 3
    step = (hi - lo) / count
    knots = lo + step * np.arange(-3, count + 4)
    powers = []
    for row in curves:
        ppoly = PPoly.from_spline(BSpline(knots, row, 3))
        inner = ppoly.c[::-1, 3 : 3 + count] * step ** np.arange(4)[:, None]
        first, last = inner[:, 0], inner[:, -1]
        end, slope = last.sum(), last[1] + 2 * last[2] + 3 * last[3]
        before, after = [first[0] - first[1], first[1], 0, 0], [end, slope, 0, 0]
        powers.append(np.column_stack([before, inner, after]))
    factors = []
    for row in np.asarray(in_z, float):
        cubic = CubicSpline(z_nodes, row, bc_type="natural")
        cubes = np.diff(np.append(cubic.c[0], 0.0), prepend=0.0)
        factors.append((float(row[0]), float(cubic.c[2, 0]), *map(float, cubes)))
    return CoolingFit(
        pieces=jnp.asarray(np.concatenate(powers), float),
        start=lo,
        per_dex=1 / step,
        z_nodes=tuple(z_nodes),
        factors=tuple(factors),
    )


def shipped_fit() -> CoolingFit:
    """Fit of Sutherland & Dopita (1993) that the package ships, in double precision where JAX has it."""
    shipped = cooling_coefficients
    return make_fit(shipped.T_RANGE, np.array(shipped.IN_T), shipped.Z_NODES, np.array(shipped.IN_Z))


def _factors(fit: CoolingFit, z: Array) -> tuple[list, list]:
    """Factors in metallicity and their slopes, one per rank."""
    past = [jnp.maximum(z - node, 0) for node in fit.z_nodes]
    squares = [p * p for p in past]
    cubes = [p * q for p, q in zip(past, squares, strict=True)]
    away = z - fit.z_nodes[0]
    values = [c[0] + c[1] * away + sum(a * p for a, p in zip(c[2:], cubes, strict=True)) for c in fit.factors]
    slopes = [c[1] + sum(3 * a * p for a, p in zip(c[2:], squares, strict=True)) for c in fit.factors]
    return values, slopes


def _surface(fit: CoolingFit, x: Array, z: Array) -> tuple[Array, Array, Array]:
    """Value and both partial derivatives of the fit."""
    place = (x - fit.start) * fit.per_dex + 1
    interval = jnp.clip(jnp.floor(place), 0, fit.pieces.shape[1] - 1)
    u = place - interval
    # One gather: on a CPU XLA runs every gather as a kernel of its own, and they cost more than the arithmetic.
    taps = fit.pieces.astype(x.dtype).at[:, interval.astype(jnp.int32)].get(mode="promise_in_bounds")
    factors, slopes = _factors(fit, z)
    a, b, c, d = (sum(f * taps[4 * k + power] for k, f in enumerate(factors)) for power in range(4))
    e, f, g, h = (sum(s * taps[4 * k + power] for k, s in enumerate(slopes)) for power in range(4))
    by_x = fit.per_dex * ((3 * d * u + 2 * c) * u + b)
    return ((d * u + c) * u + b) * u + a, by_x, ((h * u + g) * u + f) * u + e


@jax.custom_jvp
def _fitted(fit: CoolingFit, x: Array, z: Array) -> Array:
    return _surface(fit, x, z)[0]


def _fitted_jvp(primals: Any, tangents: Any) -> tuple:
    # One look-up gives the value and both slopes for any number of tangents; reverse mode keeps two numbers per call.
    fit, x, z = primals
    by_fit, dx, dz = tangents
    # The gather makes XLA store the three on a CPU; fused, it would evaluate the surface again for every tangent.
    stored = jnp.stack(_surface(fit, x, z)).at[jnp.arange(3)].get(mode="promise_in_bounds")
    value, by_x, by_z = jax.lax.optimization_barrier(stored)
    change = jnp.zeros_like(value)
    for slope, step in ((by_x, dx), (by_z, dz)):
        change = change if isinstance(step, SymbolicZero) else change + slope * step
    if not isinstance(by_fit.pieces, SymbolicZero):
        change += jax.jvp(lambda f: _surface(f, x, z)[0], (fit,), (by_fit,))[1]
    return value, change


_fitted.defjvp(_fitted_jvp, symbolic_zeros=True)


def _floats(log10_t: ArrayLike, log10_z_solar: ArrayLike) -> tuple[Array, Array]:
    """Both arguments broadcast, in their common floating dtype."""
    dtype = jnp.result_type(log10_t, log10_z_solar)
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
    x, z = jnp.broadcast_arrays(jnp.asarray(log10_t, dtype), jnp.asarray(log10_z_solar, dtype))
    return x, z


def log10_lambda(
    log10_t: Float[ArrayLike, "..."], log10_z_solar: Float[ArrayLike, "..."], fit: CoolingFit | None = None
) -> Float[Array, "..."]:
    """Smooth CIE cooling function: a C2 fit of Sutherland & Dopita (1993), within 0.03 dex of their table.

    Args:
      log10_t: log10 temperature [K]; fitted on 4.0 to 8.5, straight in log-log below 3.9 and above 8.5.
      log10_z_solar: log10 metallicity over solar (Z/0.02) [dex]; fitted on -3 to +0.5, straight beyond. Must be finite.
      fit: coefficients; None takes those shipped.

    Returns:
      log10 Lambda_N [erg cm^3/s], broadcast shape, dtype of the arguments.
    """
    return _fitted(shipped_fit() if fit is None else fit, *_floats(log10_t, log10_z_solar))


@record
class CoolingTable:
    """A cooling function tabulated on increasing nodes of temperature and metallicity."""

    log10_t: Float[Array, "t"] = quantity("dex", "log10 temperature in K")
    log10_z_solar: Float[Array, "z"] = quantity("dex", "log10 metallicity over solar (0.02)")
    log10_lambda: Float[Array, "t z"] = quantity("dex", "log10 Lambda_N = loss rate / (n_e n_t) in erg cm^3/s")


def _cell(x: Array, nodes: Array) -> tuple[Array, Array]:
    """Lower node of the interval of x, and the place in it, beyond 0 to 1 outside the nodes."""
    index = jnp.searchsorted(nodes[1:-1], x, side="right", method="scan_unrolled").astype(jnp.int32)
    return index, (x - nodes[index]) / (nodes[index + 1] - nodes[index])


def log10_lambda_table(
    table: CoolingTable, log10_t: Float[ArrayLike, "..."], log10_z_solar: Float[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Cooling function bilinear in a table, extrapolated linearly on all sides (the rule of Pandya et al. 2026).

    Args:
      table: at least two nodes on each axis.
      log10_t: log10 temperature [K].
      log10_z_solar: log10 metallicity over solar [dex].

    Returns:
      log10 Lambda_N [erg cm^3/s], broadcast shape; exact at nodes, slopes jump there.
    """
    x, z = _floats(log10_t, log10_z_solar)
    i, u = _cell(x, table.log10_t.astype(x.dtype))
    j, v = _cell(z, table.log10_z_solar.astype(x.dtype))
    values = table.log10_lambda.astype(x.dtype)
    low = (1 - v) * values[i, j] + v * values[i, j + 1]
    high = (1 - v) * values[i + 1, j] + v * values[i + 1, j + 1]
    return (1 - u) * low + u * high


@buildable
class SmoothCooling(nnx.Module):
    """The smooth fit: log10 Lambda_N of (log10 T, log10 Z/Zsun)."""

    FITTED = SD93

    def __init__(self, *, fit: CoolingFit | None = None) -> None:
        self.fit = Table(shipped_fit() if fit is None else fit)

    def __call__(self, log10_t: Float[ArrayLike, "..."], log10_z_solar: Float[ArrayLike, "..."]) -> Array:
        """log10 Lambda_N [erg cm^3/s]; see `log10_lambda`."""
        return log10_lambda(log10_t, log10_z_solar, self.fit.get_value())


@buildable
class TableCooling(nnx.Module):
    """A table with kinks, for parity: log10 Lambda_N of (log10 T, log10 Z/Zsun)."""

    def __init__(self, *, table: CoolingTable) -> None:
        shape = (table.log10_t.shape[0], table.log10_z_solar.shape[0])
        if table.log10_lambda.shape != shape or min(shape) < 2:
            raise InputError(
                f"cooling table has values {table.log10_lambda.shape} on {shape[0]} temperatures and {shape[1]}"
                " metallicities; it needs values (temperature, metallicity) and two nodes or more on each axis"
            )
        self.table = Table(table)

    def fitted(self) -> Ranges:
        """Temperatures [K] and metal mass fractions of the table."""
        table = self.table.get_value()
        t, z = (10 ** np.asarray(axis, float)[[0, -1]] for axis in (table.log10_t, table.log10_z_solar))
        told = ("diagnostics.temperature", "K", t), ("metallicity.cgm", "", z * Z_SUN)
        return tuple(Range(name, unit, float(x[0]), float(x[1]), "the table") for name, unit, x in told)

    def __call__(self, log10_t: Float[ArrayLike, "..."], log10_z_solar: Float[ArrayLike, "..."]) -> Array:
        """log10 Lambda_N [erg cm^3/s]; see `log10_lambda_table`."""
        return log10_lambda_table(self.table.get_value(), log10_t, log10_z_solar)
