"""Dust that keeps what it takes: a spectrum of stars and gas alone."""

from jaxtyping import Array, Float

from galdiff.core.stage import Stage
from galdiff.light_records import Spectrum


class NoDustEmission(Stage):
    """No light of dust: the spectrum ends where the library does."""

    def __call__(self, attenuated: Spectrum) -> Spectrum:
        """The same spectrum."""
        return attenuated

    @staticmethod
    def reach(wave: Float[Array, "wave"]) -> Float[Array, "wave"]:
        """The same wavelengths [Angstrom]."""
        return wave
