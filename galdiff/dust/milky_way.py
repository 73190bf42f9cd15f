"""Extinction curves that depend on R_V: A(wave)/A(V) at the rest wavelength.

Beyond the published ranges the blue end is held constant and the red end continues as the formula does.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float
from scipy.interpolate import CubicSpline

Wave = Float[Array, "*wave"]
BLUE_LIMIT = 10.0  # [1/micron], where the far-UV polynomials end


def ccm89(wave: Wave, r_v: Float[ArrayLike, ""] = 3.1) -> Wave:
    """Cardelli, Clayton & Mathis (1989, ApJ 345, 245), eqs. 1-5.

    Args:
      wave: rest-frame wavelength [Angstrom], fitted on 1000-33000.
      r_v: ratio of total to selective extinction A(V)/E(B-V) [1], 2 to 6.

    Returns:
      A(wave)/A(V) [1].
    """
    a = (1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999)
    b = (0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002)
    return _cardelli(wave, r_v, a, b)


def odonnell94(wave: Wave, r_v: Float[ArrayLike, ""] = 3.1) -> Wave:
    """O'Donnell (1994, ApJ 422, 158): `ccm89` with new optical polynomials (its eqs. 6 and 7). Same arguments."""
    a = (1.0, 0.104, -0.609, 0.701, 1.137, -1.718, -0.827, 1.647, -0.505)
    b = (0.0, 1.952, 2.908, -3.989, -7.985, 11.102, 5.491, -10.805, 3.347)
    return _cardelli(wave, r_v, a, b)


def fitzpatrick99(wave: Wave, r_v: Float[ArrayLike, ""] = 3.1) -> Wave:
    """Fitzpatrick (1999, PASP 111, 63), tables 3 and 4 and appendix; a cubic spline redward of 2700 A. As `ccm89`."""
    c2 = -0.824 + 4.717 / r_v
    c1 = 2.030 - 3.007 * c2

    def ultraviolet(x):
        return 1.0 + (c1 + c2 * x + 3.23 * drude(x, 4.596, 0.99) + 0.41 * far_uv_rise(x)) / r_v

    knots = (0.0, *(1e4 / w for w in (26500.0, 12200.0, 6000.0, 5470.0, 4670.0, 4110.0)))
    values = jnp.stack(
        [
            jnp.zeros_like(c2),
            jnp.full_like(c2, 0.265 / 3.1),
            jnp.full_like(c2, 0.829 / 3.1),
            1.0044 - 0.426 / r_v,
            1.0016 - 0.050 / r_v,
            1.0016 + 0.701 / r_v,
            1.0032 + 1.208 / r_v - 0.00033 * r_v,
        ]
    )
    return spline_with_ultraviolet(wave, knots, values, ultraviolet)


def gordon23(wave: Wave, r_v: Float[ArrayLike, ""] = 3.1) -> Wave:
    """Gordon et al. (2023, ApJ 950, 86), eqs. 2-8 and tables 2-5; A(5500 A)/A(V) = 1 to 0.2 per cent. As `ccm89`."""
    x = _inverse_micron(wave, 1e4 / 912.0)
    micron = 1.0 / x
    # infrared: a power law that turns, and two silicate bands; eqs. 5-7
    turn = 4.30578  # [micron]
    w = _smoothstep(micron, turn - 4.78338 / 2, turn + 4.78338 / 2)
    a_ir = 0.38526 * ((1 - w) * micron**-1.68467 + w * turn**-1.68467 * (micron / turn) ** -0.78791)
    a_ir += _skewed_drude(micron, 0.06652, 9.8434, 2.21205, -0.24703)
    a_ir += _skewed_drude(micron, 0.0267, 19.258294, 17.0, -0.27)
    b_ir = -1.01251 * x**1.06099
    # optical: a quartic and three broad bands; eqs. 3 and 4
    bands = [gamma**2 * drude(x, centre, gamma) for centre, gamma in ((2.288, 0.243), (2.054, 0.179), (1.587, 0.243))]
    a_opt = _polynomial(x, (-0.35848, 0.7122, 0.08746, -0.05403, 0.00674))
    a_opt += 0.03893 * bands[0] + 0.02965 * bands[1] + 0.01747 * bands[2]
    b_opt = _polynomial(x, (0.12354, -2.68335, 2.01901, -0.39299, 0.03355))
    b_opt += 0.18453 * bands[0] + 0.19728 * bands[1] + 0.1713 * bands[2]
    # ultraviolet: Fitzpatrick & Massa; eq. 2
    bump, rise = drude(x, 4.60, 0.99), far_uv_rise(x)
    a_uv = 0.81297 + 0.2775 * x + 1.06295 * bump + 0.11303 * rise
    b_uv = -2.97868 + 1.89808 * x + 3.10334 * bump + 0.65484 * rise
    to_ir = _smoothstep(micron, 0.9, 1.1)
    to_opt = _smoothstep(micron, 0.30, 0.33)
    a = (1 - to_opt) * a_uv + to_opt * ((1 - to_ir) * a_opt + to_ir * a_ir)
    b = (1 - to_opt) * b_uv + to_opt * ((1 - to_ir) * b_opt + to_ir * b_ir)
    return (a + b * (1.0 / r_v - 1.0 / 3.1)) / 0.9854  # normalised as in its section 5


