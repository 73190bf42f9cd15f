"""Continuum of an active nucleus: the disc of Schartmann et al. (2005, A&A 437, 861), hot dust, and polar dust.

Lines of the nucleus are not here.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.planck import black_body
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.light_records import Spectrum

Wave = Float[Array, "wave"]
EDGES = (80.0, 500.0, 1250.0, 1e5, 1e7)  # [Angstrom], between which the luminosity density per wavelength
POWERS = (1.0, -0.2, -1.5, -4.0)  # is one of these powers of it; their eq. 2, as X-CIGALE has it (Yang et al. 2020)
POLAR_BETA = 1.6  # exponent of the emissivity of polar dust; Yang et al. (2020, MNRAS 491, 740), section 2.2.3
N_GRID = 1200  # points of the grid that powers are integrated on


def disc(wave: Wave) -> Wave:
    """Light of an accretion disc of unit power at wavelengths [Angstrom]: [1/Angstrom], zero below 80."""
    edges, powers = np.array(EDGES), np.array(POWERS)
    size = np.concatenate([[1.0], np.cumprod((edges[1:-1] / 1e3) ** -np.diff(powers))])
    power = (size * ((edges[1:] / 1e3) ** (powers + 1) - (edges[:-1] / 1e3) ** (powers + 1)) / (powers + 1)).sum() * 1e3
    piece = sum((wave >= edge).astype(int) for edge in EDGES[1:-1])
    at = jnp.asarray(size / power, wave.dtype)[piece] * (wave / 1e3) ** jnp.asarray(powers, wave.dtype)[piece]
    return jnp.where(wave < EDGES[0], 0.0, at)


def polar_dust(wave: Wave, temperature: Float[ArrayLike, ""]) -> Wave:
    """Shape [1/Angstrom] of the light of thin dust at a temperature [K], at wavelengths [Angstrom]."""
    return (wave / 1e6) ** -POLAR_BETA * black_body(wave, temperature)


def bolometric(spectrum: Spectrum) -> Float[Array, ""]:
    """All light of a spectrum, with its lines [Lsun]."""
    return jnp.trapezoid(spectrum.lum, spectrum.wave) + spectrum.line_lum.sum()


class Schartmann05(Stage):
    """A nucleus with a given share of all light; what reddens its disc gives the power back as polar dust.

    Args of the constructor:
      share: of the light of galaxy and nucleus together that is the nucleus's [1]; all of it only where the spectrum
        reaches from the ultraviolet to the far infrared.
      hot: share of its power that comes from hot dust [1]; temperature: of that [K], 1244 in the mean quasar of Temple
        et al. (2021, MNRAS 508, 737).
      curve: A(wave)/A(V) of what reddens the disc; a_v: its attenuation [mag], 0 to see the disc bare, 5 to hide it.
      polar_temperature: of the dust that reddens [K].
    """

    def __init__(
        self,
        *,
        share: float,
        hot: float,
        temperature: float,
        curve: Callable[[Array], Array],
        a_v: float,
        polar_temperature: float,
    ) -> None:
        self.share = physical(share, lo=0.0, hi=0.999, unit="1")
        self.hot = physical(hot, lo=0.0, hi=1.0, unit="1")
        self.temperature = physical(temperature, lo=500.0, hi=2000.0, unit="K")
        self.curve = curve
        self.a_v = physical(a_v, lo=0.0, hi=50.0, unit="mag")
        self.polar_temperature = physical(polar_temperature, lo=20.0, hi=400.0, unit="K")

    def __call__(self, spectrum: Spectrum) -> Spectrum:
        """The spectrum with that of the nucleus."""
        share = self.share.bounded
        power = bolometric(spectrum) * share / (1 - share)
        return dataclasses.replace(spectrum, lum=spectrum.lum + power * self.unit(spectrum.wave))

    def unit(self, wave: Wave) -> Wave:
        """Light of a nucleus of unit power at wavelengths [Angstrom]: [1/Angstrom]."""
        hot, polar = self.hot.bounded, self.polar_temperature.bounded
        grid = jnp.asarray(np.geomspace(EDGES[0], EDGES[-1], N_GRID), wave.dtype)
        taken = jnp.trapezoid(disc(grid) * (1 - self.passes(grid)), grid)
        polar_light = polar_dust(wave, polar) / jnp.trapezoid(polar_dust(grid, polar), grid)
        seen = (1 - hot) * (disc(wave) * self.passes(wave) + taken * polar_light)
        return seen + hot * black_body(wave, self.temperature.bounded)

    def passes(self, wave: Wave) -> Wave:
        """Share of the light of the disc [1] that passes what reddens it, at wavelengths [Angstrom]."""
        return 10 ** (-0.4 * self.a_v.bounded * self.curve(wave))
