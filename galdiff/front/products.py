"""A mock observation as users hold it: cube, maps, history and summary, and the folder that it leaves."""

import dataclasses
import pathlib
import re
import typing
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from galdiff import runtime
from galdiff.errors import InputError
from galdiff.front.settings import RunSettings
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.recorded_lsf import library_fwhm, recorded_fwhm
from galdiff.io.cube_dataset import cube_dataset
from galdiff.io.histories import write_history
from galdiff.io.preflight import OUTPUTS, check_output, cube_bytes
from galdiff.io.products import Products, write_products
from galdiff.io.progress import Steps
from galdiff.light_records import LineMaps
from galdiff.observing.gas_lines import images_of
from galdiff.observing.mock import Observation
from galdiff.observing.summary import grown_facts, summary_of
from galdiff.program_cache import WARNING as UNREADABLE
from galdiff.records import BaryonHistory, Galaxy, GasParticles, HaloHistory, KinematicMaps, ObservedCube, StarParticles

if typing.TYPE_CHECKING:
    import xarray

GROWN = ("history.h5", "history.png")


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A galaxy to observe and, where it was grown, the halo and the baryon history that it comes from.

    Args:
      galaxy: its stars and gas.
      history: of its baryons, or None.
      halo: that it grew in, or None.
      chosen: settings that made it, by dotted key.
      plain: history of the same physics in this halo without corrections, where the baryons had some.
    """

    galaxy: Galaxy
    history: BaryonHistory | None = None
    halo: HaloHistory | None = None
    chosen: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    plain: BaryonHistory | None = None

    @property
    def stars(self) -> StarParticles:
        """`StarParticles` of the galaxy."""
        return self.galaxy.stars

    @property
    def gas(self) -> GasParticles | None:
        """`GasParticles` of the galaxy, or None."""
        return self.galaxy.gas

    @property
    def redshift(self) -> float:
        """Redshift of the galaxy's own time."""
        return self.galaxy.redshift

    @property
    def name(self) -> str:
        """What it is and where it comes from."""
        return self.galaxy.name


