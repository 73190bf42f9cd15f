"""A mock survey: haloes and satellites of a volume, their galaxies, and what a survey sees of them.

Galaxies are made chunk by chunk; a run that was stopped goes on when it is started again in the same folder.
"""

import pathlib
from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.core.buildable import trusting
from galdiff.io.cluster import NONE, import_distributed, made_by
from galdiff.io.folder import as_json, text, write_files
from galdiff.io.lock import locked
from galdiff.io.mock_files import FORMATS, Parts, import_pyarrow, write_table
from galdiff.io.preflight import check_output, check_space
from galdiff.io.progress import Steps
from galdiff.limits import check_experiment
from galdiff.plotting.mock_figure import plot_mock, summary_of
from galdiff.populations.catalogue import Mock
from galdiff.populations.diffmahpop import halo_population
from galdiff.populations.dust_population import dust_population
from galdiff.populations.formed import StarsByAge
from galdiff.populations.gas import with_gas
from galdiff.populations.light import MockLight
from galdiff.populations.members import draw_members
from galdiff.populations.shells import ShellTables
from galdiff.populations.volumes import Volume, total
from galdiff.sfh.fractions import AgeFractions

FILES = ("mock.png", "metrics.json", "config.yaml")
BYTES = 4_000_000  # of all files but the catalogue, at most
# Rows are the same whatever these are
FREE = ("output", "overwrite", "format", "figure", "cluster", "workers", "runtime.cpu_devices", "runtime.cache_dir")


def mock_of(cfg: DictConfig, steps: Steps) -> tuple[Mock, Volume]:
    """The catalogue to make, and its volume; cheap things first, so that bad input is told at once."""
    names = ("cosmology", "volume", "mass_function", "sfh_population", "metallicity", "survey", "imf", "nebular")
    parts = {name: build(cfg[name], path=name) for name in names}
    cosmology, volume, survey = parts["cosmology"], parts["volume"], parts["survey"]
    with steps("haloes"):
        drawn = {"log10_m_min": cfg.log10_m_min, "satellites": cfg.satellites, "seed": cfg.seed}
        members, places = draw_members(parts["mass_function"], volume, cosmology, **drawn)
    with steps("library"):
        seen = {"passbands": survey.passbands, "lines": list(cfg.lines), "dust": cfg.gas_dust}
        library, gas = with_gas(build(cfg.ssp, path="ssp"), parts["nebular"], **seen)
        ages = AgeFractions(step=cfg.age_step)
        fixed = {"ages": ages, "imf": parts["imf"], "cosmology": cosmology, "passbands": survey.passbands}
        lines, z_max = gas.of_nodes(int(np.prod(np.shape(library.ssp_flux)[:2]))), float(members.redshift.max())
        tables = ShellTables(library=library, lines=lines, z_max=z_max, **fixed, **cfg.tables)
        tables.check(members.redshift)
        stars = StarsByAge(metallicity=parts["metallicity"], ages=ages, lgmet=np.asarray(library.ssp_lgmet).tolist())
        made = {"haloes": halo_population(), "stars": stars, "dust": dust_population(), "gas": gas}
    one = members.redshift.min() == members.redshift.max()
    mock = Mock(
        members=members,
        places=places,
        place_units=volume.position_units,
        light=MockLight(parts=tables.n_parts, **made),
        former=parts["sfh_population"].former(ages, cosmology, cfg.chunk),
        tables=tables,
        survey=survey,
        cosmology=cosmology,
        seed=cfg.seed,
        size=cfg.chunk,
        redshift=float(members.redshift[0]) if one else None,
    )
    return mock, volume


def said_of(cfg: DictConfig) -> str:
    """What a run has to have in common with one whose chunks it may use."""
    kept = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    for key in FREE:
        OmegaConf.update(kept, key, None)
    return OmegaConf.to_yaml(kept)


def maker(said: str) -> Callable[[int], np.ndarray]:
    """In a worker of a cluster: what makes the chunks of a config."""
    cfg = cast(DictConfig, OmegaConf.create(said))
    runtime.configure(**cfg.runtime)
    with trusting(cfg.packages), Steps() as steps:
        return mock_of(cfg, steps)[0].make


def write(cfg: DictConfig, mock: Mock, volume: Volume, folder: pathlib.Path, steps: Steps) -> None:
    """Make what is missing, then the catalogue and its picture."""
    parts, numbers = Parts(folder, said_of(cfg), cfg.overwrite), range(len(mock.chunks))
    missing = [number for number in numbers if not parts.has(number)]
    by = (cfg.cluster, cfg.workers, mock.make, maker, OmegaConf.to_yaml(cfg, resolve=True), missing)
    with steps("galaxies", total=mock.members.log10_m.size) as advance, made_by(*by) as made:
        advance(sum(mock.chunks[number][1].size for number in set(numbers) - set(missing)))
        for number, rows in made:
            parts.write(number, rows)
            advance(mock.chunks[number][1].size)
    every = -(-mock.members.log10_m.size // cfg.figure)
    drawn, n, detected, dark = [], 0, 0, 0

    def chunks() -> Iterator[np.ndarray]:
        nonlocal n, detected, dark
        for number in numbers:
            rows = parts.read(number)
            lit = np.isfinite(rows["true_log10_mstar"])  # the others have a baryon cycle without a solution
            n, detected, dark = n + rows.size, detected + int(rows["detected"].sum()), dark + int((~lit).sum())
            drawn.append(rows[lit & (rows["id"] % every == 0)])
            yield rows

    with steps("catalogue"):
        attributes = {"config": OmegaConf.to_yaml(cfg, resolve=True), "survey": mock.survey.reference}
        write_table(folder / FORMATS[cfg.format], chunks(), mock.columns, attributes, cfg.overwrite)
    with steps("figure"):
        size, h0 = total(volume, mock.cosmology) / every, float(mock.cosmology.h0)
        found = summary_of(np.concatenate(drawn), mock.survey.columns, mock.survey.detect_in[0], size, h0)
        figure = plot_mock(found, f"{mock.survey.name}, {n:,} galaxies")
    metrics = {"galaxies": n, "detected": detected, "merged": mock.members.log10_m.size - n, "without_light": dark}
    metrics |= {"seconds": steps.summary(), "peak_memory_mb": runtime.peak_memory(), "versions": runtime.versions()}
    writers = (figure.savefig, as_json(metrics), text(OmegaConf.to_yaml(cfg, resolve=True)))
    write_files(folder, dict(zip(FILES, writers, strict=True)), cfg.overwrite)
    parts.remove()
    print(f"{n:,} galaxies, {detected:,} detected by {mock.survey.name}: {folder}")


@experiment("mock_catalog")
def main(cfg: DictConfig) -> None:
    """Refuse early, then work alone in the folder."""
    runtime.configure(**cfg.runtime)
    check_experiment(cfg, "mock_catalog")
    folder = pathlib.Path(cfg.output)
    check_output(folder, BYTES, cfg.overwrite, (*FILES, FORMATS[cfg.format]))
    if cfg.format == "parquet":
        import_pyarrow()
    if cfg.cluster != NONE:
        import_distributed()
    with locked(folder), Steps() as steps:
        mock, volume = mock_of(cfg, steps)
        check_space(folder, 2 * mock.dtype.itemsize * mock.members.log10_m.size + BYTES)
        write(cfg, mock, volume, folder, steps)


if __name__ == "__main__":
    main()
