"""How much of a galaxy lies outside the ages and metallicities of an SSP library, where it is clamped to the edge."""

import dataclasses
import warnings
from typing import Any

import numpy as np
from jaxtyping import ArrayLike, Float

from galdiff.records import SSPGrid

SMALL = 1e-3  # of the mass formed: less than that outside changes no spectrum that anybody looks at
EDGE = 1e-6  # relative; a star this close to the edge counts as on it, whatever its precision


@dataclasses.dataclass(frozen=True)
class ClipReport:
    """Stars outside a library: how many, and their fraction of the mass formed [1], by side and in all."""

    n_stars: int
    n_clipped: int
    mass_clipped: float
    n_young: int
    mass_young: float
    n_old: int
    mass_old: float
    n_poor: int
    mass_poor: float
    n_rich: int
    mass_rich: float
    age_range: tuple[float, float]
    metallicity_range: tuple[float, float]


def clip_report(
    ages: Float[ArrayLike, "star"],
    metallicities: Float[ArrayLike, "star"],
    masses: Float[ArrayLike, "star"],
    grid: SSPGrid,
) -> ClipReport:
    """Count the stars that a library does not cover.

    Args:
      ages: [Gyr], shape (star,).
      metallicities: metal mass fraction Z, shape (star,).
      masses: mass formed [Msun], shape (star,).
      grid: the library.

    Returns:
      Numbers and mass fractions of the stars outside, which interpolation clamps to the edge.
    """
    ages, mets, masses = (np.asarray(x, np.float64) for x in (ages, metallicities, masses))
    age_range = tuple(10.0 ** np.asarray(grid.ssp_lg_age_gyr, np.float64)[[0, -1]])
    met_range = tuple(10.0 ** np.asarray(grid.ssp_lgmet, np.float64)[[0, -1]])
    sides = {
        "young": ages < age_range[0] * (1 - EDGE),
        "old": ages > age_range[1] * (1 + EDGE),
        "poor": mets < met_range[0] * (1 - EDGE),
        "rich": mets > met_range[1] * (1 + EDGE),
    }
    sides["clipped"] = sides["young"] | sides["old"] | sides["poor"] | sides["rich"]
    total = masses.sum()
    found: dict[str, Any] = {f"n_{side}": int(out.sum()) for side, out in sides.items()}
    for side, out in sides.items():
        found[f"mass_{side}"] = float(masses[out].sum() / total) if total > 0 else 0.0
    return ClipReport(n_stars=ages.size, age_range=age_range, metallicity_range=met_range, **found)


def warn_clipped(report: ClipReport) -> None:
    """One warning that says how many stars and how much mass are clamped to the edge of the library; none if less than
    SMALL of the mass is.
    """
    if not report.mass_clipped >= SMALL:
        return
    parts = [
        f"{getattr(report, f'n_{side}')} {word} ({getattr(report, f'mass_{side}'):.2%})"
        for side, word in {
            "young": f"younger than {report.age_range[0]:.3g} Gyr",
            "old": f"older than {report.age_range[1]:.3g} Gyr",
            "poor": f"below Z = {report.metallicity_range[0]:.3g}",
            "rich": f"above Z = {report.metallicity_range[1]:.3g}",
        }.items()
        if getattr(report, f"n_{side}")
    ]
    warnings.warn(
        f"{report.n_clipped} of {report.n_stars} stars, {report.mass_clipped:.2%} of the mass formed, lie outside the"
        f" SSP library and take the spectrum of its edge: {', '.join(parts)}",
        stacklevel=2,
    )
