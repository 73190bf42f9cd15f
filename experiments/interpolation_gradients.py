"""Derivatives of one population's spectrum in age and metallicity, by autodiff and by central differences.

The check of RUBIX's figure 2 (one star of 10 Gyr and Z = 1.4e-3), in float64; see `galdiff.sps.derivatives`.
"""

import pathlib

import jax
import numpy as np
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.cli import experiment
from galdiff.core.interpolation import TAPS
from galdiff.errors import InputError
from galdiff.io.folder import as_json, write_files
from galdiff.io.preflight import check_output
from galdiff.limits import check_experiment
from galdiff.plotting.derivatives_figure import plot_derivatives
from galdiff.sps.derivatives import compare_derivatives
from galdiff.sps.interpolate import node_table, spectrum
from galdiff.sps.library import load_ssp

FILES = ("interpolation_gradients.png", "interpolation_gradients.json")


@experiment("interpolation_gradients")
def main(cfg: DictConfig) -> None:
    runtime.configure(precision="float64")
    check_experiment(cfg, "interpolation_gradients")
    if cfg.method not in TAPS:
        raise InputError(f"method is '{cfg.method}'; choose one of {', '.join(TAPS)}")
    folder = pathlib.Path(cfg.output)
    check_output(folder, 2_000_000, cfg.overwrite, FILES)
    grid = load_ssp(**OmegaConf.to_container(cfg.ssp, resolve=True))
    grid = jax.tree.map(lambda x: np.asarray(x, np.float64), grid)
    for name, value, lg in (("age", cfg.age, grid.ssp_lg_age_gyr), ("metallicity", cfg.metallicity, grid.ssp_lgmet)):
        if not 10 ** lg[0] < value < 10 ** lg[-1]:
            raise InputError(f"{name} is {value:g}, but '{grid.name}' spans {10 ** lg[0]:.4g} to {10 ** lg[-1]:.4g}")
    table = node_table(grid, cfg.method)
    log10 = jax.numpy.log10
    functions = {
        "age": (lambda age: spectrum(table, log10(age), np.log10(cfg.metallicity)), grid.ssp_lg_age_gyr),
        "metallicity": (lambda z: spectrum(table, np.log10(cfg.age), log10(z)), grid.ssp_lgmet),
    }
    results = {key: compare_derivatives(f, float(cfg[key]), 10**nodes) for key, (f, nodes) in functions.items()}
    summary = {
        "library": grid.name,
        "method": cfg.method,
        "age_gyr": cfg.age,
        "metallicity": cfg.metallicity,
        "tolerance": cfg.tolerance,
        "max_relative_difference": {key: float(np.abs(r.error).max()) for key, r in results.items()},
        "max_derivative": {key: float(np.abs(r.autodiff).max()) for key, r in results.items()},
        "first_step": {key: r.step for key, r in results.items()},
        "versions": runtime.versions(),
    }
    worst = max(summary["max_relative_difference"].values())
    summary["passed"] = worst <= cfg.tolerance
    title = f"{grid.name}, {cfg.method}: {cfg.age:g} Gyr, Z = {cfg.metallicity:g}"
    figure = plot_derivatives(grid.ssp_wave, results, title)
    write_files(folder, {FILES[0]: figure.savefig, FILES[1]: as_json(summary)}, cfg.overwrite)
    verdict = "within" if summary["passed"] else "ABOVE"
    print(f"largest difference {worst:.1e} of the largest derivative, {verdict} {cfg.tolerance:g}: {folder}")


if __name__ == "__main__":
    main()
