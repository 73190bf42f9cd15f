"""Distances and times of a flat universe, differentiable in redshift and in the parameters.

Dark energy has w(a) = w + wa (1 - a) (Chevallier & Polarski 2001, IJMPD 10, 213; Linder 2003, PRL 90, 091301);
distances are those of Hogg (1999, astro-ph/9905116). Neutrinos count as massless, in omega_r (`radiation_density`);
what 0.06 eV of masses add, 0.14 % of the critical density today, is neither there nor in omega_m.
"""

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff import units
from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record, unit_of
from galdiff.core.signatures import Within, check_ranges, ranges
from galdiff.errors import InputError

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2  # on (0, 1)


@buildable
@record
class Cosmology:
    """A flat universe of matter, radiation and dark energy; the defaults are those of conf/cosmology/planck15.yaml."""

    h0: Float[Array, ""] | float = quantity("km/s/Mpc", "Hubble constant", default=67.74)
    omega_m: Float[Array, ""] | float = quantity("", "matter density today over critical", default=0.3075)
    omega_b: Float[Array, ""] | float = quantity("", "baryon density today over critical", default=0.0486)
    omega_r: Float[Array, ""] | float = quantity("", "radiation today over critical; 0 neglects it", default=0.0)
    w: Float[Array, ""] | float = quantity("", "equation of state of dark energy today", default=-1.0)
    wa: Float[Array, ""] | float = quantity("", "its growth: w(a) = w + wa (1 - a)", default=0.0)


@buildable
def flat_cosmology(
    *,
    h0: Annotated[float, Within(10.0, 200.0, "km/s/Mpc")],
    omega_m: Annotated[float, Within(1e-3, 1.0, "1")],
    omega_b: Annotated[float, Within(0.0, 1.0, "1")],
    omega_r: Annotated[float, Within(0.0, 0.1, "1")],
    w: Annotated[float, Within(-3.0, 0.0, "1")],
    wa: Annotated[float, Within(-3.0, 3.0, "1")],
) -> Cosmology:
    """A cosmology from numbers that are checked: what the presets of conf/cosmology build.

    Args:
      h0: Hubble constant [km/s/Mpc]; omega_m, omega_b, omega_r: matter, the baryons in it, and radiation today over the
        critical density [1]; dark energy is the rest.
      w, wa: equation of state of dark energy, w(a) = w + wa (1 - a) [1].

    Raises:
      InputError: naming the number, its value and what is allowed.
    """
    given = {"h0": h0, "omega_m": omega_m, "omega_b": omega_b, "omega_r": omega_r, "w": w, "wa": wa}
    check_ranges(flat_cosmology, given)
    for name, high in (("omega_b", omega_m), ("wa", -w)):  # a positive w + wa: dark energy rules the early universe
        if not given[name] <= high:
            raise InputError(f"{name} is {given[name]}{ranges(flat_cosmology)[name]._replace(hi=high).told}")
    if omega_m + omega_r > 1:
        raise InputError(f"omega_m + omega_r is {omega_m + omega_r:g} [1]; give 1 or less, dark energy is the rest")
    return Cosmology(**given)


def difference(one: Cosmology, other: Cosmology, tolerance: float = 0.01) -> str:
    """What differs between two cosmologies in h0, omega_m, w or wa by more than `tolerance`, relative; or ""."""
    said = []
    for name in ("h0", "omega_m", "w", "wa"):
        a, b = (float(np.ravel(np.asarray(getattr(c, name)))[0]) for c in (one, other))
        if abs(a - b) > tolerance * max(abs(a), abs(b)):
            said.append(f"{name} {a:.6g} and {b:.6g} {unit_of(Cosmology, name)}".rstrip())
    return ", ".join(said)


