"""experiments/simulate.py inside a test: as a call with a composed config, or as a command with its exit code."""

import functools
import importlib.util
import pathlib
import sys
import types
from unittest import mock

import hydra
from omegaconf import DictConfig, OmegaConf

from galdiff.sps import analytic
from galdiff.sps.analytic.default_library import default_grid

ROOT = pathlib.Path(__file__).resolve().parent.parent
# double precision, as in all tests, since a process cannot change it; a field of 8 x 8 spaxels and 200 wavelengths
SMALL = (
    "runtime.precision=float64",
    "input=disc",
    "max_spaxels=8",
    "instrument.wave.end_angstrom=5000",
    "input.n_stars=2000",
    "input.n_gas=200",
    "precision.rank=16",
    "instrument=muse_wfm",
    "dust=none",
)


@functools.cache
def script() -> types.ModuleType:
    """The experiment as a module."""
    spec = importlib.util.spec_from_file_location("simulate", ROOT / "experiments" / "simulate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def library():
    return default_grid(imf="kroupa")


@functools.wraps(default_grid)
def default_grid_once(*args, **kwargs):
    """The embedded library, computed once for all runs with the default initial mass function."""
    return library() if (args, kwargs) == ((), {"imf": "kroupa"}) else default_grid(*args, **kwargs)


analytic.default_grid = default_grid_once


def compose(*overrides: str) -> DictConfig:
    """The config of the experiment with overrides."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("simulate", overrides=list(overrides))


def run(folder, *overrides: str) -> pathlib.Path:
    """Run with a composed config; the folder it leaves."""
    script().main(compose(*overrides, f"output={folder}"))
    return pathlib.Path(folder)


def rerun(config: pathlib.Path, folder) -> pathlib.Path:
    """Run with the resolved config that an earlier run left."""
    script().main(OmegaConf.merge(OmegaConf.load(config), {"output": str(folder)}))
    return pathlib.Path(folder)


def command(folder, *overrides: str) -> int:
    """Exit code of the command line in this process."""
    quiet = ("hydra/job_logging=none", "hydra/hydra_logging=none")  # logging belongs to pytest here
    argv = ["simulate.py", f"output={folder}", *quiet, *overrides]
    with mock.patch.object(sys, "argv", argv):
        try:
            script().main()
        except SystemExit as leaving:
            return leaving.code
    return 0
