"""What an observation is made with, and how it is laid out: plans, engine, tiles, stages."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from galdiff.core.stage import Stage
from galdiff.ifu.accuracy import sampled_accuracy, some_of
from galdiff.ifu.emission import LineDeposit
from galdiff.ifu.engine import choose_engine, ifu_stages
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.line_plan import LinePlan
from galdiff.ifu.lsf import warn_deficient
from galdiff.ifu.plan import Plan, Precision, make_plan
from galdiff.ifu.psf import Wings
from galdiff.ifu.spread_functions import lsf_fwhm
from galdiff.ifu.tiles import TILE, sharp_instrument, tile_instrument
from galdiff.observing.field import map_maker
from galdiff.observing.gas_lines import GasLines, SeenLines
from galdiff.observing.seen_maps import seen_stages
from galdiff.observing.star_sums import bare_stages
from galdiff.records import SkyStars, SSPGrid

MAX_DISTRIBUTION = 1 << 30  # bytes of the stars' light; larger fields go in tiles


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Setup:
    """What a galaxy is observed with: built objects and numbers.

    Args:
      instrument: the spectrograph, with the field that is rendered.
      ssp: the library.
      redshift: of the observation.
      precision: arguments of `Precision`; v_max_kms and a_v_max may be None to follow the stars.
      curve: A_wave / A_V at rest-frame wavelengths [Angstrom], or None without dust.
      engine: auto, compressed, per_star or direct.
      spectrograph: further arguments of `ifu_stages`: lsf_scale, psf_scale, lsf_correction, throughput.
      maps: arguments of `map_maker`: weight, h_v_kms, gauss_hermite.
      noise: mode and sigmas of `with_noise`, with its level; for an exposure exposure_s, n_exposures and sky.
      seed: of the noise.
      bin_stars: effective stars that each bin of the maps holds at least; None for maps spaxel by spaxel. Maps are then
        of moments.
      gas: emission lines, or None.
    """

    instrument: Instrument
    ssp: SSPGrid
    redshift: float
    precision: Mapping[str, Any]
    curve: Callable[[np.ndarray], np.ndarray] | None
    engine: str
    spectrograph: Mapping[str, Any]
    maps: Mapping[str, Any]
    noise: Mapping[str, Any]
    seed: int
    bin_stars: float | None = None
    gas: GasLines | None = None

    def fwhm(self, wave: np.ndarray) -> np.ndarray:
        """FWHM of the instrument [Angstrom] at wavelengths [Angstrom], shape (wave,)."""
        return lsf_fwhm(self.instrument.lsf, wave) * self.spectrograph["lsf_scale"]


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Plans of the whole field and of a tile, and the stages that make a cube and maps of a tile.

    Where the tile has no PSF but the field has one, the cube is blurred when all tiles are there.
    """

    whole: Plan
    tile: Plan
    engine: str
    cube: dict[str, Stage]
    maps: dict[str, Stage]
    map_lines: LinePlan | None = None  # of a tile of the maps; those of the cube are in the plan of a tile

    @property
    def blurs_late(self) -> bool:
        """Whether tiles are rendered without the PSF."""
        return self.tile.instrument.psf != self.whole.instrument.psf


def lay_out(setup: Setup, precision: Precision, n_stars: int, tiled: bool = True, gas_levels: int = 0) -> Layout:
    """Lay out an observation; warns where the library is broader than the instrument.

    Args:
      setup: what it is made with.
      precision: how fine, with the ranges that the stars need.
      n_stars: in the field; the fastest engine depends on it.
      tiled: whether a field whose mass distribution is too large goes in tiles.
      gas_levels: of smoothing that emitters of lines need.

    Raises:
      InputError: the library does not cover the instrument's range.
    """
    whole = tile = seen_tile = make_plan(setup.ssp, setup.instrument, setup.redshift, precision, setup.curve)
    warn_deficient(whole.wave, setup.fwhm(whole.wave_vacuum) < (1 + setup.redshift) * whole.fwhm_template)
    engine = engine_of(setup, whole, n_stars)
    if tiled and 4 * held(whole, engine) > MAX_DISTRIBUTION:
        part = tile_instrument(setup.instrument, TILE)
        late = whole.wings.radius != whole.margin  # wings reach over several tiles
        seen_tile = with_field(whole, part)
        tile = with_field(whole, tile_instrument(sharp_instrument(whole), TILE)) if late else seen_tile
        engine = engine_of(setup, tile, n_stars)
    if setup.gas is not None:
        tile, seen_tile = (dataclasses.replace(p, lines=setup.gas.plan(p, gas_levels)) for p in (tile, seen_tile))
    stages = ifu_stages(plan=tile, engine=engine, curve=setup.curve, **setup.spectrograph)
    seen = {name: setup.maps[name] for name in ("h_v_kms", "gauss_hermite")}
    of_light = seen_stages(seen_tile, setup.ssp, **seen, psf_scale=setup.spectrograph["psf_scale"])
    bins, maker = map_maker(seen_tile, setup.ssp, **setup.maps)
    maps: dict[str, Stage] = {**bare_stages(seen_tile, bins, maker), **of_light}
    if seen_tile.lines is not None:
        maps["line_light"] = LineDeposit(lines=seen_tile.lines)
        maps["line_maps"] = SeenLines(plan=seen_tile, psf_scale=setup.spectrograph["psf_scale"])
    return Layout(whole, tile, engine, stages, maps, seen_tile.lines)


def accuracy_of(layout: Layout, setup: Setup, stars: SkyStars, inside: np.ndarray) -> dict[str, float]:
    """Errors of the engine's spectra of some of the stars inside [bool], shape (star,), see `sampled_accuracy`."""
    some = some_of(stars, inside)
    if layout.engine == "direct":
        return {"stars": len(some.mass), "rms": 0.0, "largest": 0.0}  # is the measure
    return sampled_accuracy(layout.whole, some, setup.curve, setup.spectrograph["lsf_scale"])


def held(plan: Plan, engine: str) -> int:
    """Numbers that the largest array of the stars' light holds."""
    y, x, v, node, av = plan.bins.shape
    return y * x * v * {"compressed": node * av, "per_star": len(plan.templates), "direct": 0}[engine]


def engine_of(setup: Setup, plan: Plan, n_stars: int) -> str:
    """The asked engine, or the fastest one for the number of stars."""
    return choose_engine(n_stars, plan) if setup.engine == "auto" else setup.engine


def with_field(plan: Plan, instrument: Instrument) -> Plan:
    """The same plan for a tile of the field, with or without PSF: wavelengths, basis and nodes do not depend on it."""
    sharp = instrument.psf.kind == "none"
    wings = Wings((0, 0), math.inf) if sharp else plan.wings
    (y, x), (cy, cx) = wings.radius, wings.cells
    bins = dataclasses.replace(plan.bins, n_y=(instrument.n_y + 2 * y) * cy, n_x=(instrument.n_x + 2 * x) * cx)
    return dataclasses.replace(plan, instrument=instrument, margin=(y, x), wings=wings, bins=bins)
