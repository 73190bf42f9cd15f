"""An SSP library computed from published formulae: no data file, differentiable in the initial mass function."""

from galdiff.imf import (
    BrokenPowerLaw,
    LognormalPowerLaw,
    broken_power_law,
    chabrier,
    kroupa,
    kroupa_revised,
    named_imf,
    salpeter,
)
from galdiff.sps.analytic.default_library import analytic_ssp, default_coefficients, default_grid

__all__ = [
    "BrokenPowerLaw",
    "LognormalPowerLaw",
    "analytic_ssp",
    "broken_power_law",
    "chabrier",
    "default_coefficients",
    "default_grid",
    "kroupa",
    "kroupa_revised",
    "named_imf",
    "salpeter",
]
