"""The calls of a user: `grow`, `read_galaxy`, `draw_disc`, `observe`, `pipeline`."""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from galdiff.core.pipeline import Pipeline
from galdiff.front.compose import settings
from galdiff.front.products import Mock, Target, as_target, lines_of
from galdiff.front.run import instrument_of, library_of, lit_sky_of, parents_of, run, setup_of, target_of
from galdiff.io.progress import Steps
from galdiff.observing.sky import redshift_of
from galdiff.observing.stages import pipeline as stages_of
from galdiff.records import Galaxy


def grow(**keywords: Any) -> Target:
    """A galaxy grown in a halo, as `galdiff simulate` grows it.

    Args:
      keywords: settings of the halo (`log10_mvir=12.1`, `spin=0.05`, `observed_redshift=0.5`), of the galaxy in it
        (`n_stars=500_000`, `seed=0`), presets or built objects (`halo=`, `baryons=`), and dotted keys
        (`**{"baryons.eta_energy.log10_a": -0.5}`). What is left out is as in conf/simulate.yaml.

    Raises:
      InputError: an unknown keyword or preset, with the nearest; a wrong value; baryons without a solution.
    """
    found, chosen = settings(keywords, {"input": "halo"}, source=("halo", "input", "baryons"))
    return target_of(found, found.build("input"), parents_of(found), _silent(), {"input": "halo", **chosen})


def read_galaxy(path: str | os.PathLike, **keywords: Any) -> Target:
    """The galaxy in a snapshot or table of particles, as `galdiff simulate input=file` reads it.

    Args:
      path: file.
      keywords: keys of conf/input/file.yaml (`convention=`, `centre=`, `r_max_kpc=`, `redshift=`, `units=`).

    Raises:
      InputError: an unknown keyword, or what `galdiff.io.simulations.read_galaxy` refuses.
    """
    return _source("file", {"path": str(pathlib.Path(path)), **keywords})


def draw_disc(**keywords: Any) -> Target:
    """A disc galaxy drawn by its parameters, as `galdiff simulate input=disc` draws it.

    Args:
      keywords: keys of conf/input/disc.yaml (`n_stars=`, `seed=`, `**{"disc.v_flat": 250}`).

    Raises:
      InputError: an unknown keyword, or a wrong value.
    """
    return _source("disc", keywords)


def observe(galaxy: Target | Galaxy, **keywords: Any) -> Mock:
    """A galaxy as an integral-field spectrograph records it, as `galdiff simulate` does.

    Args:
      galaxy: from `grow`, `read_galaxy` or `draw_disc`, or a `Galaxy` of your own.
      keywords: presets or built objects (`instrument=`, `ssp=`, `dust=`), settings by the last part of their key
        (`inclination=60`, `redshift=0.05`, `snr=40`, `seed=0`, `max_spaxels=80`), and dotted keys
        (`**{"precision.rank": 32}`). What is left out is as in conf/simulate.yaml.

    Raises:
      InputError: an unknown keyword or preset, with the nearest; a wrong value; no star in the field.
    """
    target = as_target(galaxy)
    found, _ = settings(keywords, target.chosen)
    with _heard() as said:
        return run(found, _silent(), said, target)


def pipeline(galaxy: Target | Galaxy, **keywords: Any) -> Pipeline:
    """The same observation without noise as one `Pipeline`, for `jax.jit` and `jax.grad`.

    Args:
      galaxy: as for `observe`; its stars decide the ranges of velocity and attenuation, and the engine.
      keywords: as for `observe`.

    Returns:
      Makes the record `cube` of the whole field in one piece, from the input `halo` for a grown galaxy
      (`pipeline(wanted=["cube"], halo=galaxy.halo)`), else from the input `galaxy`.

    Raises:
      InputError: as `observe`.
    """
    target = as_target(galaxy)
    found, _ = settings(keywords, target.chosen)
    redshift = redshift_of(found.config.placement.redshift, target.galaxy)
    ssp = library_of(found)
    setup = setup_of(found, instrument_of(found), ssp, found.build("dust.curve"), redshift)
    growth = None if target.halo is None else {"history": found.build("baryons"), "galaxy": found.build("input")}
    return stages_of(target.galaxy, lit_sky_of(found, redshift, target.galaxy, ssp), setup, growth)


def _source(kind: str, keywords: dict[str, Any]) -> Target:
    """A galaxy that is read or drawn."""
    found, chosen = settings(keywords, {"input": kind}, source=("input",))
    return target_of(found, found.build("input"), None, _silent(), {"input": kind, **chosen})


def _silent() -> Steps:
    """Steps that are timed and not shown."""
    return Steps(Console(quiet=True))


@contextlib.contextmanager
def _heard() -> Iterator[list[warnings.WarningMessage]]:
    """The warnings of a run, kept for its summary and given at its end, each once."""
    with warnings.catch_warnings(record=True, action="always") as said:
        yield said
    for text in lines_of(said):
        warnings.warn(text, stacklevel=4)
    for other in said:
        if not issubclass(other.category, UserWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
