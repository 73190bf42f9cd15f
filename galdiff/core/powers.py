"""Powers, logarithms and the logistic function as a few multiplications each, where single precision does.

Compilers for processors turn exponentials and logarithms into polynomials that also mind every special number;
histories of star formation take several of them at each age, so that most of their time goes there. In single precision
these here are right to 2e-7 and take less time; in any other they are the common functions. NaN stays NaN.

Each ends in a quotient on purpose: compilers make a quotient once, but products again in every loop that uses them.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float

LN2, LN10 = math.log(2.0), math.log(10.0)
LOG2_10, LOG2_E = math.log2(10.0), math.log2(math.e)
EXPONENTS = (-128.0, 127.0)  # of 2 in single precision: below is 0, above infinity
MANTISSA_BITS, BIAS = 23, 127
BITS_OF_SQRT_HALF = 0x3F3504F3
# 2^x on -0.5 to 0.5, and numerator and denominator of log2(1 + x) / x where 1 + x is sqrt(1/2) to sqrt(2); to 2e-8
POWER = (1.0, 0.693147207, 0.240226509, 0.0555032723, 0.00961805668, 0.00134004282, 0.000154614447)
LOGARITHM = (1.44269507, 1.44269258, 0.263381436), (1.0, 1.49999827, 0.599230768, 0.0496159614)


def exp2(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """2 to the power x [1], any shape."""
    x = jnp.asarray(x)
    return _exp2(x) if x.dtype == jnp.float32 else jnp.exp(LN2 * x)


def exp10(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """10 to the power x [dex], any shape; right to some units in the last place times x ln 10."""
    x = jnp.asarray(x)
    return _exp2(LOG2_10 * x) if x.dtype == jnp.float32 else jnp.exp(LN10 * x)


def log10(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """log10 of positive numbers [dex], any shape; -inf at 0. Those below 1e-38 or not finite are not minded."""
    x = jnp.asarray(x)
    return _log2(x) * (1 / LOG2_10) if x.dtype == jnp.float32 else jnp.log10(x)


def logistic(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """1 / (1 + exp(-x)) [1], any shape."""
    x = jnp.asarray(x)
    return _logistic(x) if x.dtype == jnp.float32 else jax.nn.sigmoid(x)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    made = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        made = made * x + np.float32(coefficient)
    return made


@jax.custom_jvp
def _exp2(x: Array) -> Array:
    numerator, denominator = _ratio(x)
    return numerator / denominator


def _ratio(x: Array) -> tuple[Array, Array]:
    """Two numbers whose quotient is 2^x: that with the fraction of x, and with minus its whole part."""
    lo, hi = (np.float32(end) for end in EXPONENTS)
    x = jnp.where(x > hi, hi, jnp.where(x < lo, lo, x))  # NaN is neither
    whole = lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)
    denominator = lax.bitcast_convert_type((BIAS - whole.astype(jnp.int32)) << MANTISSA_BITS, jnp.float32)
    return _polynomial(POWER, x - whole), denominator


@jax.custom_jvp
def _log2(x: Array) -> Array:
    bits = lax.bitcast_convert_type(x, jnp.int32)
    whole = (bits - BITS_OF_SQRT_HALF) >> MANTISSA_BITS
    past = lax.bitcast_convert_type(bits - (whole << MANTISSA_BITS), jnp.float32) - 1
    numerator, denominator = (_polynomial(coefficients, past) for coefficients in LOGARITHM)
    numerator = whole.astype(jnp.float32) * denominator + past * numerator
    return jnp.where(x > 0, numerator, x - np.float32(np.inf)) / denominator


@jax.custom_jvp
def _logistic(x: Array) -> Array:
    numerator, denominator = _ratio(np.float32(LOG2_E) * x)
    return numerator / (numerator + denominator)


_exp2.defjvps(lambda tangent, made, x: tangent * (made * np.float32(LN2)))
_log2.defjvps(lambda tangent, made, x: tangent * (np.float32(LOG2_E) / x))
_logistic.defjvps(lambda tangent, made, x: tangent * (made * (1 - made)))
