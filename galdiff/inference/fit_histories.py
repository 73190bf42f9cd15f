"""Fit the formulae of diffmah and diffstar to tabulated histories, all galaxies at once (Levenberg-Marquardt).

As in diffmah and diffstar, only what a simulation resolves counts: times after 1 Gyr, and masses within some dex of
the last.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.numbers import numeric
from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.halo.diffmah import DiffmahParams, log10_mass
from galdiff.sfh.diffstar import BARYONS, DiffstarParams, diffstar_sfr

FIRST = 1.0  # Gyr: earlier snapshots are not fitted
MAH_BOUNDS = {"logm0": (0.0, 17.0), "logtc": (-1.0, 1.0), "late_index": (0.1, 5.0), "early_excess": (1e-3, 10.0)}
SFH_BOUNDS = {
    **{"lgmcrit": (9.0, 13.5), "lgy_at_mcrit": (-12.0, -8.0), "indx_lo": (0.0, 5.0), "indx_hi": (-5.0, 0.0)},
    **{"lg_qt": (0.1, 2.0), "qlglgdt": (-3.0, -0.01), "lg_drop": (-3.0, 0.0), "rejuvenation": (0.0, 1.0)},
}
SSFR_FLOOR = 1e-12  # 1/yr: below, galaxies are equally dead
QUENCHING_STARTS = ((0.5, -0.5), (0.8, -1.0), (1.1, -1.0), (1.9, -0.1))  # lg_qt, lg_drop
SFH_START = {
    "lgmcrit": 12.0,
    "lgy_at_mcrit": -10.0,
    "indx_lo": 1.0,
    "indx_hi": -1.0,
    "qlglgdt": -0.5,
    "rejuvenation": 0.5,
}
STEPS = 40


@record
class HistoryFit:
    """Best parameters, with a leading axis of galaxies, and how well they fit."""

    params: Any = quantity("", "DiffmahParams or DiffstarParams, each of shape (galaxy,)")
    rms: Float[Array, "galaxy"] = quantity("dex", "root mean square of the residuals that count; NaN where none does")


def fit_diffmah(
    time: Float[ArrayLike, "t"], log10_mass_table: Float[ArrayLike, "galaxy t"], t_today: float, *, depth: float = 2.5
) -> HistoryFit:
    """Parameters of diffmah for halo masses over time.

    Args:
      time: cosmic times [Gyr], increasing; log10_mass_table: masses then [dex(Msun)], -inf or NaN where unknown.
      t_today: age of the universe today [Gyr].
      depth: masses further than this below the last one [dex] do not count.

    Returns:
      The fit. Growth ends (`t_peak`) where the table reaches its largest mass, if it then stays for a time; else never.

    Raises:
      InputError: shapes, times or masses that cannot be; a table that ends before 1 Gyr.
    """
    t, table = _table(time, log10_mass_table, "log10_mass_table")
    peak = np.maximum.accumulate(np.where(np.isfinite(table), table, -np.inf), axis=1)
    counts = np.isfinite(table) & (t > FIRST) & (peak > peak[:, -1:] - depth)
    stays = np.argmax(peak >= peak[:, -1:], axis=1)
    t_peak = np.where(stays < t.size - 1, t[stays], np.inf)
    data = (jnp.asarray(t), jnp.asarray(peak), jnp.asarray(counts), jnp.asarray(t_peak), float(t_today))
    params, rms = _fit_mah(*data)
    return HistoryFit(params=params, rms=rms)


@jax.jit
def _fit_mah(t: Array, masses: Array, counts: Array, t_peak: Array, t_today: Array) -> tuple[DiffmahParams, Array]:
    def one(masses: Array, counts: Array, t_peak: Array) -> tuple[DiffmahParams, Array]:
        def residuals(u: Array) -> Array:
            return jnp.where(counts, log10_mass(halo(u), t, t_today) - jnp.where(counts, masses, 0.0), 0.0)

        def halo(u: Array) -> DiffmahParams:
            p = _bounded(u, MAH_BOUNDS)
            early = p["late_index"] + p.pop("early_excess")  # the early index is the steeper one
            return DiffmahParams(early_index=early, t_peak=t_peak, **p)

        start = {"logm0": masses[-1], "logtc": 0.3, "late_index": 0.3, "early_excess": 2.0}
        u, rms = _least(residuals, [_unbounded(start, MAH_BOUNDS)], counts)
        return halo(u), rms

    return jax.vmap(one)(masses, counts, t_peak)


def fit_diffstar(
    time: Float[ArrayLike, "t"],
    sfr_table: Float[ArrayLike, "galaxy t"],
    log10_halo_mass: Float[ArrayLike, "galaxy t"],
    *,
    depth: float = 3.5,
    baryon_fraction: float = BARYONS,
) -> HistoryFit:
    """Parameters of diffstar for star formation histories in known haloes.

    Both the stellar mass and the rate are fitted, in dex; rates below 1e-12 of the stellar mass per year are equal.

    Args:
      time: cosmic times [Gyr], increasing; sfr_table: rates then [Msun/yr].
      log10_halo_mass: masses of the haloes then [dex(Msun)], as of a diffmah fit.
      depth: stellar masses further than this below the last one [dex] do not count.
      baryon_fraction: gas over halo mass [1].

    Returns:
      The fit, the best of several starts of the time and depth of quenching.

    Raises:
      InputError: shapes, times or rates that cannot be; a table that ends before 1 Gyr.
    """
    t, rates = _table(time, sfr_table, "sfr_table")
    halos = _table(time, log10_halo_mass, "log10_halo_mass")[1]
    if halos.shape != rates.shape or not np.isfinite(halos).all() or not (rates >= 0).all():
        raise InputError(
            f"sfr_table has shape {rates.shape}, log10_halo_mass {halos.shape}; give rates [Msun/yr] of zero or more"
            " and finite masses [dex(Msun)] of one shape (galaxy, t)"
        )
    params, rms = _fit_sfh(jnp.asarray(t), jnp.asarray(rates), jnp.asarray(halos), depth, baryon_fraction)
    return HistoryFit(params=params, rms=rms)


@jax.jit
def _fit_sfh(t: Array, rates: Array, halos: Array, depth: Array, fb: Array) -> tuple[DiffstarParams, Array]:
    def logs(rate: Array) -> Array:
        formed = jnp.cumsum(jnp.diff(t, prepend=0.0) * (rate + jnp.concatenate([rate[:1] * 0, rate[:-1]])) / 2) * 1e9
        mass = jnp.maximum(formed, 1.0)
        return jnp.stack([jnp.log10(mass), jnp.log10(rate + SSFR_FLOOR * mass)])

    def one(rate: Array, halo: Array) -> tuple[DiffstarParams, Array]:
        data = logs(rate)
        counts = jnp.broadcast_to((t > FIRST) & (data[0] > data[0, -1] - depth) & (data[0] > 7.0), data.shape)

        def galaxy(u: Array) -> DiffstarParams:
            p = _bounded(u, SFH_BOUNDS)
            return DiffstarParams(lg_rejuv=p["lg_drop"] * p.pop("rejuvenation"), **p)

        def residuals(u: Array) -> Array:
            return jnp.where(counts, logs(diffstar_sfr(galaxy(u), t, halo, baryon_fraction=fb)) - data, 0.0).reshape(-1)

        starts = [
            _unbounded(SFH_START | {"lg_qt": lg_qt, "lg_drop": lg_drop}, SFH_BOUNDS)
            for lg_qt, lg_drop in QUENCHING_STARTS
        ]
        u, rms = _least(residuals, starts, counts)
        return galaxy(u), rms

    return jax.vmap(one)(rates, halos)


def _least(residuals: Callable[[Array], Array], starts: list[Array], counts: Array) -> tuple[Array, Array]:
    """Best of several starts, and its rms over what counts."""
    solver: Any = optimistix.LevenbergMarquardt(rtol=1e-8, atol=1e-8)
    solve = functools.partial(optimistix.least_squares, lambda u, _: residuals(u), solver, max_steps=STEPS, throw=False)
    found: Array = jax.vmap(lambda u: solve(u).value)(jnp.stack(starts))
    squares = jax.vmap(lambda u: (residuals(u) ** 2).sum())(found)
    best = jnp.argmin(jnp.where(jnp.isfinite(squares), squares, jnp.inf))
    n = counts.sum()
    return found[best], jnp.where(n > 0, jnp.sqrt(squares[best] / jnp.maximum(n, 1)), jnp.nan)


def _bounded(u: Array, bounds: dict[str, tuple[float, float]]) -> dict[str, Any]:
    return {name: lo + (hi - lo) * jax.nn.sigmoid(x) for x, (name, (lo, hi)) in zip(u, bounds.items(), strict=True)}


def _unbounded(values: dict[str, Any], bounds: dict[str, tuple[float, float]]) -> Array:
    shares = [(jnp.asarray(values[name]) - lo) / (hi - lo) for name, (lo, hi) in bounds.items()]
    return jax.scipy.special.logit(jnp.clip(jnp.stack(shares), 1e-3, 1 - 1e-3))


def _table(time: Any, values: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times and a table of shape (galaxy, t), checked."""
    t, table = numeric(time, "time"), np.atleast_2d(numeric(values, name))
    if t.ndim != 1 or table.ndim != 2 or table.shape[1] != t.size:
        raise InputError(f"{name} has shape {table.shape} for {t.shape} times; give (galaxy, t) with the times of (t,)")
    if not np.isfinite(t).all() or (np.diff(t) <= 0).any() or t[0] <= 0 or t[-1] <= FIRST:
        raise InputError(f"time [Gyr] must increase, above 0 and beyond {FIRST:g} Gyr; sort it, in Gyr of cosmic time")
    return t, table
