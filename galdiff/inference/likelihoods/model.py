"""What every likelihood is, and independent measurements with limits, of which most are made."""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.inference.losses import MEASURED, UPPER, Noise


class Likelihood(abc.ABC):
    """Compares records of a pipeline with data; it knows data and noise, and nothing of physics.

    Its settings are fixed; the data come as a record of arrays, so that one program serves many galaxies. Densities are
    sums over the data, never means.
    """

    wanted: ClassVar[tuple[str, ...]] = ()  # records of the pipeline that it looks at

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def log_density(self, predicted: Mapping[str, Any], data: Any) -> Float[Array, ""]:
        """ln of the density of the data [1 / units of them], given the records by name."""

    @abc.abstractmethod
    def residuals(self, predicted: Mapping[str, Any], data: Any) -> Float[Array, "datum"]:
        """r [1] with -sum(r^2) / 2 = `log_density` but for what depends little, or not, on the prediction."""

    @abc.abstractmethod
    def check(self, data: Any) -> None:
        """Refuse data that say nothing, or that the noise does not understand; not traced.

        Raises:
          InputError: with the remedy.
        """

    @abc.abstractmethod
    def size(self, data: Any) -> int:
        """How many measurements count [1]."""


@record
class Measured:
    """Independent measurements."""

    value: Float[Array, "datum"] = quantity("as the prediction", "what was measured, or the limit")
    error: Float[Array, "datum"] = quantity("as the prediction", "standard deviation")
    limit: Float[Array, "datum"] = quantity("", "-1 for an upper limit, 1 for a lower one, 0 for a measurement")
    used: Float[Array, "datum"] = quantity("", "1 where it counts, 0 where it is missing")


def measured(
    value: Float[ArrayLike, "datum"], error: Float[ArrayLike, "datum"], limit: Float[ArrayLike, "datum"] | None = None
) -> Measured:
    """Measurements from columns: NaN is missing, and an error below 0 marks an upper limit of that error.

    Args:
      value: [unit of the prediction]; error: in the same.
      limit: -1, 0, 1 as in `Measured`, besides those that errors mark.

    Raises:
      InputError: shapes that differ, an error of zero, or an infinite one.
    """
    value, error = np.asarray(value, float), np.asarray(error, float)
    if value.shape != error.shape or value.ndim != 1:
        raise InputError(f"values have shape {value.shape}, errors {error.shape}; give (datum,) of both")
    used = ~(np.isnan(value) | np.isnan(error))
    wrong = used & ~(np.isfinite(value) & np.isfinite(error) & (error != 0))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise InputError(
            f"measurement {i} is {value[i]:g} +- {error[i]:g}; give finite numbers, an error above 0 (below 0 for an"
            " upper limit), or leave it empty"
        )
    sides = np.zeros(value.shape) if limit is None else np.asarray(limit, float)
    sides = np.where(used & (error < 0), UPPER, sides)
    arrays = (np.where(used, value, 0.0), np.where(used, np.abs(error), 1.0), np.where(used, sides, MEASURED))
    names = ("value", "error", "limit", "used")
    return Measured(**{n: jnp.asarray(a, float) for n, a in zip(names, (*arrays, used), strict=True)})


class Independent(Likelihood):
    """Measurements that scatter each by itself; a subclass says what is predicted for each.

    Args of the constructor:
      noise: how they scatter, see `galdiff.inference.losses`.
      floor: error besides those given, as a share of what was measured [1].
    """

    def __init__(self, *, noise: Noise, floor: float) -> None:
        if not 0.0 <= floor < 1.0:
            raise InputError(f"floor is {floor}; give a share of the measured value from 0 up to, but not, 1")
        self.noise = noise
        self.floor = float(floor)

    @abc.abstractmethod
    def prediction(self, predicted: Mapping[str, Any]) -> Float[Array, "datum"]:
        """What the model predicts for each measurement [unit of the data]."""

    def errors(self, data: Measured) -> Float[Array, "datum"]:
        """Standard deviations [unit of the data], the floor included; limits have none."""
        floor = jnp.where(data.limit == MEASURED, self.floor * data.value, 0.0)
        return jnp.sqrt(data.error**2 + floor**2)

    def log_density(self, predicted: Mapping[str, Any], data: Measured) -> Float[Array, ""]:
        """Sum over the measurements that count [ln of 1 / units of the data]."""
        each = self.noise(self.prediction(predicted), data.value, self.errors(data), data.limit)
        return jnp.where(data.used > 0, each, 0.0).sum()

    def residuals(self, predicted: Mapping[str, Any], data: Measured) -> Float[Array, "datum"]:
        """Exact [1]: what is left out is the norm of the noise."""
        each = self.noise.residual(self.prediction(predicted), data.value, self.errors(data), data.limit)
        return jnp.where(data.used > 0, each, 0.0)

    def check(self, data: Measured) -> None:
        """At least one measurement has to count, and limits need a noise that understands them."""
        if not self.size(data):
            raise InputError("no measurement is there: all are empty; give at least one value with its error")
        if not self.noise.limits and np.any(np.asarray(data.limit) != MEASURED):
            raise InputError(
                f"the data hold limits, which {type(self.noise).__name__} does not understand; choose Censored or"
                " StudentT as the noise"
            )

    def size(self, data: Measured) -> int:
        """Those that are not missing."""
        return int(np.asarray(data.used).sum())
