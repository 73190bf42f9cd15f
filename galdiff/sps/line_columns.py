"""Luminosities of emission lines that an SSP library brings with it, checked."""

from typing import Any

import numpy as np

from galdiff.core import air
from galdiff.core.numbers import numeric
from galdiff.errors import InputError

WAVE_LIMITS = (100.0, 1e7)  # Angstrom: from the far ultraviolet to the far infrared
BRIGHTEST = 1e4  # Lsun per Msun formed: more than young stars have in all


def line_columns(
    source: str, *, wave: Any, lum: Any, names: Any, nodes: tuple[int, int], medium: str = "vacuum"
) -> dict[str, Any]:
    """The fields of `SSPGrid` that hold emission lines.

    Args:
      source: file, named in errors.
      wave: wavelength of each line [Angstrom], shape (line,), in any order.
      lum: luminosities [Lsun/Msun], shape (met, age, line).
      names: name of each line; None where there are none.
      nodes: numbers of metallicities and ages.
      medium: air or vacuum, of the wavelengths.

    Returns:
      `line_wave` in vacuum, `line_lum_per_msun` and `line_names`.

    Raises:
      InputError: shapes that do not fit, values that are not finite, negative or beyond the limits.
    """
    waves, lums = numeric(wave, f"{source}: ssp_emline_wave"), numeric(lum, f"{source}: ssp_emline_luminosity")
    if waves.ndim != 1 or lums.shape != (*nodes, waves.size):
        raise InputError(
            f"{source}: ssp_emline_luminosity has shape {lums.shape}; (met, age, line) = {(*nodes, waves.size)} is"
            " needed, with one ssp_emline_wave for each line"
        )
    lo, hi = WAVE_LIMITS
    if not ((waves >= lo) & (waves <= hi)).all():
        raise InputError(
            f"{source}: ssp_emline_wave runs from {waves.min():g} to {waves.max():g}; Angstrom from {lo:g} to {hi:g}"
            " are expected: convert it"
        )
    if not ((lums >= 0) & (lums <= BRIGHTEST)).all():
        raise InputError(
            f"{source}: ssp_emline_luminosity runs from {lums.min():g} to {lums.max():g} Lsun per Msun formed; expected"
            f" 0 to {BRIGHTEST:g}, all finite: convert or repair it"
        )
    said = () if names is None else tuple(n.decode() if isinstance(n, bytes) else str(n) for n in np.atleast_1d(names))
    if said and len(said) != waves.size:
        raise InputError(f"{source}: ssp_emline_name has {len(said)} names for {waves.size} lines; give one for each")
    vacuum = np.asarray(air.air_to_vacuum(waves)) if medium == "air" else waves
    return {"line_wave": vacuum, "line_lum_per_msun": lums, "line_names": said}
