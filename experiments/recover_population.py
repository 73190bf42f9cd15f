"""Parameters of a galaxy population, recovered from the magnitudes and colours of its galaxies by gradients.

The mock draws for each galaxy whether it is quenched; the model weights both branches, in other haloes and with other
random numbers, so that nothing of the mock is known to the fit but its counts.
"""

import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from omegaconf import DictConfig, OmegaConf
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from galdiff import cosmology, runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.inference.fit import minimise
from galdiff.inference.population_fit import (
    PopulationData,
    PopulationModel,
    axes_of,
    draw_mock,
    uncertainties,
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
from galdiff.populations.mass_functions import halo_masses

FILES = ("recover_population.png", "counts.npz", "metrics.json", "config.yaml")


def population_of(cfg: DictConfig, library) -> tuple[BranchedLight, SeenAt]:
    """The population and where it is seen."""
    universe, z = build(cfg.cosmology, path="cosmology"), float(cfg.redshift)
    bands = [load_passband(name) for name in cfg.passbands.values()]
    tables = band_tables(library, bands, z, int(cfg.sub_bands))
    seen = SeenAt(
        time=cosmology.age(universe, z),
        redshift=jnp.asarray(z),
        modulus=distance_modulus(universe, z),
        flux=tables.flux.reshape(-1, tables.flux.shape[-1]),
        centre=tables.centre,
        baryon_fraction=jnp.asarray(universe.omega_b / universe.omega_m),
    )
    light = BranchedLight(
        galaxies=build(cfg.sfh_population, path="sfh_population"),
        dust=dust_population(),
        metallicity=build(cfg.metallicity, path="metallicity"),
        library=library,
        imf=build(cfg.imf, path="imf"),
        n_bands=len(bands),
        widest=cfg.widest,
    )
    return light, jax.tree.map(lambda x: jnp.asarray(x, float), seen)


def grown(cfg: DictConfig, light: BranchedLight, seen: SeenAt, n: int, key) -> object:
    """Haloes of n galaxies, of random masses."""
    masses = build(cfg.mass_function, path="mass_function")
    universe, z = build(cfg.cosmology, path="cosmology"), float(cfg.redshift)
    first, then = jax.random.split(key)
    log10_m = halo_masses(masses, tuple(cfg.log10_mhalo), z, jax.random.uniform(first, (n,)))
    ages = light.ages.points_before(seen.time).age
    return jax.jit(lambda m, k: grow_centrals(halo_population(), ages, m, z, universe, k))(log10_m, then)


def fit_with_progress(cfg: DictConfig, model: PopulationModel, start, data):
    """The fit, with its loss shown on the way."""
    adam = optax.adam(optax.cosine_decay_schedule(cfg.learning_rate, cfg.steps), b1=0.8, b2=0.95)
    columns = (TextColumn("fit"), BarColumn(), TextColumn("{task.completed}/{task.total} {task.fields[loss]}"))
    with Progress(*columns, TimeElapsedColumn(), transient=True) as progress:
        task = progress.add_task("fit", total=cfg.steps, loss="(compiling)")
        report = lambda done, loss: progress.update(task, completed=done, loss=f"loss {loss:.4g}")  # noqa: E731
        return minimise(model.loss, start, (data,), optimiser=adam, steps=cfg.steps, keep_path=True, report=report)


@experiment("recover_population")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    check_experiment(cfg, "recover_population")
    folder, began = pathlib.Path(cfg.output), time.perf_counter()
    check_output(folder, 5_000_000, cfg.overwrite, FILES)
    light, seen = population_of(cfg, build(cfg.ssp, path="ssp"))
    scales = {name: float(values.scale) for name, values in cfg.free.items()}
    keys = jax.random.split(jax.random.key(cfg.seed), 2)
    rng = np.random.default_rng(cfg.seed)
    bands = list(cfg.passbands)
    observed, haloes = (grown(cfg, light, seen, n, key) for n, key in zip((cfg.galaxies, cfg.model_galaxies), keys))
    everything = PopulationModel(light, (), scales | {name: 1.0 for name in cfg.truth if name not in scales})
    truth = everything.from_physical(dict(cfg.truth))
    made = jax.jit(everything.galaxies)(truth, observed, seen)
    axes = axes_of(list(cfg.axes), bands, np.asarray(made.mag)[:, 0], int(cfg.bins), float(cfg.error))
    measured, quenched = draw_mock(made, axes, rng)
    counts, _ = np.histogramdd(measured, [a.edges for a in axes])
    model = PopulationModel(light, axes, scales)
    data = PopulationData(counts=jnp.asarray(counts, float), haloes=haloes, seen=seen)
    start = model.from_physical({name: float(values.start) for name, values in cfg.free.items()})
    fit = fit_with_progress(cfg, model, start, data)
    errors = uncertainties(model, fit.params, data)
    true, begun, found = (
        {n: float(v) for n, v in model.physical({n: p[n] for n in scales}).items()} for p in (truth, start, fit.params)
    )
    table = {n: {"truth": true[n], "start": begun[n], "recovered": found[n], "uncertainty": errors[n]} for n in scales}
    metrics = {
        "parameters": table,
        "loss": {
            "start": float(fit.losses[0]),
            "truth": float(jax.jit(model.loss)({n: truth[n] for n in scales}, data)),
            "recovered": float(fit.loss),
        },
        "galaxies": int(counts.sum()),
        "quenched_share": float(quenched.mean()),
        "seconds": time.perf_counter() - began,
        "versions": runtime.versions(),
    }
    run = jax.jit(model.counts)
    three = {"truth": counts, "start": np.asarray(run(start, data)), "recovered": np.asarray(run(fit.params, data))}
    path = {n: np.asarray(v) for n, v in jax.vmap(model.physical)(fit.path).items()}
    figure = plot_population(axes, three, path, table, np.asarray(fit.losses))
    edges = {f"edges_{a.name}": a.edges for a in axes}
    writers = (
        figure.savefig,
        lambda where: np.savez_compressed(where, **three, **edges),
        as_json(metrics),
        text(OmegaConf.to_yaml(cfg, resolve=True)),
    )
    write_files(folder, dict(zip(FILES, writers, strict=True)), cfg.overwrite)
    for name, row in table.items():
        print(f"{name}: {row['recovered']:.3f} +- {row['uncertainty']:.3f} (truth {row['truth']:.3f})")
    print(f"{metrics['galaxies']:,} galaxies, {metrics['seconds']:.0f} s: {folder}")


if __name__ == "__main__":
    main()