@dataclasses.dataclass(frozen=True, eq=False)
class Mock:
    """A mock observation.

    Args:
      target: what was observed.
      observation: what that gave.
      settings: the config that it was made with.
      steps: the time that each step took.
      said: warnings on the way.
    """

    target: Target
    observation: Observation
    settings: RunSettings
    steps: Steps
    said: Sequence[warnings.WarningMessage]

    @property
    def cube(self) -> ObservedCube:
        """Flux with noise, and its variance."""
        return self.observation.cube

    @property
    def maps(self) -> KinematicMaps:
        """Maps of velocity, dispersion, age and metallicity, free of noise and PSF."""
        return self.observation.maps

    @property
    def seen_maps(self) -> KinematicMaps:
        """The same of the light that each spaxel records, through dust and PSF; free of noise and LSF."""
        return self.observation.seen_maps

    @property
    def line_maps(self) -> LineMaps | None:
        """Maps of the emission lines `lines`, behind dust and through the PSF, free of noise; None without gas."""
        return self.observation.line_maps

    @property
    def lines(self) -> tuple[str, ...]:
        """Names of the emission lines on the detector, in the order of `line_maps`."""
        planned = self.observation.layout.map_lines
        return () if planned is None else planned.names

    @property
    def history(self) -> BaryonHistory | None:
        """Baryons of a grown galaxy in time."""
        return self.target.history

    @property
    def summary(self) -> dict[str, Any]:
        """What was observed and how, as summary.json says it."""
        history, found = self.history, summary_of(self.observation)
        return {
            "galaxy": self.target.name,
            **found,
            "view": self.settings.plain("view"),
            **({} if history is None else {"grown": grown_facts(history, self.target.plain)}),
            "config_hash": self.settings.short_name(),
            "versions": runtime.versions(),
            "warnings": lines_of(self.said),
            "seconds": self.steps.summary(),
        }

    def to_xarray(self) -> "xarray.Dataset":
        """Cube (y, x, wave) and maps (y, x) as one labelled Dataset with units.

        Raises:
          InputError: xarray is not installed.
        """
        said = self.summary
        attributes = {name: said[name] for name in ("galaxy", "instrument", "redshift", "library", "config_hash")}
        return cube_dataset(self.cube, self._maps(), {**attributes, "galdiff": said["versions"]["galdiff"]})

    def _maps(self) -> dict[str, KinematicMaps]:
        """Maps by the weight of their stars."""
        return {self.settings.config.maps.weight: self.maps, "seen": self.seen_maps}

    def save(self, folder: str | pathlib.Path, *, overwrite: bool = False) -> None:
        """Write cube.fits, maps.fits, pictures, summary.json, config.yaml, and the history of a grown galaxy.

        Args:
          folder: where; it is made if absent.
          overwrite: replace existing files.

        Raises:
          InputError: a file exists, or the disk refuses.
        """
        reserve(folder, self.observation.setup.instrument, overwrite)
        self.write(folder, overwrite)

    def write(self, folder: str | pathlib.Path, overwrite: bool = False) -> None:
        """The same into a folder that was reserved before."""
        from galdiff.plotting.history_figure import plot_history  # Matplotlib takes a second to load
        from galdiff.plotting.lines_figure import plot_lines
        from galdiff.plotting.maps_figure import plot_maps
        from galdiff.plotting.spectra_figure import plot_spectra

        seen = self.observation
        bins = {} if seen.label is None else {"BIN": (seen.label + 1).astype(np.uint16)}
        said, plan, history = self.summary, self.observation.layout.whole, self.history
        title = f"{self.target.name or 'galaxy'}, {plan.instrument.name}, z = {plan.redshift:.4g}"
        figures = {
            "maps.png": plot_maps(self.cube, self.seen_maps, title=title, kpc_per_arcsec=said["kpc_per_arcsec"]),
            "spectra.png": plot_spectra(self.cube, title=title, redshift=plan.redshift, emission=bool(self.lines)),
        }
        if seen.line_maps is not None:
            scale = said["kpc_per_arcsec"]
            figures["lines.png"] = plot_lines(self.cube, seen.line_maps, self.lines, title=title, kpc_per_arcsec=scale)
        if history is not None:
            figures["history.png"] = plot_history(history, title=self.target.name, plain=self.target.plain)
            write_history(history, pathlib.Path(folder) / "history.h5", overwrite=overwrite)
        made = Products(
            cube=self.cube,
            maps=self._maps(),
            summary=lambda: {**said, "warnings": lines_of(self.said), "seconds": self.steps.summary()},
            config=self.settings.text(output=str(folder), overwrite=overwrite),
            stored=self.settings.text(output="", overwrite=False),
            lsf=(plan.wave, recorded_fwhm(plan, **self.observation.setup.spectrograph), library_fwhm(plan)),
            figures=figures,
            extensions=self.settings.config.extensions,
            spaxels={"NSTARS": seen.effective, "QUALITY": seen.quality, **bins},
            lines=images_of(seen.line_maps, self.lines),
        )
        write_products(folder, made, overwrite)


def reserve(folder: str | pathlib.Path, instrument: Instrument, overwrite: bool) -> None:
    """Make the folder of an observation, or refuse it before long work.

    Raises:
      InputError: a file exists, the folder cannot be written, or the disk has no room.
    """
    size = 1.2 * cube_bytes(instrument.n_y, instrument.n_x, instrument.n_wave) + 5e6
    check_output(folder, int(size), overwrite, (*OUTPUTS, *GROWN, "config.yaml"))


def lines_of(said: Sequence[warnings.WarningMessage]) -> list[str]:
    """Each warning to the user once, on one line."""
    texts = (" ".join(str(w.message).split()) for w in said if issubclass(w.category, UserWarning))
    return [text for text in dict.fromkeys(texts) if not re.match(UNREADABLE, text)]


def as_target(galaxy: Any) -> Target:
    """A galaxy with what is known of how it came about.

    Raises:
      InputError: neither a `Target` nor a `Galaxy`.
    """
    if isinstance(galaxy, Target):
        return galaxy
    if isinstance(galaxy, Galaxy):
        return Target(galaxy, chosen={"input": galaxy})
    raise InputError(f"galaxy is {type(galaxy).__name__}; give what grow, read_galaxy or draw_disc return, or a Galaxy")
