"""The config that made a cube, kept in its file as a table of lines of JSON, and read again.

What is read is data of unknown origin: `read_config` builds nothing, and leaves it to its caller to check the names.
"""

import json
import os
import warnings
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from omegaconf import OmegaConf

from galdiff.errors import InputError

NAME, COLUMN = "CONFIG", "JSON"
MOST = 1 << 24  # bytes of a table that is read


def config_table(text: str) -> fits.BinTableHDU:
    """Table of a resolved config.

    Args:
      text: the config as YAML.
    """
    config = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
    lines = json.dumps(config, indent=1).splitlines()  # ASCII, and no line ends in a blank
    column = fits.Column(COLUMN, f"{max(map(len, lines))}A", array=np.array(lines))
    table = fits.BinTableHDU.from_columns([column], name=NAME)
    table.header["COMMENT"] = "Lines of the config that made this file: galdiff simulate from=FILE"
    return table


def read_config(path: str | os.PathLike) -> dict[str, Any]:
    """Config in a cube, as plain mappings, lists, texts and numbers.

    Raises:
      InputError: no FITS file, or none with a config.
    """
    path = os.fspath(path)
    remedy = "give a cube.fits that galdiff simulate wrote"
    try:
        with warnings.catch_warnings(), fits.open(path, memmap=False, lazy_load_hdus=True) as hdus:
            warnings.filterwarnings("ignore", category=AstropyUserWarning)  # of damaged files; said below
            table = next((hdu for hdu in hdus if hdu.name == NAME), None)
            if not isinstance(table, fits.BinTableHDU) or COLUMN not in table.columns.names:
                raise InputError(f"from is {path}, which holds no config; {remedy}")
            if table.header["NAXIS1"] * table.header["NAXIS2"] > MOST:
                raise InputError(f"from is {path}, whose config is larger than {MOST >> 20} MB; {remedy}")
            found = json.loads("\n".join(str(line) for line in table.data[COLUMN]))
    except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        why = " ".join(str(error).split())[:100]
        raise InputError(f"from is {path}, whose config cannot be read ({why}); {remedy}") from error
    if not isinstance(found, dict):
        raise InputError(f"from is {path}, whose config is {type(found).__name__} and no mapping; {remedy}")
    return found
