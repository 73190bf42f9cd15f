"""Calibrate the scalars of the embedded SSP library against MILES and MIUSCAT, and report how well it does.

Run: python experiments/calibrate_analytic_ssp.py --steps 12 --write --figures FOLDER
Data: $GALDIFF_DATA/ssp or ../shared/data/ssp, see the data's README. How it is fitted, see
`galdiff.sps.analytic.calibration`. The figures hold MILES spectra: do not publish them.
"""

import argparse
import functools
import json
import os
import pathlib

import h5py
import numpy as np

from galdiff import runtime
from galdiff.plotting.calibration_figure import plot_population_spectra, plot_population_trends
from galdiff.sps.analytic import coefficients, kroupa, kroupa_revised
from galdiff.sps.analytic.calibration import (
    C_A_S,
    Bands,
    Measured,
    Problem,
    Sample,
    Summary,
    coefficients_text,
    compare,
    damped_least_squares,
    report_lines,
    sample,
    stored,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data")) / "ssp"
MILES, MIUSCAT = "ssp_miles_basti_kb.h5", "ssp_miuscat_thin.h5"
MILES_Z = (0.0003, 0.001, 0.004, 0.008, 0.01, 0.0198, 0.03, 0.04)
MILES_AGES = (0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 10.0, 13.0)  # Gyr
MIUSCAT_Z = (0.01, 0.0198)
MIUSCAT_AGES = (0.04, 0.06, 0.1, 0.2, 0.3, 0.5, 0.9, 1.25, 2.25, 5.5, 8.5, 10.5, 12.5)
PRIOR = pathlib.Path(__file__).with_name("analytic_ssp_prior.json")  # published or rough values, and how far to trust


def load(name: str) -> Measured:
    """Spectra of a data file."""
    with h5py.File(DATA / name) as file:
        wave, age, met, flux = (file[f"ssp_{k}"][:].astype(float) for k in ("wave", "lg_age_gyr", "lgmet", "flux"))
    return Measured(wave, 10**age, 10**met, flux * C_A_S / wave**2)


def passbands() -> Bands:
    """SDSS g, r and Bessell V."""
    from speclite.filters import load_filters

    return [(band.wavelength, band.response) for band in load_filters("sdss2010-g", "sdss2010-r", "bessell-V")]


def samples(miles: Measured, bands: Bands) -> list[Sample]:
    """What is fitted, each with the IMF of its library."""
    return [
        sample(miles, (MILES_Z, MILES_AGES), kroupa_revised(), (3556.0, 7400.0), bands),
        sample(load(MIUSCAT), (MIUSCAT_Z, MIUSCAT_AGES), kroupa(), (6900.0, 9440.0), None),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=0, help="least-squares steps; 0 only reports")
    parser.add_argument("--restart", action="store_true", help="start from the stored coefficients, not the prior")
    parser.add_argument("--write", action="store_true", help="store the result in the package")
    parser.add_argument("--figures", type=pathlib.Path, help="folder for comparison figures")
    args = parser.parse_args()
    runtime.configure(precision="float64")
    miles, bands, full = load(MILES), passbands(), stored()
    if args.steps:
        problem = Problem(samples(miles, bands), json.loads(PRIOR.read_text()))
        start = full if args.restart else problem.centre
        full = damped_least_squares(problem, start[problem.free], args.steps, functools.partial(print, flush=True))
    if args.write:
        pathlib.Path(coefficients.__file__).write_text(coefficients_text(full), encoding="utf-8")
    found = compare(miles, np.asarray(full), kroupa_revised())
    summary = Summary(found.wave, bands)
    print(*report_lines(found, summary), sep="\n")
    if args.figures:
        args.figures.mkdir(parents=True, exist_ok=True)
        for z in (0.004, 0.0198, 0.03):
            plot_population_spectra(found, z).savefig(args.figures / f"spectra_z{z}.png")
        plot_population_trends(found, summary).savefig(args.figures / "trends.png")


if __name__ == "__main__":
    main()
