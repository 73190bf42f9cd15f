"""A galaxy, grown in a halo, from a snapshot or drawn, as an integral-field spectrograph records it.

One folder holds cube.fits, maps.fits, maps.png, spectra.png, summary.json and config.yaml, and for a grown galaxy its
history, history.h5 and history.png (docs/simulate.md).
"""

import contextlib
import warnings

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from galdiff import runtime
from galdiff.cli import experiment, run_folder
from galdiff.front.products import lines_of, reserve
from galdiff.front.repeat import repeated
from galdiff.front.run import run
from galdiff.front.settings import RunSettings
from galdiff.ifu.instrument import Instrument
from galdiff.io.lock import locked
from galdiff.io.progress import Steps


@experiment("simulate")
def main(cfg: DictConfig) -> None:
    """Run with progress on the terminal; warnings are shown once, as single lines."""
    settings = RunSettings(cfg := repeated(cfg))
    settings.check()
    runtime.configure(**OmegaConf.to_container(cfg.runtime, resolve=True))
    folder = str(run_folder(cfg))
    console = Console(highlight=False)
    with (
        contextlib.ExitStack() as held,
        warnings.catch_warnings(record=True, action="always") as said,
        Steps(console) as step,
    ):

        def ready(instrument: Instrument) -> None:
            reserve(folder, instrument, cfg.overwrite)
            held.enter_context(locked(folder))

        mock = run(settings, step, said, ready=ready)
        with step("write files and pictures"):
            mock.write(folder, overwrite=cfg.overwrite)
    for text in lines_of(said):
        console.print(f"warning: {text}", soft_wrap=True, markup=False)
    console.print(f"{closing(mock.summary)}; results in {folder}", soft_wrap=True, markup=False)


def closing(summary: dict) -> str:
    """The main numbers of a run on one line."""
    n, k, seconds = summary["stars"], summary["kinematics"], summary["seconds"]
    compiling = sum(s for name, s in seconds.items() if "compile" in name)
    shift = summary.get("grown", {}).get("log10_mstar_shift")
    corrected = "" if shift is None else f"corrections shift log10 M* by {shift:+.3f} dex; "
    return (
        f"{n['in_field']['number']} of {n['all']['number']} stars, r_half = {with_error(k, 'r_half')} kpc"
        f" ({k['r_half_arcsec']:.2f} arcsec{'' if k['resolved'] else ', unresolved'}), ellipticity ="
        f" {with_error(k, 'ellipticity')}, lambda_R = {with_error(k, 'lambda_r')},"
        f" V/sigma = {with_error(k, 'v_over_sigma')};"
        f" {corrected}{seconds['total']:.1f} s, of which {compiling:.1f} s to compile"
    )


def with_error(facts: dict, name: str) -> str:
    """A number and its uncertainty."""
    return f"{facts[name]:.2f} \N{PLUS-MINUS SIGN} {facts[f'{name}_error']:.2g}"


if __name__ == "__main__":
    main()