def _rule(like: Array) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights in the precision of an array: JAX keeps one array object in the first precision it meets."""
    return _NODES.astype(like.dtype), _WEIGHTS.astype(like.dtype)


def efunc(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """E(z) = H(z)/H0 [1], same shape as redshift."""
    a1 = 1.0 + jnp.asarray(redshift)
    dark = (1 - cosmo.omega_m - cosmo.omega_r) * a1 ** (3 * (1 + cosmo.w + cosmo.wa))
    late = jnp.exp(-3 * cosmo.wa * (1 - 1 / a1))
    return jnp.sqrt(cosmo.omega_r * a1**4 + cosmo.omega_m * a1**3 + dark * late)


def hubble(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """H(z) [km/s/Mpc], shape of redshift."""
    return cosmo.h0 * efunc(cosmo, redshift)


def age(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Age of the universe [Gyr] at redshift, same shape: t = int_0^a da / (a H), smooth in s at the origin for a = a_z
    s^2.
    """
    scale = 1 / (1.0 + jnp.asarray(redshift))[..., None]
    nodes, weights = _rule(scale)
    a = scale * nodes**2
    power = 1 - 3 * (cosmo.w + cosmo.wa)
    dark = (1 - cosmo.omega_m - cosmo.omega_r) * scale**power * nodes ** (2 * power)  # a^power, with few powers
    dark = dark * jnp.exp(-3 * cosmo.wa * (1 - a))
    integrand = 2 * a * nodes * scale / jnp.sqrt(cosmo.omega_m * a + cosmo.omega_r + dark)
    return units.MPC_KMS_PER_GYR / cosmo.h0 * jnp.sum(weights * integrand, -1)


def redshift_at_age(cosmo: Cosmology, time: ArrayLike) -> Array:
    """Redshift at which the universe is `time` [Gyr] old, same shape; inverts `age` to round-off, also in its
    gradients.
    """
    t = jnp.asarray(time)
    z = jnp.expm1(-_ln_scale_guess(cosmo, t))
    for _ in range(5):
        # Newton in ln(1+z); the last step alone carries the right first derivative.
        z = jax.lax.stop_gradient(z)
        z = (1 + z) * jnp.exp((age(cosmo, z) - t) * hubble(cosmo, z) / units.MPC_KMS_PER_GYR) - 1
    return z


def _ln_scale_guess(cosmo: Cosmology, time: Array) -> Array:
    """ln a at `time` [Gyr], exact for w = -1 without radiation."""
    dark = jnp.maximum(1 - cosmo.omega_m, 1e-6)
    growth = 1.5 * jnp.sqrt(dark) * cosmo.h0 / units.MPC_KMS_PER_GYR * time
    return (jnp.log(cosmo.omega_m / dark) + 2 * jnp.log(jnp.sinh(growth))) / 3


