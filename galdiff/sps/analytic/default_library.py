"""The embedded SSP library: `SSPGrid` records computed from formulae, no file needed."""

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.core.compiled import quickly
from galdiff.core.variables import on_device
from galdiff.errors import InputError
from galdiff.imf import Imf, named_imf
from galdiff.records import SSPGrid
from galdiff.sps.analytic import coefficients, features, hot_coefficients
from galdiff.sps.analytic.hot_stars import SHORTEST, HotStarCoefficients
from galdiff.sps.analytic.spectra import (
    WAVE_LIMITS,
    SpectrumCoefficients,
    atmosphere_tables,
    default_fwhm,
    default_wave,
)
from galdiff.sps.analytic.synthesis import Coefficients, synthesise
from galdiff.sps.analytic.tables import track_tables
from galdiff.sps.analytic.tracks import TrackCoefficients

# 0.1 Myr, as stars hardly change before 1 Myr; then 1 Myr to 14.1 Gyr, 0.1 dex
LG_AGES_GYR = (-4.0, *(float(x) for x in np.round(np.linspace(-3.0, 1.15, 43), 6)))
METALLICITIES = (1e-4, 3e-4, 6e-4, 1e-3, 2e-3, 4e-3, 7e-3, 0.01, 0.0142, 0.02, 0.03, 0.04)


def default_coefficients() -> Coefficients:
    """The calibrated scalars that come with the package."""
    tracks = {name: on_device(value, float) for name, value in coefficients.TRACKS.items()}
    laws = on_device([coefficients.LAWS[name] for name in features.NAMES], float)
    hot = {name: on_device(value, float) for name, value in hot_coefficients.HOT.items()}
    return Coefficients(
        tracks=TrackCoefficients(**tracks), spectra=SpectrumCoefficients(laws=laws), hot=HotStarCoefficients(**hot)
    )


def _checked(values: ArrayLike, name: str, unit: str, lo: float, hi: float) -> np.ndarray:
    values = np.atleast_1d(np.asarray(values, float))
    if values.ndim != 1 or not values.size or not (np.diff(values) > 0).all():
        raise InputError(f"{name} [{unit}] is not an increasing list of numbers; sort it and drop repeats")
    if not (values[0] >= lo and values[-1] <= hi):
        raise InputError(f"{name} spans {values[0]:.6g} to {values[-1]:.6g} {unit}; keep it within {lo} to {hi} {unit}")
    return values


_spectra = quickly(synthesise)


def analytic_ssp(
    params: Coefficients,
    *,
    ages_gyr: Float[ArrayLike, "age"],
    metallicities: Float[ArrayLike, "met"],
    wave: Float[ArrayLike, "wave"],
    imf: Imf | str = "kroupa",
) -> SSPGrid:
    """Spectra of simple stellar populations from formulae; differentiable in params and imf.

    Args:
      params: calibrated scalars, `default_coefficients()`.
      ages_gyr: ages [Gyr], increasing, 1e-4 to 20; concrete.
      metallicities: metal mass fractions, increasing, 5e-5 to 0.06; concrete.
      wave: vacuum wavelengths [Angstrom], increasing, 91 to 25000; concrete. At least two pixels per
        `spectra.default_fwhm`, the resolution of the result.
      imf: mass function, or the name of a published one.

    Raises:
      InputError: values out of range or not increasing, unknown mass function.
    """
    ages = _checked(ages_gyr, "ages_gyr", "Gyr", 1e-4 * (1 - 1e-6), 20.0)
    mets = _checked(metallicities, "metallicities", "mass fraction", 5e-5, 0.06)
    waves = _checked(wave, "wave", "Angstrom", SHORTEST * (1 - 1e-6), WAVE_LIMITS[1] * (1 + 1e-6))
    law = named_imf(imf) if isinstance(imf, str) else imf
    as_array = functools.partial(on_device, dtype=float)
    fwhm = default_fwhm(waves)
    tables = (track_tables(ages, mets), atmosphere_tables(waves, fwhm))
    return SSPGrid(
        ssp_wave=as_array(waves),
        ssp_lg_age_gyr=as_array(np.log10(ages)),
        ssp_lgmet=as_array(np.log10(mets)),
        ssp_flux=_spectra(params, as_array(mets), jax.tree.map(as_array, tables), law),
        ssp_fwhm=as_array(fwhm),
        name="galdiff analytic",
        imf=law.name,
        medium="vacuum",
    )


@buildable
def default_grid(imf: Imf | str = "kroupa", wave_range: Sequence[float] | None = None) -> SSPGrid:
    """The embedded library: 12 metallicities, 0.1 Myr to 14 Gyr, 91 Angstrom to 2.5 micron, per Msun formed.

    Args:
      imf: mass function, or the name of a published one.
      wave_range: part to compute [Angstrom, vacuum], both inclusive; all by default.

    Raises:
      InputError: an unknown mass function, or a range that is not inside the library.
    """
    return analytic_ssp(
        default_coefficients(),
        ages_gyr=10.0 ** np.array(LG_AGES_GYR),
        metallicities=np.array(METALLICITIES),
        wave=default_wave() if wave_range is None else _within(*wave_range),
        imf=imf,
    )


def _within(lo: float, hi: float) -> np.ndarray:
    wave = default_wave()
    if not wave[0] * (1 - 1e-6) <= lo < hi <= wave[-1] * (1 + 1e-6):
        raise InputError(
            f"wave_range of the embedded library is {lo:g} to {hi:g} Angstrom; give two within {wave[0]:g} to"
            f" {wave[-1]:g}, the smaller first"
        )
    return wave[(wave >= lo * (1 - 1e-9)) & (wave <= hi * (1 + 1e-9))]
