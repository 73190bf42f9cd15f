"""Open an SSP library of any format of `galdiff.sps.readers`, chosen by looking at the file, or of your own."""

import inspect
import pathlib
from collections.abc import Callable
from typing import Any

from galdiff.core.buildable import buildable
from galdiff.core.discover import found_in
from galdiff.errors import InputError
from galdiff.imf import Imf, warn_other_imf
from galdiff.records import SSPGrid
from galdiff.sps.grid import cut_wave
from galdiff.sps.reader import Maker, Reader

FORMATS = "galdiff.sps.readers"


@buildable(reads=True)
def load_ssp(
    path: str | pathlib.Path | None,
    *,
    kind: str | Reader | None = None,
    wave_range: tuple[float, float] | None = None,
    run_imf: Imf | None = None,
    **options: Any,
) -> SSPGrid:
    """Open an SSP library.

    Args:
      path: DSPS HDF5 file, pPXF npz file, or folder of MILES FITS files; None for the embedded analytic library.
      kind: dsps, ppxf, miles, or (without a path) analytic or fsps, instead of looking at the file; or a `Reader` of
        your own.
      wave_range: part to keep [Angstrom, vacuum].
      run_imf: mass function of the run; a library that states another one warns.
      **options: keywords of `read` or `make` of the format's class in `galdiff.sps.readers`.

    Returns:
      Library in vacuum Angstrom and Lsun/Angstrom per Msun formed.

    Raises:
      InputError: no such file, a format that nothing or more than one knows, or what the reader finds wrong.
    """
    readers = {reader.kind: reader for reader in found_in(FORMATS, Reader)}
    makers = {maker.kind: maker for maker in found_in(FORMATS, Maker)}
    name = kind.kind if isinstance(kind, Reader) else kind
    if isinstance(kind, Reader):
        readers[kind.kind] = kind
    elif kind is not None and kind not in readers and kind not in makers:
        raise InputError(f"SSP library kind is '{kind}'; choose one of {', '.join((*readers, *makers))}")
    if path is None:
        name = name or "analytic"
        if name not in makers:
            raise InputError(f"SSP library kind '{name}' is read from a path; give it, or choose {', '.join(makers)}")
        grid = _call(name, makers[name].make, **options)
        source = f"SSP library {grid.name}"
    else:
        if name in makers:
            raise InputError(
                f"SSP library kind '{name}' is computed, not read from {path}; leave out the path or the kind"
            )
        path = pathlib.Path(path).expanduser()
        if not path.exists():
            wanted = ", ".join(reader.files for reader in readers.values())
            raise InputError(f"SSP library {path} does not exist; give one of {wanted}")
        reader = readers[name] if name is not None else _recognised(path, tuple(readers.values()))
        grid = _call(reader.kind, reader.read, path, **options)
        source = f"SSP library {path}"
    if run_imf is not None:
        warn_other_imf(run_imf, grid.imf, source)
    return grid if wave_range is None else cut_wave(grid, *wave_range)


def _call(kind: str, reader: Callable[..., SSPGrid], *args: Any, **options: Any) -> SSPGrid:
    """Call a reader, with a readable error for a keyword it does not know."""
    known = inspect.signature(reader).parameters
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    extra = [] if free else sorted(options.keys() - known.keys())
    if extra:
        keywords = ", ".join(list(known)[len(args) :]) or "none"
        raise InputError(f"SSP library kind '{kind}' has no option {', '.join(extra)}; its options are {keywords}")
    return reader(*args, **options)


def _recognised(path: pathlib.Path, readers: tuple[Reader, ...]) -> Reader:
    """The one reader that knows what lies at a path."""
    found = [reader for reader in readers if reader.recognises(path)]
    if len(found) == 1:
        return found[0]
    if found:
        kinds = " and ".join(reader.kind for reader in found)
        raise InputError(f"SSP library {path} may be {kinds}; choose one with kind=")
    tried = ", nor ".join(f"{reader.files}, kind={reader.kind}" for reader in readers)
    raise InputError(f"SSP library {path} is neither {tried}; give such a library, or a reader of your own as kind=")
