"""A passband in parts that each go with the light at one wavelength, so that dust can be applied to tabled fluxes.

Dust changes the colour inside a band. A band is cut into panels, in each of which what dust lets through is a straight
line through its values at the two Gauss points of the response; the parts add up to the band exactly. How many panels a
band needs depends on where it looks, so they are cut until the light of a library behind steep dust comes out right.
"""

import dataclasses
import itertools
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from galdiff.photometry.passband import Passband

N_KNOTS = 64  # in a panel: a parabola between them is a straight line
N_LEAST, N_MOST = 3, 24  # panels of a band; published curves have kinks
FREE = 1e-3  # share of the light that no dust dims, without which nothing would be left to be right about
DEPTHS = (1.0, 3.0)  # mag of A_V
SHAPES = ((0.4, 0.0), (0.7, 0.0), (0.7, 1.0), (1.3, 0.0), (1.0, 0.7))  # slope, and height of a bump over A_V


@dataclasses.dataclass(frozen=True)
class BandParts:
    """Parts of one passband, two in each panel.

    Attributes:
      centre: wavelength at which each is dimmed [Angstrom], shape (part,).
      knots: of each panel [Angstrom]; transmission: of its two parts there [1], shape (2, knot).
    """

    centre: np.ndarray
    knots: tuple[np.ndarray, ...]
    transmission: tuple[np.ndarray, ...]


def dust_probes(wave: Float[np.ndarray, "*point"]) -> Float[np.ndarray, "probe *point"]:
    """Shares of the light [1] behind power laws of dust with and without a bump, at rest wavelengths [Angstrom]."""
    bump = (wave * 350.0) ** 2 / ((wave**2 - 2175.0**2) ** 2 + (wave * 350.0) ** 2)
    curves = [(wave / 5500.0) ** -slope + height * bump for slope, height in SHAPES]
    return np.stack([FREE + (1 - FREE) * 10 ** (-0.4 * a_v * curve) for curve in curves for a_v in DEPTHS])


