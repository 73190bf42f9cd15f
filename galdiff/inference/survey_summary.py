"""What a survey of Jacobians says: which parameters dominate, where a slope has no say, how well differences agree."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from galdiff.baryons.parameters import V_0
from galdiff.errors import InputError
from galdiff.inference.sensitivity import Sensitivity, mean_in_bins
from galdiff.inference.survey import Survey

POOR = 0.02  # dex, error of the masses above which a galaxy counts as poorly solved


def percentiles(relative: np.ndarray) -> dict[str, float]:
    """Some percentiles by name of values [any unit] of any shape."""
    names = ("median", "p90", "p99", "max")
    return dict(zip(names, map(float, np.percentile(relative, [50, 90, 99, 100])), strict=True))


def agreement(exact: np.ndarray, differences: np.ndarray, floor: float) -> tuple[dict[str, Any], np.ndarray]:
    """Percentiles of absolute and relative differences of derivatives, and the relative ones above the floor.

    Args:
      exact, differences: derivatives of the same shape and unit [any].
      floor: size below which a derivative has no relative difference.

    Raises:
      InputError: no derivative is above the floor.
    """
    apart = np.abs(exact - differences)
    large = np.isfinite(apart) & (np.abs(differences) > floor)
    if not large.any():
        raise InputError(f"no derivative is above compare.floor = {floor:g}; lower it")
    relative = apart[large] / np.abs(differences[large])
    found = {"relative": percentiles(relative), "absolute": percentiles(apart[np.isfinite(apart)])}
    return found | {"compared": int(large.sum()), "below_floor": int(apart.size - large.sum())}, relative


def dominance(size: np.ndarray, outputs: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Parameters ranked by the mean size (output, parameter) of the derivative [per unit of the parameter], for each
    output and over all.
    """
    rank = lambda row: {names[k]: round(float(row[k]), 4) for k in np.argsort(-row)}  # noqa: E731
    by_output = {o: names[int(np.argmax(row))] for o, row in zip(outputs, size, strict=True)}
    return {"all_outputs": rank(size.mean(0)), "by_output": by_output}


def dead_stripes(
    masses: np.ndarray, v_vir: np.ndarray, slopes: np.ndarray, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Where the derivative in a slope is smallest, over that in the amplitude of the same law: mass and velocity.

    Args:
      masses: log10 M_vir [Msun] (galaxy,); v_vir: [km/s] (galaxy,).
      slopes: derivatives (galaxy, parameter); names: of the parameters.
    """
    found = {}
    for name in (n for n in names if n.endswith(".alpha0")):
        law = name.removesuffix(".alpha0")
        if f"{law}.log10_a" not in names:
            continue
        size = [mean_in_bins(masses, np.abs(slopes[:, names.index(f"{law}.{n}")])) for n in ("alpha0", "log10_a")]
        (centre, slope, _), (_, amplitude, _) = size
        ratio = slope / np.where(amplitude > 0, amplitude, np.nan)
        if not np.isfinite(ratio).any():
            continue
        least = int(np.nanargmin(ratio))
        order = np.argsort(masses)
        velocity = np.interp(centre[least], *mean_in_bins(masses[order], v_vir[order])[:2])
        found[law] = {
            "log10_mvir": round(float(centre[least]), 3),
            "v_vir_km_s": round(float(velocity), 1),
            "slope_over_amplitude": round(float(ratio[least]), 4),
            "largest_slope_over_amplitude": round(float(np.nanmax(ratio)), 4),
        }
    return found


def pivot_mass(survey: Survey) -> float:
    """log10 M_vir [Msun] of halos whose virial velocity is the pivot of the power laws."""
    order = np.argsort(survey.v_end)
    return float(np.interp(V_0, survey.v_end[order], survey.masses[survey.good][order]))


def survey_summary(
    survey: Survey, in_time: Sensitivity, everything: Sensitivity, main_output: str, floor: float
) -> dict[str, Any]:
    """Numbers of a survey and of one halo (see `one_halo`), ready for JSON."""
    found = survey.found
    names, outputs = list(found.parameters), list(found.outputs)
    size = np.abs(survey.kept).mean(0)[survey.last]
    main = size[outputs.index(main_output), None]
    return {
        "galaxies": len(survey.masses),
        "without_finite_derivatives": int((~np.isfinite(survey.jacobian).all((1, 2, 3))).sum()),
        "above_the_tolerance": int((~np.asarray(found.solved)).sum()),
        "error_above_0.02_dex": int((found.error > POOR).sum()),
        "mode": {"population": found.mode, "one_halo": in_time.mode, "one_halo_all_numbers": everything.mode},
        "dominant": dominance(size, outputs, names),
        "dominant_main_output": dominance(main, [main_output], names)["all_outputs"],
        "agreement": agreement(survey.jacobian[survey.picks], survey.differences, floor)[0],
        "dead_stripes": dead_stripes(survey.masses[survey.good], survey.v_end, survey.at_end(main_output), names),
        "one_halo": dict(zip(everything.parameters, map(float, everything.jacobian[0, 0]), strict=True)),
    }
