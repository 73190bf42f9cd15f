"""Calibrate the hot stars of the embedded SSP library against two libraries with ionising light, and report.

Run: python experiments/calibrate_ionising_light.py --steps 12 --write
Data: $GALDIFF_DATA/ssp or ../shared/data/ssp, see the data's README. How it is fitted, see
`galdiff.sps.analytic.hot_calibration`; run `calibrate_analytic_ssp.py` first, whose scalars are kept.
"""

import argparse
import functools
import os
import pathlib

import jax.numpy as jnp
import numpy as np

from galdiff import runtime
from galdiff.imf import chabrier
from galdiff.sps.analytic import hot_coefficients
from galdiff.sps.analytic.calibration import damped_least_squares
from galdiff.sps.analytic.hot_calibration import NAMES, HotProblem, hot_text
from galdiff.sps.library import load_ssp

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data")) / "ssp"
LIBRARIES = ("ssp_bc03_lr_chabrier.h5", "ssp_popstar_chabrier.h5")
AGES = (0.3, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 14.0, 20.0, 50.0)  # Myr
METALLICITIES = (0.004, 0.02)
OTHERS = (0.0004, 0.008, 0.04)  # reported, not fitted
PRIOR = {  # centre and width, 0 keeps it fixed
    "warmth": (0.0, 0.02),
    "warmth_zeta": (0.0, 0.03),
    "warmth_mass": (0.0, 0.05),
    "late_warmth": (0.0, 0.03),
    "late_warmth_zeta": (0.0, 0.05),
    "late_warmth_mass": (0.0, 0.1),
    "late_light": (0.0, 0.1),
    "late_light_zeta": (0.0, 0.1),
    "late_light_mass": (0.0, 0.2),
    "strip_log_m": (1.8, 0.1),  # 60 Msun
    "strip_time": (0.92, 0.03),
    "bare_log_m": (1.4, 0.1),  # 25 Msun, Crowther (2007, ARA&A 45, 177)
    "bare_log_m_zeta": (-0.3, 0.1),  # same source: more mass is needed at lower metallicity
    "bare_time": (-2.3, 0.3),  # helium burning takes a tenth of hydrogen burning
    "bare_time_mass": (0.0, 1.0),
    "bare_log_t": (4.75, 0.1),  # 30000 to 100000 K, same source
    "lyman_slope": (0.0, 0.2),
    "he_level": (0.0, 0.1),
    "he_zeta": (-0.1, 0.1),
    "he2_level": (-2.0, 1.0),
    "uv_tilt": (0.35, 0.2),
    "uv_tilt_theta": (0.45, 0.2),
    "crowding": (3.0, 1.0),
    "crowding_theta": (1.9, 0.5),
}


def errors() -> np.ndarray:
    """Error of each age and quantity [dex]: tight where the promise is, loose where the libraries disagree."""
    sigma = np.full((len(AGES), len(NAMES)), 0.1)
    ages = np.array(AGES)
    sigma[:, 0] = np.where(ages < 5.1, 0.02, np.where(ages < 10.1, 0.04, 0.1))
    sigma[:, 1], sigma[:, 2] = np.where(ages < 5.1, 0.2, 2.0), np.where(ages < 2.6, 2.0, 100.0)
    sigma[:, -1] = 0.3
    return sigma


def report(problem: HotProblem, free: np.ndarray) -> list[str]:
    """Differences from each library, by quantity, metallicity and age [dex]."""
    model = np.asarray(problem.model(jnp.asarray(free)))
    lines = ["ages [Myr]          " + " ".join(f"{age:6.1f}" for age in AGES)]
    for q, name in enumerate(NAMES):
        for i, z in enumerate(problem.mets):
            for library, data in zip(LIBRARIES, problem.data, strict=True):
                gaps = " ".join(f"{gap:+6.2f}" for gap in model[i, :, q] - data[i, :, q])
                lines.append(f"{name:8s} {z:.4f} {library[4:7]} {gaps}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=0, help="least-squares steps; 0 only reports")
    parser.add_argument("--write", action="store_true", help="store the result in the package")
    args = parser.parse_args()
    runtime.configure(precision="float64")
    libraries = [load_ssp(DATA / name) for name in LIBRARIES]
    ages = [age * 1e-3 for age in AGES]
    problem = HotProblem(libraries, chabrier(), ages, METALLICITIES, errors(), PRIOR)
    full = np.array(list(hot_coefficients.HOT.values()))
    if args.steps:
        full = damped_least_squares(
            problem, problem.centre[problem.free], args.steps, functools.partial(print, flush=True)
        )
        print(hot_text(full))
    if args.write:
        pathlib.Path(hot_coefficients.__file__).write_text(hot_text(full), encoding="utf-8")
    print(*report(problem, full[problem.free]), sep="\n")
    others = HotProblem(libraries, chabrier(), ages, OTHERS, errors(), PRIOR)
    print(*report(others, full[problem.free])[: 1 + 4 * len(OTHERS)], sep="\n")


if __name__ == "__main__":
    main()