def panel(band: Passband, lo: float, hi: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two wavelengths (2,) [Angstrom], knots (knot,), transmissions (2, knot) [1] of a band between two of them."""
    inner = band.wave[(band.wave > lo) & (band.wave < hi)]
    knots = np.unique(np.concatenate([inner, np.linspace(lo, hi, N_KNOTS)]))
    t = np.interp(knots, band.wave, band.transmission)
    weight = np.sqrt((t + 1e-9 * band.transmission.max()) * np.gradient(knots) / knots)
    x = (2 * knots - lo - hi) / (hi - lo)
    orthonormal, _ = np.linalg.qr(weight[:, None] * np.stack([np.ones_like(x), x], -1))
    u0, u1 = np.linalg.eigvalsh(orthonormal.T @ (x[:, None] * orthonormal))
    second = (x - u0) / (u1 - u0)
    return (lo + hi) / 2 + (hi - lo) / 2 * np.asarray([u0, u1]), knots, t * np.stack([1 - second, second])


def band_parts(
    band: Passband,
    wave: Float[np.ndarray, "wave"],
    flux: Float[np.ndarray, "row wave"],
    redshifts: Sequence[float],
    tolerance: float,
) -> BandParts:
    """Cut a band until it is right behind dust, or into 24 panels, with a warning where those do not do.

    Args:
      band: passband.
      wave: rest-frame wavelengths [Angstrom], covering it at all redshifts [1].
      flux: spectra to be right for [any unit per Angstrom].
      redshifts: at which they are seen.
      tolerance: largest error [mag] behind `dust_probes`.
    """
    whole = [_exact(band.wave, band.transmission[None], wave, flux, z)[:, 0] for z in redshifts]
    edges = np.geomspace(*band.ends, N_LEAST + 1)
    panels: list = [_judged(band, a, b, wave, flux, redshifts, whole) for a, b in itertools.pairwise(edges.tolist())]
    while len(panels) < N_MOST and np.abs(sum(p[1] for p in panels)).max() > tolerance / 1.0857:
        (_, knots, _), _ = panels.pop(int(np.argmax([np.abs(p[1]).max() for p in panels])))
        lo, hi = knots[[0, -1]]
        middle = float(np.sqrt(lo * hi))
        panels += [_judged(band, a, b, wave, flux, redshifts, whole) for a, b in ((lo, middle), (middle, hi))]
    left = float(np.abs(sum(p[1] for p in panels)).max()) * 1.0857
    if left > tolerance:
        warnings.warn(
            f"passband {band.name} in {N_MOST} panels is right behind steep dust to {1e3 * left:.2g} mmag, not to"
            f" {1e3 * tolerance:.2g}; tables over fewer redshifts are better",
            stacklevel=2,
        )
    ordered = sorted((p[0] for p in panels), key=lambda p: p[1][0])
    centres, places, transmissions = zip(*ordered, strict=True)
    return BandParts(np.concatenate(centres), places, transmissions)


def _exact(knots: np.ndarray, t: np.ndarray, wave: np.ndarray, flux: np.ndarray, redshift: float) -> np.ndarray:
    """Integrals of T f wave behind every probe, shape (probe, part, row)."""
    inside, weights = spectrum_weights(knots, t, wave * (1 + redshift))
    return np.einsum("dw,pw,rw->dpr", dust_probes(wave[inside]), weights, flux[:, inside])


def _judged(
    band: Passband, lo: float, hi: float, wave: np.ndarray, flux: np.ndarray, redshifts: Sequence[float], whole: list
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """A panel, and its error over the flux of the band behind every probe, for each redshift and spectrum."""
    made = panel(band, lo, hi)
    errors = []
    for z, total in zip(redshifts, whole, strict=True):
        inside, weights = spectrum_weights(made[1], made[2], wave * (1 + z))
        parts = flux[:, inside] @ weights.T  # (row, part)
        exact = _exact(made[1], made[2].sum(0)[None], wave, flux, z)[:, 0]
        errors.append((dust_probes(made[0] / (1 + z)) @ parts.T - exact) / total)
    return made, np.stack(errors)


def part_columns(
    parts: BandParts, per_wave: float, wave: Float[np.ndarray, "wave"], redshift: float, flux: np.ndarray
) -> Float[np.ndarray, "*row part"]:
    """Means of f wave^2 over the band [unit of flux times Angstrom^2], by part, of spectra (..., wave).

    Args:
      parts: of the band; per_wave: its integral of T / wave [1].
      wave: rest-frame wavelengths [Angstrom], covering it at this redshift [1].
      flux: spectra there, shape (..., wave).
    """
    columns = []
    for knots, transmission in zip(parts.knots, parts.transmission, strict=True):
        inside, weights = spectrum_weights(knots, transmission, wave * (1 + redshift))
        columns.append(flux[..., inside] @ weights.T)
    return np.concatenate(columns, -1) / (per_wave * (1 + redshift))


def spectrum_weights(
    knots: Float[np.ndarray, "knot"], transmission: Float[np.ndarray, "*part knot"], wave: Float[np.ndarray, "wave"]
) -> tuple[slice, Float[np.ndarray, "*part inside"]]:
    """What points of a spectrum contribute to the integral of T f wave, in closed form for straight lines.

    Args:
      knots: wavelengths of the transmissions [Angstrom], increasing; they are 0 outside.
      transmission: at the knots [1], shape (..., knot).
      wave: points of the spectrum [Angstrom], increasing, covering the knots.

    Returns:
      The points that contribute, and their weights [Angstrom^2], shape (..., inside); in double precision.
    """
    begin = max(int(np.searchsorted(wave, knots[0], side="right")) - 1, 0)
    inside = slice(begin, int(np.searchsorted(wave, knots[-1])) + 1)
    x = wave[inside]
    step = np.diff(knots)
    slope = np.diff(transmission) / step
    base = transmission[..., :-1] - slope * knots[:-1]  # T = base + slope x in each interval

    def rise(x0: np.ndarray, x1: np.ndarray, of: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second integrals of T x from x0 to x1 inside intervals."""
        d, b, s = x1 - x0, base[..., of], slope[..., of]
        zero, one = (b + s * x0) * x0, b + 2 * s * x0  # T x = zero + one u + s u^2 with u = x - x0
        return d * (zero + d * (one / 2 + d * s / 3)), d * d * (zero / 2 + d * (one / 6 + d * s / 12))

    first, second = rise(knots[:-1], knots[1:], slice(None))
    none = np.zeros((*transmission.shape[:-1], 1))
    one = np.concatenate([none, np.cumsum(first, -1)], -1)
    two = np.concatenate([none, np.cumsum(second + one[..., :-1] * step, -1)], -1)
    at = np.clip(x, knots[0], knots[-1])
    index = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, knots.size - 2)
    first, second = rise(knots[index], at, index)
    outer = x - at  # beyond the ends the first integral stays
    f = one[..., index] + first
    g = two[..., index] + second + one[..., index] * (at - knots[index]) + np.maximum(outer, 0.0) * f
    mean = np.diff(g) / np.diff(x)  # of the first integral, between two points
    return inside, np.concatenate([none, f[..., 1:] - mean], -1) + np.concatenate([mean - f[..., :-1], none], -1)
