"""Fluxes in passbands."""

from collections.abc import Mapping
from typing import Any, ClassVar, final

from jaxtyping import Array, Float

from galdiff.inference.likelihoods.model import Independent


@final
class PhotometryLikelihood(Independent):
    """Flux densities [maggies: 3631 Jy] of `galdiff.photometry.magnitudes.Magnitudes`; data are `Measured`."""

    wanted: ClassVar = ("apparent",)

    def prediction(self, predicted: Mapping[str, Any]) -> Float[Array, "band"]:
        """Flux densities [maggies] in the passbands of the pipeline."""
        return predicted["apparent"].maggies
