"""A cube and maps of the whole field, tile after tile."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.ifu.deposit import Bins
from galdiff.ifu.instrument import aperture_mask
from galdiff.ifu.spectrograph import blur_recorded, weights_of
from galdiff.ifu.tiles import observe_in_tiles, sharp_instrument, tiles_of
from galdiff.observing.layout import Layout
from galdiff.observing.steps import Step, quiet
from galdiff.records import KinematicMaps, ObservedCube, Placement, SkyStars

MAPS = ("maps", "seen_maps")  # free of the PSF, and through it
PLANES = 64  # wavelengths that are blurred at once


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
    instrument, plan = layout.whole.instrument, layout.tile
    bins: Bins = layout.maps["maps"].bins  # type: ignore[attr-defined]
    covered = sharp_instrument(layout.whole) if layout.blurs_late else instrument
    size, map_size = max(plan.instrument.n_y, plan.instrument.n_x), max(bins.n_y, bins.n_x)
    total = len(list(tiles_of(covered, size)))
    flux = np.zeros((covered.n_y, covered.n_x, len(plan.wave)), np.float32)
    names = [f.name for f in dataclasses.fields(KinematicMaps)]
    sets: dict[str, dict[str, Any]] = {
        kind: {name: np.full((instrument.n_y, instrument.n_x), np.nan, np.float32) for name in names} for kind in MAPS
    }
    with step(f"observe {total} tile{'s' * (total > 1)}", total=total) as done:
        observe = _Programs(layout.cube, ("cube",), "spectrograph", step)
        for part, made in observe_in_tiles(observe, stars, placement, covered, plan.bins, size):
            cube = made["cube"]
            flux[part.y, part.x] = cube.flux
            done()
        observe = _Programs(layout.maps, MAPS, "maps", step)
        margin: Bins = layout.maps["seen_maps"].plan.bins  # type: ignore[attr-defined]
        for part, made in observe_in_tiles(observe, stars, placement, instrument, margin, map_size):
            for kind, maps in sets.items():
                for name, values in maps.items():
                    values[part.y, part.x] = getattr(made[kind], name)
    if layout.blurs_late:
        with step("blur the field"):
            flux = _blurred(layout, flux)
    inside = aperture_mask(instrument)
    flux[~inside] = 0
    for values in itertools.chain.from_iterable(maps.values() for maps in sets.values()):
        values[~inside] = np.nan
    whole = dataclasses.replace(
        cube,
        flux=flux,
        variance=np.zeros_like(flux),
        inside=inside,
        spaxel_arcsec=instrument.spaxel_x_arcsec,
        spaxel_y_arcsec=instrument.spaxel_y_arcsec,
    )
    bare, seen = (KinematicMaps(**sets[kind]) for kind in MAPS)
    return whole, bare, seen


def _blurred(layout: Layout, flux: np.ndarray) -> np.ndarray:
    """The field as its PSF blurs it, shape (y, x, wave), from what sharp tiles cover; few wavelengths at a time."""
    plan, n_wave = layout.whole, flux.shape[-1]
    scale = layout.cube["cube"].psf_scale.bounded  # type: ignore[attr-defined]
    weights = weights_of(plan)
    run = jax.jit(lambda planes, weight: blur_recorded(plan, planes, scale, weight))
    made = np.empty((plan.instrument.n_y, plan.instrument.n_x, n_wave), np.float32)
    for first in range(0, n_wave, PLANES):
        band = slice(min(first, max(n_wave - PLANES, 0)), first + PLANES)
        made[..., band] = run(flux[..., band], jnp.asarray(weights[:, band], flux.dtype))
    return made


class _Programs:
    """Some records of a tile, compiled once for each number of stars."""

    def __init__(self, stages: dict, records: Sequence[str], called: str, step: Step) -> None:
        pipeline = Pipeline(stages=stages, inputs={"observed_stars": SkyStars, "placement": Placement})
        self.run: Any
        self.run, self.state = compiled(pipeline, records)
        self.called, self.step, self.programs = called, step, dict[int, Any]()

    def __call__(self, stars: SkyStars, placement: Placement) -> Any:
        inputs, n = {"observed_stars": stars, "placement": placement}, len(stars.mass)
        if n not in self.programs:
            with self.step(f"compile {self.called} for {n} stars"):
                self.programs[n] = self.run.compiled(self.state, **inputs)
        return jax.block_until_ready(self.programs[n](self.state, **inputs))