def spline_with_ultraviolet(wave: Wave, knots: tuple[float, ...], values: Array, ultraviolet) -> Wave:
    """Natural cubic spline below 1e4/2700 per micron, joined to a formula in 1/micron through two more knots.

    Args:
      wave: rest-frame wavelength [Angstrom].
      knots: increasing wavenumbers of the spline [1/micron], static.
      values: A(wave)/A(V) at the knots.
      ultraviolet: function of the wavenumber that gives A(wave)/A(V).
    """
    x = _inverse_micron(wave, BLUE_LIMIT)
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
def _spline_operator(knots: tuple[float, ...]) -> np.ndarray:
    """Polynomial coefficients [power, interval, knot] of splines that are 1 at one knot and 0 at the others."""
    return CubicSpline(np.asarray(knots), np.eye(len(knots)), bc_type="natural").c


def _cardelli(wave: Wave, r_v, a_optical: tuple[float, ...], b_optical: tuple[float, ...]) -> Wave:
    x = _inverse_micron(wave, BLUE_LIMIT)
    power = x**1.61
    y = jnp.clip(x, 1.1, 3.3) - 1.82
    u = jnp.clip(x - 5.9, 0.0, None)
    a_uv = 1.752 - 0.316 * x - 0.104 / ((x - 4.67) ** 2 + 0.341) - 0.04473 * u**2 - 0.009779 * u**3
    b_uv = -3.090 + 1.825 * x + 1.206 / ((x - 4.62) ** 2 + 0.263) + 0.2130 * u**2 + 0.1207 * u**3
    far = jnp.clip(x - 8.0, 0.0, None)
    a_far = _polynomial(far, (-1.073, -0.628, 0.137, -0.070))
    b_far = _polynomial(far, (13.670, 4.257, -0.420, 0.374))
    where = [x < 1.1, x < 3.3, x <= 8.0]
    a = jnp.select(where, [0.574 * power, _polynomial(y, a_optical), a_uv], a_far)
    b = jnp.select(where, [-0.527 * power, _polynomial(y, b_optical), b_uv], b_far)
    return a + b / r_v


def _inverse_micron(wave: Wave, limit: float) -> Wave:
    return jnp.minimum(1e4 / jnp.asarray(wave), limit)


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    value = jnp.zeros_like(x)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def drude(x: Array, centre: float, width: float) -> Array:
    """Bump of Fitzpatrick & Massa (1990), eq. 2b [micron^2 when x is in 1/micron]."""
    return x**2 / ((x**2 - centre**2) ** 2 + (x * width) ** 2)


def far_uv_rise(x: Array) -> Array:
    """Far-UV rise of Fitzpatrick & Massa (1990), eq. 2c."""
    u = jnp.clip(x - 5.9, 0.0, None)
    return 0.5392 * u**2 + 0.05644 * u**3


def _skewed_drude(micron: Array, scale: float, centre: float, width: float, skew: float) -> Array:
    """Drude profile in wavelength with a width that changes across it; Gordon et al. (2021, ApJ 916, 33), eq. 3."""
    gamma = 2.0 * width / (1.0 + jnp.exp(skew * (micron - centre)))
    ratio2 = (gamma / centre) ** 2
    return scale * ratio2 / ((micron / centre - centre / micron) ** 2 + ratio2)


def _smoothstep(x: Array, lo: float, hi: float) -> Array:
    u = jnp.clip((x - lo) / (hi - lo), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)
