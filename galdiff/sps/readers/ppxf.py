"""Read the SSP libraries of pPXF, `spectra_*.npz` (Cappellari 2023, MNRAS 526, 3273): Lsun/A per Msun formed."""

import pathlib
import typing
from collections.abc import Sequence

import numpy as np

from galdiff.core.numbers import numeric, real
from galdiff.errors import InputError
from galdiff.records import SSPGrid
from galdiff.sps.grid import make_grid
from galdiff.sps.reader import Reader, npz_names
from galdiff.units import Z_SUN_ISOCHRONES

FIELDS = ("templates", "lam", "ages", "metals", "fwhm")
# Medium of `lam` as pPXF's own examples treat it, and Z of [M/H] = 0 of the isochrones: the files state neither.
MEDIUM = {"emiles": "air", "fsps": "vacuum", "galaxev": "vacuum", "xsl": "vacuum"}
ISOCHRONES = {"emiles": "Padova00", "fsps": "MIST", "galaxev": "BC03", "xsl": "PARSEC"}


@typing.final
class Ppxf(Reader):
    """An npz archive with `templates` and `lam`."""

    kind = "ppxf"
    files = "npz with templates and lam (pPXF)"

    def recognises(self, path: pathlib.Path) -> bool:
        """Whether it is npz with arrays `templates` and `lam`."""
        return {"templates", "lam"} <= npz_names(path)

    def read(
        self,
        path: pathlib.Path,
        *,
        medium: str | None = None,
        z_sun: float | None = None,
        imf: str = "not stated",
        fwhm: float | Sequence | None = None,
    ) -> SSPGrid:
        """Read a pPXF library.

        Args:
          path: npz file with templates[wave, age, met] [Lsun/Angstrom/Msun], lam [Angstrom], ages [Gyr], metals [M/H]
            and fwhm [Angstrom]. The library is recognised by its name, spectra_<library>_<version>.npz.
          medium: air or vacuum; known for emiles, fsps, galaxev and xsl.
          z_sun: metal mass fraction at [M/H] = 0; known for the same libraries.
          imf: initial mass function, which the files do not state.
          fwhm: resolution [Angstrom], as in `fwhm_on`, instead of the file's.

        Returns:
          The library in vacuum.

        Raises:
          InputError: not an npz file, a field is missing, or medium and z_sun are needed and not given.
        """
        data = _arrays(path, FIELDS if fwhm is None else FIELDS[:-1])
        parts = path.stem.split("_")
        library = parts[1] if len(parts) > 1 else path.stem
        medium, z_sun = medium or MEDIUM.get(library), z_sun or Z_SUN_ISOCHRONES.get(ISOCHRONES.get(library, ""))
        if medium is None or z_sun is None:
            raise InputError(
                f"{path}: '{library}' is not one of {', '.join(MEDIUM)}; give"
                " medium=air or vacuum and z_sun=<Z at [M/H]=0>"
            )
        templates = real(data["templates"], f"{path}: templates")
        if templates.ndim != 3:
            raise InputError(f"{path}: templates has shape {templates.shape}; (wave, age, met) is needed")
        ages = numeric(data["ages"], f"{path}: ages")
        if not (ages > 0).all():
            raise InputError(f"{path}: ages holds {ages.min():g} Gyr; ages are positive: repair it")
        return make_grid(
            str(path),
            fwhm=data["fwhm"] if fwhm is None else fwhm,
            medium=medium,
            ssp_wave=data["lam"],
            ssp_lg_age_gyr=np.log10(ages),
            ssp_lgmet=numeric(data["metals"], f"{path}: metals") + np.log10(z_sun),
            ssp_flux=np.ascontiguousarray(templates.T),
            name=path.stem,
            imf=imf,
        )


def _arrays(path: pathlib.Path, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays of the file that have a meaning here; all that are wanted are there."""
    try:
        with path.open("rb") as handle, np.load(handle) as file:
            data = {name: file[name] for name in FIELDS if name in file}
            found = list(file)
    except Exception as error:  # damaged archives raise nearly everything
        raise InputError(f"{path}: cannot be read as npz ({error}); give a complete pPXF library") from error
    missing = [name for name in wanted if name not in data]
    if missing:
        raise InputError(
            f"{path}: no {', '.join(missing)}, but {', '.join(found)}; a pPXF library holds {', '.join(FIELDS)}"
        )
    return data
