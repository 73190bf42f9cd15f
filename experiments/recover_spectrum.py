"""Age and metallicity of one spaxel's spectrum, recovered by Adam on the cosine distance from several starts.

The experiment of RUBIX (Schaible et al. 2025, arXiv:2511.17110): every start is a fit of its own, through the whole
engine (library, line-spread function, pixels, redshift), in log10 age and log10 Z. The cosine distance does not know
the mass. All fits run side by side under `vmap`.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.inference.one_spaxel import (
    AXES,
    fit_starts,
    fits_summary,
    loss_map,
    one_spaxel,
    population_box,
    shown_box,
)
from galdiff.io.folder import as_json, text, write_files
from galdiff.io.preflight import check_output
from galdiff.limits import check_experiment
from galdiff.plotting.recovered_spectrum_figure import plot_recovered_spectrum

FILES = ("recover_spectrum.png", "metrics.json", "config.yaml")


@experiment("recover_spectrum")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    check_experiment(cfg, "recover_spectrum")
    folder = pathlib.Path(cfg.output)
    check_output(folder, 2_000_000, cfg.overwrite, FILES)
    instrument, cosmology = build(cfg.instrument, path="instrument"), build(cfg.cosmology, path="cosmology")
    ssp = build(cfg.ssp, path="ssp")
    box = population_box(ssp, (cfg.age, cfg.metallicity), cfg.starts)
    settings = dict(rank=cfg.rank, interpolation=cfg.interpolation)
    model, wave = one_spaxel(ssp, instrument, cfg.redshift, cosmology, **settings)
    truth = np.log10([cfg.age, cfg.metallicity])
    starts = np.log10(np.asarray(OmegaConf.to_container(cfg.starts), float))
    spectra = jax.jit(jax.vmap(model))
    begun = spectra(jnp.asarray(np.vstack([truth, starts]), float))
    observed = begun[0]
    adam = optax.adam(optax.cosine_decay_schedule(cfg.learning_rate, cfg.steps), b1=cfg.b1, b2=cfg.b2)
    fit = fit_starts(model, observed, jnp.asarray(starts, float), jnp.asarray(box, float), adam, cfg.steps)
    rows = fits_summary(fit, truth, starts, cfg.tolerance)
    worst = {axis: max(abs(row["error_dex"][axis]) for row in rows) for axis in AXES}
    metrics = {
        "library": ssp.name,
        "truth": {"age": cfg.age, "metallicity": cfg.metallicity},
        "steps": cfg.steps,
        "tolerance_dex": cfg.tolerance,
        "converged": sum(row["converged"] for row in rows),
        "largest_error_dex": worst,
        "fits": rows,
        "versions": runtime.versions(),
    }
    scaled = lambda flux: np.asarray(flux) / np.asarray(flux).mean(-1, keepdims=True)  # noqa: E731
    ended = spectra(jnp.concatenate([jnp.asarray(truth[None], float), fit.params]))  # of the same shape as before
    shown = dict(wave=wave, observed=scaled(observed), starts=scaled(begun[1:]), recovered=scaled(ended[1:]))
    surface = loss_map(model, observed, shown_box(fit, box))
    writers = (
        plot_recovered_spectrum(fit, surface, shown, truth).savefig,
        as_json(metrics),
        text(OmegaConf.to_yaml(cfg, resolve=True)),
    )
    write_files(folder, dict(zip(FILES, writers, strict=True)), cfg.overwrite)
    for row in rows:
        if not row["converged"]:
            print(f"not within {cfg.tolerance:g} dex: started at {row['start']}, ended at {row['recovered']}")
    print(
        f"{metrics['converged']} of {len(rows)} starts within {cfg.tolerance:g} dex after {cfg.steps} steps; largest"
        f" error {worst['age']:.1e} dex in age, {worst['metallicity']:.1e} in Z: {folder}"
    )


if __name__ == "__main__":
    main()
