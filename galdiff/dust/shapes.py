"""Shapes that several dust curves are made of."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike
from scipy.interpolate import CubicSpline

from galdiff.dust.curve import Wave


def spline_with_ultraviolet(
    wave: Wave, knots: tuple[float, ...], values: Array, ultraviolet: Callable[[Array], Array]
) -> Wave:
    """Natural cubic spline below 1e4/2700 per micron, joined to a formula in 1/micron through two more knots.

    Args:
      wave: rest-frame wavelength [Angstrom]; the result has its shape.
      knots: increasing wavenumbers of the spline [1/micron], static.
      values: A(wave)/A(V) at the knots.
      ultraviolet: function of the wavenumber that gives A(wave)/A(V).
    """
    x = 1e4 / jnp.asarray(wave)
    values = values.astype(x.dtype)
    knots = (*knots, 1e4 / 2700.0, 1e4 / 2600.0)
    values = jnp.concatenate([values, ultraviolet(jnp.asarray(knots[-2:], x.dtype))]).astype(x.dtype)
    # the spline is linear in its values: coefficients [power, interval] by one product
    coef = jnp.asarray(_spline_operator(knots), values.dtype) @ values
    edges = np.asarray(knots[1:-2])
    i = (x[..., None] >= edges).sum(-1)
    u = x - jnp.asarray(knots, values.dtype)[i]
    red = ((coef[0, i] * u + coef[1, i]) * u + coef[2, i]) * u + coef[3, i]
    return jnp.where(x < knots[-2], red, ultraviolet(x))


@functools.lru_cache(maxsize=8)
@functools.lru_cache(maxsize=8)
def _spline_operator(knots: tuple[float, ...]) -> np.ndarray:
    """Polynomial coefficients [power, interval, knot] of splines that are 1 at one knot and 0 at the others."""
    return CubicSpline(np.asarray(knots), np.eye(len(knots)), bc_type="natural").c


def cardelli(wave: Wave, r_v: ArrayLike, a_optical: tuple[float, ...], b_optical: tuple[float, ...]) -> Wave:
    """A(wave)/A(V) [1] of Cardelli et al. (1989, ApJ 345, 245), shape of wave [Angstrom]; optical a and b are given."""
    x = 1e4 / jnp.asarray(wave)
    power = x**1.61
    y = jnp.clip(x, 1.1, 3.3) - 1.82
    u = jnp.clip(x - 5.9, 0.0, None)
    a_uv = 1.752 - 0.316 * x - 0.104 / ((x - 4.67) ** 2 + 0.341) - 0.04473 * u**2 - 0.009779 * u**3
    b_uv = -3.090 + 1.825 * x + 1.206 / ((x - 4.62) ** 2 + 0.263) + 0.2130 * u**2 + 0.1207 * u**3
    far = jnp.clip(x - 8.0, 0.0, None)
    a_far = polynomial(far, (-1.073, -0.628, 0.137, -0.070))
    b_far = polynomial(far, (13.670, 4.257, -0.420, 0.374))
    where = [x < 1.1, x < 3.3, x <= 8.0]
    a = jnp.select(where, [0.574 * power, polynomial(y, a_optical), a_uv], a_far)
    b = jnp.select(where, [-0.527 * power, polynomial(y, b_optical), b_uv], b_far)
    return a + b / r_v


def polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Sum of c_k x^k [unit of the coefficients], in the shape of x."""
    value = jnp.zeros_like(x)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def drude(x: Array, centre: float, width: float) -> Array:
    """Bump of Fitzpatrick & Massa (1990), eq. 2b [micron^2 when x is in 1/micron], same shape."""
    return x**2 / ((x**2 - centre**2) ** 2 + (x * width) ** 2)


def far_uv_rise(x: Array) -> Array:
    """Far-UV rise of Fitzpatrick & Massa (1990), eq. 2c [1], in the shape of the wavenumbers x [1/micron]."""
    u = jnp.clip(x - 5.9, 0.0, None)
    return 0.5392 * u**2 + 0.05644 * u**3


def skewed_drude(micron: Array, scale: float, centre: float, width: float, skew: float) -> Array:
    """Drude profile in wavelength with a width that changes across it; Gordon et al. (2021, ApJ 916, 33), eq. 3.

    In the unit of scale [any] and the shape of the wavelengths [micron].
    """
    gamma = 2.0 * width / (1.0 + jnp.exp(skew * (micron - centre)))
    ratio2 = (gamma / centre) ** 2
    return scale * ratio2 / ((micron / centre - centre / micron) ** 2 + ratio2)


def smoothstep(x: Array, lo: float, hi: float) -> Array:
    """Cubic step from 0 at lo to 1 at hi [1], in the shape of x."""
    u = jnp.clip((x - lo) / (hi - lo), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def starburst(wave: Wave) -> Wave:
    """Calzetti et al. (2000, ApJ 533, 682), eq. 4, over R_V = 4.05: [Angstrom] -> A(wave)/A(V) [1]."""
    x = 1e4 / wave
    blue = -2.156 + 1.509 * x - 0.198 * x**2 + 0.011 * x**3
    red = -1.857 + 1.040 * x
    return 2.659 * jnp.where(x > 1 / 0.63, blue, red) / 4.05 + 1.0


def far_starburst(wave: Wave) -> Wave:
    """Leitherer et al. (2002, ApJS 140, 303), eq. 14, over R_V = 4.05: [Angstrom], 970 to 1800 -> A(wave)/A(V) [1]."""
    x = 1e4 / wave
    return (5.472 + 0.671 * x - 9.218e-3 * x**2 + 2.620e-3 * x**3) / 4.05


def extended_starburst(wave: Wave) -> Wave:
    """`starburst` redder than 1500 Angstrom and `far_starburst` up to there: [Angstrom] -> A(wave)/A(V) [1]."""
    return jnp.where(wave > 1500.0, starburst(wave), far_starburst(wave))


def graphite_bump(wave: Wave) -> Wave:
    """Bump of Noll et al. (2009, A&A 507, 1793), eq. 10, of unit height over R_V = 4.05: [Angstrom] -> [1]."""
    x = wave / 2175.0
    width2 = (350.0 / 2175.0 * x) ** 2
    return width2 / ((x**2 - 1) ** 2 + width2) / 4.05
