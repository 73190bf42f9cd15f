"""Attenuation curves k = A(wave)/A(V) at the rest wavelength, by name."""

import functools
import inspect
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.dust.milky_way import (
    Wave,
    ccm89,
    drude,
    far_uv_rise,
    fitzpatrick99,
    gordon23,
    odonnell94,
    spline_with_ultraviolet,
)
from galdiff.errors import InputError

R_V_CURVES = {"ccm89": ccm89, "odonnell94": odonnell94, "fitzpatrick99": fitzpatrick99, "gordon23": gordon23}
CURVES = (*R_V_CURVES, "calzetti00", "smc_bar", "power_law", "modified_calzetti")


def attenuation_curve(
    name: str,
    wave: Wave,
    *,
    r_v: Float[ArrayLike, ""] = 3.1,
    slope: Float[ArrayLike, ""] | None = None,
    bump: Float[ArrayLike, ""] = 0.0,
) -> Wave:
    """One of `CURVES`.

    Args:
      name: which curve.
      wave: rest-frame vacuum wavelength [Angstrom].
      r_v: A(V)/E(B-V) [1]; used by ccm89, odonnell94, fitzpatrick99 and gordon23.
      slope: exponent of `power_law` (default -0.7) or delta of `modified_calzetti` (default 0) [1].
      bump: strength of the 2175 A bump of `modified_calzetti`, E_b [1].

    Returns:
      A(wave)/A(V) [1].

    Raises:
      InputError: unknown name.
    """
    if name in R_V_CURVES:
        return R_V_CURVES[name](wave, r_v)
    if name == "calzetti00":
        return calzetti00(wave)
    if name == "smc_bar":
        return smc_bar(wave)
    if name == "power_law":
        return power_law(wave, -0.7 if slope is None else slope)
    if name == "modified_calzetti":
        return modified_calzetti(wave, 0.0 if slope is None else slope, bump)
    raise InputError(f"dust curve is '{name}'; choose one of {', '.join(CURVES)}")


def calzetti00(wave: Wave) -> Wave:
    """Starburst attenuation, Calzetti et al. (2000, ApJ 533, 682), eq. 4, over R_V = 4.05.

    Args:
      wave: rest-frame wavelength [Angstrom], fitted on 1200-22000; the two formulae are continued outside.

    Returns:
      A(wave)/A(V) [1], never negative.
    """
    x = 1e4 / jnp.asarray(wave)
    blue = -2.156 + 1.509 * x - 0.198 * x**2 + 0.011 * x**3
    red = -1.857 + 1.040 * x
    return jnp.maximum(2.659 * jnp.where(x > 1 / 0.63, blue, red) / 4.05 + 1.0, 0.0)


def smc_bar(wave: Wave) -> Wave:
    """SMC bar, Gordon et al. (2003, ApJ 594, 279), tables 3 and 4, R_V = 2.74.

    The two reddest points are those of Gordon et al. (2016, ApJ 826, 104), through which a spline is smooth.

    Args:
      wave: rest-frame wavelength [Angstrom], 1000-33000.

    Returns:
      A(wave)/A(V) [1].
    """
    knots = (0.0, *(1 / micron for micron in (2.198, 1.65, 1.25, 0.81, 0.65, 0.55, 0.44, 0.37)))
    values = jnp.asarray([0.0, 0.11, 0.169, 0.25, 0.567, 0.801, 1.0, 1.374, 1.672], jnp.result_type(float))

    def ultraviolet(x: Array) -> Array:
        return 1.0 + (-4.959 + 2.264 * x + 0.389 * drude(x, 4.6, 1.0) + 0.461 * far_uv_rise(x)) / 2.74

    return spline_with_ultraviolet(wave, knots, values, ultraviolet)


def power_law(wave: Wave, slope: Float[ArrayLike, ""] = -0.7) -> Wave:
    """(wave / 5500 A)^slope; -0.7 is Charlot & Fall (2000, ApJ 539, 718), eq. 5. [Angstrom] -> A(wave)/A(V) [1]."""
    return (jnp.asarray(wave) / 5500.0) ** slope


def modified_calzetti(wave: Wave, slope: Float[ArrayLike, ""] = 0.0, bump: Float[ArrayLike, ""] = 0.0) -> Wave:
    """Calzetti curve tilted by a power law, with a 2175 A bump: Noll et al. (2009, A&A 507, 1793), eqs. 8-10.

    Args:
      wave: rest-frame wavelength [Angstrom].
      slope: exponent delta of (wave / 5500 A) [1]; negative is steeper.
      bump: E_b [1]; Kriek & Conroy (2013, ApJ 775, L16), eq. 3, find 0.85 - 1.9 delta.

    Returns:
      A(wave)/A(V) [1], with R_V = 4.05 as in Kriek & Conroy, eq. 1.
    """
    wave = jnp.asarray(wave)
    x = 1e4 / wave
    # bluer than 1500 A: Leitherer et al. (2002, ApJS 140, 303), eq. 14
    far = (5.472 + 0.671 * x - 9.218e-3 * x**2 + 2.620e-3 * x**3) / 4.05
    base = jnp.where(wave > 1500.0, calzetti00(wave), far)
    profile = (wave * 350.0) ** 2 / ((wave**2 - 2175.0**2) ** 2 + (wave * 350.0) ** 2)
    return (base + bump * profile / 4.05) * (wave / 5500.0) ** slope


@buildable
def make_curve(name: str, **options) -> Callable[[Wave], Wave]:
    """The curve `name` with its options, as a function of wavelength alone; both are checked here.

    Raises:
      InputError: unknown name or option.
    """
    known = [option for option in inspect.signature(attenuation_curve).parameters if option not in ("name", "wave")]
    if unknown := set(options) - set(known):
        raise InputError(
            f"attenuation curve has no option {', '.join(sorted(unknown))}; choose from {', '.join(known)}"
        )
    curve: Callable[..., Wave] = functools.partial(attenuation_curve, name, **options)
    curve(jnp.array([5500.0]))
    return curve
