"""A galaxy of a simulation in a run that may have another cosmology than the simulation had."""

import os
import warnings
from collections.abc import Mapping
from typing import Any

from galdiff.core.buildable import buildable
from galdiff.cosmology import Cosmology, difference
from galdiff.io.simulations import known_conventions, read_galaxy
from galdiff.io.simulations.convention import Convention
from galdiff.io.simulations.parts import parts_of
from galdiff.records import Galaxy


@buildable(reads=True)
def galaxy_in_run(
    path: str | os.PathLike,
    *,
    cosmology: Cosmology,
    convention: str | Convention | None = None,
    centre: Any = "shrinking_sphere",
    r_max_kpc: float | None = None,
    redshift: float | None = None,
    units: Mapping[str, str] | None = None,
    populations: Mapping | None = None,
) -> Galaxy:
    """Read one galaxy; one warning where the file's header has another cosmology than the run.

    Ages stay those of the header's cosmology, in which the stars formed; distances are those of the run.

    Args:
      path: as in `read_galaxy`, with which all but one argument are shared.
      cosmology: of the run. Differences of 1 % and less in h0, Omega_m and w are passed over.
      convention, centre, r_max_kpc, redshift, units, populations: as in `read_galaxy`.
    """
    galaxy = read_galaxy(
        path,
        convention=convention,
        centre=centre,
        r_max_kpc=r_max_kpc,
        redshift=redshift,
        units=units,
        populations=populations,
    )
    found = convention if isinstance(convention, Convention) else known_conventions()[galaxy.name.split(":")[0]]
    own = header_cosmology(path, found)
    if own is not None and (said := difference(own, cosmology)):
        warnings.warn(
            f"{os.path.basename(path)}: the simulation's cosmology is not that of the run ({said}); ages are those of"
            " the simulation, distances those of the run; to follow the file, give cosmology=own and its parameters",
            stacklevel=2,
        )
    return galaxy


def header_cosmology(path: str | os.PathLike, convention: Convention) -> Cosmology | None:
    """Flat cosmology of a file's header; None for tables and N-body files, whose headers have none."""
    return convention.cosmology(parts_of(os.path.expanduser(os.fspath(path)))[0])
