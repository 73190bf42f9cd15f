"""SSP libraries from trained networks: `ssp=emulator`, and `ssp=corrected` for one whose spectra a network mends."""

import dataclasses
import pathlib

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.imf import Imf, warn_other_imf
from galdiff.records import SSPGrid
from galdiff.sps.emulator import Emulator, emulated_grid
from galdiff.sps.spectral_correction import CorrectedSpectra
from galdiff.train.export import bundled
from galdiff.train.load import load


def emulator_of(checkpoint: str | pathlib.Path | None = None) -> Emulator:
    """The network itself, for spectra at any age and metallicity; arguments as those of `emulated_ssp`."""
    return _loaded(checkpoint)[0]


@buildable(reads=True)
def emulated_ssp(checkpoint: str | pathlib.Path | None = None, run_imf: Imf | None = None) -> SSPGrid:
    """The library that a trained emulator stands for, on the nodes of that library.

    Args:
      checkpoint: folder of a run of experiment=ssp_emulator; None for the one that comes with the package, trained on
        the embedded analytic library.
      run_imf: mass function of the run; a library of another one warns.

    Raises:
      InputError: no checkpoint there, or one of something else.
    """
    model, data = _loaded(checkpoint)
    name = f"emulator of {data.get('library', 'a library')}"
    if run_imf is not None:
        warn_other_imf(run_imf, data.get("imf", ""), f"the {name}")
    return emulated_grid(model, name=name, imf=data.get("imf", ""), medium=data.get("medium", "vacuum"))


@buildable(reads=True)
def corrected_ssp(library: SSPGrid, checkpoint: str | pathlib.Path) -> SSPGrid:
    """A library with the spectral correction of a run.

    Args:
      library: the one that the correction was learned for.
      checkpoint: folder of a run of experiment=template_mismatch.

    Raises:
      InputError: no checkpoint there, or one of something else.
    """
    model = load(checkpoint).model
    if not isinstance(model, CorrectedSpectra):
        raise InputError(
            f"{checkpoint}: holds a {type(model).__name__}, not a correction of spectra; give a run of"
            " experiment=template_mismatch"
        )
    return dataclasses.replace(model(library), name=f"{library.name}, corrected")


def _loaded(checkpoint: str | pathlib.Path | None) -> tuple[Emulator, dict[str, str]]:
    loaded = load(bundled("ssp_emulator") if checkpoint is None else checkpoint)
    if not isinstance(loaded.model, Emulator):
        raise InputError(
            f"{checkpoint}: holds a {type(loaded.model).__name__}, not an emulator; give a run of"
            " experiment=ssp_emulator"
        )
    return loaded.model, {name: str(value) for name, value in loaded.meta.get("data", {}).items()}
