"""Spectrum and magnitudes of one whole galaxy, from any star formation history.

From the growth of a halo, or a law of time alone: stars by age, their metals, the light of a library of stars, dust,
and magnitudes in any passbands; with a picture, the spectrum as a table, and the magnitudes.
"""

import pathlib

import jax
import numpy as np
from astropy.table import Table
from omegaconf import DictConfig, OmegaConf

from galdiff import runtime
from galdiff.arguments import check_kinds
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.io.folder import as_json, text, write_files
from galdiff.io.lock import locked
from galdiff.io.preflight import check_output
from galdiff.io.progress import Steps
from galdiff.observing.galaxy_sed import galaxy_sed, sed_pipeline
from galdiff.photometry.read import load_passband
from galdiff.plotting.sed_figure import plot_sed
from galdiff.sfh.epoch import epoch_at

FILES = ("spectrum.ecsv", "magnitudes.ecsv", "sed.png", "metrics.json", "config.yaml")
BYTES = 4_000_000  # of all files, at most


def spectrum_table(sed) -> Table:
    """The spectrum in the frame of the galaxy, by parts."""
    light = sed.starlight
    columns = [sed.spectrum.wave, sed.spectrum.lum, light.young, light.old]
    names, units = ("wave", "lum", "lum_young", "lum_old"), ("Angstrom", *["Lsun/Angstrom"] * 3)
    table = Table([np.asarray(c) for c in columns], names=names, units=units)
    table.meta["comment"] = "rest frame, vacuum; lum_young and lum_old before dust"
    return table


def magnitude_table(sed, bands) -> Table:
    """Magnitudes and what passbands they are in."""
    columns = [[b.name for b in bands], [b.pivot for b in bands], sed.apparent.mag, sed.absolute.mag]
    table = Table([np.asarray(c) for c in columns], names=("passband", "pivot", "mag_ab", "mag_ab_rest"))
    table["pivot"].unit = "Angstrom"
    return table


@experiment("sed")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    check_kinds(cfg, "sed")
    folder = pathlib.Path(cfg.output)
    check_output(folder, BYTES, cfg.overwrite, FILES)
    law, metals, dust, light = (build(cfg[k], path=k) for k in ("sfh", "metallicity", "galaxy_dust", "clouds"))
    bands = [load_passband(name) for name in cfg.passbands]
    epoch = epoch_at(redshift=float(cfg.redshift), cosmology=build(cfg.cosmology, path="cosmology"))
    with locked(folder), Steps() as steps:
        with steps("halo"):
            halo = build(cfg.halo, path="halo") if law.needs_halo else None
        with steps("library"):
            library = build(cfg.ssp, path="ssp")
        with steps("light"):
            pipeline = sed_pipeline(
                law=law, metallicity=metals, library=library, dust=dust, passbands=bands, light=light
            )
            sed = jax.block_until_ready(galaxy_sed(pipeline, epoch, library, halo))
        with steps("figure and tables"):
            title = f"{type(law).__name__}, z = {float(epoch.redshift):g}"
            figure = plot_sed(sed, bands, title)
            formed, age = sed.stars.mass, sed.stars.age
            metrics = {
                "log10_mass_formed": float(np.log10(formed.sum())),
                "mean_age_gyr": float(formed @ age / formed.sum()),
                "seconds": steps.summary(),
                "versions": runtime.versions(),
            }
            writers = {
                FILES[0]: lambda path: spectrum_table(sed).write(path, format="ascii.ecsv"),
                FILES[1]: lambda path: magnitude_table(sed, bands).write(path, format="ascii.ecsv"),
                FILES[2]: figure.savefig,
                FILES[3]: as_json(metrics),
                FILES[4]: text(OmegaConf.to_yaml(cfg, resolve=True)),
            }
            write_files(folder, writers, cfg.overwrite)
    magnitudes = ", ".join(f"{b.name} {m:.2f}" for b, m in zip(bands, np.asarray(sed.apparent.mag), strict=True))
    mass = f"10^{metrics['log10_mass_formed']:.2f} Msun formed"
    print(f"{mass}, mean age {metrics['mean_age_gyr']:.1f} Gyr; {magnitudes}: {folder}")


if __name__ == "__main__":
    main()
