"""What shines in emission lines, for the summary of an observation, and warnings where it is out of range."""

import warnings
from typing import Any

import numpy as np

from galdiff.nebular.lines_per_mass import SPAN, LinesPerMass
from galdiff.observing.field import in_field
from galdiff.observing.layout import Layout
from galdiff.observing.sky import Seen
from galdiff.records import SkyStars
from galdiff.units import YR_PER_GYR

MUCH = 0.01  # of the star formation
WHO = {"gas": "gas that forms stars", "stars": "star younger than 20 Myr"}


def gas_facts(table: LinesPerMass, seen: Seen, layout: Layout) -> dict[str, Any]:
    """Who shines, by whose photons, in which lines, and star formation in the field; warns where much is out of range.

    Args:
      table: stage that made the lines per mass.
      seen: what is on the sky, concrete.
      layout: of the observation.
    """
    emitters, instrument = seen.emitters, layout.whole.instrument
    if emitters is None:
        return {}
    lit = in_field(emitters, seen.placement, instrument) & (np.asarray(emitters.mass) > 0)
    lit &= np.asarray(emitters.age) <= SPAN
    mass = np.where(lit, np.asarray(emitters.mass, np.float64), 0.0)
    source, whole = "gas" if table.steady else "stars", mass.sum()
    if not lit.any():
        warnings.warn(f"no {WHO[source]} is in the field: no emission line is lit", stacklevel=2)
    for words, outside in _out_of_range(table, emitters, layout).items():
        share = mass[outside].sum() / whole if whole else 0.0
        if share > MUCH:
            said = f"{share:.1%} of the star formation that ionises gas is {words}, and counts as the edge"
            warnings.warn(said, stacklevel=2)
    return {
        "source": source,
        "ionised_by": table.library,
        "lines": [] if layout.map_lines is None else list(layout.map_lines.names),
        "sfr_in_field_msun_yr": whole / (SPAN * YR_PER_GYR),
    }


def _out_of_range(table: LinesPerMass, emitters: SkyStars, layout: Layout) -> dict[str, np.ndarray]:
    """Which emitters are outside of what is tabled or recorded, bool (star,), by how that is said."""
    found: dict[str, np.ndarray] = {}
    if table.regions.log10_z_gas is None:
        low, high = table.metallicities
        z = np.asarray(emitters.metallicity)
        found[f"outside of metallicities from {low:.2g} to {high:.2g}"] = (z < low) | (z > high)
    if layout.map_lines is not None:
        v_max = layout.map_lines.bins.v_max
        found[f"faster than {v_max:.0f} km/s"] = np.abs(np.asarray(emitters.v_los)) > v_max
    return found
