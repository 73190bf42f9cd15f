"""Read a folder of MILES or E-MILES FITS spectra, one file per population (Vazdekis et al. 2010, 2016).

Everything but the spectrum is in the name: Eku1.30Zp0.06T10.0000_iTp0.00_baseFe.fits is the E-MILES library, Kroupa
universal IMF of slope 1.30, [M/H] = +0.06, 10 Gyr, BaSTI ("T") isochrones, base abundances.
"""

import itertools
import pathlib
import re
import typing
from collections.abc import Sequence

import numpy as np
from astropy.io import fits

from galdiff import units
from galdiff.core.numbers import scalar
from galdiff.errors import InputError
from galdiff.records import SSPGrid
from galdiff.sps.grid import make_grid
from galdiff.sps.reader import Reader

NAME = re.compile(
    r"(?P<library>[A-Z])(?P<imf>un|bi|ku|kb|ch)(?P<slope>\d\.\d\d)"
    r"Z(?P<sign>[mp])(?P<mh>\d\.\d\d)T(?P<age>\d+\.\d+)(?P<rest>.*)\.fits"
)
LIBRARIES = {"M": "MILES", "E": "E-MILES", "I": "MIUSCAT"}
IMFS = {"un": "unimodal", "bi": "bimodal", "ku": "Kroupa universal", "kb": "Kroupa revised", "ch": "Chabrier"}
# Z of the [M/H] in the names, as the MILES team lists them; other [M/H] are scaled from the solar value.
MASS_FRACTION = {
    "BaSTI": dict(
        zip(
            (-2.27, -1.79, -1.49, -1.26, -0.96, -0.66, -0.35, -0.25, 0.06, 0.15, 0.26, 0.40),
            (0.0001, 0.0003, 0.0006, 0.001, 0.002, 0.004, 0.008, 0.01, 0.0198, 0.024, 0.03, 0.04),
            strict=True,
        )
    ),
    "Padova00": dict(
        zip(
            (-2.32, -1.71, -1.31, -0.71, -0.40, 0.00, 0.22),
            (0.0001, 0.0004, 0.001, 0.004, 0.008, 0.019, 0.03),
            strict=True,
        )
    ),
}
AXIS = ("CRVAL1", "CDELT1", "CD1_1", "CRPIX1", "CTYPE1")
MILES_FWHM = 2.51  # [Angstrom] (Falcon-Barroso et al. 2011)


def emiles_fwhm(wave: np.ndarray) -> np.ndarray:
    """Resolution FWHM [Angstrom] of E-MILES at wavelengths (wave,) [Angstrom, air], same shape (Vazdekis+ 2016)."""
    infrared = 60.0 / units.C_KMS * units.FWHM_PER_SIGMA * wave  # sigma 60 km/s
    return np.select([wave < 3060.8, wave < 3541.4, wave < 8950.4], [3.0, 5.0, MILES_FWHM], infrared)


@typing.final
class Miles(Reader):
    """A folder of FITS spectra with MILES names."""

    kind = "miles"
    files = "a folder of FITS spectra named like Eku1.30Zp0.06T10.0000_iTp0.00_baseFe.fits (MILES)"

    def recognises(self, path: pathlib.Path) -> bool:
        """Whether it is a folder with a spectrum of such a name in it, or in a folder inside."""
        found = itertools.chain(path.glob("*.fits"), path.glob("*/*.fits")) if path.is_dir() else ()
        return any(NAME.fullmatch(file.name) for file in found)

    def read(
        self,
        path: pathlib.Path,
        *,
        pattern: str = "*.fits",
        fwhm: float | Sequence | None = None,
        medium: str = "air",
        z_sun: float | None = None,
    ) -> SSPGrid:
        """Read a folder of MILES, MIUSCAT or E-MILES files.

        Args:
          path: folder of the files.
          pattern: which files, as in a shell; needed where a folder holds several IMFs, isochrones or abundances.
          fwhm: resolution [Angstrom], as in `fwhm_on`; known for the three libraries and for files that name it.
          medium: air (as distributed) or vacuum.
          z_sun: metal mass fraction at [M/H] = 0; without it Z is the isochrones' own.

        Returns:
          The library in vacuum, Lsun = 3.828e33 erg/s.

        Raises:
          InputError: no such files, several libraries at once, a combination is missing, or a file does not fit
            the rest.
        """
        first, table = _sort_files(path, pattern)
        mets, ages = sorted({mh for mh, _ in table}), sorted({age for _, age in table})
        wave, corner = _read_spectrum(table[mets[0], ages[0]])
        flux = np.empty((len(mets), len(ages), wave.size), corner.dtype)
        for (mh, age), file in table.items():
            other, values = _read_spectrum(file)
            if not np.array_equal(other, wave):
                raise InputError(
                    f"{file}: {other.size} wavelengths from {other[0]:g} Angstrom, but {wave.size} from {wave[0]:g} in"
                    f" {table[mets[0], ages[0]].name}; all files need the same axis"
                )
            flux[mets.index(mh), ages.index(age)] = values
        isochrones = "BaSTI" if "_iT" in first["rest"] else "Padova00"
        library = LIBRARIES.get(first["library"], first["library"])
        return make_grid(
            str(path),
            fwhm=_resolution(path, first, wave) if fwhm is None else fwhm,
            medium=medium,
            ssp_wave=wave,
            ssp_lg_age_gyr=np.log10(ages),
            ssp_lgmet=np.log10([_mass_fraction(mh, isochrones, z_sun) for mh in mets]),
            ssp_flux=flux * np.asarray(units.LSUN_MILES_ERG_S / units.LSUN_ERG_S, flux.dtype),
            name=f"{library} {isochrones} {first['rest'].strip('_')}".strip(),
            imf=f"{IMFS[first['imf']]} {first['slope']}",
        )


