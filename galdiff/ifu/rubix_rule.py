"""The rule by which RUBIX 0.0.5 makes a cube, for comparison with its results (Cakir et al. 2024, arXiv:2412.08265).

One star at a time: look up its spectrum, linear in age and Z; stretch the wavelengths by (1+z) exp(v/c); interpolate
linearly at the pixel centres; rescale so that the sum over the band is the same before and after; add to the nearest
spaxel. There is no division by 1+z, no average over the pixel, and nothing outside the library's ages and Z.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.interpolation import linear_weights
from galdiff.records import SkyStars, SSPGrid
from galdiff.units import C_KMS


def rubix_spectrum(
    star: SkyStars, ssp: SSPGrid, wave: Float[Array, "wave"], redshift: Float[Array, ""]
) -> Float[Array, "wave"]:
    """Spectrum of one star [Lsun/Angstrom, not divided by 1+z] at the pixel centres `wave` [Angstrom]."""
    ages, mets = 10.0 ** jnp.asarray(ssp.ssp_lg_age_gyr), 10.0 ** jnp.asarray(ssp.ssp_lgmet)
    i_age, w_age = linear_weights(star.age, ages)
    i_met, w_met = linear_weights(star.metallicity, mets)
    known = (star.age >= ages[0]) & (star.age <= ages[-1])
    known &= (star.metallicity >= mets[0]) & (star.metallicity <= mets[-1])
    flux, mass = jnp.asarray(ssp.ssp_flux), jnp.where(known, star.mass, 0.0)
    # Row by row: an einsum over the gathered corners takes four times as long.
    corners = [mass * w_met[m] * w_age[a] * flux[i_met[m], i_age[a]] for m in (0, 1) for a in (0, 1)]
    lum = functools.reduce(jnp.add, corners)
    stretched = jnp.asarray(ssp.ssp_wave) * (1 + redshift) * jnp.exp(star.v_los / C_KMS)
    recorded = jnp.interp(wave, stretched, lum, left=0.0, right=0.0)
    band = (stretched >= wave[0]) & (stretched <= wave[-1])
    before = jnp.sum(jnp.where(band, lum, 0.0) * _backward(stretched))
    after = jnp.sum(recorded * _backward(wave))
    return recorded * jnp.where(after == 0, 0.0, before / jnp.where(after == 0, 1.0, after))


def rubix_cube(
    stars: SkyStars, ssp: SSPGrid, wave: np.ndarray, redshift: Float[Array, ""], edges: tuple[np.ndarray, np.ndarray]
) -> Float[Array, "y x wave"]:
    """Cube of all stars by RUBIX's rule, one after another.

    Args:
      stars: stars on the sky.
      ssp: the library.
      wave: pixel centres (wave,) [Angstrom, observed frame].
      redshift: systemic redshift.
      edges: spaxel edges along x and y [kpc], uniform.

    Returns:
      Luminosity density [Lsun/Angstrom, not divided by 1+z]; stars outside the field are dropped.
    """
    (x0, dx, nx), (y0, dy, ny) = ((e[0], (e[-1] - e[0]) / (len(e) - 1), len(e) - 1) for e in edges)
    centres = jnp.asarray(wave, stars.mass.dtype)

    def add(cube: Any, star: Any) -> tuple:
        ix, iy = jnp.floor((star.x - x0) / dx).astype(int), jnp.floor((star.y - y0) / dy).astype(int)
        inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
        spectrum = jnp.where(inside, rubix_spectrum(star, ssp, centres, redshift), 0.0)
        return cube.at[iy.clip(0, ny - 1), ix.clip(0, nx - 1)].add(spectrum), None

    return jax.lax.scan(add, jnp.zeros((ny, nx, len(wave)), centres.dtype), stars)[0]


def _backward(wave: Array) -> Array:
    """Widths as differences to the sample before; the first is zero."""
    return jnp.diff(wave, prepend=wave[:1])
