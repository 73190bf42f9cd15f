"""A passband, and the exact integral of straight lines under straight lines.

Between its own points a transmission is a straight line, and so is the spectrum between its own. Moments of the
transmission, integrated once, give what each point of a spectrum contributes at any redshift: no union of grids is
built, and the result is differentiable in the redshift.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.errors import InputError

LEAK = 5e-5  # of the response


@dataclasses.dataclass(frozen=True)
class Passband:
    """Transmission of a filter, detector and telescope for photons.

    Attributes:
      name: as users ask for it, e.g. sdss2010-g.
      wave: vacuum wavelength [Angstrom], increasing, shape (knot,).
      transmission: share of photons that count [1, any scale], shape (knot,), zero outside. Far wings that hold less
        than 5e-5 of it are cut, at either end: leaks of some published curves reach across the optical.
    """

    name: str
    wave: np.ndarray
    transmission: np.ndarray

    def __post_init__(self) -> None:
        wave, transmission = np.asarray(self.wave, float), np.asarray(self.transmission, float)
        where = f"passband {self.name}"
        if wave.ndim != 1 or wave.size < 2 or transmission.shape != wave.shape:
            raise InputError(f"{where} has {wave.shape} wavelengths and {transmission.shape} values; give as many")
        if not (np.isfinite(wave).all() and np.isfinite(transmission).all()):
            raise InputError(f"{where} holds non-finite numbers; repair the file")
        if wave[0] <= 0 or (np.diff(wave) <= 0).any():
            raise InputError(f"{where}: wavelengths [Angstrom] must be positive and increase; sort them")
        if transmission.min() < -1e-3 * transmission.max() or transmission.max() <= 0:
            raise InputError(f"{where}: the transmission is nowhere positive, or negative; repair the file")
        middle = np.diff(wave) * (transmission[1:] + transmission[:-1]) / 2
        response = np.concatenate([[0.0], np.cumsum(middle)])
        lit = np.flatnonzero((response > LEAK * response[-1]) & (response < (1 - LEAK) * response[-1]))
        keep = slice(max(lit[0] - 1, 0), lit[-1] + 2)
        object.__setattr__(self, "wave", wave[keep])
        object.__setattr__(self, "transmission", np.maximum(transmission[keep], 0.0))

    @property
    def ends(self) -> tuple[float, float]:
        """First and last wavelength [Angstrom]."""
        return float(self.wave[0]), float(self.wave[-1])

    @property
    def pivot(self) -> float:
        """Pivot wavelength [Angstrom]: sqrt of the integral of T wave over that of T / wave."""
        return float(np.sqrt(_moments(self, 1)[-1] / self.per_wave))

    @property
    def per_wave(self) -> float:
        """Integral of T / wave, exactly, for the AB system."""
        x, t = self.wave, self.transmission
        slope = np.diff(t) / np.diff(x)
        return float(np.sum((t[:-1] - slope * x[:-1]) * np.log(x[1:] / x[:-1]) + slope * np.diff(x)))


def _moments(band: Passband, power: int) -> np.ndarray:
    """Integrals of T wave^power from the first point to each, exactly, shape (knot,)."""
    at, weight = np.polynomial.legendre.leggauss(3)  # exact up to the fifth power
    half = np.diff(band.wave) / 2
    x = (band.wave[1:] + band.wave[:-1])[:, None] / 2 + half[:, None] * at
    t = np.interp(x, band.wave, band.transmission)
    return np.concatenate([[0.0], np.cumsum((t * x**power * weight).sum(-1) * half)])


def band_weights(band: Passband, wave: Float[Array, "wave"]) -> Float[Array, "wave"]:
    """What each point of a spectrum contributes to the integral of T f wave over that of T / wave.

    Args:
      band: the passband.
      wave: points of the spectrum in the observer's frame [Angstrom], increasing, covering the band.

    Returns:
      Weights [Angstrom^2] for which the sum of weights times f is the mean of f wave^2 over the band: with f a flux
      density per wavelength, that per frequency times the speed of light; differentiable in `wave`.
    """
    wave = jnp.asarray(wave)
    scale = band.pivot  # of order one inside: single precision keeps the differences
    x = wave / scale
    at, share = np.polynomial.legendre.leggauss(4)
    between = x[:-1, None] + jnp.diff(x)[:, None] * ((at + 1) / 2).astype(x.dtype)
    lo, hi = (edge / scale for edge in band.ends)
    first = _antiderivative(band, jnp.clip(x, lo, hi), scale)
    # Integrated by parts: the mean of the antiderivative inside an interval says how T x is shared between its points.
    # Second moments would say it too, but cancel in single precision.
    mean = _antiderivative(band, jnp.clip(between, lo, hi), scale) @ (share / 2).astype(x.dtype)
    none = jnp.zeros(1, x.dtype)
    left, right = mean - first[:-1], first[1:] - mean
    return (jnp.concatenate([left, none]) + jnp.concatenate([none, right])) * (scale**2 / band.per_wave)


def line_weights(band: Passband, wave: Float[Array, "*line"]) -> Float[Array, "*line"]:
    """What a line contributes to the mean of `band_weights`, per luminosity: T wave over the integral of T / wave.

    Args:
      band: the passband.
      wave: wavelengths of lines in the observer's frame [Angstrom], any shape.

    Returns:
      Weights [Angstrom], zero outside the band: times the luminosities of lines [Lsun] they are added to what
      `band_weights` makes of a luminosity density [Lsun/Angstrom] of the same source, divided by 1 + redshift.
    """
    wave = jnp.asarray(wave)
    t = jnp.interp(wave, band.wave.astype(wave.dtype), band.transmission.astype(wave.dtype), left=0.0, right=0.0)
    return t * wave / band.per_wave


def _antiderivative(band: Passband, x: Float[Array, "*point"], scale: float) -> Float[Array, "*point"]:
    """Integral of T u du up to x, where u and x are wavelengths over `scale`; exact at any x."""
    knots, t = band.wave / scale, band.transmission
    slope = np.diff(t) / np.diff(knots)
    base = t[:-1] - slope * knots[:-1]  # T = base + slope u in each interval
    index = jnp.clip(jnp.searchsorted(jnp.asarray(knots, x.dtype), x, side="right") - 1, 0, knots.size - 2)
    low = jnp.asarray(knots[:-1], x.dtype)[index]
    half = (jnp.clip(x, knots[0], knots[-1]) - low) / 2
    b, s = (jnp.asarray(values, x.dtype)[index] for values in (base, slope))
    # Gauss points instead of differences of powers, which cancel in narrow intervals
    inner = jnp.zeros_like(x)
    for point, weight in zip(*np.polynomial.legendre.leggauss(2), strict=True):
        u = low + half * (1 + point)
        inner = inner + weight * (b + s * u) * u
    return jnp.asarray(_moments(band, 1)[:-1] / scale**2, x.dtype)[index] + inner * half
