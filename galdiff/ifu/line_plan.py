"""Emission lines that an observation records, laid out once on the host."""

import dataclasses

import numpy as np

from galdiff.ifu.deposit import Bins


@dataclasses.dataclass(frozen=True, eq=False)
class LinePlan:
    """Lines that an observation records (host numbers, float64)."""

    names: tuple[str, ...]
    wave: np.ndarray  # vacuum, at rest [Angstrom], shape (line,)
    sigma: np.ndarray  # of the gas besides its motions that are followed [km/s], shape (line,)
    dimming: np.ndarray  # A_line / A_V, shape (line,)
    number: tuple[int, ...]  # of each line in the list that it was chosen from
    bins: Bins  # spaxels, velocity nodes and levels of smoothing of the gas
    width: int  # pixels of the widest line
    a_v_ratio: float = 1.0  # attenuation of the lines over that of the stars at the same place
