"""A cube and maps of the whole field, tile after tile."""

import dataclasses
import itertools
from typing import Any

import jax
import numpy as np

from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.ifu.instrument import aperture_mask
from galdiff.ifu.tiles import observe_in_tiles, tiles_of
from galdiff.observing.layout import Layout
from galdiff.observing.steps import Step, quiet
from galdiff.records import KinematicMaps, ObservedCube, Placement, SkyStars

MAPS = ("maps", "seen_maps")  # free of the PSF, and through it


def render(
    layout: Layout, stars: SkyStars, placement: Placement, step: Step = quiet
) -> tuple[ObservedCube, KinematicMaps, KinematicMaps]:
    """Noiseless cube, maps and maps as seen through the PSF, of the whole field, on the host; says what it compiles.

    Args:
      layout: of the observation.
      stars: on the sky, concrete.
      placement: of the whole field.
      step: is told what begins and ends.
    """
    instrument, tile = layout.whole.instrument, layout.tile
    size = max(tile.instrument.n_y, tile.instrument.n_x)
    tiles = list(tiles_of(instrument, size))
    flux = np.zeros((instrument.n_y, instrument.n_x, len(tile.wave)), np.float32)
    names = [f.name for f in dataclasses.fields(KinematicMaps)]
    sets: dict[str, dict[str, Any]] = {
        kind: {name: np.full(flux.shape[:2], np.nan, np.float32) for name in names} for kind in MAPS
    }
    observe = _Programs(layout, step)
    with step(f"observe {len(tiles)} tile{'s' * (len(tiles) > 1)}", total=len(tiles)) as done:
        for part, made in observe_in_tiles(observe, stars, placement, instrument, tile.bins, size):
            flux[part.y, part.x] = made["cube"].flux
            for kind, maps in sets.items():
                for name, values in maps.items():
                    values[part.y, part.x] = getattr(made[kind], name)
            done()
    inside = aperture_mask(instrument)
    flux[~inside] = 0
    for values in itertools.chain.from_iterable(maps.values() for maps in sets.values()):
        values[~inside] = np.nan
    whole = dataclasses.replace(made["cube"], flux=flux, variance=np.zeros_like(flux), inside=inside)
    bare, seen = (KinematicMaps(**sets[kind]) for kind in MAPS)
    return whole, bare, seen


class _Programs:
    """Cube and maps of one tile, compiled once for each number of stars."""

    def __init__(self, layout: Layout, step: Step) -> None:
        inputs = {"observed_stars": SkyStars, "placement": Placement}
        parts = {("cube",): layout.cube, MAPS: layout.maps}
        self.runs: list[Any] = [compiled(Pipeline(stages=s, inputs=inputs), names) for names, s in parts.items()]
        self.step, self.programs = step, dict[int, list]()

    def __call__(self, stars: SkyStars, placement: Placement) -> dict:
        inputs, n = {"observed_stars": stars, "placement": placement}, len(stars.mass)
        if n not in self.programs:
            with self.step(f"compile spectrograph and maps for {n} stars"):
                self.programs[n] = [(run.lower(state, **inputs).compile(), state) for run, state in self.runs]
        return jax.block_until_ready({k: v for run, s in self.programs[n] for k, v in run(s, **inputs).items()})
