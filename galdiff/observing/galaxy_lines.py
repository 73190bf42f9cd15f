"""Emission lines of a whole galaxy as they are measured: luminosities, fluxes, equivalent widths, and profiles."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff import units
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.light_records import EmissionLines, Epoch, NebularLight, Spectrum

SIDEBANDS = (1500.0, 4000.0)  # km/s from a line, on both sides: clear of its own and of most stellar absorption
PER_SIDE = 8  # points


class MeasureLines(Stage):
    """Lines of the gas behind all dust, and in front of the continuum around them."""

    def __call__(self, nebular: NebularLight, spectrum: Spectrum, epoch: Epoch) -> EmissionLines:
        """All lines of the gas, which come first in a spectrum; no equivalent width (NaN) without a continuum."""
        n = nebular.line_wave.shape[0]
        lum, wave = spectrum.line_lum[:n], spectrum.line_wave[:n]
        beside = continuum_beside(spectrum.wave, spectrum.lum, wave)
        lit = beside > 0
        flux = lum * units.FLUX_OF_ONE_LSUN_AT_ONE_MPC / epoch.luminosity_distance**2
        ew = jnp.where(lit, lum / jnp.where(lit, beside, 1.0), jnp.nan)
        return EmissionLines(wave=wave, lum=lum, bare=nebular.line_lum, flux=flux, ew=ew, names=nebular.line_names)


def continuum_beside(
    wave: Float[Array, "wave"], lum: Float[Array, "wave"], at: Float[Array, "line"]
) -> Float[Array, "line"]:
    """Mean luminosity density [unit of lum] beside lines: 1500 to 4000 km/s away on both sides.

    Args:
      wave: vacuum wavelength [Angstrom], increasing; lum: spectrum without lines there.
      at: wavelengths of the lines [Angstrom]; zero where they are outside the spectrum.
    """
    away = np.linspace(*SIDEBANDS, PER_SIDE) / units.C_KMS
    points = at[:, None] * (1 + jnp.asarray(np.concatenate([-away[::-1], away]), wave.dtype))
    return jnp.interp(points, wave, lum, left=0.0, right=0.0).mean(-1)


def drawn_lines(
    wave: Float[ArrayLike, "wave"],
    line_wave: Float[ArrayLike, "line"],
    line_lum: Float[ArrayLike, "line"],
    sigma: Float[ArrayLike, ""],
) -> Float[Array, "wave"]:
    """Lines as Gaussians on a grid [unit of line_lum per Angstrom], each with all its light on however coarse a grid.

    Args:
      wave: vacuum wavelength [Angstrom], increasing.
      line_wave: of the lines [Angstrom]; line_lum: their luminosities.
      sigma: velocity dispersion [km/s], above 0.
    """
    wave, line_wave, line_lum = (jnp.asarray(x, float) for x in (wave, line_wave, line_lum))
    middle = (wave[1:] + wave[:-1]) / 2
    bounds = jnp.concatenate([2 * wave[:1] - middle[:1], middle, 2 * wave[-1:] - middle[-1:]])
    below = jax.scipy.special.ndtr((bounds / line_wave[:, None] - 1) * (units.C_KMS / sigma))
    return line_lum @ jnp.diff(below, axis=-1) / jnp.diff(bounds)


def by_name(lines: EmissionLines, quantity: str, *names: str) -> Float[Array, "name"]:
    """A quantity of some lines: `lum`, `bare`, `flux` or `ew`, in its unit.

    Args:
      lines: what `MeasureLines` made.
      quantity: field of `EmissionLines`: luminosities [Lsun], fluxes [1e-20 erg/s/cm2] or widths [Angstrom].
      names: of the lines; doublets are two.

    Raises:
      InputError: a line or a quantity that is not there.
    """
    if quantity not in ("lum", "bare", "flux", "ew"):
        raise InputError(f"quantity of the lines is '{quantity}'; choose lum, bare, flux or ew")
    for name in names:
        if name not in lines.names:
            known = ", ".join(lines.names) or "none, as there is no gas (nebular=none)"
            raise InputError(f"there is no line '{name}'; known are {known}")
    return getattr(lines, quantity)[..., np.array([lines.names.index(name) for name in names], int)]
