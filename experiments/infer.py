"""Posteriors of physics given data: what the galaxies of a table are, with proof that the draws may be used.

An experiment says which model predicts, and the data; patterns say which of its parameters are free. One folder holds
draws, a table, pictures, and the config.
"""

import pathlib
from itertools import islice

from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.errors import InputError
from galdiff.inference.many import results_of
from galdiff.io.folder import as_json, csv_writer, text, write_files
from galdiff.io.lock import locked
from galdiff.io.posterior_files import as_markdown, as_netcdf, table_header, table_row
from galdiff.io.preflight import check_output
from galdiff.io.progress import Steps
from galdiff.limits import check_experiment
from galdiff.plotting.posterior_figures import plot_corner, plot_trace

FILES = ("table.csv", "table.md", "metrics.json", "config.yaml")
BYTES = 2_000_000  # of a galaxy, at most
MOCK = "mock"  # as data, of a case that makes some


@experiment("infer")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    check_experiment(cfg, "infer")
    if cfg.data != MOCK and not pathlib.Path(str(cfg.data)).expanduser().exists():
        raise InputError(f"data is {cfg.data}: there is no such table; give the path of one (docs/posteriors.md)")
    folder = pathlib.Path(cfg.output)
    check_output(folder, BYTES, cfg.overwrite, FILES)
    likelihood, method = (build(cfg[k], path=k) for k in ("likelihood", "method"))
    priors = {name: prior for name, prior in build(cfg.priors, path="priors").items() if prior is not None}
    with locked(folder), Steps() as steps:
        with steps("model"):
            case = build(cfg.case, path="case")
        with steps("data"):
            free = list(cfg.unknowns)
            posteriors = case.posteriors(pathlib.Path(cfg.data).expanduser(), free, likelihood, priors)
        with steps("posteriors", total=len(posteriors)) as done:
            results = results_of(method, posteriors, cfg.seed, cfg.together, done)
        with steps("figures and tables"):
            first = next(iter(results.values()))
            labels = [f"{o.name.rpartition('.')[2]}{'' if o.unit == '1' else f' [{o.unit}]'}" for o in first.each]
            writers = {f"{name}.nc": as_netcdf(result, {"galaxy": name}) for name, result in results.items()}
            for name, result in islice(results.items(), cfg.figures):
                writers |= {
                    f"{name}_corner.png": plot_corner(result.flat, labels, name).savefig,
                    f"{name}_trace.png": plot_trace(result.draws, labels, name).savefig,
                } | case.files(name, posteriors[name], result)
            usable = [name for name, result in results.items() if result.usable]
            metrics = {
                "galaxies": len(results),
                "usable": len(usable),
                "reasons": {name: list(r.reasons) for name, r in results.items() if not r.usable},
                "notes": {name: list(r.notes) for name, r in results.items() if r.notes},
                "diagnostics": {name: dict(r.diagnostics) for name, r in results.items()},
                "seconds": steps.summary(),
                "versions": runtime.versions(),
            }
            rows = [table_row(name, result) for name, result in results.items()]
            last = (
                csv_writer(table_header(first), rows),
                text(as_markdown(results)),
                as_json(metrics),
                text(OmegaConf.to_yaml(cfg, resolve=True)),
            )
            write_files(folder, writers | dict(zip(FILES, last, strict=True)), cfg.overwrite)
    for name, result in islice(((n, r) for n, r in results.items() if not r.usable), 5):
        print(f"{name} is {result.said()}")
    print(f"{len(usable)} of {len(results)} posteriors are usable: {folder}")


if __name__ == "__main__":
    main()
