"""Several kinds of data of one galaxy together: their densities are multiplied."""

from collections.abc import Mapping
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.inference.likelihoods.model import Likelihood


@final
class JointLikelihood(Likelihood):
    """Independent kinds of data, each with a likelihood of its own; data are those of each, by the same names.

    Args of the constructor:
      parts: likelihoods by name.
    """

    def __init__(self, *, parts: Mapping[str, Likelihood]) -> None:
        if not parts:
            raise InputError("parts of a joint likelihood are none; give likelihoods by name")
        self.parts = dict(parts)

    @property
    def wanted(self) -> tuple[str, ...]:  # type: ignore[override]
        """Records that one of the parts looks at."""
        return tuple(dict.fromkeys(name for part in self.parts.values() for name in part.wanted))

    def log_density(self, predicted: Mapping[str, Any], data: Mapping[str, Any]) -> Float[Array, ""]:
        """Sum over the parts [ln of 1 / units of the data]."""
        return sum((p.log_density(predicted, data[name]) for name, p in self.parts.items()), start=jnp.zeros(()))

    def residuals(self, predicted: Mapping[str, Any], data: Mapping[str, Any]) -> Float[Array, "datum"]:
        """Those of all parts [1]."""
        return jnp.concatenate([p.residuals(predicted, data[name]) for name, p in self.parts.items()])

    def check(self, data: Mapping[str, Any]) -> None:
        """Each part checks its own."""
        if set(data) != set(self.parts):
            raise InputError(f"data are of {', '.join(data)}; give those of {', '.join(self.parts)}")
        for name, part in self.parts.items():
            part.check(data[name])

    def size(self, data: Mapping[str, Any]) -> int:
        """Of all parts."""
        return sum(part.size(data[name]) for name, part in self.parts.items())
