"""Look at the output folder before long work: may it be written, is it free, is there room."""

import os
import pathlib
import shutil
from collections.abc import Iterable

from galdiff.errors import InputError
from galdiff.io.atomic import refuse_existing

OUTPUTS = ("cube.fits", "maps.fits", "summary.json", "maps.png", "spectra.png", "lines.png")
BLOCK = 2880  # [byte] FITS block


def cube_bytes(n_y: int, n_x: int, n_wave: int) -> int:
    """Size [byte] of a cube file: data and variance in float32, quality in bytes, and headers."""
    return 9 * n_y * n_x * n_wave + 23 * BLOCK


def check_space(path: str | os.PathLike, bytes_needed: int) -> None:
    """Raise InputError unless the disk of `path` (a file or folder, existing or not) has room for bytes_needed."""
    folder = pathlib.Path(path).absolute()
    while not os.path.isdir(folder):  # false, too, where a name is too long to be looked up
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise InputError(
            f"{path}: no space: {bytes_needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free; free space or"
            " choose another output folder"
        )


def check_output(folder: str | os.PathLike, bytes_needed: int, overwrite: bool, names: Iterable[str] = OUTPUTS) -> None:
    """Refuse an output folder that would make a run fail at its end.

    Args:
      folder: where the files `names` will go; it is created if absent.
      bytes_needed: expected size of all of them [byte].
      overwrite: whether existing files of these names may be replaced.

    Raises:
      InputError: a file exists, the folder cannot be made or written, or the disk has no room.
    """
    folder = pathlib.Path(folder)
    check_space(folder, bytes_needed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created ({error.strerror}); choose another output folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: is not writable; choose another output folder")
    for name in names:
        refuse_existing(folder / name, overwrite)
