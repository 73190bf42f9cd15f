"""A library whose stars shine together with the gas that they ionise, for photometry by tables."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.stage import Stage
from galdiff.light_records import NebularLight, PopulationWeights, Starlight
from galdiff.records import SSPGrid
from galdiff.sps.ionising_light import IonisingLight

MASS = 1.0  # Msun formed, of which the spectra of a library are


def with_gas(library: SSPGrid, nebular: Stage, lines: bool = True) -> SSPGrid:
    """A library with the continuum and the lines of gas of fixed properties added to each population.

    A line is shared by the two wavelengths beside it so that integrals over passbands hold its power. The gas is behind
    the same dust as the stars that ionise it.

    Args:
      library: of stars; with ionising light, where the gas has some.
      nebular: makes `NebularLight`, as `galdiff.nebular.h_ii_regions.HIIRegions`.
      lines: False for the continuum of the gas alone.
    """
    wave, flux = jnp.asarray(library.ssp_wave, float), jnp.asarray(library.ssp_flux, float)
    lg_age = jnp.asarray(library.ssp_lg_age_gyr, float)
    photons = IonisingLight()(library) if "ionising" in nebular.reads() else None
    shape = flux.shape[:2]

    @jax.jit
    def one(node: Array) -> Array:
        mass = jnp.zeros(shape[0] * shape[1]).at[node].set(MASS).reshape(shape)
        stars = Starlight(wave=wave, young=mass.reshape(-1) @ flux.reshape(-1, wave.size), old=jnp.zeros_like(wave))
        known = {
            "populations": PopulationWeights(mass=mass, lg_age=lg_age),
            "ionising": photons,
            "library": library,
            "starlight": stars,
        }
        gas: NebularLight = nebular(**{name: known[name] for name in nebular.reads()})
        continuum = stars.young * gas.passes + gas.continuum
        return continuum + line_spectrum(wave, gas.line_wave, gas.line_lum) if lines else continuum

    made: Any = np.asarray(jax.lax.map(one, jnp.arange(shape[0] * shape[1]))).reshape(flux.shape)
    return dataclasses.replace(library, ssp_flux=made, name=f"{library.name}, with gas")


def line_spectrum(
    wave: Float[Array, "wave"], line_wave: Float[Array, "line"], line_lum: Float[Array, "line"]
) -> Float[Array, "wave"]:
    """Luminosity density [unit of line_lum per Angstrom] of lines, shared by the two points beside each.

    Args:
      wave: increasing [Angstrom]; line_wave: of the lines [Angstrom]; those outside are left out.
      line_lum: their luminosities, whose sum the trapezoidal rule gives.
    """
    if line_wave.shape[0] == 0:
        return jnp.zeros_like(wave)
    cell = jnp.asarray(jnp.gradient(wave)).at[0].divide(2).at[-1].divide(2)
    i = jnp.clip(jnp.searchsorted(wave, line_wave) - 1, 0, wave.size - 2)
    share = (line_wave - wave[i]) / (wave[i + 1] - wave[i])
    lum = jnp.where((share >= 0) & (share <= 1), line_lum, 0.0)
    return jnp.zeros_like(wave).at[i].add((1 - share) * lum / cell[i]).at[i + 1].add(share * lum / cell[i + 1])
