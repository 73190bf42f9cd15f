"""Radiative cooling of gas in collisional ionisation equilibrium (Sutherland & Dopita 1993, ApJS 88, 253).

Everything is log10: a cooling function in erg cm^3/s underflows float32. Lambda_N is the loss rate over n_e n_t, with n_t
the density of all ions. `SmoothCooling` is a C2 fit; `TableCooling` is bilinear in a table, with kinks at its nodes.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, ArrayLike, Float

from galdiff.baryons import cooling_coefficients
from galdiff.core.record import quantity, record, static
from galdiff.core.variables import table as fixed
from galdiff.errors import InputError


@record
class CoolingFit:
    """A sum over ranks of (cubic spline in log10 T) x (natural cubic spline in log10 Z/Zsun)."""

    in_t: Float[Array, "rank coef"] = quantity("", "uniform cubic B-spline coefficients in log10 T, first axis rank")
    in_z: Float[Array, "rank term"] = quantity("dex", "offset, slope, then one coefficient per cube of (z - node)+")
    t_range: tuple[float, float] = static("first and last log10 T [K] of the fit")
    z_nodes: tuple[float, ...] = static("nodes in log10 Z/Zsun of the splines in_z, increasing")


def shipped_fit() -> CoolingFit:
    """Fit of Sutherland & Dopita (1993) that the package ships, in double precision where JAX has it."""
    return CoolingFit(
        in_t=jnp.asarray(cooling_coefficients.IN_T, float),
        in_z=jnp.asarray(cooling_coefficients.IN_Z, float),
        t_range=cooling_coefficients.T_RANGE,
        z_nodes=cooling_coefficients.Z_NODES,
    )


def _metal_terms(fit: CoolingFit, z: Array) -> list[tuple[Array, Array]]:
    """Value and slope of the natural splines in metallicity, one pair per rank; straight beyond the end nodes."""
    first, last = fit.z_nodes[0], fit.z_nodes[-1]
    # Beyond the last node the cubes would cancel only up to round-off.
    inside = jnp.where(z > last, last, z)
    past = [jnp.maximum(inside - node, 0) for node in fit.z_nodes[:-1]]
    terms = []
    for c in fit.in_z.astype(z.dtype):
        bend = sum(a * p * p * p for a, p in zip(c[2:], past, strict=True))
        turn = sum(3 * a * p * p for a, p in zip(c[2:], past, strict=True))
        slope = c[1] + turn
        terms.append((c[0] + c[1] * (inside - first) + bend + slope * (z - inside), slope))
    return terms


def _surface(fit: CoolingFit, x: Array, z: Array) -> tuple[Array, Array, Array]:
    """Value and both partial derivatives of the fit; straight lines in log-log beyond the range."""
    lo, hi = fit.t_range
    count = fit.in_t.shape[1] - 3  # intervals
    per_dex = count / (hi - lo)
    inside = jnp.where(x < lo, lo, jnp.where(x > hi, hi, x))
    place = (inside - lo) * per_dex
    index = jnp.minimum(place.astype(jnp.int32), count - 1)
    u = place - index
    v = 1 - u
    weights = (v * v * v / 6, (4 - 3 * u * u * (1 + v)) / 6, (4 - 3 * v * v * (1 + u)) / 6, u * u * u / 6)
    slopes = (-v * v / 2, u * (1.5 * u - 2), v * (2 - 1.5 * v), u * u / 2)
    value = by_x = by_z = jnp.zeros_like(x)
    beyond = x - inside
    for row, (metal, metal_slope) in zip(fit.in_t.astype(x.dtype), _metal_terms(fit, z), strict=True):
        taps = [row.at[index + m].get(mode="promise_in_bounds") for m in range(4)]
        curve = sum(c * w for c, w in zip(taps, weights, strict=True))
        slope = per_dex * sum(c * w for c, w in zip(taps, slopes, strict=True))
        curve = curve + beyond * slope
        value, by_x, by_z = value + metal * curve, by_x + metal * slope, by_z + metal_slope * curve
    return value, by_x, by_z


@jax.custom_jvp
def _fitted(fit: CoolingFit, x: Array, z: Array) -> Array:
    return _surface(fit, x, z)[0]


def _fitted_jvp(primals, tangents):
    # One look-up gives the value and both slopes for any number of tangents; reverse mode keeps two numbers per call.
    fit, x, z = primals
    by_fit, dx, dz = tangents
    value, by_x, by_z = _surface(fit, x, z)
    change = jnp.zeros_like(value)
    for slope, step in ((by_x, dx), (by_z, dz)):
        change = change if isinstance(step, SymbolicZero) else change + slope * step
    if not all(isinstance(step, SymbolicZero) for step in (by_fit.in_t, by_fit.in_z)):
        frozen = jax.lax.stop_gradient
        change += jax.jvp(lambda f: _surface(f, frozen(x), frozen(z))[0], (fit,), (by_fit,))[1]
    return value, change


_fitted.defjvp(_fitted_jvp, symbolic_zeros=True)


def log10_lambda(
    log10_t: Float[ArrayLike, "..."], log10_z_solar: Float[ArrayLike, "..."], fit: CoolingFit | None = None
) -> Float[Array, "..."]:
    """Smooth CIE cooling function, a C2 fit of Sutherland & Dopita (1993), table values within 0.03 dex.

    Args:
      log10_t: log10 temperature [K]; fitted on 4.0 to 8.5, a straight line in log-log beyond.
      log10_z_solar: log10 metallicity over solar (Z/0.02) [dex]; fitted on -3 to +0.5, straight beyond. Finite.
      fit: coefficients; None takes those shipped.

    Returns:
      log10 Lambda_N [erg cm^3/s], broadcast shape, dtype of the arguments.
    """
    dtype = jnp.result_type(jnp.asarray(log10_t), jnp.asarray(log10_z_solar))
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
    x, z = jnp.broadcast_arrays(jnp.asarray(log10_t, dtype), jnp.asarray(log10_z_solar, dtype))
    return _fitted(shipped_fit() if fit is None else fit, x, z)


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
    dtype = jnp.result_type(jnp.asarray(log10_t), jnp.asarray(log10_z_solar))
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
    x, z = jnp.broadcast_arrays(jnp.asarray(log10_t, dtype), jnp.asarray(log10_z_solar, dtype))
    i, u = _cell(x, jnp.asarray(table.log10_t, dtype))
    j, v = _cell(z, jnp.asarray(table.log10_z_solar, dtype))
    values = jnp.asarray(table.log10_lambda, dtype)
    low = (1 - v) * values[i, j] + v * values[i, j + 1]
    high = (1 - v) * values[i + 1, j] + v * values[i + 1, j + 1]
    return (1 - u) * low + u * high


class SmoothCooling(nnx.Module):
    """The smooth fit: log10 Lambda_N of (log10 T, log10 Z/Zsun)."""

    def __init__(self, *, fit: CoolingFit | None = None):
        self.fit = fixed(shipped_fit() if fit is None else fit)

    def __call__(self, log10_t: Float[ArrayLike, "..."], log10_z_solar: Float[ArrayLike, "..."]) -> Array:
        """log10 Lambda_N [erg cm^3/s]; see `log10_lambda`."""
        return log10_lambda(log10_t, log10_z_solar, self.fit.get_value())


class TableCooling(nnx.Module):
    """A table with kinks, for parity: log10 Lambda_N of (log10 T, log10 Z/Zsun)."""

    def __init__(self, *, table: CoolingTable):
        shape = (table.log10_t.shape[0], table.log10_z_solar.shape[0])
        if table.log10_lambda.shape != shape or min(shape) < 2:
            raise InputError(
                f"cooling table has values {table.log10_lambda.shape} on {shape[0]} temperatures and {shape[1]}"
                " metallicities; it needs values (temperature, metallicity) and two nodes or more on each axis"
            )
        self.table = fixed(table)

    def __call__(self, log10_t: Float[ArrayLike, "..."], log10_z_solar: Float[ArrayLike, "..."]) -> Array:
        """log10 Lambda_N [erg cm^3/s]; see `log10_lambda_table`."""
        return log10_lambda_table(self.table.get_value(), log10_t, log10_z_solar)