def ln_scale_at_ages(cosmo: Cosmology, time: Float[ArrayLike, "node"]) -> tuple[Array, Array]:
    """ln a = -ln(1+z) at many times at once, to round-off as `redshift_at_age`, some hundred times faster.

    The age at a node is that at the node before and a Gauss-Legendre rule between the two.

    Args:
      time: increasing [Gyr], shape (node,), at least one.

    Returns:
      ln a and its slope d ln a / d ln t [1], shape of time.
    """
    t = jnp.asarray(time)
    # Four points hold 1e-9 over half an e-fold; few nodes are far apart and take more.
    rule = np.polynomial.legendre.leggauss(max(4, -(-512 // t.shape[0])))
    nodes, weights = np.asarray((rule[0] + 1) / 2, t.dtype), np.asarray(rule[1] / 2, t.dtype)

    fixed = jax.lax.stop_gradient((cosmo, t))
    start = _ln_scale_guess(*fixed)
    first = age(cosmo, jnp.expm1(-start[:1]))

    def closer(cosmo: Cosmology, t: Array, first: Array, x: Array) -> Array:
        ends = jnp.concatenate([start[:1], x])
        step = jnp.diff(ends)
        between = step * jnp.sum(weights[:, None] * _time_per_ln_scale(cosmo, ends[:-1] + step * nodes[:, None]), 0)
        ages = first + jnp.cumsum(between)
        return x + jnp.log(t / ages) * ages / _time_per_ln_scale(cosmo, x)

    # Newton in (ln t, ln a), nearly a line; the last step alone carries the right first derivative.
    close = float(jnp.finfo(t.dtype).eps) ** 0.4  # squared by the last step

    def step(state: tuple) -> tuple:
        n, x, _ = state
        found = closer(*fixed, jax.lax.stop_gradient(first), x)
        return n + 1, found, jnp.max(jnp.abs(found - x))

    _, x, _ = jax.lax.while_loop(lambda s: (s[0] < 6) & (s[2] > close), step, (0, start, jnp.ones((), t.dtype)))
    x = closer(cosmo, t, first, jax.lax.stop_gradient(x))
    return x, t / _time_per_ln_scale(cosmo, x)


def _time_per_ln_scale(cosmo: Cosmology, ln_scale: Array) -> Array:
    """1 / H = dt / d ln a [Gyr], shape of ln_scale: without a power, which costs ten times an exponential."""
    a = jnp.exp(ln_scale)
    dark = jnp.exp(-3 * ((cosmo.w + cosmo.wa) * ln_scale + cosmo.wa * (1 - a)))
    density = cosmo.omega_m + cosmo.omega_r / a + (1 - cosmo.omega_m - cosmo.omega_r) * dark  # over a^-3
    return units.MPC_KMS_PER_GYR / cosmo.h0 * a * jnp.sqrt(a / density)


def radiation_density(h0: float, t_cmb: float = units.T_CMB, n_eff: float = 3.046) -> float:
    """Omega of photons and massless neutrinos today [1]; h0 [km/s/Mpc], t_cmb [K]."""
    pressure = 4 * units.STEFAN_BOLTZMANN_CGS * t_cmb**4 / (units.C_KMS * 1e5) ** 3  # g/cm3
    hubble_s = h0 / units.MPC_KMS_PER_GYR / units.GYR_S
    photons = pressure * 8 * np.pi * units.G_CGS / (3 * hubble_s**2)
    return float(photons * (1 + 7 / 8 * (4 / 11) ** (4 / 3) * n_eff))


def lookback_time(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Time from redshift to today [Gyr], same shape; accurate also for tiny redshifts."""
    redshift = 1.0 * jnp.asarray(redshift)
    nodes, weights = _rule(redshift)
    z = redshift[..., None] * nodes
    return units.MPC_KMS_PER_GYR / cosmo.h0 * redshift * jnp.sum(weights / ((1 + z) * efunc(cosmo, z)), -1)


def comoving_distance(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Line-of-sight comoving distance [Mpc], shape of redshift (Hogg 1999, eq. 15), substituted to u = ln(1+z)."""
    ln1z = jnp.log1p(jnp.asarray(redshift))
    nodes, weights = _rule(ln1z)
    z = jnp.expm1(ln1z[..., None] * nodes)
    return units.C_KMS / cosmo.h0 * ln1z * jnp.sum(weights * (1 + z) / efunc(cosmo, z), -1)


def luminosity_distance(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Luminosity distance [Mpc], shape of redshift (Hogg 1999, eq. 21)."""
    return comoving_distance(cosmo, redshift) * (1 + jnp.asarray(redshift))


def angular_diameter_distance(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Angular diameter distance [Mpc], shape of redshift (Hogg 1999, eq. 18)."""
    return comoving_distance(cosmo, redshift) / (1 + jnp.asarray(redshift))


def kpc_per_arcsec(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Physical size of one arcsec at redshift [kpc], same shape."""
    return angular_diameter_distance(cosmo, redshift) * 1e3 / units.ARCSEC_PER_RADIAN


def critical_density(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Critical density 3 H^2 / (8 pi G) [Msun/kpc^3], shape of redshift."""
    hubble_kpc = hubble(cosmo, redshift) / 1e3  # km/s/kpc
    return 3 * hubble_kpc**2 / (8 * np.pi * units.G_KPC_KMS2_MSUN)


def matter_fraction(cosmo: Cosmology, redshift: ArrayLike) -> Array:
    """Omega_m(z) [1], shape of redshift."""
    return cosmo.omega_m * (1 + jnp.asarray(redshift)) ** 3 / efunc(cosmo, redshift) ** 2
