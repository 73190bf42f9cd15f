"""What light meets between its galaxy and us."""

import abc

from galdiff.core.stage import Stage
from galdiff.light_records import Epoch, Spectrum


class BetweenGalaxies(Stage):
    """A stage that takes light on the way to us: it makes what arrives, at the wavelengths of the galaxy at rest."""

    @abc.abstractmethod
    def __call__(self, spectrum: Spectrum, epoch: Epoch) -> Spectrum:
        """What arrives of the spectrum of a galaxy that is seen at an epoch."""
