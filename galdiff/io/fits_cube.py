"""Cubes and maps as FITS files that MPDAF, specutils, pPXF scripts and QFitsView open (MUSE's layout).

Outside the aperture DATA and STAT are NaN and DQ is 1, as in MUSE's own cubes; reading puts zeros there. In the file
the first axis runs to the West (East is left); in records it grows to the East.
"""

import datetime
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from jaxtyping import ArrayLike

from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path, refuse_existing
from galdiff.io.fits_header import (
    COMMENTS,
    add_comments,
    add_provenance,
    read_wavelength,
    sky_header,
    wavelength_header,
)
from galdiff.io.preflight import BLOCK, check_space, cube_bytes
from galdiff.records import KinematicMaps, ObservedCube

DATA_UNIT = "10**(-20)*erg/s/cm**2/Angstrom"
STAT_UNIT = "10**(-40)*erg**2/s**2/cm**4/Angstrom**2"  # astropy cannot parse MUSE's own "(...)**2"
UNITS = ((DATA_UNIT,), (STAT_UNIT, f"({DATA_UNIT})**2"))  # of flux and variance in files that are read
EXTENSIONS = {"muse": ("DATA", "STAT", "DQ"), "jdaviz": ("FLUX", "VAR", "DQ")}  # flux, variance, mask
OUTSIDE = 1  # value of DQ outside the aperture
MAPS = {  # record field: extension, unit
    "flux": ("FLUX", ""),
    "v": ("V", "km/s"),
    "sigma": ("SIGMA", "km/s"),
    "h3": ("H3", ""),
    "h4": ("H4", ""),
    "age": ("AGE", "Gyr"),
    "metallicity": ("Z", ""),
}
WEIGHTS = {
    "light": ("_L", "solLum"),
    "mass": ("_M", "solMass"),
    "seen": ("_PSF", "solLum"),
}  # suffix, unit of the flux map


def _stored(values: ArrayLike, inside: np.ndarray, fill: float) -> np.ndarray:
    """An array (y, x, wave) as the file holds it: (wave, y, x), East left, big-endian float32, `fill` outside."""
    values = np.asarray(values)
    out = np.empty((values.shape[2], *values.shape[:2]), dtype=">f4")
    for k in range(0, len(out), 64):  # in blocks that fit the cache
        out[k : k + 64] = np.moveaxis(values[:, :, k : k + 64], 2, 0)[:, :, ::-1]
    out[:, ~inside[:, ::-1]] = fill
    return out


def _check_cube(cube: ObservedCube) -> np.ndarray:
    """The aperture mask of a cube that may be written; else InputError."""
    flux, variance, inside = np.asarray(cube.flux), np.asarray(cube.variance), np.asarray(cube.inside, dtype=bool)
    n_wave = np.asarray(cube.wave).shape
    if flux.ndim != 3 or variance.shape != flux.shape or inside.shape != flux.shape[:2] or n_wave != flux.shape[2:]:
        raise InputError(
            f"cube: flux {flux.shape}, variance {variance.shape}, inside {inside.shape}, wave {n_wave} do not agree;"
            " expected (y, x, wave), the same, (y, x) and (wave,)"
        )
    for name, values in (("flux", flux), ("variance", variance)):
        # row by row: cubes are large, and a masked copy would double the memory
        if bad := sum(int((~np.isfinite(row[mask])).sum()) for row, mask in zip(values, inside, strict=True)):
            raise InputError(f"cube.{name} holds {bad} values inside the aperture that are not finite; check inputs")
    if any((row[mask] < 0).any() for row, mask in zip(variance, inside, strict=True)):
        raise InputError("cube.variance is negative inside the aperture; expected (1e-20 erg/s/cm2/Angstrom)^2 >= 0")
    if not min(cube.spaxel_size) > 0:
        raise InputError(f"cube.spaxel_arcsec = {cube.spaxel_size} is no spaxel size; give positive ones [arcsec]")
    return inside


