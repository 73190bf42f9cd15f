"""The last step of every reader: columns that were read become a galaxy at rest around its centre."""

import warnings
from typing import Any

from galdiff.errors import InputError
from galdiff.io.simulations.convention import Raw
from galdiff.io.simulations.frame import check_columns, to_rest_frame
from galdiff.records import Galaxy, GasParticles, StarParticles


def galaxy_of(
    raw: Raw,
    *,
    name: str,
    centre: Any = "shrinking_sphere",
    r_max_kpc: float | None = None,
    redshift: float | None = None,
    where: str | None = None,
) -> Galaxy:
    """Check columns, move them to their centre and rest frame, and say what the reader noted.

    Args:
      raw: columns in internal units and box coordinates.
      name: of the galaxy.
      centre: as in `read_galaxy`.
      r_max_kpc: the same [kpc].
      redshift: the same [1].
      where: what notes are about, if not `raw.path`.

    Raises:
      InputError: values that no particle can have, no star in the sphere, or wrong options.
    """
    for note in raw.notes:
        warnings.warn(f"{where or raw.path}: {note}", stacklevel=3)
    check_columns(raw)
    parts: tuple[Any, Any] = to_rest_frame(raw, centre, r_max_kpc)  # records of numpy arrays, not yet on a device
    stars, gas = parts
    if redshift is not None and not redshift >= 0:
        raise InputError(f"redshift = {redshift} is not allowed; give a number of zero or more, or null")
    return Galaxy(
        stars=StarParticles(**stars),
        gas=None if gas is None else GasParticles(**gas),
        redshift=raw.redshift if redshift is None else float(redshift),
        name=name,
    )
