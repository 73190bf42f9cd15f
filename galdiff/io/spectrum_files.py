"""Observed spectra of single galaxies: FITS tables as of the SDSS or the ESO archive, and tables of a user."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from galdiff.core.air import air_per_vacuum, air_to_vacuum
from galdiff.errors import InputError
from galdiff.io.tables import read_columns
from galdiff.units import C_KMS

UNIT = 1e-20  # erg/s/cm2/Angstrom, of fluxes inside
SDSS_UNIT = "1e-17 erg / (s cm2 Angstrom)"  # its columns say none
FITS_ENDINGS = (".fits", ".fit", ".fits.gz")
# Names of columns in small letters, the first that is there counts.
WAVES = ("loglam", "wave", "wavelength", "lambda", "lam")
FLUXES, ERRORS = ("flux", "flux_density"), ("ivar", "err", "error", "flux_err", "flux_error", "sigma")
MASKS, WIDTHS = ("mask", "qual", "quality"), ("wdisp", "sigma_lsf", "lsf")


@dataclasses.dataclass(frozen=True, eq=False)
class ObservedSpectrum:
    """A spectrum as it was observed.

    Attributes:
      wave: vacuum wavelength [Angstrom], increasing; flux, error: [1e-20 erg/s/cm2/Angstrom].
      used: pixels that count.
      sigma: of the instrument [km/s], where the file says it.
      redshift: of the galaxy, where the file says it.
    """

    wave: Float[np.ndarray, "pixel"]
    flux: Float[np.ndarray, "pixel"]
    error: Float[np.ndarray, "pixel"]
    used: Bool[np.ndarray, "pixel"]
    sigma: Float[np.ndarray, "pixel"] | None = None
    redshift: float | None = None


def is_spectrum(path: str | pathlib.Path) -> bool:
    """Whether a table holds a spectrum, by its columns; every FITS file is taken for one."""
    path = pathlib.Path(path)
    if path.name.lower().endswith(FITS_ENDINGS):
        return True
    if path.suffix.lower() not in (".csv", ".ecsv") or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        first = next((line for line in file if not line.startswith("#")), "")
    names = {name.strip().strip('"').lower() for name in first.replace(",", " ").split()}
    return bool(names & set(WAVES)) and bool(names & set(FLUXES))


def read_spectrum(path: str | pathlib.Path, *, unit: str | None = None, medium: str | None = None) -> ObservedSpectrum:
    """Read a spectrum.

    Columns, small or capital letters: `loglam` (log10 of vacuum wavelengths) or `wave` [Angstrom]; `flux`; `ivar` or
    `err`; if wanted a mask (`mask` or `qual`, 0 is good), and the width of the instrument: `wdisp` [pixels] or
    `sigma_lsf` [km/s]. In FITS the first table that has them counts, of many rows or of one row of arrays; the redshift
    is `Z` of a table beside it, or of a header.

    Args:
      path: .fits, .csv or .ecsv.
      unit: of the flux density, as astropy spells it; None for what the column says.
      medium: air or vacuum, of the wavelengths; None for what the file says, else vacuum.

    Raises:
      InputError: a file or columns that cannot be, too few pixels, or no unit.
    """
    path = pathlib.Path(path)
    if medium not in (None, "air", "vacuum"):
        raise InputError(f"medium is '{medium}'; choose air or vacuum")
    if path.name.lower().endswith(FITS_ENDINGS):
        columns, units, said, redshift = _from_fits(path)
    else:
        columns, units, said, redshift = _from_table(path)
    names = {kind: next((n for n in known if n in columns), None) for kind, known in _KINDS.items()}
    for kind in ("wave", "flux", "error"):
        if names[kind] is None:
            raise InputError(f"{path}: has no column for the {kind}; name one of {', '.join(_KINDS[kind])}")
    flux_unit = unit or units.get(str(names["flux"])) or (SDSS_UNIT if names["wave"] == "loglam" else None)
    scale = _scale(path, flux_unit)
    wave, flux, error = (columns[str(names[k])].astype(float) for k in ("wave", "flux", "error"))
    wave = 10**wave if names["wave"] == "loglam" else wave
    used = np.isfinite(wave) & np.isfinite(flux) & np.isfinite(error) & (error > 0)
    if names["error"] == "ivar":
        error = 1 / np.sqrt(np.where(used, error, 1.0))
    if names["mask"] is not None:
        used &= columns[str(names["mask"])] == 0
    order = np.argsort(wave)
    wave, flux, error, used = (x[order] for x in (wave, np.where(used, flux, 0.0), error, used))
    if used.sum() < 10 or not (np.diff(wave) > 0).all() or wave[0] <= 0:
        raise InputError(
            f"{path}: {int(used.sum())} pixels are good, of wavelengths {wave[0]:g} to {wave[-1]:g}; give ten or more,"
            " with wavelengths [Angstrom] above 0 that differ"
        )
    if (medium or said) == "air":
        wave = np.asarray(air_to_vacuum(wave))
        flux, error = (x * np.asarray(air_per_vacuum(wave)) for x in (flux, error))
    sigma = None if names["width"] is None else columns[str(names["width"])].astype(float)[order]
    if names["width"] == "wdisp" and sigma is not None:
        sigma = sigma * np.gradient(np.log(wave)) * C_KMS
    good_width = sigma is None or (np.isfinite(sigma[used]) & (sigma[used] >= 0)).all()
    if not good_width:
        raise InputError(f"{path}: column '{names['width']}' holds widths below 0 or none; leave it out, or mend it")
    error = np.where(used, error * scale, 1.0)
    sigma = None if sigma is None else np.where(np.isfinite(sigma), sigma, np.median(sigma[used]))
    return ObservedSpectrum(wave, flux * scale, error, used, sigma, redshift)


_KINDS = {"wave": WAVES, "flux": FLUXES, "error": ERRORS, "mask": MASKS, "width": WIDTHS}


def _scale(path: pathlib.Path, unit: str | None) -> float:
    """Of a flux density in a unit, for that inside."""
    from astropy import units as u

    if not unit:
        raise InputError(f"{path}: says no unit of the flux; give case.spectrum.unit, such as '{SDSS_UNIT}'")
    wanted = u.Unit("erg s-1 cm-2 Angstrom-1")
    for dialect in (None, "fits", "ogip", "vounit"):
        try:
            return float(u.Unit(unit, format=dialect).to(wanted)) / UNIT
        except (ValueError, TypeError, u.UnitConversionError):
            continue
    raise InputError(f"{path}: the unit of the flux is '{unit}'; give a flux density per Angstrom, as '{SDSS_UNIT}'")


def _from_table(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str], str | None, None]:
    """Columns and units by small name, of a CSV or ECSV table, which says no medium and no redshift."""
    from astropy.table import Table

    if not path.exists():
        raise InputError(f"{path}: there is no such table; check the path")
    try:
        table = Table.read(path, format="ascii.ecsv" if path.suffix.lower() == ".ecsv" else "ascii.csv")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from error
    known = [name for name in table.colnames if name.lower() in {n for kinds in _KINDS.values() for n in kinds}]
    read: Mapping[str, np.ndarray] = read_columns(path, dict.fromkeys(known)) if known else {}
    units = {name.lower(): str(table[name].unit) for name in known if table[name].unit is not None}
    return {name.lower(): values for name, values in read.items()}, units, None, None


def _from_fits(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str], str | None, float | None]:
    """Columns and units by small name, medium and redshift, of the first table of a FITS file with a spectrum."""
    from astropy.io import fits

    if not path.exists():
        raise InputError(f"{path}: there is no such file; check the path")
    try:
        with fits.open(path, memmap=False) as hdus:
            tables = [h for h in hdus if isinstance(h, fits.BinTableHDU) and h.data is not None]
            found = next((h for h in tables if _holds(h.columns.names)), None)
            if found is None:
                raise InputError(f"{path}: no table has the columns of a spectrum (wave or loglam, flux, ivar or err)")
            one_row = len(found.data) == 1
            columns = {
                c.name.lower(): np.asarray(found.data[c.name][0] if one_row else found.data[c.name])
                for c in found.columns
                if c.format.lstrip("0123456789")[:1] in "BIJKED"
            }
            units = {c.name.lower(): c.unit for c in found.columns if c.unit}
            redshift = next(
                (float(h.data[n][0]) for h in tables for n in h.columns.names if n.lower() == "z" and len(h.data) == 1),
                None,
            )
            headers = [h.header for h in hdus]
    except (OSError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as FITS ({' '.join(str(error).split())[:120]})") from error
    for header in headers:
        redshift = redshift if redshift is not None else _number(header.get("REDSHIFT", header.get("Z")))
    texts = [str(card).lower() for card in found.header.cards if card.keyword.startswith(("TUCD", "TTYPE", "SPECSYS"))]
    air = any("em.wl;obs.atmos" in text or "air wavelength" in text for text in texts)
    return columns, units, "air" if air else None, redshift


def _holds(names: list[str]) -> bool:
    small = {name.lower() for name in names}
    return all(small & set(_KINDS[kind]) for kind in ("wave", "flux", "error"))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
