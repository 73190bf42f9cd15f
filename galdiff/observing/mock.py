"""A galaxy as an integral-field spectrograph records it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from galdiff.core.stage import Stage
from galdiff.kinematics.spaxel_bins import bin_maps, bin_spaxels, sum_bins
from galdiff.light_records import LineMaps
from galdiff.observing.field import count_stars, gas_levels, served_precision, stars_in_field
from galdiff.observing.gas_facts import gas_facts
from galdiff.observing.layout import Layout, Setup, accuracy_of, lay_out
from galdiff.observing.noise import EXPOSURE, level_of, warn_faint, with_noise
from galdiff.observing.render import render
from galdiff.observing.sampling import count_in_spaxels, counts_of, measure_stars, quality_of, warn_few
from galdiff.observing.sky import look
from galdiff.observing.steps import Step, quiet
from galdiff.records import Galaxy, KinematicMaps, ObservedCube, Placement, SkyStars


@dataclasses.dataclass(frozen=True, eq=False)
class Observation:
    """What an observation gave and how it was laid out; `counts` are numbers and formed masses [Msun] of stars.

    `accuracy` has the errors of the spectra of some of the stars [1], see `sampled_accuracy`.
    """

    setup: Setup
    layout: Layout
    stars: SkyStars
    placement: Placement
    cube: ObservedCube
    maps: KinematicMaps
    seen_maps: KinematicMaps
    counts: dict[str, dict[str, float]]
    accuracy: dict[str, float]
    effective: np.ndarray  # stars in each spaxel, or in its bin, shape (y, x)
    quality: np.ndarray  # bits of each spaxel, see `observing.sampling`
    of_stars: dict[str, Any]  # rotation with uncertainties, see `measure_stars`
    label: np.ndarray | None  # bin of each spaxel in the maps, from 0, -1 for none
    line_maps: LineMaps | None = None  # of emission lines, those of `layout.map_lines`
    gas: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # what shines in lines, see `gas_facts`


def observe(galaxy: Galaxy, sky: Mapping[str, Stage], setup: Setup, step: Step = quiet) -> Observation:
    """Turn a galaxy to the line of sight, lay the observation out, render it and add noise.

    Args:
      galaxy: stars and gas, concrete.
      sky: stages that make `sky_stars`, `sky_gas`, `observed_stars` and `placement`.
      setup: what it is observed with.
      step: is told what begins and ends.

    Raises:
      InputError: no star in the field, or a library that does not cover the instrument's range.
    """
    with step("turn it to the line of sight (compiles)"):
        seen_sky = look(sky, galaxy)
        stars, placement = seen_sky.stars, seen_sky.placement
        inside = stars_in_field(stars, placement, setup.instrument)
        precision = served_precision(setup.precision, stars, inside, placement, setup.instrument, seen_sky.emitters)
    if galaxy.gas is None and "sky_gas" in sky["observed_stars"].reads():
        with step("no gas in this galaxy, hence no dust"):
            pass  # a line of the report
    with step("lay out the observation"):
        layout = lay_out(setup, precision, int(np.sum(inside)), gas_levels=gas_levels(seen_sky, setup.instrument))
        counts = count_stars(stars, inside, layout.whole, setup.ssp, layout.engine)
        accuracy = accuracy_of(layout, setup, stars, inside)
        gas = gas_facts(sky["line_table"], seen_sky, layout) if "line_table" in sky else {}  # type: ignore[arg-type]
    with step("accuracy: rms {rms:.1e}, worst pixel {largest:.1e}".format(**accuracy)):
        pass  # a line of the report
    cube, maps, seen, line_maps = render(layout, seen_sky, step)
    with step("count stars in spaxels (compiles)"):
        effective, light = count_in_spaxels(setup, layout, stars, placement)
        held, label = effective, None
        if setup.bin_stars is not None:
            label = bin_spaxels(np.where(cube.inside, effective, 0), setup.bin_stars)
            maps, seen = bin_maps(maps, label), bin_maps(seen, label)
            held = sum_bins(effective, label)
        quality = quality_of(maps, held, np.asarray(cube.inside))
        warn_few(counts_of(quality, held))
        of_stars = measure_stars(layout, stars, placement, light, setup.spectrograph["psf_scale"])
    with step("add noise"):
        noisy = jax.block_until_ready(with_noise(cube, seed=setup.seed, **level_of(setup.noise, layout.whole)))
        if setup.noise["mode"] == EXPOSURE:
            warn_faint(cube, noisy.variance)
    facts: dict[str, Any] = {"counts": counts, "accuracy": accuracy}
    facts |= {
        "effective": held,
        "quality": quality,
        "of_stars": of_stars,
        "label": label,
        "line_maps": line_maps,
        "gas": gas,
    }
    return Observation(setup, layout, stars, placement, noisy, maps, seen, **facts)
