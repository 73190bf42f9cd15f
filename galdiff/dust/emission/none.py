"""Dust that keeps what it takes: a spectrum of stars and gas alone."""

from galdiff.core.stage import Stage
from galdiff.light_records import Spectrum


class NoDustEmission(Stage):
    """No light of dust: the spectrum ends where the library does."""

    def __call__(self, spectrum: Spectrum) -> Spectrum:
        """The same spectrum."""
        return spectrum
