"""What every SSP reader ends with: one validated `SSPGrid` in vacuum, Lsun/Angstrom and Msun formed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import ArrayLike

from galdiff import units
from galdiff.core import air
from galdiff.core.numbers import numeric, real
from galdiff.errors import InputError
from galdiff.records import SSPGrid

MEDIA = ("air", "vacuum")
C_ANGSTROM_S = units.C_KMS * 1e13  # speed of light [Angstrom/s]
LG_AGE_LIMITS = (-5.0, 1.31)  # log10(age/Gyr): no population is younger than 1e4 yr or much older than the universe
# [Angstrom]: a library of stars reaches beyond the first, and beyond the third if it begins below the second
WAVE_LIMITS = (1200.0, 500.0, 6000.0)
LONGEST = 1e10  # Angstrom
LGMET_LIMITS = (-10.0, 0.0)
BRIGHTEST = 1e6  # Lsun/Angstrom per Msun formed; the youngest stars have 10
DEEPEST = 0.1  # of the peak of a spectrum, below zero
NEGATIVE_ALLOWED = 0.01  # fraction of samples: noise of empirical stars dips below zero in saturated lines


def floating(values: np.ndarray) -> np.ndarray:
    """Values as they are [as given], of any shape; whole numbers in double precision, for they would be cut."""
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def fwhm_on(wave: np.ndarray, fwhm: ArrayLike | Sequence) -> np.ndarray:
    """Resolution FWHM [Angstrom] on a wavelength grid.

    Args:
      wave: wavelengths [Angstrom], shape (wave,).
      fwhm: one number, one number per wavelength, or pairs (wavelength, FWHM) to interpolate linearly [Angstrom].

    Returns:
      FWHM [Angstrom], shape (wave,).
    """
    values = numeric(fwhm, "fwhm")
    if values.ndim == 2 and values.shape[1] == 2:
        if not (np.diff(values[:, 0]) > 0).all():
            raise InputError(
                "fwhm holds pairs (wavelength, FWHM) [Angstrom] whose wavelengths do not increase; sort them"
            )
        values = np.interp(wave, values[:, 0], values[:, 1])
    if values.ndim > 1 or values.size not in (1, wave.size):
        raise InputError(
            f"fwhm has shape {values.shape} [Angstrom]; give one number, one for each of the {wave.size} wavelengths,"
            " or pairs (wavelength, FWHM)"
        )
    values = np.broadcast_to(values, wave.shape).copy()
    if not ((values > 0) & (values < wave)).all():
        bad = values[~((values > 0) & (values < wave))][0]
        raise InputError(
            f"fwhm holds {bad:g} Angstrom; a resolution is positive and below the wavelength; give fwhm=..."
        )
    return values


def make_grid(source: str, *, fwhm: ArrayLike | Sequence, medium: str, **fields: Any) -> SSPGrid:
    """Validate a library and convert it to vacuum.

    Args:
      source: file or folder, named in errors.
      fwhm: resolution [Angstrom], as `fwhm_on` takes it.
      medium: air or vacuum, of the given wavelengths.
      **fields: the other fields of `SSPGrid`, in its units but with wavelengths in `medium`.

    Returns:
      The grid, its arrays numpy; flux keeps its precision, axes are float64.

    Raises:
      InputError: an axis does not increase or is in another unit, a shape does not fit, or a
        spectrum is missing, empty or mostly negative.
    """
    if medium not in MEDIA:
        raise InputError(f"{source}: wavelength medium is '{medium}'; choose air or vacuum with medium=...")
    axes: dict[str, Any] = {
        name: numeric(fields.pop(name), f"{source}: {name}") for name in ("ssp_wave", "ssp_lg_age_gyr", "ssp_lgmet")
    }
    flux: Any = floating(real(fields.pop("ssp_flux"), f"{source}: ssp_flux"))
    _check_axes(source, axes)
    _check_flux(source, flux, axes)
    try:
        width: Any = fwhm_on(axes["ssp_wave"], fwhm)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    if medium == "air":
        axes["ssp_wave"] = air.air_to_vacuum(axes["ssp_wave"])
        stretch = np.asarray(air.air_per_vacuum(axes["ssp_wave"]))
        flux, width = (flux * stretch).astype(flux.dtype), width / stretch
    return SSPGrid(**axes, ssp_flux=flux, ssp_fwhm=width, medium=medium, **fields)


def _check_axes(source: str, axes: dict[str, np.ndarray]) -> None:
    for name, x in axes.items():
        if x.ndim != 1 or x.size == 0:
            raise InputError(f"{source}: {name} has shape {x.shape}; it must be one-dimensional and not empty")
        if not np.isfinite(x).all():
            raise InputError(
                f"{source}: {name} holds {int((~np.isfinite(x)).sum())} non-finite values; repair the file"
            )
        if (np.diff(x) <= 0).any():
            i = int(np.argmax(np.diff(x) <= 0))
            raise InputError(f"{source}: {name} must increase, but goes from {x[i]:g} to {x[i + 1]:g} at {i}; sort it")
    if axes["ssp_wave"][0] <= 0:
        raise InputError(
            f"{source}: ssp_wave starts at {axes['ssp_wave'][0]:g} Angstrom; wavelengths are positive: repair it"
        )
    _check_units(source, axes["ssp_wave"], axes["ssp_lg_age_gyr"])
    lo, hi = axes["ssp_lgmet"][[0, -1]]
    if lo < LGMET_LIMITS[0] or hi > LGMET_LIMITS[1]:
        raise InputError(
            f"{source}: ssp_lgmet runs from {lo:g} to {hi:g}; log10 of a metal mass fraction, {LGMET_LIMITS[0]:g} to"
            f" {LGMET_LIMITS[1]:g}, is expected: convert it"
        )


def _check_units(source: str, wave: np.ndarray, lg_age: np.ndarray) -> None:
    """Refuse ages and wavelengths that only another unit can explain."""
    lo, hi = LG_AGE_LIMITS
    if lg_age[0] < lo - 1e-6 or lg_age[-1] > hi:
        shifts = {"log10 of yr: subtract 9": 9.0, "log10 of Myr: subtract 3": 3.0}
        fits = [unit for unit, by in shifts.items() if lo <= lg_age[0] - by and lg_age[-1] - by <= hi]
        linear = ["ages in Gyr: take log10"] if lg_age[0] >= 0.0 and lg_age[-1] <= 10**hi else []
        likely = (fits or linear or ["unknown: convert to log10 of Gyr"])[0]
        raise InputError(
            f"{source}: ssp_lg_age_gyr runs from {lg_age[0]:g} to {lg_age[-1]:g}; log10(age/Gyr) from {lo:g} (1e4 yr)"
            f" to {hi:g} (20 Gyr) is expected; the unit is probably {likely}"
        )
    end, start, wide = WAVE_LIMITS
    if wave[-1] > LONGEST:
        raise InputError(
            f"{source}: ssp_wave runs from {wave[0]:g} to {wave[-1]:g}; Angstrom up to {LONGEST:g} are expected:"
            " convert it"
        )
    if wave[-1] < end or (wave[0] < start and wave[-1] < wide):
        likely = "nm: multiply by 10" if wave[-1] > 200.0 else "micrometre: multiply by 1e4"
        raise InputError(
            f"{source}: ssp_wave runs from {wave[0]:g} to {wave[-1]:g}; Angstrom are expected, beyond {end:g} at least,"
            f" or beyond {wide:g} where they begin below {start:g}; the unit is probably {likely}"
        )


def _check_flux(source: str, flux: np.ndarray, axes: dict[str, np.ndarray]) -> None:
    wave, age, met = axes.values()
    if flux.shape != (met.size, age.size, wave.size):
        raise InputError(
            f"{source}: ssp_flux has shape {flux.shape}; (met, age, wave) = {(met.size, age.size, wave.size)} is needed"
        )
    bad = ~np.isfinite(flux).all(-1) | ~(flux > 0).any(-1)
    if bad.any():
        i, j = np.argwhere(bad)[0]
        raise InputError(
            f"{source}: {int(bad.sum())} of {bad.size} spectra are missing (not finite, or nowhere positive), first at"
            f" Z = {10 ** met[i]:.4g}, age = {10 ** age[j]:.4g} Gyr; complete the grid"
        )
    if (top := float(flux.max())) > BRIGHTEST or (flux < -DEEPEST * flux.max(-1, keepdims=True)).any():
        raise InputError(
            f"{source}: ssp_flux runs from {float(flux.min()):.4g} to {top:.4g} Lsun/Angstrom per Msun formed; expected"
            f" nothing above {BRIGHTEST:g}, nor below zero by {DEEPEST:.0%} of a spectrum's peak: repair it"
        )
    negative = float((flux < 0).mean())
    if negative > NEGATIVE_ALLOWED:
        raise InputError(f"{source}: {negative:.1%} of ssp_flux is negative; luminosity densities are positive")


def cut_wave(grid: SSPGrid, lo: float, hi: float) -> SSPGrid:
    """The part of a library from lo to hi [Angstrom, vacuum], both inclusive; lines that it brings stay all.

    Raises:
      InputError: part of the wanted range is outside the library.
    """
    wave: Any = np.asarray(grid.ssp_wave)
    if not lo < hi:
        raise InputError(f"wavelength range is {lo:g} to {hi:g} Angstrom; the first must be the smaller")
    if lo < wave[0] or hi > wave[-1]:
        raise InputError(
            f"wavelengths {lo:g}-{hi:g} Angstrom are wanted, but the SSP library '{grid.name}' covers"
            f" {wave[0]:.1f}-{wave[-1]:.1f} (rest frame, vacuum); choose a narrower range or a wider library"
        )
    keep = slice(int(np.searchsorted(wave, lo)), int(np.searchsorted(wave, hi, side="right")))
    if keep.start == keep.stop:
        raise InputError(f"no wavelength of the SSP library '{grid.name}' lies in {lo:g}-{hi:g} Angstrom; widen it")
    return dataclasses.replace(
        grid,
        ssp_wave=wave[keep],
        ssp_flux=grid.ssp_flux[..., keep],
        ssp_fwhm=grid.ssp_fwhm[keep],
        alpha_response=None if grid.alpha_response is None else grid.alpha_response[..., keep],
    )


def cut_populations(grid: SSPGrid, lg_age: tuple[float, float], lgmet: tuple[float, float]) -> SSPGrid:
    """The nodes of a library that populations in a box need: those inside, and the next one on each side.

    Args:
      grid: the library.
      lg_age, lgmet: ends of the box, log10(age/Gyr) and log10 Z.

    Raises:
      InputError: part of the box is outside the library.
    """
    kept = []
    for name, nodes, (lo, hi) in (
        ("log10 age/Gyr", np.asarray(grid.ssp_lg_age_gyr, float), lg_age),
        ("log10 Z", np.asarray(grid.ssp_lgmet, float), lgmet),
    ):
        if not nodes[0] <= lo <= hi <= nodes[-1]:
            raise InputError(
                f"populations with {name} from {lo:.3f} to {hi:.3f} are wanted, but the SSP library '{grid.name}' holds"
                f" {nodes[0]:.3f} to {nodes[-1]:.3f}; choose a narrower range or another library"
            )
        first = int(np.searchsorted(nodes, lo, side="right")) - 1
        kept.append(slice(first, int(np.searchsorted(nodes, hi, side="left")) + 1))
    ages, mets = kept
    return dataclasses.replace(
        grid,
        ssp_lg_age_gyr=grid.ssp_lg_age_gyr[ages],
        ssp_lgmet=grid.ssp_lgmet[mets],
        ssp_flux=grid.ssp_flux[mets, ages],
        line_lum_per_msun=None if grid.line_lum_per_msun is None else grid.line_lum_per_msun[mets, ages],
        alpha_response=None if grid.alpha_response is None else grid.alpha_response[:, mets, ages],
    )
