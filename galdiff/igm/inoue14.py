"""Hydrogen between the galaxies, in the mean over lines of sight: Inoue et al. (2014, MNRAS 442, 1805)."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.variables import physical
from galdiff.igm.between import BetweenGalaxies
from galdiff.igm.lyman_lines import LIMIT, WAVE, damped_coefficients, forest_coefficients
from galdiff.light_records import Epoch, Spectrum

Wave = Float[Array, "wave"]
Redshift = Float[Array, ""]
FOREST_TURNS, FOREST_POWERS = (2.2, 5.7), (1.2, 3.7, 5.5)  # 1 + z, and powers of it between, eq. 21
DAMPED_TURN, DAMPED_POWERS = 3.0, (2.0, 3.0)  # eq. 22
NEAR = 0.01  # of 1 + z: absorption sets in over this from redshift 0 on, where the mean law would be a step
EDGE = 1 - 1e-4  # of the wavelength of a line: what shines in it is not taken for light that reaches it by expansion


def optical_depth(wave: Wave, redshift: Redshift) -> Wave:
    """Mean optical depth of all hydrogen on the way [1].

    Continuous in the redshift, with kinks of slope where the powers of 1 + z change; a step in wavelength at each line.

    Args:
      wave: rest-frame vacuum wavelengths of the source [Angstrom].
      redshift: of the source [1].
    """
    return series(wave, redshift) + continuum(wave, redshift)


def series(wave: Wave, redshift: Redshift) -> Wave:
    """Optical depth [1] of 39 lines of the Lyman series, eqs. 21 and 22; arguments of `optical_depth`."""
    lines = np.array(WAVE)
    ratio = wave[:, None] * (1 + redshift) / jnp.asarray(lines, wave.dtype)  # 1 + z of what absorbs
    near = jnp.clip((ratio - 1) / NEAR, 0.0, 1.0)
    sets_in = jnp.where(wave[:, None] < jnp.asarray(EDGE * lines, wave.dtype), near**2 * (3 - 2 * near), 0.0)
    observed = wave * (1 + redshift) / 1e3  # of order one: single precision
    total = jnp.zeros_like(wave)
    forest = zip(_between(ratio, FOREST_TURNS), FOREST_POWERS, forest_coefficients(), strict=True)
    damped = zip(_between(ratio, (DAMPED_TURN,)), DAMPED_POWERS, damped_coefficients(), strict=True)
    for inside, power, coefficient in (*forest, *damped):
        weight = jnp.asarray(coefficient * (lines / 1e3) ** -power, wave.dtype)
        total = total + observed**power * (jnp.where(inside, sets_in, 0.0) @ weight)
    return total


def continuum(wave: Wave, redshift: Redshift) -> Wave:
    """Optical depth [1] in the Lyman continuum, eqs. 25 to 29; arguments of `optical_depth`.

    Both are differences of a function of the redshifts 1 + z where absorption begins and ends, with constants that make
    it continuous. What is observed bluer than 911.8 Angstrom meets all absorbers, whose cross sections fall.
    """
    ends = 1 + redshift
    observed = wave * ends / LIMIT
    begins = jnp.clip(observed, 1.0, ends)
    forest = begins**2.1 * (_forest_column(ends) - _forest_column(begins)) * jnp.minimum(observed, 1.0) ** 2.1
    damped = _damped_column(ends, begins) - _damped_column(begins, begins)
    return jnp.where(wave < LIMIT, forest + damped, 0.0)


def _between(ratio: Array, turns: tuple[float, ...]) -> list[Array]:
    """Which of the ranges between the turns holds each ratio."""
    edges = (0.0, *turns, np.inf)
    return [(ratio >= lo) & (ratio < hi) for lo, hi in itertools.pairwise(edges)]


def _forest_column(u: Array) -> Array:
    """Integral over redshifts up to u = 1 + z, up to a constant, of what the forest adds at the limit [1]."""
    a, b = FOREST_TURNS
    low, middle, high = (lambda u: -0.3248 * u**-0.9), (lambda u: 2.545e-2 * u**1.6), (lambda u: 5.221e-4 * u**3.4)
    second = low(a) - middle(a)
    third = middle(b) + second - high(b)
    return jnp.where(u < a, low(u), jnp.where(u < b, middle(u) + second, high(u) + third))


def _damped_column(u: Array, begins: Array) -> Array:
    """The same of damped systems, whose continuum is grey where they are thick."""
    grey = begins**-0.3

    def low(u: Array) -> Array:
        return 0.2113 * u**2 - 0.07661 * u**2.3 * grey

    def high(u: Array) -> Array:
        return 0.04696 * u**3 - 0.01779 * u**3.3 * grey

    turn = jnp.asarray(DAMPED_TURN, begins.dtype)
    return jnp.where(u < turn, low(u), high(u) + low(turn) - high(turn))


class Inoue14(BetweenGalaxies):
    """What arrives of a spectrum, still at its wavelengths at rest; its lines are dimmed as the light beside them.

    Args of the constructor:
      strength: factor on the optical depth of the mean line of sight [1].
    """

    def __init__(self, *, strength: float) -> None:
        self.strength = physical(strength, lo=0.0, hi=10.0, unit="1")

    def __call__(self, spectrum: Spectrum, epoch: Epoch) -> Spectrum:
        """Spectrum behind the hydrogen."""
        passes, lines = (
            jnp.exp(-self.strength.bounded * optical_depth(wave, epoch.redshift))
            for wave in (spectrum.wave, spectrum.line_wave)
        )
        return dataclasses.replace(spectrum, lum=spectrum.lum * passes, line_lum=spectrum.line_lum * lines)
