"""The folder that a simulated observation leaves: cube, maps, pictures, summary and config, each whole or absent."""

import dataclasses
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from galdiff.io.atomic import atomic_path
from galdiff.io.config_table import config_table
from galdiff.io.fits_cube import lsf_table, write_cube, write_maps
from galdiff.records import KinematicMaps, ObservedCube

KEYWORDS = {  # FITS keyword: place in the summary
    "VERSION": "versions.galdiff",
    "COMMIT": "versions.commit",
    "CONFHASH": "config_hash",
    "OBJECT": "galaxy",
    "SOURCE": "galaxy",
    "INSTRUME": "instrument",
    "DISTANCE": "luminosity_distance_mpc",
    "INC": "view.inclination",
    "PA": "view.position_angle",
    "SSP": "library",
    "IMF": "imf",
    "NPART": "stars.in_field.number",
    "LGMSTAR": "grown.log10_mstar",
    "LGMFORM": "grown.log10_mstar_formed",
    "MFORMED": "stars.all.mass_formed_msun",
    "AVMEAN": "stars.in_field.a_v_mag",
    "SNR": "noise.snr",
    "SEED": "noise.seed",
    "NOISE": "noise.mode",
    "EXPTIME": "noise.exposure_s",
    "NEXP": "noise.n_exposures",
    "CORRSIG": "noise.correlation_arcsec",
    "PSF": "psf.kind",
    "PSFBETA": "psf.beta",
    "PSFFWHM": "psf.fwhm_arcsec.middle",
    "PSFWAVE": "psf.wave_middle",
    **{f"{band.upper()}FWHM": f"psf.fwhm_arcsec.{band}" for band in "ugrizjhk"},
    "LIBFWHM": "library_resolution.fwhm_angstrom",
    "LIBWAVE": "library_resolution.wave_angstrom",
    "ENGINE": "engine.name",
}


def plain(value: Any) -> Any:
    """A value that JSON can hold: numbers and arrays of NumPy or JAX become Python's, NaN and infinity None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return plain(np.asarray(value).tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def config_hash(text: str) -> str:
    """Short name of a config: the same text, the same cube."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def provenance_of(summary: Mapping) -> dict[str, Any]:
    """FITS keywords from a summary; what it does not hold is left out."""
    found = {}
    for keyword, place in KEYWORDS.items():
        value: Any = summary
        for name in place.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            found[keyword] = value
    return found


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Products:
    """What a simulated observation leaves.

    Args:
      cube: what was observed.
      maps: by weight, {"light": ...} or {"mass": ...}, and {"seen": ...} of light through the PSF.
      summary: makes what summary.json says; called twice, at the end for the time that it took.
      config: the resolved config as text, for config.yaml.
      stored: the same for cube.fits, without the folder of this run.
      lsf: arguments of `lsf_table`: wavelength, FWHM of the data, that of the library [Angstrom].
      figures: {file name: matplotlib figure}.
      extensions: names in cube.fits, see `write_cube`.
      spaxels: further images (y, x) of maps.fits by extension.
      lines: images of gas with their unit, likewise.
    """

    cube: ObservedCube
    maps: Mapping[str, KinematicMaps]
    summary: Callable[[], Mapping]
    config: str
    stored: str
    lsf: tuple
    figures: Mapping[str, Any]
    extensions: str = "muse"
    spaxels: Mapping[str, np.ndarray] | None = None
    lines: Mapping[str, tuple[np.ndarray, str]] | None = None


def write_products(folder: str | os.PathLike, made: Products, overwrite: bool = False) -> None:
    """Write cube.fits, maps.fits, the pictures, config.yaml and summary.json.

    Args:
      folder: where; it exists.
      made: what to write.
      overwrite: replace existing files.

    Raises:
      InputError: an existing file, or the disk refuses.
    """
    folder, said = pathlib.Path(folder), made.summary()
    options: dict[str, Any] = dict(provenance=provenance_of(said), redshift=said["redshift"], overwrite=overwrite)
    tables = (lsf_table(*made.lsf), config_table(made.stored))
    write_cube(folder / "cube.fits", made.cube, tables=tables, extensions=made.extensions, **options)
    size = made.cube.spaxel_size
    write_maps(folder / "maps.fits", made.maps, spaxel_arcsec=size, spaxels=made.spaxels, lines=made.lines, **options)
    for name, figure in made.figures.items():
        with atomic_path(folder / name, overwrite) as path:
            _draw(figure, path)
    with atomic_path(folder / "config.yaml", overwrite) as path:
        path.write_text(made.config, encoding="utf-8")
    with atomic_path(folder / "summary.json", overwrite) as path:
        path.write_text(json.dumps(plain(made.summary()), indent=2) + "\n", encoding="utf-8")


def _draw(figure: Any, path: pathlib.Path) -> None:
    """A figure as PNG, drawn once: `savefig` draws twice, to measure what it could cut off."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # Matplotlib takes a second to load

    FigureCanvasAgg(figure).print_png(path)
