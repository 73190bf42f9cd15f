"""Nothing between the galaxies."""

from galdiff.core.stage import Stage
from galdiff.light_records import Spectrum


class NoIGM(Stage):
    """All light arrives."""

    def __call__(self, spectrum: Spectrum) -> Spectrum:
        """The same spectrum."""
        return spectrum
