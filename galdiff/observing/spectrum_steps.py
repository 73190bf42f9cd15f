"""What happens to the light of a galaxy after its dust has taken some: one step after another."""

from collections.abc import Sequence

from flax import nnx

from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.light_records import Epoch, Spectrum


class SpectrumSteps(Stage):
    """Stages in turn that each read `spectrum`, and `epoch` if they want, and make the next `Spectrum`.

    Args of the constructor:
      steps: the stages, in order; without any the spectrum stays as it is.
    """

    def __init__(self, *, steps: Sequence[Stage]) -> None:
        for step in steps:
            others = step.reads().keys() - step.optional() - {"spectrum", "epoch"}
            if others or "spectrum" not in step.reads() or not issubclass(step.makes(), Spectrum):
                raise InputError(
                    f"{type(step).__name__} is no step from a spectrum to the next: it reads"
                    f" {', '.join(step.reads())} and makes a {step.makes().__name__}; give stages that read spectrum"
                    " and epoch and make a Spectrum"
                )
        self.steps = nnx.List(list(steps))

    def __call__(self, attenuated: Spectrum, epoch: Epoch) -> Spectrum:
        """The spectrum after the last step."""
        return self.each(attenuated, epoch)[-1]

    def each(self, attenuated: Spectrum, epoch: Epoch) -> list[Spectrum]:
        """The spectrum before the first step, and after each."""
        spectra = [attenuated]
        for step in self.steps:
            known = {"spectrum": spectra[-1], "epoch": epoch}
            spectra.append(step(**{name: known[name] for name in step.reads() if name in known}))
        return spectra

    def notes(self) -> tuple[str, ...]:
        """The steps by name."""
        return tuple(type(step).__name__ for step in self.steps)
