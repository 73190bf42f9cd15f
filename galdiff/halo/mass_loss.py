"""Masses of tables that fall: a running maximum, snapshots with the mass of another halo, and what is said of both."""

import warnings

import numpy as np
from jaxtyping import Bool, Float

from galdiff.errors import InputError
from galdiff.halo.slopes import MIN_SLOPE

MASS_LOSS = ("running_maximum", "interpolate", "error")
OUTLIER = 1.5  # factor between a mass and those on both sides, above the 10-20% by which masses of finders scatter
LONGEST = 2  # snapshots for which halo finders swap masses
RAISED = 1.1  # final mass over that of the table, from which a warning is due


def outliers(
    ln_m: Float[np.ndarray, "... snapshot"],
) -> tuple[Bool[np.ndarray, "... snapshot"], Bool[np.ndarray, "... snapshot"]]:
    """Runs of at most two snapshots that are heavier, or lighter, than both neighbours by more than a factor of 1.5.

    Args:
      ln_m: ln of masses [Msun], oldest first.

    Returns:
      Whether a snapshot is too heavy, and whether it is too light. The first one may be too heavy; the last is neither.
    """
    high, low = (np.zeros(ln_m.shape, bool) for _ in range(2))
    padded = np.concatenate([np.full_like(ln_m[..., :1], -np.inf), ln_m], -1)
    n, least = ln_m.shape[-1], np.log(OUTLIER)
    for width in range(1, LONGEST + 1):
        before, after = padded[..., : n - width], padded[..., width + 1 :]
        run = np.stack([ln_m[..., k : n - width + k] for k in range(width)])
        above = run.min(0) > np.maximum(before, after) + least
        below = run.max(0) < np.minimum(before, after) - least
        for k in range(width):
            high[..., k : n - width + k] |= above
            low[..., k : n - width + k] |= below
    return high, low


def interpolated(
    x: Float[np.ndarray, "snapshot"], y: Float[np.ndarray, "... snapshot"], bad: Bool[np.ndarray, "... snapshot"]
) -> Float[np.ndarray, "... snapshot"]:
    """The y [any unit] with straight lines over x [any unit] for the bad ones, drawn on before the first good one."""
    rows, flags = y.reshape(-1, len(x)).copy(), bad.reshape(-1, len(x))
    for row in np.flatnonzero(flags.any(-1)):
        good = ~flags[row]
        x_good, y_good = x[good], rows[row][good]
        rows[row] = np.interp(x, x_good, y_good)
        if len(x_good) > 1:
            slope = (y_good[1] - y_good[0]) / (x_good[1] - x_good[0])
            rows[row] += slope * np.minimum(x - x_good[0], 0.0)
    return rows.reshape(y.shape)


def increasing_masses(
    ln_t: Float[np.ndarray, "snapshot"], m_vir: Float[np.ndarray, "... snapshot"], mass_loss: str
) -> tuple[Float[np.ndarray, "... snapshot"], Bool[np.ndarray, "... snapshot"]]:
    """ln m that increases at least as MIN_SLOPE ln t: the running maximum of the table, with outliers mended if asked.

    Args:
      ln_t: ln of cosmic time [Gyr]; m_vir: masses [Msun].
      mass_loss: one of `MASS_LOSS`.

    Returns:
      ln m [Msun], and which snapshots were interpolated.

    Raises:
      InputError: an unknown mass_loss, or a mass that falls where that is an error.
    """
    if mass_loss not in MASS_LOSS:
        raise InputError(f"mass_loss is '{mass_loss}'; choose one of {', '.join(MASS_LOSS)}")
    loss = m_vir[..., 1:] < m_vir[..., :-1]
    if mass_loss == "error" and loss.any():
        at = tuple(int(i) for i in np.argwhere(loss)[0])
        raise InputError(
            f"halo table column m_vir [Msun] falls from {m_vir[at]:.6g} after snapshot {at[-1]} (halo {at[:-1] or 0});"
            " haloes must grow: repair it, or keep the running maximum with mass_loss=running_maximum, or draw lines"
            " over snapshots with the mass of another halo with mass_loss=interpolate"
        )
    ln_m, drift = np.log(m_vir), MIN_SLOPE * ln_t
    high, low = outliers(ln_m)
    mend = (high | low) & (mass_loss == "interpolate")
    ln_m = interpolated(ln_t, ln_m, mend)
    grown = np.maximum.accumulate(ln_m - drift, -1) + drift
    _warn_raised(grown.reshape(-1, len(ln_t)), ln_m.reshape(-1, len(ln_t)), (high & ~mend).reshape(-1, len(ln_t)))
    return grown, mend


def _warn_raised(grown: np.ndarray, ln_m: np.ndarray, high: np.ndarray) -> None:
    """One warning where the running maximum keeps a mass that the table loses for good, or a spike for a while."""
    excess = grown - ln_m
    raised = excess[:, -1] > np.log(RAISED)
    if not (raised | high.any(-1)).any():
        return
    # Of the worst halo: the largest loss, and the snapshot before it.
    halo = int(np.argmax(np.where(raised, excess[:, -1], np.where(high.any(-1), 0.0, -np.inf))))
    worst = int(np.argmax(excess[halo]))
    peak = int(np.argmax(ln_m[halo, :worst]))
    masses, n = np.exp(ln_m[halo]), int((raised | high.any(-1)).sum())
    lost = 100 * (1 - masses[peak + 1] / masses[peak])
    warnings.warn(
        f"halo table column m_vir [Msun] falls from {masses[peak]:.4g} at snapshot {peak} to {masses[peak + 1]:.4g} at"
        f" the next ({lost:.0f}% lost; halo {halo}, 1 of {n} such among {len(ln_m)}), and the history keeps the largest"
        f" mass: it ends with {np.exp(excess[halo, -1]):.3g} times the table's final mass; to draw lines over one or"
        " two snapshots with the mass of another halo, give mass_loss=interpolate",
        stacklevel=4,
    )
