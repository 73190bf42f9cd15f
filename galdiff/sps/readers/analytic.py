"""The embedded library, computed from published formulae."""

import typing

from galdiff.imf import Imf
from galdiff.records import SSPGrid
from galdiff.sps.analytic import default_grid
from galdiff.sps.reader import Maker


@typing.final
class Analytic(Maker):
    """The library that comes with the package; its axes are fixed, its mass function is chosen."""

    kind = "analytic"

    def make(self, *, imf: Imf | str = "kroupa") -> SSPGrid:
        """As `galdiff.sps.analytic.default_grid`."""
        return default_grid(imf=imf)