def write_cube(
    path: str | os.PathLike,
    cube: ObservedCube,
    *,
    provenance: Mapping,
    redshift: float,
    maps: KinematicMaps | Mapping[str, KinematicMaps] | None = None,
    tables: Iterable[fits.BinTableHDU] = (),
    extensions: str = "muse",
    overwrite: bool = False,
) -> None:
    """Write a cube as DATA, STAT (variance) and DQ, then maps and tables if given; whole or not at all.

    Args:
      path: the file to make.
      cube: flux and variance (y, x, wave) [1e-20 erg/s/cm2/A and its square], wave (wave,) in cube.medium.
      provenance: what made it (version, config hash, inclination, seed, ...), into the primary header.
      redshift: of the source, keyword REDSHIFT.
      maps: one set of maps, or {"light": ..., "mass": ...}, as further images.
      tables: further tables, as `lsf_table` and `galdiff.io.config_table.config_table` make them.
      extensions: names of flux, variance and mask: muse, or jdaviz for FLUX, VAR and DQ.
      overwrite: replace an existing file.

    Raises:
      InputError: bad cube, existing file, no room on the disk, or the disk refuses.
    """
    refuse_existing(path, overwrite)
    inside = _check_cube(cube)
    n_y, n_x, n_wave = np.asarray(cube.flux).shape
    header = sky_header(n_y, n_x, cube.spaxel_size)
    header.update(wavelength_header(np.asarray(cube.wave), cube.medium))
    check_space(path, cube_bytes(n_y, n_x, n_wave))
    quality = np.where(inside[:, ::-1], 0, OUTSIDE).astype(np.uint8)
    small = [] if maps is None else _map_images(maps, cube.spaxel_size)
    small += tables
    flux, variance, mask = EXTENSIONS[extensions]

    def hdus() -> Iterator:
        """One after the other, so that memory holds one copy of the cube at a time."""
        yield _primary(provenance, redshift)
        yield _image(_stored(cube.flux, inside, np.nan), header, flux, DATA_UNIT)
        yield _image(_stored(cube.variance, inside, np.nan), header, variance, STAT_UNIT)
        yield _image(np.broadcast_to(quality, (n_wave, n_y, n_x)).copy(), header, mask, "")
        yield from small

    _write(path, hdus(), overwrite)


def write_maps(
    path: str | os.PathLike,
    maps: KinematicMaps | Mapping[str, KinematicMaps],
    *,
    spaxel_arcsec: float | tuple[float, float],
    provenance: Mapping,
    redshift: float,
    spaxels: Mapping[str, np.ndarray] | None = None,
    lines: Mapping[str, tuple[np.ndarray, str]] | None = None,
    overwrite: bool = False,
) -> None:
    """Write one image per map, with unit and sky coordinates; NaN marks empty spaxels.

    Args:
      path: the file to make.
      maps: one set (extensions FLUX, V, SIGMA, H3, H4, AGE, Z), or {"light": ..., "mass": ..., "seen": ...} (FLUX_L,
        FLUX_M, FLUX_PSF, ...; flux in Lsun or Msun); each (y, x).
      spaxel_arcsec: spaxel size, or that along (x, y) [arcsec].
      provenance: as in `write_cube`.
      redshift: of the source.
      spaxels: further images, shape (y, x), without unit by extension; whole numbers stay so.
      lines: images of gas, shape (y, x), with their unit, by extension.
      overwrite: replace an existing file.
    """
    images = _map_images(maps, spaxel_arcsec)
    for name, (data, unit) in {**{k: (v, "") for k, v in (spaxels or {}).items()}, **(lines or {})}.items():
        kind = data.dtype if data.dtype.kind == "u" else ">f4"
        header = sky_header(data.shape[0], data.shape[1], spaxel_arcsec)
        images.append(_image(np.ascontiguousarray(data[:, ::-1], dtype=kind), header, name, unit))
    check_space(path, sum(image.data.nbytes + 2 * BLOCK for image in images))
    _write(path, [_primary(provenance, redshift), *images], overwrite)


