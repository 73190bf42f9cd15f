"""Galaxies out of real pynbody, yt and swiftsimio objects against the file itself: python benchmarks/real_objects.py.

An extra job, for these packages are not among those of the tests: install what is wanted of pynbody, yt and swiftsimio
beside galdiff. Small files in the layouts of GIZMO and SWIFT are written, opened by each package that is there, and
held against `galdiff.read_galaxy`. Prints the largest differences, and exits with 1 where one is too large.
"""

import importlib.util
import pathlib
import sys
import tempfile
import warnings
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))  # where the files are

import numpy as np
from object_files import write_gizmo_file, write_swift_file

import galdiff
from galdiff.io.simulations import read_galaxy
from galdiff.records import Galaxy

# packages have their own Msun and kpc, and radiation in their times
TOLERANCES = {"pos": 2e-3, "vel": 2e-4, "mass": 2e-3, "mass_now": 2e-3, "age": 3e-3, "metallicity": 1e-6}


def pynbody_galaxy(path: str) -> Galaxy:
    """By pynbody, in the units that the file has."""
    import pynbody

    return galdiff.from_pynbody(pynbody.load(path))


def yt_galaxy(path: str) -> Galaxy:
    """By yt, in code units."""
    import yt

    yt.set_log_level(50)
    return galdiff.from_yt(yt.load(path))


def swiftsimio_galaxy(path: str) -> Galaxy:
    """By swiftsimio, comoving."""
    import swiftsimio

    return galdiff.from_swiftsimio(swiftsimio.load(path))


CASES: tuple[Any, ...] = (
    ("pynbody", pynbody_galaxy, write_gizmo_file),
    ("yt", yt_galaxy, write_gizmo_file),
    ("swiftsimio", swiftsimio_galaxy, write_swift_file),
)


def main() -> int:
    """Compare with every package that is installed."""
    bad = 0
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for name, opened, write in CASES:
            if importlib.util.find_spec(name) is None:
                print(f"{name}: not installed")
                continue
            path = str(pathlib.Path(folder) / f"{name}.hdf5")
            write(path)
            found, true = opened(path), read_galaxy(path)
            apart = {}
            for key, tolerance in TOLERANCES.items():
                left, right = (np.asarray(getattr(each.stars, key)) for each in (found, true))
                apart[key] = float(np.abs(left - right).max() / np.abs(right).max())
                bad += not apart[key] < tolerance
            print(
                f"{name} {importlib.import_module(name).__version__}: {len(found.stars.mass)} stars,"
                f" {0 if found.gas is None else len(found.gas.mass)} gas, z = {found.redshift:.4f}; apart "
                + ", ".join(f"{key} {value:.0e}" for key, value in apart.items())
            )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
