"""Initial mass functions, per solar mass formed, differentiable in slopes, breaks and cut-offs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record, static
from galdiff.errors import InputError

LN10 = 2.302585092994046
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2  # on (0, 1)


@record
class BrokenPowerLaw:
    """dN/dm ~ m^-slope, continuous at the breaks, between two cut-offs."""

    slopes: Float[Array, "segment"] = quantity("", "slope of each segment, 2.35 is Salpeter")
    breaks: Float[Array, "break"] = quantity("Msun", "masses where the slope changes, increasing; one less than slopes")
    m_lo: Float[Array, ""] = quantity("Msun", "lower cut-off")
    m_hi: Float[Array, ""] = quantity("Msun", "upper cut-off")
    name: str = static("what libraries that use it call it", default="own")


@record
class LognormalPowerLaw:
    """A log-normal dN/dlog10 m below `m_join`, continued by a power law (Chabrier 2003, PASP 115, 763, table 1)."""

    m_peak: Float[Array, ""] = quantity("Msun", "characteristic mass")
    sigma: Float[Array, ""] = quantity("dex", "width of the log-normal")
    m_join: Float[Array, ""] = quantity("Msun", "where the power law takes over")
    slope: Float[Array, ""] = quantity("", "slope of dN/dm above m_join, 2.3 in the paper")
    m_lo: Float[Array, ""] = quantity("Msun", "lower cut-off")
    m_hi: Float[Array, ""] = quantity("Msun", "upper cut-off")
    name: str = static("what libraries that use it call it", default="own")


Imf = BrokenPowerLaw | LognormalPowerLaw


@buildable
def broken_power_law(
    slopes: Any, breaks: Any = (), *, m_lo: ArrayLike = 0.1, m_hi: ArrayLike = 100.0, name: str = "own"
) -> BrokenPowerLaw:
    """A power law in pieces.

    Args:
      slopes: slope of dN/dm ~ m^-slope in each piece (piece,) [1].
      breaks: masses between the pieces [Msun], increasing, one fewer than slopes.
      m_lo, m_hi: cut-offs [Msun].
      name: what libraries made with it say.

    Raises:
      InputError: numbers of slopes and breaks that do not fit together.
    """
    slopes, breaks = jnp.atleast_1d(jnp.asarray(slopes, float)), jnp.asarray(breaks, float).reshape(-1)
    if slopes.size != breaks.size + 1:
        raise InputError(
            f"IMF has {slopes.size} slopes and {breaks.size} breaks; give one break [Msun] fewer than slopes"
        )
    ends = {"m_lo": jnp.asarray(m_lo, float), "m_hi": jnp.asarray(m_hi, float)}
    return BrokenPowerLaw(slopes=slopes, breaks=breaks, name=name, **ends)


@buildable
def kroupa() -> BrokenPowerLaw:
    """Kroupa (2001, MNRAS 322, 231), eq. 2, from 0.1 to 100 Msun ("Kroupa universal" of the MILES team)."""
    return broken_power_law((1.3, 2.3), (0.5,), name="kroupa")


@buildable
def kroupa_revised() -> BrokenPowerLaw:
    """Kroupa (2001), eq. 6: allows for unresolved binaries ("Kroupa revised" of the MILES team)."""
    return broken_power_law((1.8, 2.7, 2.3), (0.5, 1.0), name="kroupa_revised")


@buildable
def salpeter() -> BrokenPowerLaw:
    """Salpeter (1955, ApJ 121, 161) from 0.1 to 100 Msun."""
    return broken_power_law((2.35,), name="salpeter")


@buildable
def chabrier() -> LognormalPowerLaw:
    """Chabrier (2003), table 1, disc stars with unresolved binaries apart; 0.1 to 100 Msun."""
    values = {"m_peak": 0.079, "sigma": 0.69, "m_join": 1.0, "slope": 2.3, "m_lo": 0.1, "m_hi": 100.0}
    return LognormalPowerLaw(name="chabrier", **{name: jnp.asarray(value, float) for name, value in values.items()})


NAMED: dict[str, Callable[[], Imf]] = {
    "kroupa": kroupa,
    "kroupa_revised": kroupa_revised,
    "salpeter": salpeter,
    "chabrier": chabrier,
}


def named_imf(name: str) -> Imf:
    """One of the published mass functions by name: kroupa, kroupa_revised, salpeter or chabrier."""
    if name not in NAMED:
        raise InputError(f"imf is '{name}'; choose one of {', '.join(NAMED)}, or give an IMF record")
    return NAMED[name]()


def _power_mass(lo: Array, hi: Array, slope: Array) -> Array:
    """Integral of m^(1-slope) dm from lo to hi, zero if hi < lo; smooth through slope = 2."""
    width = jnp.log(jnp.maximum(hi, lo) / lo)
    u = (2.0 - slope) * width
    small = jnp.abs(u) < 1e-3
    safe = jnp.where(small, 1.0, u)
    growth = jnp.where(small, 1 + u / 2 + u**2 / 6, jnp.expm1(safe) / safe)
    return lo ** (2.0 - slope) * width * growth


def _shape(imf: Imf, m: Float[Array, "..."]) -> Float[Array, "..."]:
    """dN/dm up to a constant."""
    if isinstance(imf, LognormalPowerLaw):
        low = jnp.exp(-0.5 * (jnp.log10(m / imf.m_peak) / imf.sigma) ** 2) / m
        join = jnp.exp(-0.5 * (jnp.log10(imf.m_join / imf.m_peak) / imf.sigma) ** 2) / imf.m_join
        return jnp.where(m < imf.m_join, low, join * (m / imf.m_join) ** -imf.slope)
    log_shape = -imf.slopes[0] * jnp.log(m)
    for k in range(imf.breaks.shape[0]):
        above = jnp.maximum(jnp.log(m / imf.breaks[k]), 0.0)
        log_shape = log_shape + (imf.slopes[k] - imf.slopes[k + 1]) * above
    return jnp.exp(log_shape)


def _total_mass(imf: Imf) -> Float[Array, ""]:
    """Integral of m times the shape between the cut-offs [Msun], in closed form."""
    if isinstance(imf, LognormalPowerLaw):
        # m dN/dm = exp(-(log10 m - log10 m_peak)^2 / 2 sigma^2): a Gaussian in ln m times m
        s = imf.sigma * LN10
        mu = jnp.log(imf.m_peak) + s**2
        hi, join = jnp.minimum(imf.m_join, imf.m_hi), jnp.maximum(imf.m_join, imf.m_lo)
        scale = imf.m_peak * jnp.exp(s**2 / 2) * s * jnp.sqrt(2 * jnp.pi) / 2
        erf = jax.scipy.special.erf
        low = erf((jnp.log(hi) - mu) / s / jnp.sqrt(2.0)) - erf((jnp.log(imf.m_lo) - mu) / s / jnp.sqrt(2.0))
        at_join = _shape(imf, imf.m_join * (1 + 1e-6)) * (imf.m_join * (1 + 1e-6)) ** imf.slope
        return scale * jnp.maximum(low, 0.0) + at_join * _power_mass(join, imf.m_hi, imf.slope)
    edges = jnp.concatenate([imf.m_lo[None], jnp.clip(imf.breaks, imf.m_lo, imf.m_hi), imf.m_hi[None]])
    total = jnp.zeros_like(imf.m_lo)
    for k in range(imf.slopes.shape[0]):
        inner = imf.breaks[k - 1] if k else imf.m_lo
        amplitude = _shape(imf, inner) * inner ** imf.slopes[k]
        total = total + amplitude * _power_mass(edges[k], edges[k + 1], imf.slopes[k])
    return total


def number_density(imf: Imf, m: Float[Array, "..."]) -> Float[Array, "..."]:
    """Stars per unit mass and per solar mass formed, dN/dm [1/Msun^2], not cut off.

    The cut-offs enter through the normalisation; whoever integrates applies them to the limits.

    Args:
      imf: mass function.
      m: initial mass [Msun], any shape.
    """
    return _shape(imf, m) / _total_mass(imf)


def moment(
    imf: Imf, weight: Callable[[Array], Array], m_from: Float[ArrayLike, "..."], kinks: tuple[float, ...] = ()
) -> Float[Array, "..."]:
    """Integral of weight(m) dN/dm from m_from to the upper cut-off, per solar mass formed.

    Gauss-Legendre in ln m between the breaks of the mass function and the kinks of the weight: exact to 1e-10, and
    differentiable in slopes, breaks, cut-offs and m_from.

    Args:
      imf: mass function.
      weight: function of the initial mass [Msun], smooth between kinks.
      m_from: masses where integrals begin [Msun], any shape; the lower cut-off where they are below it.
      kinks: masses where the weight jumps or bends [Msun].

    Returns:
      Integrals in the unit of the weight per Msun, shape of m_from.
    """
    knots = imf.m_join[None] if isinstance(imf, LognormalPowerLaw) else imf.breaks
    edges = jnp.sort(jnp.concatenate([imf.m_lo[None], knots, jnp.asarray(kinks, knots.dtype), imf.m_hi[None]]))
    first = jnp.clip(jnp.asarray(m_from, knots.dtype), imf.m_lo, imf.m_hi)
    ln_edges = jnp.log(jnp.clip(edges, first[..., None], imf.m_hi))
    width = jnp.diff(ln_edges)[..., None]
    m = jnp.exp(ln_edges[..., :-1, None] + width * _NODES.astype(knots.dtype))
    terms = weight(m) * number_density(imf, m) * m * width * _WEIGHTS.astype(knots.dtype)
    return jnp.sum(terms, (-2, -1))


def mean_mass(imf: Imf) -> Float[Array, ""]:
    """Mean initial mass of a star [Msun]."""
    return 1 / moment(imf, jnp.ones_like, imf.m_lo)
