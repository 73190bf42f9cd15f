"""Make an SSP library with FSPS (Conroy, Gunn & White 2009, ApJ 699, 486; Conroy & Gunn 2010), through python-fsps."""

import importlib
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np

from galdiff import units
from galdiff.errors import InputError
from galdiff.records import SSPGrid
from galdiff.sps.grid import C_ANGSTROM_S, cut_wave, make_grid
from galdiff.sps.line_columns import line_columns
from galdiff.sps.reader import Maker

LSUN = units.LSUN_FSPS_ERG_S / units.LSUN_ERG_S  # that of FSPS in ours
IMFS = {0: "Salpeter 1955", 1: "Chabrier 2003", 2: "Kroupa 2001", 3: "van Dokkum 2008", 4: "Dave 2008", 5: "tabulated"}


@typing.final
class Fsps(Maker):
    """The installed FSPS."""

    kind = "fsps"

    def make(
        self,
        *,
        imf_type: int = 1,
        wave_range: tuple[float, float] = (1000.0, 25000.0),
        fwhm: float | Sequence | None = None,
        **parameters: Any,
    ) -> SSPGrid:
        """Compute the SSPs of the installed FSPS: its isochrones, stars, ages and metallicities; takes minutes.

        Args:
          imf_type: 0 Salpeter, 1 Chabrier, 2 Kroupa, 3 van Dokkum, 4 Dave, 5 tabulated.
          wave_range: part to keep [Angstrom, vacuum].
          fwhm: resolution [Angstrom], as in `fwhm_on`, instead of that of the stars FSPS uses.
          **parameters: further parameters of fsps.StellarPopulation (add_neb_emission, imf3, ...).

        Returns:
          The library; dust-free and without nebular emission unless `parameters` ask for them. With add_neb_emission
          it has the luminosities of the lines too, which are in its spectra as well unless nebemlineinspec=False.

        Raises:
          InputError: python-fsps is not there, or not usable, or too old to know its resolution.
        """
        fsps = _import_fsps()
        if imf_type not in IMFS:
            raise InputError(f"imf_type is {imf_type}; choose {', '.join(f'{k} ({v})' for k, v in IMFS.items())}")
        fixed = {"zcontinuous": 0, "sfh": 0, "vactoair_flag": False, "zred": 0.0}
        clash = sorted(fixed.keys() & parameters.keys())
        if clash:
            raise InputError(f"fsps parameter {', '.join(clash)} is fixed for an SSP library; leave it out")
        population = fsps.StellarPopulation(imf_type=imf_type, **fixed, **parameters)
        # peraa=True would use c = 3e18 Angstrom/s, 7e-4 too much.
        wave, spectra, lines = _computed(population, bool(parameters.get("add_neb_emission")))
        if fwhm is None:
            resolutions = getattr(population, "resolutions", None)
            if resolutions is None:
                raise InputError(
                    "this python-fsps does not state the resolution of its spectra; update it, or give fwhm=..."
                )
            # Negative values mark the approximate resolution of theoretical spectra.
            fwhm = np.abs(resolutions) / units.C_KMS * units.FWHM_PER_SIGMA * wave
        return cut_wave(
            make_grid(
                "fsps",
                fwhm=fwhm,
                medium="vacuum",
                ssp_wave=wave,
                ssp_lg_age_gyr=np.asarray(population.ssp_ages) - 9.0,
                ssp_lgmet=np.log10(population.zlegend),
                ssp_flux=spectra * (LSUN * C_ANGSTROM_S / wave**2),
                name="FSPS " + " ".join(_text(name) for name in population.libraries),
                imf=IMFS[imf_type],
                **lines,
            ),
            *wave_range,
        )


def _computed(population: Any, nebular: bool) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Wavelengths [Angstrom], spectra (met, age, wave) [Lsun/Hz/Msun of FSPS] and fields of the lines, if any."""
    spectra, lums = [], []
    for i in range(len(population.zlegend)):
        wave, one = population.get_spectrum(zmet=i + 1, tage=0.0, peraa=False)
        spectra.append(one)
        if nebular:
            lums.append(LSUN * np.asarray(population.emline_luminosity))  # of this metallicity, all ages
    nodes, lines = (len(spectra), len(population.ssp_ages)), {}
    if nebular:
        lines = line_columns("fsps", wave=population.emline_wavelengths, lum=np.stack(lums), names=None, nodes=nodes)
    return wave, np.stack(spectra), lines


def _import_fsps() -> Any:
    try:
        return importlib.import_module("fsps")
    except (ImportError, OSError, RuntimeError) as error:
        raise InputError(
            f"kind 'fsps' needs python-fsps, which does not import ({error}); install it (`pip install fsps`, with FSPS"
            " itself in $SPS_HOME), or give the path of an SSP file"
        ) from error


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