def _sort_files(folder: pathlib.Path, pattern: str) -> tuple[re.Match, dict[tuple[float, float], pathlib.Path]]:
    """One parsed name, and the file of each ([M/H], age [Gyr]): of one library, without gaps."""
    files = {path: NAME.fullmatch(path.name) for path in sorted(folder.glob(pattern))}
    matches = {path: match for path, match in files.items() if match is not None}
    if not files or len(matches) < len(files):
        odd = next((path.name for path in files if path not in matches), None)
        raise InputError(
            f"{folder}: {f'{odd} is not named like' if odd else f'no {pattern} named like'} a MILES spectrum"
            " (Eku1.30Zp0.06T10.0000_iTp0.00_baseFe.fits); give the folder of the spectra, or pattern=..."
        )
    kinds = sorted({m["library"] + m["imf"] + m["slope"] + "*" + m["rest"] + ".fits" for m in matches.values()})
    if len(kinds) > 1:
        raise InputError(f"{folder}: holds {len(kinds)} libraries ({', '.join(kinds)}); choose one with pattern=...")
    table = {(_mh(m), float(m["age"])): path for path, m in matches.items()}
    mets, ages = sorted({mh for mh, _ in table}), sorted({age for _, age in table})
    lost = [f"[M/H]={mh:+.2f} T={age:g}" for mh in mets for age in ages if (mh, age) not in table]
    if lost:
        raise InputError(
            f"{folder}: {len(lost)} of {len(mets) * len(ages)} combinations are missing ({', '.join(lost[:3])}"
            f"{', ...' if len(lost) > 3 else ''}); add those files or narrow pattern='{pattern}'"
        )
    return next(iter(matches.values())), table


def _mh(match: re.Match) -> float:
    return float(match["mh"]) * (-1 if match["sign"] == "m" else 1)


def _mass_fraction(mh: float, isochrones: str, z_sun: float | None) -> float:
    if z_sun is None and mh in MASS_FRACTION[isochrones]:
        return MASS_FRACTION[isochrones][mh]
    return (z_sun or units.Z_SUN_ISOCHRONES[isochrones]) * 10**mh


def _resolution(folder: pathlib.Path, match: re.Match, wave: np.ndarray) -> float | np.ndarray:
    """FWHM [Angstrom]: from the end of the name where it is there, else of the library."""
    named = re.search(r"(?:FWHM_|LIS)(\d+\.\d+)", match["rest"])
    if named:
        return float(named[1])
    if match["library"] in ("M", "I"):
        return MILES_FWHM
    if match["library"] == "E":
        return emiles_fwhm(wave)
    raise InputError(f"{folder}: the resolution of library '{match['library']}' is not known; give fwhm=... [Angstrom]")


def _read_spectrum(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths [Angstrom] and spectrum of one file."""
    try:
        with fits.open(path, memmap=False) as hdus:
            data = hdus[0].data
            header = {key: hdus[0].header[key] for key in AXIS if key in hdus[0].header}
            values = None if data is None else np.array(data, dtype=data.dtype.newbyteorder("=")).squeeze()
    except Exception as error:  # damaged files raise nearly everything
        raise InputError(f"{path}: cannot be read as FITS ({error}); fetch it again") from error
    step = header.get("CDELT1", header.get("CD1_1"))
    if values is None or values.ndim != 1 or step is None or "CRVAL1" not in header:
        raise InputError(
            f"{path}: the primary HDU needs one spectrum with CRVAL1 and CDELT1 [Angstrom, linear]; fetch it again"
        )
    if "LOG" in str(header.get("CTYPE1", "")).upper():
        raise InputError(f"{path}: CTYPE1 is {header['CTYPE1']}; a linear wavelength axis [Angstrom] is needed")
    start, at = scalar(header["CRVAL1"], f"{path}: CRVAL1"), scalar(header.get("CRPIX1", 1.0), f"{path}: CRPIX1")
    return start + (np.arange(values.size) + 1 - at) * scalar(step, f"{path}: CDELT1"), values
