"""The field of an observation: the stars in it, the ranges they need, and maps of the same light."""

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from galdiff.errors import InputError
from galdiff.ifu.bank import velocity_nodes
from galdiff.ifu.basis import no_attenuation
from galdiff.ifu.deposit import Bins
from galdiff.ifu.field import spaxel_bins
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.plan import Plan, Precision
from galdiff.ifu.psf import cells_of
from galdiff.ifu.smoothing import levels_needed
from galdiff.kinematics.maps import MapMaker, node_tables
from galdiff.observing.sky import Seen
from galdiff.records import Placement, SkyStars, SSPGrid
from galdiff.sps.clip import clip_report, warn_clipped

LEAST_RANGE = 200.0  # km/s: velocities that are served whatever the stars have
V_LIMIT = 10_000.0  # km/s; stars that are faster are no part of a galaxy


def cut_field(instrument: Instrument, max_spaxels: int | None) -> Instrument:
    """The central part of a field that has more than max_spaxels on a side."""
    n_y, n_x = (n - (n - min(n, max_spaxels or n)) // 2 * 2 for n in (instrument.n_y, instrument.n_x))
    return dataclasses.replace(instrument, n_y=n_y, n_x=n_x)


def stars_in_field(stars: SkyStars, placement: Placement, instrument: Instrument) -> np.ndarray:
    """Which stars fall on the instrument's field [arcsec], bool (star,).

    Raises:
      InputError: none does.
    """
    inside = in_field(stars, placement, instrument)
    if not inside.any():
        (x, y), (half_x, half_y) = _on_field(stars, placement), _half_sizes(instrument)
        raise InputError(
            f"none of the {len(x)} stars falls on the field of {2 * half_x:.1f} x {2 * half_y:.1f} arcsec: they lie"
            f" {np.hypot(x, y).min():.1f} to {np.hypot(x, y).max():.1f} arcsec from its centre; change"
            " placement.pointing_arcsec, placement.redshift, input.centre, max_spaxels or the instrument"
        )
    return inside


def in_field(stars: SkyStars, placement: Placement, instrument: Instrument) -> np.ndarray:
    """Which stars fall on the instrument's field [arcsec], bool (star,)."""
    (x, y), (half_x, half_y) = _on_field(stars, placement), _half_sizes(instrument)
    return (np.abs(x) < half_x) & (np.abs(y) < half_y)


def _on_field(stars: SkyStars, placement: Placement) -> tuple[np.ndarray, np.ndarray]:
    """Places (x, y) of stars seen from the centre of the field [arcsec]."""
    scale, centre = float(placement.kpc_per_arcsec), np.asarray(placement.pointing)
    return np.asarray(stars.x) / scale - centre[0], np.asarray(stars.y) / scale - centre[1]


def _half_sizes(instrument: Instrument) -> tuple[float, float]:
    """Half the size (x, y) of the field [arcsec]."""
    return instrument.n_x * instrument.spaxel_x_arcsec / 2, instrument.n_y * instrument.spaxel_y_arcsec / 2


def served_precision(
    precision: Mapping[str, Any],
    stars: SkyStars,
    inside: np.ndarray,
    placement: Placement,
    instrument: Instrument,
    emitters: SkyStars | None = None,
) -> Precision:
    """Precision, with the ranges of velocity [km/s] and attenuation [mag] that the stars in the field have where it
    says None, and as many levels of smoothing as they need where it names none.

    Args:
      precision: arguments of `Precision`; v_max_kms and a_v_max may be None.
      stars: on the sky, concrete.
      inside: which count, bool (star,).
      placement: gives the size of a spaxel.
      instrument: likewise.
      emitters: of emission lines, whose velocities are served too.
    """
    asked = dict(precision)
    if asked["v_max_kms"] is None:
        fastest = np.abs(np.asarray(stars.v_los))[inside].max()
        if emitters is not None:
            lit = in_field(emitters, placement, instrument) & (np.asarray(emitters.mass) > 0)
            fastest = max(fastest, np.abs(np.asarray(emitters.v_los))[lit].max(initial=0.0))
        asked["v_max_kms"] = float(min(max(50 * math.ceil(fastest / 50), LEAST_RANGE), V_LIMIT))
    if asked["a_v_max"] is None:
        most = 0.0 if stars.a_v is None else float(np.asarray(stars.a_v)[inside].max())
        asked["a_v_max"] = min(0.5 * math.ceil(most / 0.5), 6.0)
    if stars.smoothing is not None and "levels" not in asked:
        asked["levels"] = smoothing_levels(stars, inside, placement, instrument)
    rank = None if asked["rank"] is None else int(asked["rank"])
    return Precision(**{**asked, "rank": rank, "a_v_modes": int(asked["a_v_modes"])})


def smoothing_levels(stars: SkyStars, inside: np.ndarray, placement: Placement, instrument: Instrument) -> int:
    """Levels of smoothing [1] that the stars inside, bool (star,), need; arguments as of `served_precision`."""
    if stars.smoothing is None:
        return 0
    y, x = cells_of(instrument)
    area = instrument.spaxel_x_arcsec * instrument.spaxel_y_arcsec / (y * x)
    sigma = np.asarray(stars.smoothing)[inside] / (float(placement.kpc_per_arcsec) * math.sqrt(area))
    return levels_needed(sigma, instrument.n_y * y, instrument.n_x * x)


def gas_levels(seen: Seen, instrument: Instrument) -> int:
    """Levels of smoothing that the emitters in the field need."""
    emitters, placement = seen.emitters, seen.placement
    if emitters is None:
        return 0
    lit = in_field(emitters, placement, instrument) & (np.asarray(emitters.mass) > 0)
    return smoothing_levels(emitters, lit, placement, instrument)


def map_maker(plan: Plan, ssp: SSPGrid, *, weight: str, h_v_kms: float, gauss_hermite: bool) -> tuple[Bins, MapMaker]:
    """Bins without margin and with fine velocities, and the stage that reads maps from them.

    Args:
      plan: the observation.
      ssp: its library.
      weight: light (of the recorded band, before dust) or mass.
      h_v_kms: spacing of the velocity nodes [km/s].
      gauss_hermite: whether V, sigma, h3 and h4 are those of a fit, or V and sigma moments.
    """
    band = slice(*np.searchsorted(plan.node_wave, plan.wave_vacuum[[0, -1]] / (1 + plan.redshift)))
    light = np.trapezoid(plan.nodes[:, band], plan.node_wave[band], axis=-1)  # Lsun/Msun in the recorded band
    tables = node_tables(
        ssp.ssp_lg_age_gyr,
        ssp.ssp_lgmet,
        interpolation=plan.precision.interpolation,
        weight=light if weight == "light" else None,
    )
    bins = dataclasses.replace(
        spaxel_bins(plan),
        v_nodes=velocity_nodes(plan.precision.v_max_kms, h_v_kms),
        attenuation=no_attenuation(1),
    )
    return bins, MapMaker(tables=tables, gauss_hermite=gauss_hermite)


def count_stars(stars: SkyStars, inside: np.ndarray, plan: Plan, ssp: SSPGrid, engine: str) -> dict:
    """Numbers and formed masses [Msun] of stars (star,) in the field, outside, and beyond the ranges served, with a
    warning; in the field also the mean A_V in front of them by mass [mag].
    """
    age, metallicity, formed = (np.asarray(x)[inside] for x in (stars.age, stars.metallicity, stars.mass))
    report = clip_report(age, metallicity, formed, ssp)
    warn_clipped(report)
    mass = np.asarray(stars.mass, np.float64)
    v_max, a_v_max = plan.bins.v_max, plan.precision.a_v_max
    fast = inside & (np.abs(np.asarray(stars.v_los)) > v_max)
    dim = inside & (False if stars.a_v is None or engine == "direct" else np.asarray(stars.a_v) > a_v_max + 1e-3)
    for which, words in ((fast, f"faster than {v_max:.0f} km/s"), (dim, f"behind more than {a_v_max:g} mag of dust")):
        if which.any():
            share = mass[which].sum() / mass[inside].sum()
            warnings.warn(f"{which.sum()} stars ({share:.2%} of the mass) are {words}, and count as that", stacklevel=2)
    groups = {
        "all": np.ones_like(inside),
        "in_field": inside,
        "outside_field": ~inside,
        "beyond_velocity_range": fast,
        "beyond_attenuation_range": dim,
    }
    counted = {
        name: {"number": int(which.sum()), "mass_formed_msun": mass[which].sum()} for name, which in groups.items()
    }
    a_v = np.zeros(len(mass)) if stars.a_v is None else np.asarray(stars.a_v, np.float64)
    counted["in_field"]["a_v_mag"] = float((a_v * mass)[inside].sum() / max(mass[inside].sum(), np.finfo(float).tiny))
    clipped = {"number": report.n_clipped, "mass_formed_msun": report.mass_clipped * mass[inside].sum()}
    return {**counted, "outside_library": clipped}
