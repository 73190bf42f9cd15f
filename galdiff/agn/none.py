"""A galaxy whose black hole is quiet."""

from galdiff.core.stage import Stage
from galdiff.light_records import Spectrum


class NoAGN(Stage):
    """No light but that of the galaxy."""

    def __call__(self, spectrum: Spectrum) -> Spectrum:
        """The same spectrum."""
        return spectrum
