"""Halo histories from tabulated masses, as merger trees have them: made monotone, smoothed, splined."""

import dataclasses
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from galdiff.core.record import quantity, record
from galdiff.cosmology import Cosmology, age, difference
from galdiff.errors import InputError
from galdiff.halo.history import LOG10_MASSES, HistorySettings, assemble, check_final_mass
from galdiff.halo.mass_loss import increasing_masses, interpolated
from galdiff.halo.slopes import limit_slopes
from galdiff.records import HaloHistory


@record
class HaloTable:
    """Masses of haloes along their main branch, oldest first; haloes with common times share a leading axis."""

    m_vir: Float[np.ndarray, "... snapshot"] = quantity("Msun", "virial mass")
    time: Float[np.ndarray, "snapshot"] | None = quantity("Gyr", "cosmic time, increasing; else redshift", default=None)
    redshift: Float[np.ndarray, "snapshot"] | None = quantity("", "redshift, decreasing; else time", default=None)
    mdot_vir: Float[np.ndarray, "... snapshot"] | None = quantity(
        "Msun/Gyr", "accretion rate, where known", default=None
    )
    c_nfw: Float[np.ndarray, "... snapshot"] | None = quantity("", "concentration, where known", default=None)
    spin: Float[np.ndarray, "..."] | None = quantity("", "spin parameter, where known", default=None)
    h0: Float[np.ndarray, ""] | float | None = quantity("km/s/Mpc", "of its cosmology, where known", default=None)
    omega_m: Float[np.ndarray, ""] | float | None = quantity("", "of its cosmology, where known", default=None)


def _column(table: HaloTable, name: str, shape: tuple[int, ...], positive: bool) -> np.ndarray:
    """A column as float64 of the given shape; finite, and positive where asked."""
    unit = type(table).__dataclass_fields__[name].metadata["unit"] or "1"
    value = np.asarray(getattr(table, name), np.float64)
    where = f"halo table column {name} [{unit}]"
    if value.shape != shape:
        raise InputError(f"{where} has shape {value.shape}, but m_vir and time need {shape}; make them agree")
    bad = ~np.isfinite(value)
    if positive:
        bad |= value <= 0
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        need = "finite and above zero" if positive else "finite"
        raise InputError(
            f"{where} holds {value[at]} at {at} ({int(bad.sum())} such values of {value.size}); all must be {need}:"
            " drop the snapshots before the halo exists and repair the others"
        )
    return value


def _warn_other_cosmology(table: HaloTable, cosmology: Cosmology) -> None:
    """One warning where the table says that its simulation had another cosmology."""
    stated = {n: float(np.asarray(getattr(table, n))) for n in ("h0", "omega_m") if getattr(table, n) is not None}
    if said := difference(dataclasses.replace(cosmology, **stated), cosmology):
        warnings.warn(
            f"halo table is of another cosmology than the run ({said}); masses"
            f" and {'redshifts' if table.time is None else 'times'} are taken as they are, radii and baryons"
            " follow the run; to follow the table, give cosmology=own and its parameters",
            stacklevel=3,
        )


def _times(table: HaloTable, cosmology: Cosmology) -> np.ndarray:
    """Cosmic times [Gyr] of the snapshots, checked to increase."""
    if (table.time is None) == (table.redshift is None):
        raise InputError("halo table has both or neither of time [Gyr] and redshift [1]; give exactly one of them")
    n = np.shape(table.m_vir)[-1:]
    if n < (3,):
        raise InputError(f"halo table has {n[0] if n else 0} snapshots in m_vir [Msun]; at least 3 make a history")
    name = "redshift" if table.time is None else "time"
    value = _column(table, name, n, positive=name == "time")
    time = value if name == "time" else np.asarray(age(cosmology, value), np.float64)
    step = np.diff(time)
    if not (step > 0).all():
        i = int(np.argmax(step <= 0))
        raise InputError(
            f"halo table column {name} [{'1' if name == 'redshift' else 'Gyr'}] goes from {value[i]:.6g} to"
            f" {value[i + 1]:.6g} at snapshot {i + 1}; snapshots must be in order of growing cosmic time without"
            " repeats: sort or reverse the table"
        )
    return time