def _primary(provenance: Mapping, redshift: float) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU()
    hdu.header["ORIGIN"] = "galdiff"
    hdu.header["DATE"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").removesuffix("+00:00")
    hdu.header.comments["DATE"] = "UTC, of this file"
    hdu.header["EXPTIME"] = None
    add_provenance(hdu.header, {**provenance, "REDSHIFT": redshift})
    add_comments(hdu.header)
    return hdu


def _image(data: np.ndarray, header: fits.Header, name: str, unit: str) -> fits.ImageHDU:
    hdu = fits.ImageHDU(data, header=header, name=name)
    if unit:
        hdu.header["BUNIT"] = unit
    return hdu


def lsf_table(wave: np.ndarray, fwhm: Any, library: Any = None) -> fits.BinTableHDU:
    """The table LSF: FWHM of a sharp line before it is integrated over the pixel, as the keyword LSFPIXEL says.

    Args:
      wave: where [Angstrom], shape (n,).
      fwhm: FWHM of the data [Angstrom], shape (n,).
      library: what the library alone has, in the same frame [Angstrom], shape (n,).
    """
    found = {"WAVE": wave, "FWHM": fwhm} | ({} if library is None else {"LIBRARY": library})
    columns = [fits.Column(n, "D", unit="Angstrom", array=np.asarray(x, dtype=float)) for n, x in found.items()]
    table = fits.BinTableHDU.from_columns(columns, name="LSF")
    table.header["LSFPIXEL"] = "before", COMMENTS["LSFPIXEL"]
    return table


def _map_images(
    maps: KinematicMaps | Mapping[str, KinematicMaps], spaxel_arcsec: float | tuple[float, float]
) -> list[fits.ImageHDU]:
    """Images of all maps, East left."""
    if isinstance(maps, KinematicMaps):
        sets = [(maps, "", "")]
    else:
        if unknown := set(maps) - set(WEIGHTS):
            raise InputError(f"maps: unknown weight {', '.join(sorted(unknown))}; allowed: {', '.join(WEIGHTS)}")
        sets = [(values, *WEIGHTS[weight]) for weight, values in maps.items()]
    images = []
    for values, suffix, flux_unit in sets:
        for field, (name, unit) in MAPS.items():
            data = np.asarray(getattr(values, field))
            header = sky_header(data.shape[0], data.shape[1], spaxel_arcsec)
            stored = np.ascontiguousarray(data[:, ::-1], dtype=">f4")
            images.append(_image(stored, header, name + suffix, flux_unit if field == "flux" else unit))
    return images


def _write(path: str | os.PathLike, hdus: Iterable, overwrite: bool) -> None:
    """Write the primary and append the extensions to a file that appears when it is whole."""
    with atomic_path(path, overwrite) as temporary:
        for hdu in hdus:
            if isinstance(hdu, fits.PrimaryHDU):
                hdu.writeto(temporary)
                continue
            with fits.open(temporary, mode="append", memmap=False) as file:
                file.append(hdu)


def read_cube(path: str | os.PathLike) -> ObservedCube:
    """Read a cube with DATA and STAT, or FLUX and VAR (and DQ), in MUSE's layout.

    Flux and variance are float32, and zero outside the aperture.

    Raises:
      InputError: not FITS, truncated, no DATA or STAT, another unit, or no wavelength axis.
    """
    path = os.fspath(path)
    try:
        with warnings.catch_warnings(), fits.open(path, memmap=False) as hdus:
            warnings.filterwarnings("error", message="File may have been truncated")
            names = [hdu.name for hdu in hdus]
            found = next((e for e in EXTENSIONS.values() if set(e[:2]) <= set(names)), None)
            if found is None:
                raise InputError(
                    f"{path}: extensions {', '.join(names)}; expected DATA and STAT (variance), or FLUX and VAR"
                )
            header = hdus[found[0]].header
            flux, variance = (_from_file(hdus, n, u, path) for n, u in zip(found[:2], UNITS, strict=True))
            inside = np.isfinite(flux).any(2)
            if "DQ" in names:
                inside = ~(np.moveaxis(hdus["DQ"].data, 0, 2)[:, ::-1] != 0).all(2)
    except (OSError, TypeError, AstropyUserWarning) as error:  # a TypeError where a short array gets its shape
        raise InputError(
            f"{path}: no readable FITS cube ({' '.join(str(error).split())[:120]}); check the path, or make it anew"
        ) from error
    wave, medium = read_wavelength(header, path)
    for values in (flux, variance):
        values[~inside] = 0.0
    x, y = (float(f"{abs(float(header[key])) * 3600.0:.12g}") for key in ("CD1_1", "CD2_2"))
    arrays: dict[str, Any] = {"flux": flux, "variance": variance, "wave": wave, "inside": inside}
    return ObservedCube(**arrays, medium=medium, spaxel_arcsec=x, spaxel_y_arcsec=None if x == y else y)


def _from_file(hdus: fits.HDUList, name: str, units: tuple[str, ...], path: str) -> np.ndarray:
    """A cube of the file as (y, x, wave) float32, x growing to the East."""
    found = str(hdus[name].header.get("BUNIT", "")).strip()
    if found not in units:
        raise InputError(f"{path}: {name} has BUNIT = '{found}'; expected '{units[0]}': convert it first")
    return np.ascontiguousarray(np.moveaxis(hdus[name].data, 0, 2)[:, ::-1], dtype=np.float32)
