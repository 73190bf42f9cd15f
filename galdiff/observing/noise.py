"""Noise of an observed cube."""

import dataclasses

import jax
import jax.numpy as jnp

from galdiff.ifu.noise import add_noise, variance
from galdiff.records import ObservedCube


def with_noise(
    cube: ObservedCube, *, seed: int, snr: float | None, mode: str, reference: str, wave_ref: float | None
) -> ObservedCube:
    """Cube with noise and its exact variance, the cube itself where snr is None.

    Args:
      cube: without noise.
      seed: of the draw.
      snr: signal to noise per pixel [1] at wave_ref in the reference spaxel.
      mode: see `galdiff.ifu.noise.variance`.
      reference: spaxel that has this S/N: brightest or median.
      wave_ref: wavelength of the reference [Angstrom]; None for the middle of the range.
    """
    if snr is None:
        return cube
    flux = jnp.asarray(cube.flux)
    known = variance(flux, jnp.asarray(cube.wave), mode=mode, snr=snr, reference=reference, wave_ref=wave_ref)
    known = jnp.where(cube.inside[..., None], known, 0)
    return dataclasses.replace(cube, flux=add_noise(jax.random.key(seed), flux, known), variance=known)