def _smooth(ln_t: np.ndarray, ln_m: np.ndarray, width: float, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian average of the monotone cubic over ln t and its derivative, reflected in its end points to keep them."""
    if not 0 <= width <= (ln_t[-1] - ln_t[0]) / 6:
        raise InputError(
            f"smoothing is {width} (width in ln t); use 0 (none) to {(ln_t[-1] - ln_t[0]) / 6:.3g} for this table"
        )
    curve = PchipInterpolator(ln_t, ln_m, axis=-1)
    offsets = np.linspace(-3, 3, 49) * width
    weights = np.exp(-0.5 * np.linspace(-3, 3, 49) ** 2)
    value, slope = 0.0, 0.0
    for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
        x = nodes + offset
        before, after = x < ln_t[0], x > ln_t[-1]
        inside = np.where(before, 2 * ln_t[0] - x, np.where(after, 2 * ln_t[-1] - x, x))
        y = curve(inside)
        y = np.where(before, 2 * ln_m[..., :1] - y, np.where(after, 2 * ln_m[..., -1:] - y, y))
        value, slope = value + weight * y, slope + weight * curve(inside, 1)
    return np.asarray(value), np.asarray(slope)


def from_table(
    table: HaloTable,
    *,
    cosmology: Cosmology,
    settings: HistorySettings = HistorySettings(),  # noqa: B008 - frozen
    mass_loss: str = "running_maximum",
    smoothing: float = 0.0,
    resample: bool = False,
) -> HaloHistory:
    """Smooth history of tabulated masses; its accretion rate is the derivative of its mass everywhere.

    Args:
      table: masses, times or redshifts; with leading axis for many haloes with common times.
      cosmology: the universe.
      settings: start and halo definition; n_nodes only where resampled.
      mass_loss: running_maximum keeps the largest mass so far, with a warning where that raises the final mass by 10%
        or keeps a spike; interpolate first draws lines over runs of one or two snapshots that are 1.5 times heavier or
        lighter than both neighbours, their rates and concentrations too; error refuses tables that lose mass.
      smoothing: width of a Gaussian in ln t [1] that averages ln m_vir; 0 for none; end points are kept.
      resample: move to settings.n_nodes nodes uniform in ln t, to stack haloes of different tables; else the
        snapshots are the nodes.

    Returns:
      History. Slopes at the nodes are those of the monotone cubic (Fritsch & Butland 1984), or mdot_vir where the
      table has it and smoothing is 0, limited where they would make the mass fall between nodes. A halo that does not
      grow (zero or negative rates, mass loss) grows as t^0.001, so that rates are above zero.

    Raises:
      InputError: naming the column, value, unit and remedy.
    """
    time = _times(table, cosmology)
    _warn_other_cosmology(table, cosmology)
    shape = np.shape(table.m_vir)
    ln_t, m_vir = np.log(time), _column(table, "m_vir", shape, positive=True)
    final = np.log10(m_vir[..., -1])
    if (outside := (final < LOG10_MASSES[0]) | (final > LOG10_MASSES[1])).any():
        raise InputError(
            f"halo table ends with log10 m_vir = {np.atleast_1d(final)[np.atleast_1d(outside)][0]:.4g} dex(Msun); final"
            f" masses must be within {LOG10_MASSES[0]:g} to {LOG10_MASSES[1]:g}: check the unit (Msun, no factor of h)"
        )
    ln_m, mended = increasing_masses(ln_t, m_vir, mass_loss)
    slopes = PchipInterpolator(ln_t, ln_m, axis=-1)(ln_t, 1)
    if table.mdot_vir is not None:
        given = _column(table, "mdot_vir", shape, positive=False) * time / np.exp(ln_m)
        slopes = np.where(_beside(mended), slopes, given)
    nodes = np.linspace(ln_t[0], ln_t[-1], settings.n_nodes) if resample else ln_t
    if smoothing == 0:
        curve = CubicHermiteSpline(ln_t, ln_m, limit_slopes(ln_t, ln_m, slopes, np), axis=-1)
        ln_m, slopes = (curve(nodes), curve(nodes, 1)) if resample else (ln_m, slopes)
    else:
        ln_m, slopes = _smooth(ln_t, ln_m, smoothing, nodes)
    slopes = limit_slopes(nodes, ln_m, slopes, np)
    check_final_mass(np.atleast_1d(ln_m[..., -1]) / np.log(10), settings)
    c_nfw = None
    if table.c_nfw is not None:
        ln_c = interpolated(ln_t, np.log(_column(table, "c_nfw", shape, positive=True)), mended)
        c_nfw = np.exp(PchipInterpolator(ln_t, ln_c, axis=-1)(nodes))
    spin = None if table.spin is None else _column(table, "spin", shape[:-1], positive=True)
    return _assemble_all([np.exp(nodes), np.exp(ln_m), slopes, c_nfw, spin], cosmology, settings)


def _beside(mended: np.ndarray) -> np.ndarray:
    """Mended snapshots and their neighbours, whose tabulated rates are differences from the wrong masses."""
    found = mended.copy()
    found[..., 1:] |= mended[..., :-1]
    found[..., :-1] |= mended[..., 1:]
    return found


def _assemble_all(columns: list, cosmology: Cosmology, settings: HistorySettings) -> HaloHistory:
    """Assemble one history, or many when the masses have leading axes (kept on every leaf)."""
    time, m_vir, slopes = (jnp.asarray(column) for column in columns[:3])
    c_nfw, spin = (None if column is None else jnp.asarray(column) for column in columns[3:])

    def one(m: Array, s: Any, c: Any, lam: Any) -> HaloHistory:
        return assemble(time, m, s, cosmology, settings, c, lam)

    for _ in range(m_vir.ndim - 1):
        one = jax.vmap(one)
    return one(m_vir, slopes, c_nfw, spin)


def _starts(t_start: np.ndarray | None, shape: tuple[int, ...], time: np.ndarray) -> np.ndarray:
    """Start times [Gyr], checked to be one per halo and within the nodes."""
    start = np.asarray(np.nan if t_start is None else t_start, np.float64)
    if start.shape != shape or not ((start >= time[0]) & (start < time[-1])).all():
        raise InputError(
            f"t_start [Gyr] has shape {start.shape}, range {np.min(start):.4g} to {np.max(start):.4g}; it needs one"
            f" time per halo within {time[0]:.4g} to {time[-1]:.4g}: drop haloes that start after the end"
        )
    return start


def from_matrix(
    matrix: Float[np.ndarray, "halo 5 node"],
    time: Float[np.ndarray, "node"],
    t_start: Float[np.ndarray, "halo"] | None,
    *,
    cosmology: Cosmology,
    interpolation: str = "backward",
    settings: HistorySettings = HistorySettings(),  # noqa: B008 - frozen
) -> HaloHistory:
    """Histories from the array layout of Pandya et al. (2026).

    Args:
      matrix: log10 of accretion rate [Msun/yr], virial mass [Msun], radius [kpc, proper], velocity [km/s] and
        concentration at the nodes.
      time: nodes [Gyr], increasing.
      t_start: time at which each halo's gas is first followed [Gyr]; needed for backward, found from
        settings.log10_m_start for smooth.
      cosmology: the universe the table was made for.
      interpolation: backward reads each column as the source does, where rate and mass are only roughly consistent;
        smooth rebuilds rate, radius and velocity from the masses.
      settings: for smooth, as in `from_table`.

    Returns:
      Histories with a leading axis on every leaf.

    Raises:
      InputError: for other shapes, NaNs, times that do not increase, or haloes that start outside the nodes.
    """
    matrix, time = np.asarray(matrix, np.float64), np.asarray(time, np.float64)
    if matrix.ndim != 3 or matrix.shape[1:] != (5, time.size):
        raise InputError(
            f"halo matrix has shape {matrix.shape}; it needs (halo, 5, {time.size}) for the {time.size} times"
        )
    if interpolation not in ("backward", "smooth"):
        raise InputError(f"interpolation is '{interpolation}'; choose backward or smooth")
    if not np.isfinite(matrix).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(matrix))[0])
        raise InputError(f"halo matrix [dex] holds {matrix[at]} at (halo, column, node) {at}; drop or repair this halo")
    rate, mass, r_vir, v_vir, c_nfw = np.moveaxis(10**matrix, 1, 0)
    table = HaloTable(m_vir=mass, time=time, c_nfw=c_nfw)
    if interpolation == "smooth":
        return from_table(table, cosmology=cosmology, settings=settings)
    _times(table, cosmology)
    start = _starts(t_start, mass.shape[:1], time)
    n = len(mass)
    return HaloHistory(
        time=jnp.broadcast_to(jnp.asarray(time), mass.shape),
        m_vir=jnp.asarray(mass),
        mdot_vir=jnp.asarray(rate * 1e9),
        r_vir=jnp.asarray(r_vir),
        v_vir=jnp.asarray(v_vir),
        c_nfw=jnp.asarray(c_nfw),
        t_start=jnp.asarray(start),
        cosmology=jax.tree.map(lambda leaf: jnp.full(n, leaf), cosmology),
        interpolation="backward",
    )
