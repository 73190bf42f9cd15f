"""Read SSP libraries in the HDF5 layout of DSPS (Hearin et al. 2023, MNRAS 521, 1741): Lsun/Hz per Msun formed."""

import pathlib
import typing
import warnings
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from galdiff import units
from galdiff.core.hdf5 import damage_is_oserror, member, read_dataset
from galdiff.core.numbers import real, scalar
from galdiff.errors import InputError
from galdiff.records import SSPGrid
from galdiff.sps.grid import C_ANGSTROM_S, floating, make_grid
from galdiff.sps.line_columns import line_columns
from galdiff.sps.reader import Reader, hdf5_names

FIELDS = ("ssp_lgmet", "ssp_lg_age_gyr", "ssp_wave", "ssp_flux")
LINES = ("ssp_emline_wave", "ssp_emline_luminosity")  # of emission; a file has both or none
LINE_NAMES = "ssp_emline_name"
FALLBACK_FWHM = 2.5  # [Angstrom] of the MILES stars behind the usual DSPS files, in the optical


@typing.final
class Dsps(Reader):
    """HDF5 with `ssp_flux` and its axes."""

    kind = "dsps"
    files = "HDF5 with ssp_flux (DSPS)"

    def recognises(self, path: pathlib.Path) -> bool:
        """Whether it is HDF5 with a dataset `ssp_flux`."""
        return "ssp_flux" in hdf5_names(path)

    def read(
        self,
        path: pathlib.Path,
        *,
        fwhm: float | Sequence | None = None,
        imf: str | None = None,
        medium: str | None = None,
    ) -> SSPGrid:
        """Read a DSPS file.

        Args:
          path: HDF5 file with ssp_lgmet (log10 of the mass fraction Z), ssp_lg_age_gyr, ssp_wave [Angstrom] and
            ssp_flux [Lsun/Hz/Msun], shape (met, age, wave). Root attributes resolution_fwhm_angstrom, imf, title,
            wave_medium and lsun_cgs are used where they exist. Emission lines are kept where it has ssp_emline_wave
            [Angstrom] and ssp_emline_luminosity [Lsun/Msun], shape (met, age, line); whether ssp_flux has them too is
            up to the file.
          fwhm: resolution [Angstrom], as in `fwhm_on`; for files that do not state it.
          imf: initial mass function, for files that do not state it.
          medium: air or vacuum, for files that do not state it.

        Returns:
          The library in Lsun/Angstrom/Msun and vacuum.

        Raises:
          InputError: not HDF5, a field is missing, or its values are unusable.
        """
        data, attrs = _fields(path)
        wave, flux = np.asarray(data["ssp_wave"], np.float64), floating(data["ssp_flux"])
        if flux.ndim != 3 or flux.shape[-1] != wave.size:
            raise InputError(
                f"{path}: ssp_flux has shape {flux.shape}; (met, age, wave) with {wave.size} wave is needed"
            )
        if not (wave > 0).all():
            raise InputError(f"{path}: ssp_wave holds {wave.min():g} Angstrom; wavelengths are positive: repair it")
        if fwhm is None:
            fwhm = _stated_fwhm(path, attrs)
        lsun = scalar(attrs.get("lsun_cgs", units.LSUN_ERG_S), f"{path}: lsun_cgs") / units.LSUN_ERG_S
        if not 0.9 < lsun < 1.1:
            raise InputError(f"{path}: lsun_cgs = {lsun * units.LSUN_ERG_S:.4g}; erg/s are expected: repair it")
        stated = "air" if str(attrs.get("wave_medium", "vacuum")).lower().startswith("air") else "vacuum"
        with np.errstate(all="ignore"):  # what is too large is refused with all that is not finite
            per_angstrom = (flux * (lsun * C_ANGSTROM_S / wave**2)).astype(flux.dtype)
        lines = {} if LINES[0] not in data else _lines(path, data, lsun, medium or stated)
        return make_grid(
            str(path),
            fwhm=fwhm,
            medium=medium or stated,
            ssp_wave=wave,
            ssp_lg_age_gyr=data["ssp_lg_age_gyr"],
            ssp_lgmet=data["ssp_lgmet"],
            ssp_flux=per_angstrom,
            name=str(attrs.get("title", path.stem)),
            imf=str(imf or attrs.get("imf", "not stated")),
            **lines,
        )


def _lines(path: pathlib.Path, data: dict[str, np.ndarray], lsun: float, medium: str) -> dict[str, Any]:
    """The emission lines of a file, as fields of the library."""
    return line_columns(
        str(path),
        wave=data[LINES[0]],
        lum=data[LINES[1]] * lsun,
        names=data.get(LINE_NAMES),
        nodes=(data["ssp_lgmet"].size, data["ssp_lg_age_gyr"].size),
        medium=medium,
    )


def _fields(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a file, which are numbers, and its attributes."""
    try:
        with h5py.File(path, "r") as file, damage_is_oserror():
            missing = [name for name in FIELDS if not isinstance(member(file, name), h5py.Dataset)]
            if missing:
                raise InputError(
                    f"{path}: no {', '.join(missing)}, but {', '.join(file) or 'nothing'}; a DSPS library holds"
                    f" {', '.join(FIELDS)}"
                )
            data = {name: real(read_dataset(file[name]), f"{path}: {name}") for name in FIELDS}
            found = [name for name in LINES if isinstance(member(file, name), h5py.Dataset)]
            if len(found) == 1:
                raise InputError(f"{path}: it has {found[0]} alone; emission lines need both of {', '.join(LINES)}")
            data |= {name: real(read_dataset(file[name]), f"{path}: {name}") for name in found}
            if found and isinstance(member(file, LINE_NAMES), h5py.Dataset):
                data[LINE_NAMES] = read_dataset(file[LINE_NAMES])
            attrs = {name: _plain(value) for name, value in file.attrs.items()}
            flux_unit = _plain(file["ssp_flux"].attrs.get("unit", attrs.get("flux_unit", "Lsun/Hz/Msun")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error}); give a complete DSPS library") from error
    if flux_unit != "Lsun/Hz/Msun":
        raise InputError(f"{path}: ssp_flux is in {flux_unit}; a DSPS library is in Lsun/Hz/Msun: convert it")
    return data, attrs


def _stated_fwhm(path: pathlib.Path, attrs: dict) -> float:
    if "resolution_fwhm_angstrom" in attrs:
        return scalar(attrs["resolution_fwhm_angstrom"], f"{path}: resolution_fwhm_angstrom")
    warnings.warn(
        f"{path} does not state its resolution: FWHM {FALLBACK_FWHM} Angstrom is assumed; give fwhm=...",
        stacklevel=4,
    )
    return FALLBACK_FWHM


def _plain(value: Any) -> Any:
    """Text of an HDF5 attribute, which may be bytes; other values as they are."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
