"""Open an SSP library of any known format: the reader is chosen by looking at the file."""

import inspect
import pathlib
from collections.abc import Callable

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.imf import Imf, warn_other_imf
from galdiff.records import SSPGrid
from galdiff.sps.analytic import default_grid
from galdiff.sps.dsps import load_dsps
from galdiff.sps.fsps import make_fsps
from galdiff.sps.grid import cut_wave
from galdiff.sps.miles_fits import load_miles
from galdiff.sps.ppxf import load_ppxf

READERS: dict[str, Callable[..., SSPGrid]] = {"dsps": load_dsps, "ppxf": load_ppxf, "miles": load_miles}
MAKERS: dict[str, Callable[..., SSPGrid]] = {"analytic": default_grid, "fsps": make_fsps}
SIGNATURES = {b"\x89HDF\r\n\x1a\n": "dsps", b"PK\x03\x04": "ppxf"}  # HDF5, zip


@buildable(reads=True)
def load_ssp(
    path: str | pathlib.Path | None,
    *,
    kind: str | None = None,
    wave_range: tuple[float, float] | None = None,
    run_imf: Imf | None = None,
    **options,
) -> SSPGrid:
    """Open an SSP library.

    Args:
      path: DSPS HDF5 file, pPXF npz file, or folder of MILES FITS files; None for the embedded analytic library.
      kind: dsps, ppxf, miles, or (without a path) analytic or fsps, instead of looking at the file.
      wave_range: part to keep [Angstrom, vacuum].
      run_imf: mass function of the run; a library that states another one warns.
      **options: keywords of the reader: `load_dsps`, `load_ppxf`, `load_miles`, `make_fsps`, or
        `default_grid` (imf).

    Returns:
      Library in vacuum Angstrom and Lsun/Angstrom per Msun formed.

    Raises:
      InputError: no such file, unknown format, or what the reader finds wrong.
    """
    if kind is not None and kind not in READERS and kind not in MAKERS:
        raise InputError(f"SSP library kind is '{kind}'; choose one of {', '.join((*READERS, *MAKERS))}")
    if path is None:
        kind = kind or "analytic"
        if kind not in MAKERS:
            raise InputError(f"SSP library kind '{kind}' is read from a path; give it, or choose {', '.join(MAKERS)}")
        grid = _call(kind, MAKERS[kind], **options)
        if run_imf is not None:
            warn_other_imf(run_imf, grid.imf, f"SSP library {grid.name}")
        return grid if wave_range is None else cut_wave(grid, *wave_range)
    if kind in MAKERS:
        raise InputError(f"SSP library kind '{kind}' is computed, not read from {path}; leave out the path or the kind")
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise InputError(f"SSP library {path} does not exist; give a DSPS HDF5 file, a pPXF npz file or a MILES folder")
    kind = kind or _look(path)
    grid = _call(kind, READERS[kind], path, **options)
    if run_imf is not None:
        warn_other_imf(run_imf, grid.imf, f"SSP library {path}")
    return grid if wave_range is None else cut_wave(grid, *wave_range)


def _call(kind: str, reader: Callable[..., SSPGrid], *args, **options) -> SSPGrid:
    """Call a reader, with a readable error for a keyword it does not know."""
    known = inspect.signature(reader).parameters
    extra = [] if "parameters" in known else sorted(options.keys() - known.keys())
    if extra:
        keywords = ", ".join(list(known)[len(args) :])
        raise InputError(f"SSP library kind '{kind}' has no option {', '.join(extra)}; its options are {keywords}")
    return reader(*args, **options)


def _look(path: pathlib.Path) -> str:
    if path.is_dir():
        return "miles"
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(f"SSP library {path} cannot be read ({error}); check its permissions") from error
    for signature, kind in SIGNATURES.items():
        if head.startswith(signature):
            return kind
    raise InputError(
        f"SSP library {path} is neither HDF5 (DSPS) nor npz (pPXF); if it is one, it is damaged; MILES spectra are"
        " given by their folder"
    )
