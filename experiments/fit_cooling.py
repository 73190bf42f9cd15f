"""Fit the smooth cooling function that the package ships to the tables of Sutherland & Dopita (1993), and report it.

Run: python experiments/fit_cooling.py --write --figure docs/images/cooling_fit.png
Data: $GALDIFF_DATA/cooling/sd93_cie.csv or ../shared/data/cooling/sd93_cie.csv. How it is fitted, see
`galdiff.baryons.cooling_fit`. The two padded rows of [Fe/H] = +0.5 are replaced, with little weight, by the solar ones
plus the step between the columns at log T = 4.10.
"""

import argparse
import os
import pathlib

import numpy as np

from galdiff import runtime
from galdiff.baryons import cooling_coefficients
from galdiff.baryons.cooling import make_fit
from galdiff.baryons.cooling_fit import (
    COLUMNS,
    T_RANGE,
    Z_NODES,
    coefficients_text,
    fit_cooling,
    measured,
    residuals,
)
from galdiff.io.cooling_tables import load_sd93_csv
from galdiff.plotting.cooling_figure import plot_cooling_fit

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data")) / "cooling" / "sd93_cie.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="store the coefficients in the package")
    parser.add_argument("--figure", type=pathlib.Path, help="picture to draw")
    args = parser.parse_args()
    runtime.configure(precision="float64")
    data = measured(load_sd93_csv(DATA))
    in_t, in_z = fit_cooling(*data)
    made = make_fit(T_RANGE, in_t, Z_NODES, in_z)
    left = residuals(made, *data)
    print(f"largest residual {np.nanmax(np.abs(left)):.4f} dex, rms {np.sqrt(np.nanmean(left**2)):.4f} dex")
    for z, column in zip(COLUMNS, left.T, strict=True):
        print(f"[Fe/H] {z:+.1f}: {np.nanmax(np.abs(column)):.4f} dex")
    if args.write:
        pathlib.Path(cooling_coefficients.__file__).write_text(coefficients_text(in_t, in_z), encoding="utf-8")
    if args.figure:
        plot_cooling_fit(made, *data).savefig(args.figure)


if __name__ == "__main__":
    main()
