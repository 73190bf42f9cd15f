"""Fluctuations of the matter in linear theory: their spectrum, the scatter of spheres, and how they grow.

Everything is differentiable in the cosmology; masses are in Msun and lengths in comoving Mpc, without factors of h.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.hermite import hermite
from galdiff.cosmology import Cosmology, critical_density, efunc, matter_fraction
from galdiff.units import T_CMB

LN_K = (np.log(1e-5), np.log(2e3), 1600)  # 1/Mpc: first, last, number of nodes
R_NORM = 8.0  # Mpc/h, of sigma_8
LN_A, N_STEPS = np.log(1e-3), 200  # of the growth, from when matter rules


def transfer(k: Float[ArrayLike, "..."], cosmology: Cosmology, t_cmb: float = T_CMB) -> Float[Array, "..."]:
    """Transfer function without acoustic oscillations [1] (Eisenstein & Hu 1998, ApJ 496, 605, eqs. 26, 28-31).

    Args:
      k: wave number [1/Mpc], any shape; cosmology: the universe; t_cmb: temperature of the background [K].
    """
    h = cosmology.h0 / 100
    matter, share = cosmology.omega_m * h**2, cosmology.omega_b / cosmology.omega_m
    sound = 44.5 * jnp.log(9.83 / matter) / jnp.sqrt(1 + 10 * (share * matter) ** 0.75)  # Mpc
    alpha = 1 - 0.328 * jnp.log(431 * matter) * share + 0.38 * jnp.log(22.3 * matter) * share**2
    gamma = cosmology.omega_m * h * (alpha + (1 - alpha) / (1 + (0.43 * jnp.asarray(k) * sound) ** 4))
    q = jnp.asarray(k) * (t_cmb / 2.7) ** 2 / (h * gamma)
    log = jnp.log(2 * math.e + 1.8 * q)
    return log / (log + (14.2 + 731 / (1 + 62.5 * q)) * q**2)


def _sphere(x: Array) -> Array:
    """Fourier transform of a sphere of unit radius and weight."""
    big = jnp.where(x > 0.1, x, 1.0)
    near = 1 - x * x / 10 * (1 - x * x / 28)
    return jnp.where(x > 0.1, 3 * (jnp.sin(big) - big * jnp.cos(big)) / big**3, near)


def _scatter(ln_radius: Array, cosmology: Cosmology, n_s: ArrayLike) -> Array:
    """Standard deviation in spheres [any unit], of any shape."""
    ln_k = jnp.linspace(*LN_K[:2], LN_K[2])
    ln_power = (3 + jnp.asarray(n_s)) * ln_k + 2 * jnp.log(transfer(jnp.exp(ln_k), cosmology))
    window = _sphere(jnp.exp(ln_k + ln_radius[..., None]))
    return jnp.sqrt(jnp.trapezoid(jnp.exp(ln_power) * window**2, dx=(LN_K[1] - LN_K[0]) / (LN_K[2] - 1), axis=-1))


def mean_density(cosmology: Cosmology) -> Float[Array, ""]:
    """Comoving density of the matter [Msun/Mpc^3], a scalar."""
    return critical_density(cosmology, 0.0) * cosmology.omega_m * 1e9


def sigma(
    log10_m: Float[ArrayLike, "..."], cosmology: Cosmology, sigma8: ArrayLike, n_s: ArrayLike
) -> Float[Array, "..."]:
    """Standard deviation of the matter in spheres that hold a mass on average, today [1].

    Args:
      log10_m: log10 of the mass [dex(Msun)], any shape; cosmology: the universe.
      sigma8: standard deviation in spheres of 8 Mpc/h [1]; n_s: slope of the first spectrum [1].
    """
    ln_mass = jnp.log(10.0) * jnp.asarray(log10_m)
    ln_radius = (ln_mass - jnp.log(4 * np.pi / 3 * mean_density(cosmology))) / 3
    norm = _scatter(jnp.log(R_NORM * 100 / jnp.asarray(cosmology.h0)), cosmology, n_s)
    return jnp.asarray(sigma8) * _scatter(ln_radius, cosmology, n_s) / norm


def growth(cosmology: Cosmology, redshift: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Size of linear fluctuations over that of today [1], at redshifts [1] of any shape, up to 900.

    From the equation of growth (e.g. Linder & Jenkins 2003, MNRAS 346, 573, eq. 3), for dark energy that does not
    cluster; the slope from one matter dominated universe on.
    """
    step = -LN_A / N_STEPS

    def slope(ln_a: Array, state: Array) -> Array:
        z = jnp.expm1(-ln_a)
        ln_h = lambda x: jnp.log(efunc(cosmology, jnp.expm1(-x)))  # noqa: E731
        drag = 2 + jax.jvp(ln_h, (ln_a,), (jnp.ones_like(ln_a),))[1]
        return jnp.stack([state[1], 1.5 * matter_fraction(cosmology, z) * state[0] - drag * state[1]])

    def one(state: Array, ln_a: Array) -> tuple[Array, Array]:
        k1 = slope(ln_a, state)
        k2 = slope(ln_a + step / 2, state + step / 2 * k1)
        k3 = slope(ln_a + step / 2, state + step / 2 * k2)
        k4 = slope(ln_a + step, state + step * k3)
        new = state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return new, new

    nodes = jnp.linspace(LN_A, 0.0, N_STEPS + 1)
    first = jnp.exp(nodes[0]) * jnp.ones(2, nodes.dtype)
    found = jax.lax.scan(one, first, nodes[:-1])[1]
    found = jnp.concatenate([first[None], found])
    ln_growth, rate = jnp.log(found[:, 0] / found[-1, 0]), found[:, 1] / found[:, 0]
    ln_a = -jnp.log1p(jnp.asarray(redshift, nodes.dtype))
    return jnp.exp(hermite(ln_a, nodes, ln_growth, rate)[0])
