"""FITS headers: provenance made safe, and the world coordinates of a field and of a wavelength grid."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from astropy.io import fits

from galdiff.errors import InputError

POINTING = (10.0, 0.0)  # RA, Dec of the field's centre [deg]; some tools refuse (0, 0)
RESERVED = {"SIMPLE", "XTENSION", "BITPIX", "EXTEND", "END", "COMMENT", "HISTORY", "CONTINUE", "HIERARCH", "BUNIT"}
RESERVED |= {"BSCALE", "BZERO", "PCOUNT", "GCOUNT", "GROUPS", "EXTNAME", "EXTVER", "BLANK", "CHECKSUM", "DATASUM"}
CARD = 80  # characters
COMMENTS = {
    "VERSION": "of galdiff",
    "CONFHASH": "of all settings that decide the results",
    "OBJECT": "what was observed",
    "REDSHIFT": "of the source",
    "DISTANCE": "[Mpc] luminosity distance",
    "INC": "[deg] inclination, 0 is face-on",
    "PA": "[deg] of the receding side, North through East",
    "NPART": "stars in the field",
    "LGMSTAR": "[dex(Msun)] surviving stars and remnants",
    "LGMFORM": "[dex(Msun)] stars ever formed",
    "MFORMED": "[Msun] formed, of all star particles",
    "AVMEAN": "[mag] mean A_V of the stars in the field",
    "SNR": "per pixel, in the reference spaxel",
    "NOISE": "what the noise is of",
    "EXPTIME": "[s] of all exposures; blank if noise is by S/N",
    "NEXP": "exposures",
    "CORRSIG": "[arcsec] sigma of noise that spaxels share",
    "PSFBETA": "Moffat exponent",
    "PSFFWHM": "[arcsec] at PSFWAVE",
    "PSFWAVE": "[Angstrom] middle of the range",
    **{f"{band}FWHM": f"[arcsec] of the PSF in {band.lower() if band in 'UGRIZ' else band}" for band in "UGRIZJHK"},
    "LIBFWHM": "[Angstrom] of the library, at LIBWAVE",
    "LIBWAVE": "[Angstrom] rest frame",
    "LSFPIXEL": "LSF is that before integration over a pixel",
    "SPECSYS": "wavelengths are those seen from the barycentre",
}


def _value(value: Any) -> str | bool | int | float:
    """A value that a card can hold: ASCII text, a finite number or a boolean."""
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        value = array.item() if array.size == 1 else array.tolist()
    if isinstance(value, bool | int):
        return value if abs(value) < 2**63 else str(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    text = " ".join(str(value).split())  # also nan, inf, None, lists
    return text.encode("ascii", "replace").decode()


def add_provenance(header: fits.Header, provenance: Mapping) -> None:
    """Write {name: value} into a header: short legal names as keywords, others as `HIERARCH GALDIFF name`.

    Values that FITS cannot hold (NaN, None, lists, line breaks, letters beyond ASCII) become plain text; text too long
    for its card is continued on the next (cut with "..." where astropy cannot).
    """
    for name, raw in provenance.items():
        key = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in str(name)).upper()
        value = _value(raw)
        if key and len(key) <= 8 and key not in RESERVED and not key.startswith("NAXIS"):
            header[key] = value
            continue
        key = f"HIERARCH GALDIFF {key[:40]}"
        room = CARD - len(key) - len(" = ''")
        try:
            str(fits.Card(key, value))
        except ValueError:  # this astropy cannot continue text under HIERARCH
            text = str(value)
            value = text[: max(room - 3 - text[: room - 3].count("'"), 0)] + "..."
        header[key] = value


def add_comments(header: fits.Header) -> None:
    """Say what keywords mean and in which unit, on the cards that have room for it."""
    for key, text in COMMENTS.items():
        if key in header and len(str(header[key])) + len(text) < CARD - 16:
            header.comments[key] = text


def sky_header(n_y: int, n_x: int, spaxel_arcsec: float | tuple[float, float]) -> fits.Header:
    """Tangent-plane coordinates of a field whose first axis, as stored, runs to the West (East is left).

    Args:
      n_y, n_x: spaxels.
      spaxel_arcsec: spaxel size, or that along (x, y) [arcsec].
    """
    step_x, step_y = (size / 3600.0 for size in np.broadcast_to(spaxel_arcsec, 2).tolist())  # [deg]
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
    header["CRVAL1"], header["CRVAL2"] = POINTING
    header["CRPIX1"], header["CRPIX2"] = (n_x + 1) / 2, (n_y + 1) / 2
    header["CD1_1"], header["CD1_2"] = -step_x, 0.0
    header["CD2_1"], header["CD2_2"] = 0.0, step_y
    header["RADESYS"] = "ICRS"
    return header


def wavelength_header(wave: np.ndarray, medium: str) -> fits.Header:
    """Spectral axis of a grid (wave,) [Angstrom] that is uniform in wavelength or in its logarithm.

    Logarithmic grids follow Greisen et al. (2006, A&A 446, 747), section 3.2: wave = CRVAL3 exp(CD3_3 i / CRVAL3).

    Raises:
      InputError: the grid is neither, or not increasing, or the medium is unknown.
    """
    wave = np.asarray(wave, dtype=np.float64)
    if medium not in ("air", "vacuum"):
        raise InputError(f"cube.medium = '{medium}' is unknown; allowed: 'air', 'vacuum'")
    if wave.ndim != 1 or wave.size < 2 or not np.isfinite(wave).all() or not (np.diff(wave) > 0).all() or wave[0] <= 0:
        raise InputError("cube.wave [Angstrom] is no grid; expected two or more increasing positive wavelengths")
    index = np.arange(wave.size)
    step, log_step = (wave[-1] - wave[0]) / (wave.size - 1), np.log(wave[-1] / wave[0]) / (wave.size - 1)
    allowed = 1e-3 * np.diff(wave).min() + 2e-7 * wave[-1]  # single precision of the caller
    off, log_off = wave[0] + step * index - wave, wave[0] * np.exp(log_step * index) - wave
    linear = np.abs(off).max() <= np.abs(log_off).max()
    if min(np.abs(off).max(), np.abs(log_off).max()) > allowed:
        raise InputError(
            f"cube.wave is uniform neither in wavelength nor in its logarithm (off by {np.abs(off).max():.3g} A);"
            " choose a linear or logarithmic output grid"
        )
    header = fits.Header()
    header["CTYPE3"] = {"air": "AWAV", "vacuum": "WAVE"}[medium] + ("" if linear else "-LOG")
    header["CUNIT3"] = "Angstrom"
    header["SPECSYS"] = "BARYCENT", COMMENTS["SPECSYS"]
    header["CRVAL3"], header["CRPIX3"] = float(wave[0]), 1.0
    header["CD3_3"] = float(step if linear else wave[0] * log_step)
    for key in ("CD1_3", "CD2_3", "CD3_1", "CD3_2"):
        header[key] = 0.0
    return header


def read_wavelength(header: fits.Header, path: str) -> tuple[np.ndarray, str]:
    """Wavelengths (wave,) [Angstrom] and medium of a cube's header, linear or logarithmic."""
    kind = str(header.get("CTYPE3", "")).strip()
    media = {"AWAV": "air", "WAVE": "vacuum"}
    if kind.removesuffix("-LOG") not in media or "CD3_3" not in header or "CRVAL3" not in header:
        raise InputError(
            f"{path}: CTYPE3 = '{kind}' with CRVAL3, CD3_3 expected to describe AWAV or WAVE [Angstrom], linear or"
            " -LOG; this is no cube written by galdiff or in MUSE's format"
        )
    offset = header["CD3_3"] * (np.arange(1, header["NAXIS3"] + 1) - header.get("CRPIX3", 1.0))
    first = header["CRVAL3"]
    wave = first * np.exp(offset / first) if kind.endswith("-LOG") else first + offset
    return wave, media[kind.removesuffix("-LOG")]
