"""Derivatives of one population's spectrum in age and metallicity, by autodiff and by central differences.

The check of RUBIX's figure 2 (one star of 10 Gyr and Z = 1.4e-3), in float64. The differences are Richardson
extrapolated: a star may sit on a node of the library, where the second derivative of the interpolant jumps, so the
error of a central difference has all powers of its step h, and differences at h, h/2, ... h/16 remove h to h^4. All
steps stay between the neighbouring nodes.
"""

import itertools
import json
import pathlib

import jax
import matplotlib.pyplot as plt
import numpy as np
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.cli import experiment
from galdiff.core.interpolation import TAPS
from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path
from galdiff.io.preflight import check_output
from galdiff.sps.interpolate import node_table, spectrum
from galdiff.sps.library import load_ssp

FILES = ("interpolation_gradients.png", "interpolation_gradients.json")
LARGEST_STEP = 0.01  # relative to the value


def first_step(value: float, nodes: np.ndarray) -> float:
    """Largest step [unit of value] that stays clear of the nodes next to value (one at value itself does not count)."""
    gaps = np.abs(nodes - value)
    gaps = gaps[gaps > 1e-9 * value]
    return float(min(0.9 * gaps.min(), LARGEST_STEP * value)) if gaps.size else LARGEST_STEP * value


def richardson(f, value: float, step: float, levels: int = 5) -> np.ndarray:
    """Derivative of f at value: central differences at step / 2^k, k < levels, extrapolated in all powers of step."""
    steps = step / 2.0 ** np.arange(levels)
    table = [(np.asarray(f(value + h)) - np.asarray(f(value - h))) / ((value + h) - (value - h)) for h in steps]
    for power in range(1, levels):
        table = [(2**power * fine - coarse) / (2**power - 1) for coarse, fine in itertools.pairwise(table)]
    return table[0]


def compare(f, value: float, nodes: np.ndarray) -> dict:
    """Both derivatives of the spectrum f(value) and their difference relative to the largest derivative."""
    autodiff = np.asarray(jax.jit(jax.jacfwd(f))(value))
    step = first_step(value, nodes)
    differences = richardson(jax.jit(f), value, step)
    scale = float(np.abs(autodiff).max())
    if scale == 0.0:
        raise InputError(f"the spectrum does not change at {value:g}; choose a star inside the library")
    return {"autodiff": autodiff, "differences": differences, "error": (autodiff - differences) / scale, "step": step}


def draw(path: pathlib.Path, wave: np.ndarray, results: dict[str, dict], title: str) -> None:
    """Derivatives above, their difference below; one column for each parameter."""
    names = {"age": "age [Gyr]", "metallicity": "metallicity Z"}
    figure, axes = plt.subplots(2, 2, figsize=(11, 6.5), sharex=True, height_ratios=(2, 1), layout="constrained")
    for column, (key, result) in zip(axes.T, results.items(), strict=True):
        unit = "Lsun / $\\mathrm{\\AA}$ / Msun" + (" / Gyr" if key == "age" else " per unit Z")
        column[0].plot(wave, result["autodiff"], lw=1.2, color="C0", label="autodiff")
        column[0].plot(wave, result["differences"], lw=1.0, color="C1", ls=(0, (4, 4)), label="central differences")
        column[0].axhline(0.0, lw=0.5, color="0.6")
        column[0].set(title=f"derivative in {names[key]}", ylabel=f"derivative [{unit}]")
        column[0].ticklabel_format(axis="y", scilimits=(-2, 2))
        column[0].legend(frameon=False)
        column[1].plot(wave, result["error"], lw=0.5, color="0.2")
        column[1].set(xlabel="wavelength [$\\mathrm{\\AA}$, vacuum]", ylabel="difference / max derivative")
        if wave[-1] > 4 * wave[0]:
            column[1].set_xscale("log")
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
    plt.close(figure)


@experiment("interpolation_gradients")
def main(cfg: DictConfig) -> None:
    runtime.configure(precision="float64")
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
    results = {key: compare(f, float(cfg[key]), 10**nodes) for key, (f, nodes) in functions.items()}
    summary = {
        "library": grid.name,
        "method": cfg.method,
        "age_gyr": cfg.age,
        "metallicity": cfg.metallicity,
        "tolerance": cfg.tolerance,
        "max_relative_difference": {key: float(np.abs(r["error"]).max()) for key, r in results.items()},
        "max_derivative": {key: float(np.abs(r["autodiff"]).max()) for key, r in results.items()},
        "first_step": {key: r["step"] for key, r in results.items()},
        "versions": runtime.versions(),
    }
    worst = max(summary["max_relative_difference"].values())
    summary["passed"] = worst <= cfg.tolerance
    title = f"{grid.name}, {cfg.method}: {cfg.age:g} Gyr, Z = {cfg.metallicity:g}"
    with atomic_path(folder / FILES[0], cfg.overwrite) as path:
        draw(path, grid.ssp_wave, results, title)
    with atomic_path(folder / FILES[1], cfg.overwrite) as path:
        path.write_text(json.dumps(summary, indent=2) + "\n")
    verdict = "within" if summary["passed"] else "ABOVE"
    print(f"largest difference {worst:.1e} of the largest derivative, {verdict} {cfg.tolerance:g}: {folder}")


if __name__ == "__main__":
    main()
