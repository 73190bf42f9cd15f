"""The initial mass function: how many stars of each mass form, what they return, leave, and give."""

from galdiff.imf.returns import (
    metal_yield,
    remnant_fraction,
    remnant_mass,
    return_fraction,
    supernova_energy,
    supernova_rate,
    turnoff_mass,
)
from galdiff.imf.same import family, warn_other_imf, warn_recycling
from galdiff.imf.shape import (
    BrokenPowerLaw,
    Imf,
    LognormalPowerLaw,
    broken_power_law,
    chabrier,
    kroupa,
    kroupa_revised,
    mean_mass,
    named_imf,
    number_density,
    salpeter,
)

__all__ = [
    "BrokenPowerLaw",
    "Imf",
    "LognormalPowerLaw",
    "broken_power_law",
    "chabrier",
    "family",
    "kroupa",
    "kroupa_revised",
    "mean_mass",
    "metal_yield",
    "named_imf",
    "number_density",
    "remnant_fraction",
    "remnant_mass",
    "return_fraction",
    "salpeter",
    "supernova_energy",
    "supernova_rate",
    "turnoff_mass",
    "warn_other_imf",
    "warn_recycling",
]
