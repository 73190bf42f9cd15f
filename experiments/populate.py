"""Baryon histories of many halos at chosen redshifts, streamed batch by batch into one catalogue.

Halos are made in batches of a fixed size, each with random numbers of its own, so a halo does not depend on how many
are solved together, nor on the number of devices. All devices of the process take part.
"""

import dataclasses
import json
import pathlib
import time
import typing
from collections.abc import Iterator

import jax
import numpy as np
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.baryons.evolve import Outputs, check_times
from galdiff.baryons.population import Population, Report, cut, merge, pad
from galdiff.build import build
from galdiff.cli import check_kinds, experiment
from galdiff.errors import InputError
from galdiff.halo.ensemble import masses
from galdiff.io.atomic import atomic_path
from galdiff.io.catalogue import read_catalogue, stream_catalogue
from galdiff.io.preflight import check_output
from galdiff.io.progress import Steps
from galdiff.plotting.populations import plot_population
from galdiff.records import BaryonHistory, HaloHistory

FILES = ("catalogue.h5", "population.png", "report.json", "metrics.json", "config.yaml")
NUMBERS = 50  # of a history at one redshift, at most
LEAST = {"batch": 1, "chunk": 1, "figure": 2, "halo.seed": 0}
NEEDED = ("log10_mvir", "n", "seed")  # keywords of a halo node that makes many


@dataclasses.dataclass
class Log:
    """What a run has done until now."""

    making: float = 0.0  # seconds in which halos were made
    solving: list[float] = dataclasses.field(default_factory=list)  # seconds of each chunk
    reports: list[Report] = dataclasses.field(default_factory=list)  # of each chunk

    def rate(self) -> float | None:
        """Halos solved per second, in chunks that did not compile: a method compiles where it is first used."""
        seen: set[str] = set()
        n, seconds = 0, 0.0
        for report, spent in zip(self.reports, self.solving, strict=True):
            used = {"grid"} | ({"own steps"} if report.refined else set()) | ({"stiff"} if report.stiff else set())
            if used <= seen:
                n, seconds = n + report.n, seconds + spent
            seen |= used
        return n / seconds if n else None


def plain(config: DictConfig) -> dict[str, typing.Any]:
    """A part of the config as a dictionary."""
    return typing.cast(dict[str, typing.Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))


def check(cfg: DictConfig) -> None:
    """Refuse what would fail late."""
    check_kinds(cfg, "populate")
    if missing := [name for name in NEEDED if name not in cfg.halo]:
        raise InputError(f"halo has no {', '.join(missing)}: it makes no population; choose halo=population")
    for key, low in LEAST.items():
        value = OmegaConf.select(cfg, key)
        if value is None or value < low:
            raise InputError(f"{key} is {value}; give {low} or more")
    z = OmegaConf.to_object(cfg.redshifts) if OmegaConf.is_list(cfg.redshifts) else None
    if not z or not all(type(x) in (int, float) for x in z):
        raise InputError(f"redshifts are {cfg.redshifts}; give a list of falling numbers, such as [2.0, 0.0]")


def output_bytes(cfg: DictConfig) -> int:
    """Size of all files, at most; as good as nothing where n is not a number that makes sense."""
    n = cfg.halo.n or (len(cfg.halo.log10_mvir) if OmegaConf.is_list(cfg.halo.log10_mvir) else 1)
    item = 8 if cfg.runtime.precision == "float64" else 4
    return 2_000_000 + max(int(n), 0) * (len(cfg.redshifts) * NUMBERS * item + 64)


def make_batch(node: dict, mass, number: int, size: int) -> HaloHistory:
    """Halos number * size to (number + 1) * size, or to the last, of all masses [dex Msun].

    The random numbers follow from (seed, number). A short batch is made in full and cut, so nothing compiles twice.
    """
    seed = np.random.SeedSequence([int(node["seed"]), number]).generate_state(1)[0] >> 1  # fits int32
    part = mass[number * size : (number + 1) * size]
    halos = build({**node, "log10_mvir": pad(part, size), "n": None, "seed": int(seed)}, path="halo")
    return jax.block_until_ready(cut(halos, len(part)))


