"""Nothing between the galaxies."""

from galdiff.igm.between import BetweenGalaxies
from galdiff.light_records import Epoch, Spectrum


class NoIGM(BetweenGalaxies):
    """All light arrives."""

    def __call__(self, spectrum: Spectrum, epoch: Epoch | None = None) -> Spectrum:
        """The same spectrum."""
        del epoch
        return spectrum
