"""Predict with trained models: one checkpoint, or several for an uncertainty.

Models of the baryon cycle take halos (`input=halos`), networks a file of drivers (`input=drivers input.path=FILE`).
"""

import json
import pathlib
import time

import h5py
import jax
import numpy as np
from flax import nnx
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.baryons.evolve import Outputs, evolve_prepared, prepare
from galdiff.build import build
from galdiff.cli import experiment, run_folder
from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path
from galdiff.io.preflight import check_output
from galdiff.limits import check_experiment
from galdiff.nn.network import Network
from galdiff.observables.history_columns import Column, columns
from galdiff.plotting.ensembles import plot_ensemble
from galdiff.records import HaloHistory
from galdiff.train.export import bundled
from galdiff.train.load import Loaded, load
from galdiff.train.meshes import mesh_of
from galdiff.train.predict import Ensemble, Prediction

GIVEN = ("time", "redshift", "m_vir", "r_vir", "v_vir", "c_nfw", "spin", "solved", "error")
DERIVED = ("baryon_fraction", "metallicity_", "log10_z_", "t_cool_over_", "t_over_", "eta_outflow")
FILES = ("predictions.h5", "predictions.png", "summary.json", "config.yaml")
Columns = tuple[dict[str, Column], dict[str, np.ndarray] | None]  # mean, and scatter of an ensemble


def paths_of(cfg: DictConfig) -> list[str]:
    """Checkpoints, one or more; the one that ships where none is named."""
    if cfg.checkpoint is None:
        return [str(bundled("wind_correction"))]
    return [cfg.checkpoint] if isinstance(cfg.checkpoint, str) else list(cfg.checkpoint)


def of_halos(cfg: DictConfig, halos: HaloHistory, models: list[nnx.Module], outputs: Outputs) -> Columns:
    """Columns of the histories of a population, and their scatter."""
    equations = models[0].equations()  # type: ignore[attr-defined]
    tables = jax.jit(jax.vmap(lambda halo: prepare(equations, halo, outputs)))(halos)
    solve = lambda model, table: evolve_prepared(model.equations(), table)  # noqa: E731
    found = Ensemble(models, call=solve, batch_size=cfg.batch, mesh=mesh_of(cfg.mesh))(tables)
    if found.std is None:
        return columns(found.mean), None
    # Ratios and logarithms do not follow from a scatter, and what the halo has does not differ between models.
    own = {name for name in columns(found.std) if not name.startswith(DERIVED)} - {*GIVEN}
    return columns(found.mean), {name: c.values for name, c in columns(found.std).items() if name in own}


def of_drivers(cfg: DictConfig, drivers, models: list[nnx.Module]) -> Columns:
    """What networks say to drivers (sample, driver)."""
    if isinstance(models[0], Network) and drivers.shape[1] != models[0].n_in:
        raise InputError(f"input has {drivers.shape[1]} drivers; the model of the checkpoint takes {models[0].n_in}")
    found: Prediction = Ensemble(models, batch_size=cfg.batch, mesh=mesh_of(cfg.mesh))(drivers)
    made = {"prediction": Column(found.mean, "1", "output of the network")}
    return made, None if found.std is None else {"prediction": found.std}


def write(path: pathlib.Path, mean: dict[str, Column], std: dict[str, np.ndarray] | None) -> None:
    """Groups `mean` and, for an ensemble, `std`; datasets with unit and meaning."""
    with h5py.File(path, "w") as file:
        for name, column in mean.items():
            data = file.create_dataset(f"mean/{name}", data=column.values)
            data.attrs.update(unit=column.unit, meaning=column.meaning)
        for name, values in (std or {}).items():
            data = file.create_dataset(f"std/{name}", data=values)
            data.attrs.update(unit=mean[name].unit, meaning=f"scatter between the models: {mean[name].meaning}")


@experiment("predict")
def main(cfg: DictConfig) -> None:
    started = time.perf_counter()
    runtime.configure(**cfg.runtime)
    check_experiment(cfg, "predict")
    folder = run_folder(cfg)
    check_output(folder, 50_000_000, cfg.overwrite, FILES)
    paths, outputs = paths_of(cfg), Outputs(redshifts=tuple(cfg.redshifts), n_steps=cfg.n_steps)
    given = build(cfg.input, path="input")
    loaded: list[Loaded] = [load(path) for path in paths]
    models = [each.model for each in loaded]
    halos = callable(getattr(models[0], "equations", None))
    if halos != isinstance(given, HaloHistory):
        kind = "halos: give input=halos" if halos else "drivers: give input=drivers input.path=FILE"
        raise InputError(f"the model of the checkpoint takes {kind}")
    mean, std = of_halos(cfg, given, models, outputs) if halos else of_drivers(cfg, given, models)
    with atomic_path(folder / FILES[0], cfg.overwrite) as path:
        write(path, mean, std)
    if halos:
        with atomic_path(folder / FILES[1], cfg.overwrite) as path:
            plot_ensemble({n: c.values for n, c in mean.items()}, std, cfg.redshifts).savefig(path)
    summary = {
        "models": [{"path": p, "step": each.step} for p, each in zip(paths, loaded, strict=True)],
        "samples": len(next(iter(mean.values())).values),
        "seconds": round(time.perf_counter() - started, 1),
        "versions": runtime.versions(),
    }
    for name, text in ((FILES[2], json.dumps(summary, indent=2)), (FILES[3], OmegaConf.to_yaml(cfg, resolve=True))):
        with atomic_path(folder / name, cfg.overwrite) as path:
            path.write_text(text + "\n", encoding="utf-8")
    print(f"{summary['samples']} samples, {len(models)} models, {summary['seconds']:.0f} s: {folder}")


if __name__ == "__main__":
    main()