def make_batches(node: dict, mass, size: int, outputs: Outputs, log: Log) -> Iterator[HaloHistory]:
    """Batch after batch of halos that reach all outputs."""
    for number in range(-(-len(mass) // size)):
        start = time.perf_counter()
        halos = make_batch(node, mass, number, size)
        check_times(halos, outputs)
        log.making += time.perf_counter() - start
        yield halos


def watched(population: Population, batches, log: Log) -> Iterator[tuple[BaryonHistory, Report]]:
    """What the population solves, chunk after chunk, with seconds and reports noted."""
    start, made = time.perf_counter(), log.making
    for histories, report in population.stream(batches):
        log.solving.append(time.perf_counter() - start - (log.making - made))
        log.reports.append(report)
        yield histories, report
        start, made = time.perf_counter(), log.making


def peak_memory() -> float | None:
    """Largest resident memory of this process until now [MB], where the system tells."""
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")), None)


def draw(cfg: DictConfig, folder: pathlib.Path, n_rows: int) -> None:
    """Scaling relations of at most cfg.figure galaxies, evenly among the rows."""
    every = -(-n_rows // cfg.figure)
    found = read_catalogue(folder / FILES[0], slice(None, None, every))
    drawn = f" of {n_rows:,} galaxies, 1 in {every} drawn" if every > 1 else ""
    figure = plot_population(found.histories, title=f"Catalogue{drawn}")
    with atomic_path(folder / FILES[1], cfg.overwrite) as path:
        figure.savefig(path)


def write(cfg: DictConfig, folder: pathlib.Path, report: Report, metrics: dict) -> None:
    """Report, metrics and config."""
    ids = (f'  "{name}": {json.dumps(getattr(report, name))}' for name in ("refined", "stiff", "failed"))
    texts = (
        "{\n" + ",\n".join(ids) + "\n}\n",
        json.dumps(metrics, indent=2) + "\n",
        OmegaConf.to_yaml(cfg, resolve=True),
    )
    for name, text in zip(FILES[2:], texts, strict=True):
        with atomic_path(folder / name, cfg.overwrite) as path:
            path.write_text(text)


@experiment("populate")
def main(cfg: DictConfig) -> None:
    started, log = time.perf_counter(), Log()
    runtime.configure(**cfg.runtime)
    check(cfg)
    outputs = Outputs(redshifts=tuple(cfg.redshifts), n_steps=cfg.n_steps)
    folder = pathlib.Path(cfg.output)
    check_output(folder, output_bytes(cfg), cfg.overwrite, FILES)
    node = plain(cfg.halo)
    mass = np.asarray(masses(node["log10_mvir"], None if node["n"] is None else int(node["n"])))
    n, size = len(mass), min(int(cfg.batch), len(mass))
    stage = build({**plain(cfg.baryons), "outputs": outputs}, path="baryons")
    population = Population(stage, outputs, tolerance=cfg.tolerance, chunk=min(int(cfg.chunk), size))
    with Steps() as steps:
        with steps("first halos"):
            check_times(make_batch(node, mass, 0, size), outputs)
        chunks = watched(population, make_batches(node, mass, size, outputs, log), log)
        attributes = {"baryons": OmegaConf.to_yaml(cfg.baryons, resolve=True), "seed": cfg.halo.seed}
        rows, failed = stream_catalogue(
            folder / FILES[0], chunks, total=n, steps=steps, overwrite=cfg.overwrite, attributes=attributes
        )
        report = merge(log.reports)
        with steps("figure"):
            draw(cfg, folder, rows)
    spent = time.perf_counter() - started
    metrics = {
        "n": n,
        "rows": rows,
        "without_row": failed,
        "report": {name: len(getattr(report, name)) for name in ("refined", "stiff", "failed")},
        "seconds": {**steps.summary(), "making": log.making, "solving": sum(log.solving), "everything": spent},
        "halos_per_second": {"solving": log.rate(), "everything": n / spent},
        "peak_memory_mb": peak_memory(),
        "devices": [str(device) for device in jax.devices()],
        "versions": runtime.versions(),
    }
    write(cfg, folder, report, metrics)
    rate = f"{log.rate() or n / spent:.0f} halos/s"
    print(f"{report}; {rate}; {spent:.0f} s: {folder}")


if __name__ == "__main__":
    main()
