"""Differentiable galaxy physics, from halo growth to integral-field cubes.

    galaxy = galdiff.grow(log10_mvir=12.1)
    mock = galdiff.observe(galaxy, instrument="muse_wfm", inclination=60, redshift=0.05)
    mock.save("out")

The names of this module are the stable ones: between minor versions they keep their meaning, their keywords and the
names and units of record fields; what changes is in the changelog, with a warning for one minor version where that is
possible. Keys and presets in conf/ are as stable as the keywords that stand for them. All below (`galdiff.ifu.plan` and
so on) may move between minor versions; numbers may change in every version where physics or numerics improve.

Importing galdiff loads and does nothing: each name is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galdiff import cosmology
    from galdiff.core.correction import Correction, LogGain, NoCorrection, SimplexTilt
    from galdiff.core.pipeline import Pipeline
    from galdiff.core.stage import Stage
    from galdiff.core.variables import Physical, Table, physical, table
    from galdiff.cosmology import Cosmology
    from galdiff.errors import InputError
    from galdiff.front.calls import draw_disc, grow, observe, pipeline, read_galaxy
    from galdiff.front.infer import infer
    from galdiff.front.products import Mock, Target
    from galdiff.ifu.instrument import Instrument, make_instrument
    from galdiff.ifu.plan import Precision, make_plan
    from galdiff.inference.posterior import make_posterior
    from galdiff.io.fits_cube import read_cube
    from galdiff.io.histories import read_history
    from galdiff.io.simulations.objects.pynbody import from_pynbody
    from galdiff.io.simulations.objects.swiftsimio import from_swiftsimio
    from galdiff.io.simulations.objects.yt import from_yt
    from galdiff.records import (
        BaryonHistory,
        Galaxy,
        HaloHistory,
        KinematicMaps,
        ObservedCube,
        SSPGrid,
        StarParticles,
    )
    from galdiff.sps.library import load_ssp
    from galdiff.train.load import load

HOMES = {
    "core.correction": ("Correction", "LogGain", "NoCorrection", "SimplexTilt"),
    "core.pipeline": ("Pipeline",),
    "core.stage": ("Stage",),
    "core.variables": ("Physical", "Table", "physical", "table"),
    "cosmology": ("Cosmology", "cosmology"),
    "errors": ("InputError",),
    "front.calls": ("draw_disc", "grow", "observe", "pipeline", "read_galaxy"),
    "front.infer": ("infer",),
    "front.products": ("Mock", "Target"),
    "ifu.instrument": ("Instrument", "make_instrument"),
    "ifu.plan": ("Precision", "make_plan"),
    "inference.posterior": ("make_posterior",),
    "io.fits_cube": ("read_cube",),
    "io.histories": ("read_history",),
    "io.simulations.objects.pynbody": ("from_pynbody",),
    "io.simulations.objects.swiftsimio": ("from_swiftsimio",),
    "io.simulations.objects.yt": ("from_yt",),
    "records": (
        *("BaryonHistory", "Galaxy", "HaloHistory", "KinematicMaps", "ObservedCube"),
        *("SSPGrid", "StarParticles"),
    ),
    "sps.library": ("load_ssp",),
    "train.load": ("load",),
}
HOME = {name: f"galdiff.{home}" for home, names in HOMES.items() for name in names}
__all__ = [
    "BaryonHistory",
    "Correction",
    "Cosmology",
    "Galaxy",
    "HaloHistory",
    "InputError",
    "Instrument",
    "KinematicMaps",
    "LogGain",
    "Mock",
    "NoCorrection",
    "ObservedCube",
    "Physical",
    "Pipeline",
    "Precision",
    "SSPGrid",
    "SimplexTilt",
    "Stage",
    "StarParticles",
    "Table",
    "Target",
    "cosmology",
    "draw_disc",
    "from_pynbody",
    "from_swiftsimio",
    "from_yt",
    "grow",
    "infer",
    "load",
    "load_ssp",
    "make_instrument",
    "make_plan",
    "make_posterior",
    "observe",
    "physical",
    "pipeline",
    "read_cube",
    "read_galaxy",
    "read_history",
    "table",
]


def __getattr__(name: str) -> Any:
    if name not in HOME:
        raise AttributeError(f"module 'galdiff' has no attribute '{name}'")
    home = importlib.import_module(HOME[name])
    value = getattr(home, name, home)  # or the module itself
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
