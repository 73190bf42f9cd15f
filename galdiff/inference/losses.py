"""Log densities of measurements about a prediction: Gaussian, Student-t, and Gaussian with limits.

All are normalised and smooth however far a measurement lies, so that their gradients are finite at any distance.
"""

import abc
import math
import typing

import jax.numpy as jnp
from jax.scipy.special import gammaln, log_ndtr
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError

LN_2_PI = math.log(2 * math.pi)
UPPER, MEASURED, LOWER = -1, 0, 1  # what a column of limits holds


class Noise(abc.ABC):
    """How measurements scatter about what is predicted."""

    limits: bool = False  # whether limits are understood

    def __init_subclass__(cls, **kwargs: typing.Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def __call__(
        self,
        predicted: Float[ArrayLike, "..."],
        measured: Float[ArrayLike, "..."],
        error: Float[ArrayLike, "..."],
        limit: Float[ArrayLike, "..."] = MEASURED,
    ) -> Float[Array, "..."]:
        """ln of the density of a measurement [1 / unit of it]; for a limit, ln of its probability.

        Args:
          predicted, measured: in one unit; error: width of the scatter in it, above 0.
          limit: -1 where `measured` is an upper limit, 1 where it is a lower one, 0 elsewhere.
        """


@typing.final
class Gaussian(Noise):
    """Normal errors."""

    def __call__(
        self, predicted: ArrayLike, measured: ArrayLike, error: ArrayLike, limit: ArrayLike = MEASURED
    ) -> Array:
        """ln of the density; limits are not understood."""
        del limit
        return _ln_normal(_pull(predicted, measured, error), error)


@typing.final
class StudentT(Noise):
    """Errors with wide wings, which outliers pull less; `error` is the scale, nu the degrees of freedom."""

    def __init__(self, *, nu: float = 4.0) -> None:
        if not 0 < nu < math.inf:
            raise InputError(f"nu is {nu}; give degrees of freedom above 0, such as 4, or take the Gaussian")
        self.nu = float(nu)

    def __call__(
        self, predicted: ArrayLike, measured: ArrayLike, error: ArrayLike, limit: ArrayLike = MEASURED
    ) -> Array:
        """ln of the density; limits are not understood."""
        del limit
        nu, x = self.nu, _pull(predicted, measured, error)
        norm = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * math.log(nu * math.pi)
        return norm - jnp.log(error) - (nu + 1) / 2 * jnp.log1p(x**2 / nu)


@typing.final
class Censored(Noise):
    """Normal errors, and limits, which count with the probability to fall beyond them (Tobin 1958, Econometrica 26)."""

    limits = True

    def __call__(
        self, predicted: ArrayLike, measured: ArrayLike, error: ArrayLike, limit: ArrayLike = MEASURED
    ) -> Array:
        """ln of the density of what is measured, ln of the probability of what is a limit."""
        x = _pull(predicted, measured, error)
        limit = jnp.asarray(limit)
        side = jnp.where(limit == LOWER, -x, x)  # an upper limit is met where the prediction lies below
        return jnp.where(limit == MEASURED, _ln_normal(x, error), log_ndtr(side))


def _pull(predicted: ArrayLike, measured: ArrayLike, error: ArrayLike) -> Array:
    return (jnp.asarray(measured) - predicted) / error


def _ln_normal(x: Array, error: ArrayLike) -> Array:
    return -0.5 * (x**2 + LN_2_PI) - jnp.log(error)
