"""Log densities of measurements about a prediction: Gaussian, Gaussian with limits, and Student-t with limits.

All are normalised and smooth however far a measurement lies, so that their gradients are finite at any distance.
"""

import abc
import functools
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc, betaln, gammaln, log_ndtr
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError

LN_2_PI = math.log(2 * math.pi)
NEAR = 1e-3  # x^2 / nu below which a logarithm is a short series
WING = 4.0  # -ln of how small a wing is that counts as far
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

    @abc.abstractmethod
    def residual(
        self,
        predicted: Float[ArrayLike, "..."],
        measured: Float[ArrayLike, "..."],
        error: Float[ArrayLike, "..."],
        limit: Float[ArrayLike, "..."] = MEASURED,
    ) -> Float[Array, "..."]:
        """r [1] with -r^2 / 2 = the ln of the density but for what does not depend on the prediction.

        Smooth where r passes zero, so that a fit by least squares is one by likelihood; arguments as above.
        """

    def weight(self, pull: Float[Array, "..."]) -> Float[Array, "..."]:
        """Weight [1] of a measurement, so many errors from the prediction, in a fit by iterated least squares."""
        return jnp.ones_like(pull)


@typing.final
class Gaussian(Noise):
    """Normal errors."""

    def __call__(
        self, predicted: ArrayLike, measured: ArrayLike, error: ArrayLike, limit: ArrayLike = MEASURED
    ) -> Array:
        """ln of the density; limits are not understood."""
        del limit
        return _ln_normal(_pull(predicted, measured, error), error)

    def residual(
        self, predicted: ArrayLike, measured: ArrayLike, error: ArrayLike, limit: ArrayLike = MEASURED
    ) -> Array:
        """What was missed over the error [1], same shape; limits are not understood."""
        del limit
        return _pull(predicted, measured, error)


@typing.final
class StudentT(Noise):
    """Errors with wide wings, which outliers pull less; limits count as in `Censored`, with the same wings.

    `error` is the scale, nu the degrees of freedom.
    """

    limits = True

    def __init__(self, *, nu: float) -> None:
        if not 0 < nu < math.inf:
            raise InputError(f"nu is {nu}; give degrees of freedom above 0, such as 4, or take the Gaussian")
        self.nu = float(nu)

    def __call__(
        self, predicted: ArrayLike, measured: ArrayLike, error: ArrayLike, limit: ArrayLike = MEASURED
    ) -> Array:
        """ln of the density of what is measured, ln of the probability of what is a limit."""
        nu, x = self.nu, _pull(predicted, measured, error)
        limit = jnp.asarray(limit)
        beyond = _ln_t_below(jnp.where(limit == LOWER, -x, x), nu)
        return jnp.where(limit == MEASURED, _ln_t(x, nu) - jnp.log(error), beyond)

    def residual(
        self, predicted: ArrayLike, measured: ArrayLike, error: ArrayLike, limit: ArrayLike = MEASURED
    ) -> Array:
        """Grows like the root of a logarithm [1], same shape."""
        nu, x = self.nu, _pull(predicted, measured, error)
        limit = jnp.asarray(limit)
        y = x**2 / nu
        near = y < NEAR
        g = jnp.where(near, 1 - y / 2 + y**2 / 3, jnp.log1p(y) / jnp.where(near, 1.0, y))
        beyond = _root(_ln_t_below(jnp.where(limit == LOWER, -x, x), nu))
        return jnp.where(limit == MEASURED, x * jnp.sqrt(g * (nu + 1) / nu), beyond)

    def weight(self, pull: Array) -> Array:
        """(nu + 1) / (nu + pull^2) [1], same shape."""
        return (self.nu + 1) / (self.nu + pull**2)


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

    def residual(
        self, predicted: ArrayLike, measured: ArrayLike, error: ArrayLike, limit: ArrayLike = MEASURED
    ) -> Array:
        """What was missed over the error [1], same shape; of a limit that is met, nearly nothing."""
        x = _pull(predicted, measured, error)
        limit = jnp.asarray(limit)
        return jnp.where(limit == MEASURED, x, _root(log_ndtr(jnp.where(limit == LOWER, -x, x))))


def _pull(predicted: ArrayLike, measured: ArrayLike, error: ArrayLike) -> Array:
    return (jnp.asarray(measured) - predicted) / error


def _root(ln_probability: Array) -> Array:
    """sqrt(-2 ln P), whose slope ends where P is one to round-off."""
    return jnp.sqrt(jnp.maximum(-2 * ln_probability, float(jnp.finfo(ln_probability.dtype).tiny)))


def _ln_normal(x: Array, error: ArrayLike) -> Array:
    return -0.5 * (x**2 + LN_2_PI) - jnp.log(error)


def _ln_t(x: Array, nu: float) -> Array:
    norm = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * math.log(nu * math.pi)
    return norm - (nu + 1) / 2 * jnp.log1p(x**2 / nu)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _ln_t_below(x: Array, nu: float) -> Array:
    """ln of the probability that Student's t is below x: half an incomplete beta function I_z(nu/2, 1/2) in the wing.

    Far out, where that underflows, ln I is a power of z times an integral that Gauss-Laguerre nodes give to 1e-12:
    with t = z exp(-v / a), I_z(a, 1/2) = z^a / (a B) * int exp(-v) / sqrt(1 - z exp(-v / a)) dv.
    """
    a = nu / 2
    depth = a * jnp.log1p(x**2 / nu)  # -ln z^a
    far = depth > WING
    wing = 0.5 * betainc(a, 0.5, jnp.exp(-jnp.where(far, WING, depth) / a))  # of the nearer side
    near = jnp.where(x < 0, jnp.log(wing), jnp.log1p(-wing))
    nodes, weights = (jnp.asarray(values, x.dtype) for values in np.polynomial.laguerre.laggauss(16))
    z = jnp.exp(-jnp.where(far, depth, WING) / a)
    integral = jnp.sum(weights / jnp.sqrt(1 - z[..., None] * jnp.exp(-nodes / a)), axis=-1)
    ln_wing = jnp.log(integral) - math.log(2 * a) - betaln(a, 0.5) - jnp.where(far, depth, WING)
    return jnp.where(far, jnp.where(x < 0, ln_wing, jnp.log1p(-jnp.exp(ln_wing))), near)


@_ln_t_below.defjvp
def _slope(nu: float, x: tuple[Array], step: tuple[Array]) -> tuple[Array, Array]:
    """The slope of a probability is the density; that of the beta function has no limit at x = 0."""
    value = _ln_t_below(x[0], nu)
    return value, jnp.exp(_ln_t(x[0], nu) - value) * step[0]
