"""Parameters of a galaxy population, recovered from the magnitudes and colours of its galaxies by gradients.

The mock draws for each galaxy whether it is quenched; the model weights both branches, in other haloes and with other
random numbers, so that nothing of the mock is known to the fit but its counts.
"""

import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from galdiff import cosmology, runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.inference.population_fit import (
    PopulationData,
    PopulationModel,
    axes_of,
    draw_mock,
    fit_population,
)
from galdiff.io.folder import as_json, text, write_files
from galdiff.io.preflight import check_output
from galdiff.limits import check_experiment
from galdiff.photometry.read import load_passband
from galdiff.photometry.tables import band_tables
from galdiff.plotting.population_figure import plot_population
from galdiff.populations.branches import BranchedLight, SeenAt, distance_modulus, grow_centrals
from galdiff.populations.diffmahpop import halo_population
from galdiff.populations.dust_population import dust_population
from galdiff.populations.mass_function import halo_masses
from galdiff.populations.point_tables import point_tables
from galdiff.sfh.fractions import AgeFractions

FILES = ("recover_population.png", "counts.npz", "metrics.json", "config.yaml")


def population_of(cfg: DictConfig, library) -> tuple[BranchedLight, SeenAt]:
    """The population and where it is seen."""
    universe, z = build(cfg.cosmology, path="cosmology"), float(cfg.redshift)
    bands = [load_passband(name) for name in cfg.passbands.values()]
    tables = band_tables(library, bands, z, float(cfg.tolerance))
    now, ages, imf = cosmology.age(universe, z), AgeFractions(step=cfg.step), build(cfg.imf, path="imf")
    seen = SeenAt(
        time=now,
        redshift=jnp.asarray(z),
        modulus=distance_modulus(universe, z),
        light=point_tables(ages, float(now), np.asarray(library.ssp_lg_age_gyr), np.asarray(tables.flux), imf),
        centre=tables.centre,
        baryon_fraction=jnp.asarray(universe.omega_b / universe.omega_m),
    )
    light = BranchedLight(
        galaxies=build(cfg.sfh_population, path="sfh_population"),
        dust=dust_population(),
        metallicity=build(cfg.metallicity, path="metallicity"),
        ages=ages,
        lgmet=np.asarray(library.ssp_lgmet).tolist(),
        parts=tables.parts,
    )
    return light, jax.tree.map(lambda x: jnp.asarray(x, float), seen)


def grown(cfg: DictConfig, light: BranchedLight, seen: SeenAt, n: int, key) -> object:
    """Haloes of n galaxies, of random masses."""
    masses = build(cfg.mass_function, path="mass_function")
    universe, z = build(cfg.cosmology, path="cosmology"), float(cfg.redshift)
    first, then = jax.random.split(key)
    log10_m = halo_masses(masses, tuple(cfg.log10_mhalo), z, jax.random.uniform(first, (n,)))
    ages = light.stars.ages.ages(seen.time)
    return jax.jit(lambda m, k: grow_centrals(halo_population(), ages, m, z, universe, k))(log10_m, then)


def fit_with_progress(cfg: DictConfig, model: PopulationModel, start, data):
    """The fit, with its loss shown on the way."""
    columns = (TextColumn("fit"), BarColumn(), TextColumn("{task.completed}/{task.total} {task.fields[loss]}"))
    with Progress(*columns, TimeElapsedColumn(), transient=True) as progress:
        task = progress.add_task("fit", total=cfg.steps, loss="(compiling)")
        report = lambda done, loss: progress.update(task, completed=done, loss=f"loss {loss:.4g}")  # noqa: E731
        return fit_population(model, start, data, steps=cfg.steps, report=report)


def observe(cfg: DictConfig, light: BranchedLight, seen: SeenAt, scales: dict[str, float], key):
    """The mock: true scaled parameters, axes, counts, and the share of quenched galaxies."""
    observed = grown(cfg, light, seen, cfg.galaxies, key)
    everything = PopulationModel(light, (), scales | {name: 1.0 for name in cfg.truth if name not in scales})
    truth = everything.from_physical(dict(cfg.truth))
    made = jax.jit(everything.galaxies)(truth, observed, seen)
    axes = axes_of(list(cfg.axes), list(cfg.passbands), np.asarray(made.mag)[:, 0], int(cfg.bins), float(cfg.error))
    measured, quenched = draw_mock(made, axes, np.random.default_rng(cfg.seed))
    counts, _ = np.histogramdd(measured, [axis.edges for axis in axes])
    return {name: truth[name] for name in scales}, axes, counts, float(quenched.mean())


@experiment("recover_population")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    check_experiment(cfg, "recover_population")
    folder, began = pathlib.Path(cfg.output), time.perf_counter()
    check_output(folder, 5_000_000, cfg.overwrite, FILES)
    light, seen = population_of(cfg, build(cfg.ssp, path="ssp"))
    scales = {name: float(values.scale) for name, values in cfg.free.items()}
    keys = jax.random.split(jax.random.key(cfg.seed))
    truth, axes, counts, quenched = observe(cfg, light, seen, scales, keys[0])
    model = PopulationModel(light, axes, scales)
    haloes = grown(cfg, light, seen, cfg.model_galaxies, keys[1])
    n = jnp.asarray(cfg.galaxies, float)
    data = PopulationData(counts=jnp.asarray(counts, float), galaxies=n, haloes=haloes, seen=seen)
    start = model.from_physical({name: float(values.start) for name, values in cfg.free.items()})
    fit = fit_with_progress(cfg, model, start, data)
    where = {"truth": truth, "start": start, "recovered": fit.params}
    values = {at: {n: float(v) for n, v in model.physical(p).items()} for at, p in where.items()}
    table = {n: {at: values[at][n] for at in where} | {"uncertainty": fit.uncertainty[n]} for n in scales}
    run = jax.jit(lambda p, data: (model.counts(p, data), model.loss(p, data)))
    ends = {at: run({n: jnp.asarray(v, float) for n, v in p.items()}, data) for at, p in where.items()}
    shown = {at: np.asarray(end[0]) for at, end in ends.items()} | {"truth": counts}
    metrics = {
        "parameters": table,
        "loss": {at: float(end[1]) for at, end in ends.items()},
        "galaxies": int(cfg.galaxies),
        "quenched_share": quenched,
        "seconds": time.perf_counter() - began,
        "versions": runtime.versions(),
    }
    writers = (
        plot_population(axes, shown, fit.path, table, fit.losses).savefig,
        lambda path: np.savez_compressed(path, **shown, **{f"edges_{axis.name}": axis.edges for axis in axes}),
        as_json(metrics),
        text(OmegaConf.to_yaml(cfg, resolve=True)),
    )
    write_files(folder, dict(zip(FILES, writers, strict=True)), cfg.overwrite)
    for name, row in table.items():
        print(f"{name}: {row['recovered']:.3f} +- {row['uncertainty']:.3f} (truth {row['truth']:.3f})")
    print(f"{metrics['galaxies']:,} galaxies, {metrics['seconds']:.0f} s: {folder}")


if __name__ == "__main__":
    main()
