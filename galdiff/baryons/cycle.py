"""What a baryon cycle is: a stage that states its equations, with its laws in slots."""

import abc
import typing
from collections.abc import Mapping
from typing import Any, ClassVar

from flax import nnx

from galdiff.baryons.evolve import Equations, Outputs, evolve, evolve_adaptively
from galdiff.baryons.laws.law import Law
from galdiff.baryons.uv_background import FITTED
from galdiff.core.correction import NoCorrection
from galdiff.core.fitted import Ranges
from galdiff.core.stage import Stage
from galdiff.records import BaryonHistory, HaloHistory


class BaryonCycle(Stage):
    """From the growth of a halo to the history of its baryons; a kind adds `parameters` and `equations`.

    Kinds differ in reservoirs and flows; what may differ within a kind is a `Law` in a slot, an attribute of its name.
    """

    outputs: Outputs
    slots: ClassVar[tuple[str, ...]] = ()  # names of the attributes that hold a law
    hooks: ClassVar[Mapping[str, Any]] = {}  # of those that hold a correction, with what it sees

    @abc.abstractmethod
    def parameters(self) -> Any:
        """All parameters in natural units, as nested records."""

    @abc.abstractmethod
    def equations(self, parameters: Any = None) -> Equations:
        """The model with these parameters, or its own, filled in."""

    @typing.final
    def __call__(self, halo: HaloHistory) -> BaryonHistory:
        """History of the baryons at the times of `outputs`."""
        return evolve(self.equations(), halo, self.outputs)

    @typing.final
    def adaptively(self, halo: HaloHistory, rtol: float, **options: Any) -> BaryonHistory:
        """The same with steps that keep rtol, however stiff; options of `evolve_adaptively`."""
        return evolve_adaptively(self.equations(), halo, self.outputs, rtol, **options)

    @typing.final
    def uncorrected(self) -> "BaryonCycle | None":
        """The same physics without its corrections, as a model of its own; None where it has none."""
        corrected = [hook for hook in self.hooks if not isinstance(getattr(self, hook), NoCorrection)]
        if not corrected:
            return None
        plain = nnx.merge(*nnx.split(self))
        for hook in corrected:
            setattr(plain, hook, NoCorrection())
        return plain

    @typing.final
    def notes(self) -> tuple[str, ...]:
        """The laws, with values and units of their parameters."""
        return tuple(f"{slot}: {law.summary()}" for slot, law in self.laws().items())

    @typing.final
    def fits(self) -> dict[str, tuple[str, Ranges]]:
        """Laws that are fits, with their ranges, by the key of the slot; the UV background is in all."""
        known = {slot: (type(law).__name__, law.fitted()) for slot, law in self.laws().items()}
        return {slot: fit for slot, fit in known.items() if fit[1]} | {"": ("the UV background", FITTED)}

    @typing.final
    def laws(self) -> dict[str, Law]:
        """The laws by slot."""
        return {slot: getattr(self, slot) for slot in self.slots}
