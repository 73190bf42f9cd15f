"""How the scalars of hot stars are calibrated: damped least squares on libraries with ionising light, with a prior.

Compared are log10 of the photons that ionise H I and He I, and of the light in bands from 930 to 5500 Angstrom, at some
ages and metallicities. Only named scalars are fitted; nothing of a library is stored.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.records import SSPGrid
from galdiff.sps.analytic import hot_coefficients, spectra, synthesis, tables
from galdiff.sps.analytic.default_library import default_coefficients
from galdiff.sps.analytic.hot_stars import HotStarCoefficients
from galdiff.sps.ionising import EDGES, photon_weights

BANDS = np.array([930.0, 980.0, 1070.0, 1300.0, 1500.0, 1800.0, 2300.0, 2600.0, 3000.0, 5500.0])  # Angstrom
HALF_WIDTH = 0.03  # of the bands, of the wavelength
NAMES = ("Q(H I)", "Q(He I)", "Q(He II)", *(f"L({band:g})" for band in BANDS))
WAVE = spectra.default_wave()[: np.searchsorted(spectra.default_wave(), 5800.0)]


def weights(wave: Float[np.ndarray, "wave"]) -> Float[np.ndarray, "wave quantity"]:
    """What turns spectra on wavelengths [Angstrom] into the quantities of NAMES, up to the unit of photons."""
    photons = [np.asarray(photon_weights(jnp.asarray(wave), edge)) for edge in EDGES]
    inside = [(np.abs(wave / band - 1) < HALF_WIDTH) * np.gradient(wave) for band in BANDS]
    return np.stack([*photons, *(row / row.sum() for row in inside)], -1)


def quantities(grid: SSPGrid, ages_gyr: Sequence[float], metallicities: Sequence[float]) -> Float[np.ndarray, "z a q"]:
    """log10 of the quantities of NAMES of a library, linear in log10 age and log10 Z between its nodes.

    Args:
      grid: a library with ionising light.
      ages_gyr: ages [Gyr].
      metallicities: metal mass fractions.
    """
    values = np.log10(np.maximum(np.asarray(grid.ssp_flux, float), 0.0) @ weights(np.asarray(grid.ssp_wave)) + 1e-20)
    axes = (np.asarray(grid.ssp_lgmet), np.asarray(grid.ssp_lg_age_gyr))
    for axis, (nodes, wanted) in enumerate(zip(axes, (metallicities, ages_gyr), strict=True)):
        at = np.log10(np.asarray(wanted, float))
        values = np.apply_along_axis(_between, axis, values, at, nodes)
    return values


def _between(values: np.ndarray, at: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    return np.interp(at, nodes, values)


class HotProblem:
    """Data, model and prior of the fit, as one vector of residuals.

    Args of the constructor:
      libraries: with ionising light, all of one mass function.
      imf: that mass function.
      ages_gyr: ages [Gyr], increasing.
      metallicities: metal mass fractions, increasing.
      sigma: error of each quantity and age [dex], shape (age, quantity).
      prior: centre and width of each scalar of `HotStarCoefficients` by name; width 0 means fixed.
    """

    def __init__(
        self,
        libraries: Sequence[SSPGrid],
        imf: Any,
        ages_gyr: Sequence[float],
        metallicities: Sequence[float],
        sigma: Float[np.ndarray, "age quantity"],
        prior: Mapping[str, Sequence[float]],
    ) -> None:
        self.data = np.stack([quantities(grid, ages_gyr, metallicities) for grid in libraries])
        self.imf, self.sigma, self.mets = imf, sigma, np.asarray(metallicities)
        self.weights = weights(WAVE)
        self.tables = (
            tables.track_tables(np.asarray(ages_gyr), self.mets),
            spectra.atmosphere_tables(WAVE, spectra.default_fwhm(WAVE)),
        )
        self.centre, self.width = np.array([prior[name] for name in hot_coefficients.HOT]).T
        self.free = np.flatnonzero(self.width > 0)

    def filled(self, free: Float[ArrayLike, "free"]) -> Float[Array, "coef"]:
        """All scalars [each its own unit], in the order of `hot_coefficients.HOT`, from the free ones."""
        return jnp.asarray(self.centre).at[self.free].set(free)

    def model(self, free: Float[Array, "free"]) -> Float[Array, "z a q"]:
        """log10 of the quantities of NAMES [dex], from the free scalars [each its own unit]."""
        hot = HotStarCoefficients(**dict(zip(hot_coefficients.HOT, self.filled(free), strict=True)))
        shipped = default_coefficients()
        c = synthesis.Coefficients(tracks=shipped.tracks, spectra=shipped.spectra, hot=hot)
        return jnp.log10(synthesis.synthesise(c, jnp.asarray(self.mets), self.tables, self.imf) @ self.weights + 1e-20)

    def residuals(self, free: Float[Array, "free"]) -> Float[Array, "residual"]:
        """Misses over their errors [1]: of the prior, and of each library."""
        miss = (self.model(free) - self.data) / self.sigma
        return jnp.concatenate([(free - self.centre[self.free]) / self.width[self.free], miss.reshape(-1)])


def hot_text(full: Float[np.ndarray, "coef"]) -> str:
    """The scalars [each its own unit] as the Python module `hot_coefficients`."""
    rows = "".join(
        f'    "{name}": {float(f"{x:.4g}")!r},\n' for name, x in zip(hot_coefficients.HOT, full, strict=True)
    )
    return f'"""{hot_coefficients.__doc__}"""\n\nHOT = {{\n{rows}}}\n'
