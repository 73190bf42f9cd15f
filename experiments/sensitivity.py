"""Jacobians of the baryon cycle: a population over a Latin hypercube of its parameters, and one halo in time.

The local and global sensitivity analysis of Pandya et al. (2026, arXiv:2604.06318, figures 4, 5, 22, 23): derivatives
of log10 of any outputs with respect to any parameters of the model, their check against central differences, their mean
over a population, and how they change with halo mass.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import HOPELESS, Outputs
from galdiff.baryons.halo_state import HaloNow
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.errors import InputError
from galdiff.halo.history import diffmah_history
from galdiff.inference.sensitivity import tables
from galdiff.inference.survey import Sampling, check_ranges, jacobians_of_one_halo, survey
from galdiff.inference.survey_summary import survey_summary
from galdiff.io.folder import as_json, text, write_files
from galdiff.io.jacobians import ROW, survey_tables
from galdiff.io.preflight import check_output
from galdiff.io.progress import Steps
from galdiff.limits import check_experiment
from galdiff.observing.outside_fits import Outside, baryon_fits, halo_fits
from galdiff.plotting.survey_figure import (
    plot_survey_agreement,
    plot_survey_halo,
    plot_survey_masses,
    plot_survey_means,
)
from galdiff.records import HaloHistory

FILES = ("heat_map.png", "mass_dependence.png", "agreement.png", "one_halo.png", "jacobians.csv.gz", "means.csv")
FILES += ("draws.csv", "metrics.json", "config.yaml")
SHOWN = 4  # outputs of one halo


def stage_with(cfg: DictConfig, **outputs):
    """The baryon cycle of the config with outputs of this experiment."""
    node = OmegaConf.to_container(cfg.baryons, resolve=True)
    asked = {name: value for name, value in node["outputs"].items() if name == "tolerance"}
    return build({**node, "outputs": Outputs(**outputs, **asked)}, path="baryons")


def left_out(error: np.ndarray, tolerance: float, n_steps: int) -> str:
    """One line on galaxies whose estimated error [dex] is above the tolerance [dex]; none where all are good."""
    above = error > tolerance
    if not above.any():
        return ""
    return (
        f"{above.sum()} of {error.size} galaxies are left out: at n_steps={n_steps} their masses may be off by up to"
        f" {error.max():.2g} dex, and {tolerance:g} is asked for; give more n_steps, or"
        f" +baryons.outputs.tolerance={min(1.05 * error.max(), HOPELESS):.2g}\n"
    )


def halos_of(cfg: DictConfig) -> HaloHistory:
    """Halos of the config, on a leading axis."""
    halos = build(cfg.halo, path="halo")
    return halos if jnp.ndim(halos.t_start) else jax.tree.map(lambda x: jnp.asarray(x)[None], halos)


def warn_of_halos(cfg: DictConfig, stage: BaryonCycle, shown: HaloNow) -> None:
    """Tell of laws outside of the halos and redshifts that they were fitted to; a halo counts by its mass."""
    fits = [*halo_fits(OmegaConf.to_container(cfg.halo, resolve=True)), *baryon_fits(stage)]
    outside = Outside([fit for fit in fits if getattr(shown, fit.range.quantity, None) is not None])
    outside.add(np.asarray(shown.m_vir, float), lambda name: getattr(shown, name))
    outside.warn()


def check(cfg: DictConfig) -> None:
    """Refuse what would fail late."""
    check_experiment(cfg, "sensitivity")
    if cfg.main_output not in cfg.outputs:
        raise InputError(f"main_output is '{cfg.main_output}'; choose one of outputs: {', '.join(cfg.outputs)}")


@experiment("sensitivity")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    check(cfg)
    folder, outputs = pathlib.Path(cfg.output), list(cfg.outputs)
    stage = stage_with(cfg, redshifts=tuple(cfg.redshifts), n_steps=cfg.n_steps)
    ranges = check_ranges(stage, OmegaConf.to_container(cfg.parameters, resolve=True))
    with Steps() as steps:
        with steps("halos"):
            halos = halos_of(cfg)
            n_rows = len(halos.t_start) * (1 + cfg.draws) * len(cfg.redshifts) * len(outputs) * len(ranges)
            check_output(folder, 2_000_000 + ROW * n_rows, cfg.overwrite, FILES)
            prepared = jax.block_until_ready(tables(stage, halos))
            warn_of_halos(cfg, stage, prepared.shown)
        masses = np.log10(np.asarray(halos.m_vir[:, -1], float))
        settings = dict(draws=cfg.draws, seed=cfg.seed, mode=cfg.mode, chunk=cfg.chunk)
        sampling = Sampling(**settings, n_compared=cfg.compare.n, step=cfg.compare.step)
        made = survey(stage, prepared, masses, outputs, ranges, sampling, steps)
        with steps("one halo"):
            cosmology = jax.tree.map(lambda x: x[0], halos.cosmology)
            halo = diffmah_history(log10_mvir=float(cfg.one_halo.log10_mvir), cosmology=cosmology)
            in_steps = stage_with(cfg, n_times=cfg.one_halo.n_times, n_steps=cfg.n_steps)
            alone = jacobians_of_one_halo(in_steps, halo, outputs[:SHOWN], list(ranges), cfg.main_output, cfg.mode)
        with steps("figures and tables"):
            metrics = survey_summary(made, *alone, cfg.main_output, cfg.compare.floor) | {
                "versions": runtime.versions()
            }
            figures = (
                plot_survey_means(made),
                plot_survey_masses(made, cfg.main_output),
                plot_survey_agreement(made, cfg.compare.floor),
                plot_survey_halo(alone[0], cfg.one_halo.log10_mvir),
            )
            writers = {name: figure.savefig for name, figure in zip(FILES, figures, strict=False)}
            writers |= survey_tables(made)
            writers |= {FILES[7]: as_json(metrics), FILES[8]: text(OmegaConf.to_yaml(cfg, resolve=True))}
            write_files(folder, writers, cfg.overwrite)
    first = next(iter(metrics["dominant"]["all_outputs"]))
    relative = metrics["agreement"]["relative"]
    print(
        left_out(np.asarray(made.found.error), prepared.tolerance or HOPELESS, cfg.n_steps)
        + f"{made.found.mode} mode; {first} dominates; autodiff and differences agree to"
        f" {relative['median']:.1e} (median), {relative['p99']:.1e} (99%); {steps.summary()['total']:.0f} s: {folder}"
    )


if __name__ == "__main__":
    main()
