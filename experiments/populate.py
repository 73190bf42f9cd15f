"""Baryon histories of many halos at chosen redshifts, streamed batch by batch into one catalogue.

Halos are made in batches of a fixed size, each with random numbers of its own, so a halo does not depend on how many
are solved together, nor on the number of devices. All devices of the process take part, or the workers of a cluster.
"""

import json
import pathlib
import time
import typing

import jax
import numpy as np
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.baryons.batches import BatchLog, Maker, make_batch
from galdiff.baryons.evolve import Outputs, check_times
from galdiff.baryons.population import LISTS, Population, Report, merge
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.core.buildable import trusting
from galdiff.errors import InputError
from galdiff.halo.ensemble import masses
from galdiff.io.catalogue import read_catalogue, stream_catalogue
from galdiff.io.cluster import NONE, import_distributed
from galdiff.io.folder import as_json, text, write_files
from galdiff.io.lock import locked
from galdiff.io.preflight import check_output
from galdiff.io.progress import Steps
from galdiff.io.solved_batches import Batches, Solved, solved_by
from galdiff.limits import check_experiment
from galdiff.observing.outside_fits import Outside, baryon_fits, halo_fits
from galdiff.plotting.populations_figure import plot_population

FILES = ("catalogue.h5", "population.png", "report.json", "metrics.json", "config.yaml")
NUMBERS = 60  # of a history at one redshift, at most
NEEDED = ("log10_mvir", "n", "seed")  # keywords of a halo node that makes many


def plain(config: DictConfig) -> dict[str, typing.Any]:
    """A part of the config as a dictionary."""
    return typing.cast(dict[str, typing.Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))


def check(cfg: DictConfig) -> None:
    """Refuse what would fail late."""
    if missing := [name for name in NEEDED if name not in cfg.halo]:
        raise InputError(f"halo has no {', '.join(missing)}: it makes no population; choose halo=population")
    check_experiment(cfg, "populate")
    z = OmegaConf.to_object(cfg.redshifts) if OmegaConf.is_list(cfg.redshifts) else None
    if not z or not all(type(x) in (int, float) for x in z):
        raise InputError(f"redshifts are {cfg.redshifts}; give a list of falling numbers, such as [2.0, 0.0]")


def output_bytes(cfg: DictConfig) -> int:
    """Size of all files, at most; as good as nothing where n is not a number that makes sense."""
    n = cfg.halo.n or (len(cfg.halo.log10_mvir) if OmegaConf.is_list(cfg.halo.log10_mvir) else 1)
    item = 8 if cfg.runtime.precision == "float64" else 4
    return 2_000_000 + max(int(n), 0) * (len(cfg.redshifts) * NUMBERS * item + 64)


def maker(cfg: DictConfig) -> Maker:
    """Makes halos of some masses from a seed, as the config says."""
    node = plain(cfg.halo)
    return lambda mass, seed: build({**node, "log10_mvir": mass, "n": None, "seed": seed}, path="halo")


def drawn(cfg: DictConfig, path: pathlib.Path, n_rows: int):
    """Scaling relations of at most cfg.figure galaxies, evenly among the rows of the catalogue."""
    every = -(-n_rows // cfg.figure)
    few = f" of {n_rows:,} galaxies, 1 in {every} drawn" if every > 1 else ""
    return plot_population(read_catalogue(path, slice(None, None, every)).histories, title=f"Catalogue{few}")


def report_text(report: Report) -> str:
    """JSON with one line for each list of ids."""
    ids = (f'  "{name}": {json.dumps(getattr(report, name))}' for name in LISTS)
    return "{\n" + ",\n".join(ids) + "\n}\n"


def batches_of(cfg: DictConfig) -> Batches:
    """The halos of a config and what solves them."""
    node, outputs = plain(cfg.halo), Outputs(redshifts=tuple(cfg.redshifts), n_steps=cfg.n_steps)
    mass = np.asarray(masses(node["log10_mvir"], None if node["n"] is None else int(node["n"])))
    size = min(int(cfg.batch), len(mass))
    stage = build({**plain(cfg.baryons), "outputs": outputs}, path="baryons")
    how = {"tolerance": cfg.tolerance, "chunk": min(int(cfg.chunk), size), "expected": len(mass)}
    return Batches(maker(cfg), mass, size, int(cfg.halo.seed), outputs, stage, Population(stage, outputs, **how))


def worker(said: str) -> typing.Callable[[int], Solved]:
    """In a worker of a cluster: what solves the batches of a config."""
    cfg = typing.cast(DictConfig, OmegaConf.create(said))
    runtime.configure(**cfg.runtime)
    with trusting(cfg.packages):
        return batches_of(cfg).solve


def populate(cfg: DictConfig, folder: pathlib.Path) -> None:
    """Make halos, solve them and write the catalogue, its figure and its report."""
    started, log = time.perf_counter(), BatchLog()
    n = len((halos := batches_of(cfg)).mass)
    with Steps() as steps:
        with steps("first halos"):
            check_times(make_batch(halos.make, halos.mass, 0, halos.size, halos.seed), halos.outputs)
        outside = Outside([*halo_fits(plain(cfg.halo)), *baryon_fits(halos.stage)])
        attributes = {"baryons": OmegaConf.to_yaml(cfg.baryons, resolve=True), "seed": cfg.halo.seed}
        written = {"total": n, "steps": steps, "overwrite": cfg.overwrite, "attributes": attributes}
        said = OmegaConf.to_yaml(cfg, resolve=True)
        with solved_by(cfg.cluster, cfg.workers, halos, log, worker, said) as chunks:
            rows, failed = stream_catalogue(folder / FILES[0], outside.counting(chunks), **written)
        report = merge(log.reports)
        with steps("figure"):
            write_files(folder, {FILES[1]: drawn(cfg, folder / FILES[0], rows).savefig}, cfg.overwrite)
    outside.warn()
    spent = time.perf_counter() - started
    metrics = {
        "n": n,
        "rows": rows,
        "without_row": failed,
        "report": {name: len(getattr(report, name)) for name in LISTS},
        "seconds": {**steps.summary(), "making": log.making, "solving": sum(log.solving), "everything": spent},
        "halos_per_second": {"solving": log.rate(), "everything": n / spent},
        "peak_memory_mb": runtime.peak_memory(),
        "devices": [str(device) for device in jax.devices()],
        "versions": runtime.versions(),
    }
    writers = (text(report_text(report)), as_json(metrics), text(OmegaConf.to_yaml(cfg, resolve=True)))
    write_files(folder, dict(zip(FILES[2:], writers, strict=True)), cfg.overwrite)
    rate = f"{log.rate() or n / spent:.0f} halos/s"
    print(f"{report}; {rate}; {spent:.0f} s: {folder}")


@experiment("populate")
def main(cfg: DictConfig) -> None:
    """Refuse early, then work alone in the folder."""
    runtime.configure(**cfg.runtime)
    check(cfg)
    Outputs(redshifts=tuple(cfg.redshifts), n_steps=cfg.n_steps)  # refuses early
    folder = pathlib.Path(cfg.output)
    check_output(folder, output_bytes(cfg), cfg.overwrite, FILES)
    if cfg.cluster != NONE:
        import_distributed()
    with locked(folder):
        populate(cfg, folder)


if __name__ == "__main__":
    main()
