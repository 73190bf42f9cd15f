"""The folder that a simulated observation leaves: cube, maps, pictures, summary and config, each whole or absent."""

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
from galdiff.io.fits_cube import write_cube, write_maps
from galdiff.records import KinematicMaps, ObservedCube

KEYWORDS = {  # FITS keyword: place in the summary
    "VERSION": "versions.galdiff",
    "COMMIT": "versions.commit",
    "CONFHASH": "config_hash",
    "SOURCE": "galaxy",
    "INSTRUME": "instrument",
    "DISTANCE": "luminosity_distance_mpc",
    "INC": "view.inclination",
    "PA": "view.position_angle",
    "SSP": "library",
    "IMF": "imf",
    "NPART": "stars.in_field.number",
    "SNR": "noise.snr",
    "SEED": "noise.seed",
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


def write_products(
    folder: str | os.PathLike,
    cube: ObservedCube,
    maps: Mapping[str, KinematicMaps],
    *,
    summary: Callable[[], Mapping],
    config: str,
    lsf: tuple,
    figures: Mapping[str, Any],
    spaxels: Mapping[str, np.ndarray] | None = None,
    overwrite: bool = False,
) -> None:
    """Write cube.fits, maps.fits, the pictures, config.yaml and summary.json.

    Args:
      folder: where; it exists.
      cube: what was observed.
      maps: by weight, {"light": ...} or {"mass": ...}.
      summary: makes what summary.json says; called twice, at the end for the time that it took.
      config: the resolved config as text.
      lsf: (wave, fwhm) [Angstrom] of the instrument.
      figures: {file name: matplotlib figure}.
      spaxels: further images (y, x) of maps.fits by extension.
      overwrite: replace existing files.

    Raises:
      InputError: an existing file, or the disk refuses.
    """
    folder, said = pathlib.Path(folder), summary()
    options: dict[str, Any] = dict(provenance=provenance_of(said), redshift=said["redshift"], overwrite=overwrite)
    write_cube(folder / "cube.fits", cube, lsf=lsf, **options)
    write_maps(folder / "maps.fits", maps, spaxel_arcsec=cube.spaxel_size, spaxels=spaxels, **options)
    for name, figure in figures.items():
        with atomic_path(folder / name, overwrite) as path:
            figure.savefig(path, dpi=150)
    with atomic_path(folder / "config.yaml", overwrite) as path:
        path.write_text(config, encoding="utf-8")
    with atomic_path(folder / "summary.json", overwrite) as path:
        path.write_text(json.dumps(plain(summary()), indent=2) + "\n", encoding="utf-8")
