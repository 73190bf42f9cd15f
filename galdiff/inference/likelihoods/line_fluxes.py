"""Fluxes of emission lines."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.inference.likelihoods.model import Independent
from galdiff.inference.losses import Noise


@final
class LineLikelihood(Independent):
    """Observed fluxes of lines [1e-20 erg/s/cm2]; data are `Measured`.

    Args of the constructor:
      names: of the lines, in the order of the data.
      noise, floor: as in `Independent`.
    """

    wanted: ClassVar = ("lines",)

    def __init__(self, *, names: Sequence[str], noise: Noise, floor: float) -> None:
        super().__init__(noise=noise, floor=floor)
        self.names = tuple(names)

    def prediction(self, predicted: Mapping[str, Any]) -> Float[Array, "datum"]:
        """Fluxes [1e-20 erg/s/cm2] of the lines named."""
        lines = predicted["lines"]
        for name in self.names:
            if name not in lines.names:
                raise InputError(f"names: the model makes no line '{name}'; it has {', '.join(lines.names) or 'none'}")
        return lines.flux[np.array([lines.names.index(name) for name in self.names])]
