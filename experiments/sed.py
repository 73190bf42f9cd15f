"""Spectrum and magnitudes of one whole galaxy, from any star formation history.

From the growth of a halo, or a law of time alone: stars by age, their metals, the light of a library of stars, that of
the gas they ionise, dust, and magnitudes in any passbands; with a picture, and spectrum, lines and magnitudes as
tables.
"""

import pathlib

import jax
import numpy as np
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.io.folder import as_json, text, write_files
from galdiff.io.lock import locked
from galdiff.io.preflight import check_output
from galdiff.io.progress import Steps
from galdiff.io.sed_tables import as_ecsv, line_table, magnitude_table, spectrum_table
from galdiff.limits import check_experiment
from galdiff.observing.galaxy_sed import added_by_steps, galaxy_sed, sed_pipeline
from galdiff.observing.sed_summary import sed_summary
from galdiff.photometry.read import load_passbands
from galdiff.plotting.sed_figure import plot_sed
from galdiff.sfh.epoch import epoch_at

FILES = ("spectrum.ecsv", "lines.ecsv", "magnitudes.ecsv", "sed.png", "metrics.json", "config.yaml")
BYTES = 4_000_000  # of all files, at most
LIGHT_PATH = ("galaxy_dust", "dust_emission", "agn", "broadening", "igm")  # what the light meets, in this order
SHINE = {"dust_emission": "dust", "agn": "agn"}  # those that add light, and what it is called


@experiment("sed")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    check_experiment(cfg, "sed")
    folder = pathlib.Path(cfg.output)
    check_output(folder, BYTES, cfg.overwrite, FILES)
    law, metals, light, gas = (build(cfg[k], path=k) for k in ("sfh", "metallicity", "clouds", "nebular"))
    dust = [build(cfg[k], path=k) for k in LIGHT_PATH]
    bands = load_passbands(cfg.passbands)
    epoch = epoch_at(redshift=float(cfg.redshift), cosmology=build(cfg.cosmology, path="cosmology"))
    with locked(folder), Steps() as steps:
        with steps("halo"):
            halo = build(cfg.halo, path="halo") if law.needs_halo else None
        with steps("library"):
            library = build(cfg.ssp, path="ssp")
        with steps("light"):
            pipeline = sed_pipeline(
                law=law, metallicity=metals, library=library, nebular=gas, dust=dust, passbands=bands, light=light
            )
            sed = jax.block_until_ready(galaxy_sed(pipeline, epoch, library, halo))
            each = dict(zip(LIGHT_PATH[1:-1], added_by_steps(pipeline, sed), strict=True))
            added = {said: np.asarray(each[name]) for name, said in SHINE.items()}
        with steps("figure and tables"):
            title = f"{type(law).__name__}, z = {float(epoch.redshift):g}"
            figure = plot_sed(sed, bands, title, added, float(cfg.sigma_gas))
            known = sed_summary(sed, build(cfg.imf, path="imf"), pipeline.stages["stars"].ages)
            metrics = {
                **known,
                "seconds": steps.summary(),
                "versions": runtime.versions(),
            }
            writers = {
                FILES[0]: as_ecsv(spectrum_table(sed, added, cfg.sigma_gas)),
                FILES[1]: as_ecsv(line_table(sed.lines)),
                FILES[2]: as_ecsv(magnitude_table(sed, bands)),
                FILES[3]: figure.savefig,
                FILES[4]: as_json(metrics),
                FILES[5]: text(OmegaConf.to_yaml(cfg, resolve=True)),
            }
            write_files(folder, writers, cfg.overwrite)
    magnitudes = ", ".join(f"{b.name} {m:.2f}" for b, m in zip(bands, np.asarray(sed.apparent.mag), strict=True))
    mass = f"10^{known['log10_mass_formed']:.2f} Msun formed, 10^{known['log10_mass']:.2f} left"
    print(
        f"{mass}, {known['sfr_100myr']:.3g} Msun/yr, mean age {known['mean_age_gyr']:.1f} Gyr; {magnitudes}: {folder}"
    )


if __name__ == "__main__":
    main()
