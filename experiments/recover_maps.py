"""Age and metallicity maps of a disc, recovered from a noisy cube by Adam on chi2, starting from wrong maps.

Each spaxel holds one population: its age, metallicity and light are free, three numbers a spaxel, and all are fitted
at once because the PSF mixes neighbours. The velocity field is known. The observed cube comes from the direct engine,
which is exact, with noise; the model inside the fit is the compressed one.
"""

import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from omegaconf import DictConfig, OmegaConf
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.ifu.placement import place
from galdiff.ifu.plan import Precision, make_plan
from galdiff.inference.noise_limit import noise_limit
from galdiff.inference.populations import disc_maps, fastest, make_model
from galdiff.inference.recovered_maps import (
    FIELDS,
    chi2_per_pixel,
    figures_of_merit,
    fit_maps,
    observe_populations,
    parameter_box,
    populations_of,
    uniform_start,
)
from galdiff.io.folder import as_json, text, write_files
from galdiff.io.preflight import check_output
from galdiff.limits import check_experiment
from galdiff.plotting.recovered_maps_figure import plot_recovered_maps

FILES = ("recover_maps.png", "maps.npz", "metrics.json", "config.yaml")


def fit_with_progress(cfg: DictConfig, model, start, data, box):
    """The fit, with its chi2 shown on the way."""
    adam = optax.adam(optax.cosine_decay_schedule(cfg.learning_rate, cfg.steps), b1=cfg.b1, b2=cfg.b2)
    columns = (TextColumn("fit"), BarColumn(), TextColumn("{task.completed}/{task.total} {task.fields[chi2]}"))
    with Progress(*columns, TimeElapsedColumn(), transient=True) as progress:
        task = progress.add_task("fit", total=cfg.steps, chi2="(compiling)")
        report = lambda done, loss: progress.update(task, completed=done, chi2=f"chi2 {loss:.4g}")  # noqa: E731
        return fit_maps(model, start, data, box, adam, cfg.steps, report)


@experiment("recover_maps")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    check_experiment(cfg, "recover_maps")
    folder, began = pathlib.Path(cfg.output), time.perf_counter()
    check_output(folder, 5_000_000, cfg.overwrite, FILES)
    instrument, disc = build(cfg.instrument, path="instrument"), build(cfg.disc, path="disc")
    placement = place(build(cfg.cosmology, path="cosmology"), jnp.asarray(cfg.redshift, float))
    view = (float(placement.kpc_per_arcsec), cfg.inclination, cfg.position_angle)
    log10_age, log10_z, mass, motion = disc_maps(disc, instrument, *view)
    settings = dict(rank=cfg.rank, interpolation=cfg.interpolation, kernel="nearest", v_max_kms=fastest(motion))
    ssp = build(cfg.ssp, path="ssp")
    plan = make_plan(ssp, instrument, cfg.redshift, Precision(**settings))
    truth = populations_of(plan, log10_age, log10_z, mass)
    start = uniform_start(truth, cfg.start.age, cfg.start.metallicity, cfg.start.log10_light)
    box = parameter_box(ssp, truth, start)
    key = jax.random.key(cfg.seed)
    flux, var, noisy = observe_populations(plan, truth, motion, placement, key, mode=cfg.noise.mode, snr=cfg.noise.snr)
    snr = np.median(np.asarray(flux / jnp.sqrt(var)), -1)
    make, model = make_model(plan, placement), lambda populations: make(populations, motion)
    fit = fit_with_progress(cfg, model, start, (noisy, var), box)
    maps = dict(truth=truth, start=start, recovered=fit.params, limit=noise_limit(model, truth, var))
    at_truth = chi2_per_pixel(model, truth, noisy, var)
    found = figures_of_merit(maps, fit, at_truth, snr, snr_min=cfg.snr_min, n=noisy.size)
    metrics = dict(library=ssp.name, **found, seconds=time.perf_counter() - began, versions=runtime.versions())
    arrays = {f"{name}_{f}": np.asarray(getattr(m, f)) for name, m in maps.items() for f in FIELDS}
    field = (instrument.n_x * instrument.spaxel_x_arcsec, instrument.n_y * instrument.spaxel_y_arcsec)
    writers = (
        plot_recovered_maps(maps, fit, snr, field).savefig,
        lambda path: np.savez_compressed(path, snr=snr, loss=np.asarray(fit.losses), **arrays),
        as_json(metrics),
        text(OmegaConf.to_yaml(cfg, resolve=True)),
    )
    write_files(folder, dict(zip(FILES, writers, strict=True)), cfg.overwrite)
    for name, label in (("log10_age", "age"), ("log10_z", "Z")):
        bias, rms, _, limit_rms = metrics[name].values()
        print(f"{label}: bias {bias:+.4f} dex, rms {rms:.4f} dex (the noise allows {limit_rms:.4f})")
    print(f"{metrics['spaxels_used']} of {snr.size} spaxels, {metrics['seconds']:.0f} s: {folder}")


if __name__ == "__main__":
    main()
