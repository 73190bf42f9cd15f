"""The ionising photons of a library, as a stage."""

from galdiff.core.stage import Stage
from galdiff.light_records import IonisingPhotons
from galdiff.records import SSPGrid
from galdiff.sps.ionising import log10_photon_rates


class IonisingLight(Stage):
    """What the populations of a library ionise with, see `galdiff.sps.ionising`."""

    def __call__(self, library: SSPGrid) -> IonisingPhotons:
        """Rates of each population."""
        return IonisingPhotons(log10_rate=log10_photon_rates(library))
