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
from galdiff.ifu.instrument import Instrument, aperture_mask
from galdiff.ifu.line_plan import LinePlan
from galdiff.ifu.spectrograph import blur_recorded, weights_of
from galdiff.ifu.tiles import observe_in_tiles, sharp_instrument, tiles_of
from galdiff.light_records import LineMaps, LineTable
from galdiff.observing.layout import Layout
from galdiff.observing.sky import Seen
from galdiff.observing.steps import Step, quiet
from galdiff.records import KinematicMaps, ObservedCube, Placement, SkyStars

MAPS = ("maps", "seen_maps")  # free of the PSF, and through it
PLANES = 64  # wavelengths that are blurred at once


def render(
    layout: Layout, sky: Seen, step: Step = quiet
) -> tuple[ObservedCube, KinematicMaps, KinematicMaps, LineMaps | None]:
    """Noiseless cube, maps, maps as seen through the PSF, and those of emission lines, of the whole field.

    All are on the host; says what it compiles.

    Args:
      layout: of the observation.
      sky: stars and emitters, concrete, and the placement of the whole field.
      step: is told what begins and ends.
    """
    stars, placement = sky.stars, sky.placement
    instrument, plan = layout.whole.instrument, layout.tile
    bins: Bins = layout.maps["maps"].bins  # type: ignore[attr-defined]
    covered = sharp_instrument(layout.whole) if layout.blurs_late else instrument
    size, map_size = max(plan.instrument.n_y, plan.instrument.n_x), max(bins.n_y, bins.n_x)
    total = len(list(tiles_of(covered, size)))
    flux = np.zeros((covered.n_y, covered.n_x, len(plan.wave)), np.float32)
    sets = {kind: _empty(KinematicMaps, instrument) for kind in MAPS}
    if layout.map_lines is not None:
        sets["line_maps"] = _empty(LineMaps, instrument, flux=len(layout.map_lines.names))
    with step(f"observe {total} tile{'s' * (total > 1)}", total=total) as done:
        observe = _Programs(layout.cube, ("cube",), "spectrograph", sky, step)
        also = _emitters(sky, plan.lines)
        for part, made in observe_in_tiles(observe, stars, placement, covered, plan.bins, size, also):
            cube = made["cube"]
            flux[part.y, part.x] = cube.flux
            done()
        observe = _Programs(layout.maps, tuple(sets), "maps", sky, step)
        also = _emitters(sky, layout.map_lines)
        margin: Bins = layout.maps["seen_maps"].plan.bins  # type: ignore[attr-defined]
        for part, made in observe_in_tiles(observe, stars, placement, instrument, margin, map_size, also):
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
    return whole, bare, seen, LineMaps(**sets["line_maps"]) if "line_maps" in sets else None


def _empty(kind: type, instrument: Instrument, **depth: int) -> dict[str, Any]:
    """Images of the field [NaN] for each field of a record, some with an axis of `depth` more."""
    shape = instrument.n_y, instrument.n_x
    names = [f.name for f in dataclasses.fields(kind)]
    return {n: np.full((*shape, depth[n]) if n in depth else shape, np.nan, np.float32) for n in names}


def _emitters(sky: Seen, lines: LinePlan | None) -> dict[str, tuple[SkyStars, Bins]]:
    """What shines in lines, with the bins of a tile."""
    return {} if sky.emitters is None or lines is None else {"sky_emitters": (sky.emitters, lines.bins)}


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

    def __init__(self, stages: dict, records: Sequence[str], called: str, sky: Seen, step: Step) -> None:
        self.fixed = {} if sky.line_table is None else {"line_table": sky.line_table}
        kinds = {"observed_stars": SkyStars, "placement": Placement}
        lit = {} if sky.line_table is None else {"sky_emitters": SkyStars, "line_table": LineTable}
        pipeline = Pipeline(stages=stages, inputs={**kinds, **lit})
        self.run, self.state = compiled(pipeline, records)
        self.called, self.step, self.programs = called, step, dict[Any, Any]()

    def __call__(self, stars: SkyStars, placement: Placement, **emitters: SkyStars) -> Any:
        inputs = {"observed_stars": stars, "placement": placement, **emitters, **self.fixed}
        n = (len(stars.mass), *(len(each.mass) for each in emitters.values()))
        if n not in self.programs:
            with self.step(f"compile {self.called} for {n[0]} stars"):
                self.programs[n] = self.run.compiled(self.state, **inputs)
        return jax.block_until_ready(self.programs[n](self.state, **inputs))
