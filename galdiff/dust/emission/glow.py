"""What all models of the light of dust share: a spectrum that reaches 1000 micron, and the balance of energy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.light_records import Spectrum

Wave = Float[Array, "wave"]
RED_END = 1e7  # [Angstrom]: 1000 micron
PIECES = ((5.03e3, 2.003e4, 0.02), (2.003e4, 2.007e5, 0.005), (2.007e5, RED_END, 0.02))  # from, to, step of ln(wave)
HOTTEST = 2e4  # [Angstrom]: shortward, no grain lives that is hot enough to shine


def infrared_grid() -> np.ndarray:
    """Wavelengths [Angstrom] from 0.5 to 1000 micron, shape (wave,); fine from 2 to 20, where bands are."""
    pieces = [np.geomspace(lo, hi, 1 + round(np.log(hi / lo) / step)) for lo, hi, step in PIECES]
    return np.unique(np.concatenate(pieces))


def reaching_infrared(wave: Wave) -> Wave:
    """Wavelengths [Angstrom], increasing, with those of `infrared_grid` besides."""
    return jnp.sort(jnp.concatenate([wave, jnp.asarray(infrared_grid(), wave.dtype)]))


def continued(onto: Wave, wave: Wave, lum: Wave) -> Wave:
    """A spectrum at other wavelengths; redder than its own end it goes on as the tail of stars, wave^-4.

    Args:
      onto: wavelengths asked for [Angstrom].
      wave, lum: wavelengths [Angstrom], increasing, and luminosity densities there [Lsun/Angstrom].

    Returns:
      Luminosity densities [Lsun/Angstrom], of the shape of onto; between points of the spectrum on straight lines.
    """
    tail = jnp.minimum(wave[-1] / onto, 1.0) ** 4
    return jnp.interp(onto, wave, lum) * tail


def survives(wave: Wave) -> Wave:
    """Factor [1] on the light of dust that ends it where even grains about to evaporate do not shine; [Angstrom]."""
    return jnp.exp(-((HOTTEST / wave) ** 2))


def unit_power(wave: Wave, shape: Wave) -> Wave:
    """A shape [any unit] over its own integral on the wavelengths [Angstrom], by trapezoids: [1/Angstrom]."""
    peak = shape.max()  # in single precision, shapes may be tiny
    shape = shape / jnp.where(peak > 0, peak, 1.0)
    power = jnp.trapezoid(shape, wave)
    return shape / jnp.where(power > 0, power, 1.0)


def with_glow(spectrum: Spectrum, wave: Wave, shape: Wave) -> Spectrum:
    """The spectrum at other wavelengths, with all that dust took given back.

    Args:
      spectrum: what dust let through, and the power that it took.
      wave: wavelengths of the result [Angstrom], those of the spectrum among them.
      shape: of the light of dust [any unit per Angstrom], of any size: its integral on `wave` is made that power.
    """
    lum = continued(wave, spectrum.wave, spectrum.lum)
    return dataclasses.replace(spectrum, wave=wave, lum=lum + spectrum.dust_power * unit_power(wave, shape))
