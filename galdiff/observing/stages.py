"""The whole observation as one pipeline, from a halo or a galaxy to a cube without noise, for gradients."""

from collections.abc import Mapping

import numpy as np

from galdiff.core.pipeline import Pipeline
from galdiff.core.stage import Stage
from galdiff.observing.field import gas_levels, served_precision, stars_in_field
from galdiff.observing.layout import Setup, lay_out
from galdiff.observing.sky import look, visible
from galdiff.records import Galaxy, HaloHistory


def pipeline(
    galaxy: Galaxy, sky: Mapping[str, Stage], setup: Setup, growth: Mapping[str, Stage] | None = None
) -> Pipeline:
    """Stages from a halo, or a galaxy, to the record `cube`, in one piece (no tiles).

    Args:
      galaxy: whose stars decide ranges and engine, concrete.
      sky: stages that make `sky_stars`, `sky_gas`, `observed_stars` and `placement`.
      setup: what it is observed with; its noise is left out.
      growth: stages that make `history` and `galaxy` from a `halo`; None for a pipeline that reads a `galaxy`.

    Returns:
      A `Pipeline`; all of it is differentiable in its parameters and inputs.
    """
    seen = look(sky, galaxy)
    inside = stars_in_field(seen.stars, seen.placement, setup.instrument)
    precision = served_precision(setup.precision, seen.stars, inside, seen.placement, setup.instrument, seen.emitters)
    layout = lay_out(setup, precision, int(np.sum(inside)), tiled=False, gas_levels=gas_levels(seen, setup.instrument))
    inputs = {"galaxy": Galaxy} if growth is None else {"halo": HaloHistory}
    return Pipeline(stages={**(growth or {}), **visible(sky, galaxy), **layout.cube}, inputs=inputs)
