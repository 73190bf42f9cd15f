"""What synthetic galaxies are put together from: nodes, profiles, and orbits in a disc.

Nodes are fixed low-discrepancy points; particles are smooth functions of them and of the parameters, so galaxies are
deterministic and differentiable.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import lambertw, ndtri

from galdiff.errors import InputError
from galdiff.galaxy.sobol import scrambled_sobol
from galdiff.records import GasParticles

DISC_EDGE = 8.0  # scale lengths; 0.3 % of an infinite exponential disc lies outside
BULGE_EDGE = 20.0  # scale radii; 9 % of an infinite Hernquist sphere lies outside
GAS_LENGTH, GAS_HEIGHT = 1.5, 0.5  # scale length and height of the gas over those of the stars
GAS_SIGMA = 10.0  # km/s; typical of HI and CO discs (Leroy et al. 2008, AJ 136, 2782)
GAS_TEMPERATURE = 8e3  # K, warm neutral medium
SIGMA_Z_OVER_R = 0.5  # vertical over radial dispersion of old discs (van der Kruit & Freeman 2011, ARA&A 49, 301)
AGE_POWER = 0.33  # dispersion grows as age^0.33 (Wielen 1977; Aumer & Binney 2009, MNRAS 397, 1286)
MOST_PARTICLES = 10**8  # their nodes take 6 GB
OXYGEN_OF_METALS, HYDROGEN_OF_LIGHT = 0.43, 0.748  # mass shares; Asplund et al. 2009, ARA&A 47, 481, and 1 - Y/(1-Z)


def nodes(n: int, seed: int) -> Float[np.ndarray, "n 8"]:
    """n points of a scrambled Sobol sequence in 8 dimensions, strictly inside the unit cube [1]."""
    power = max(int(np.ceil(np.log2(max(n, 1)))), 0)
    return np.clip(scrambled_sobol(power, 8, seed)[:n], 1e-7, 1 - 1e-7)


def check_number(name: str, n: int, least: int) -> None:
    """Refuse numbers of particles that cannot be.

    Raises:
      InputError: n below `least` or above `MOST_PARTICLES`.
    """
    if not least <= n <= MOST_PARTICLES:
        raise InputError(f"{name} is {n:.9g}; give {least} to {MOST_PARTICLES:g} particles")


def disc_variates(nodes: Float[np.ndarray, "n 8"]) -> tuple[np.ndarray, ...]:
    """Radius [scale lengths], azimuth [rad], height [h], 5 normal deviates [1]: all that no parameter changes.

    Shapes are (n,), and (5, n) of the deviates.
    """
    inside = 1 - (1 + DISC_EDGE) * np.exp(-DISC_EDGE)
    share = nodes[:, 0] * inside  # 1 - (1 + x) exp(-x) = share, solved by Lambert's W
    unit_radius = -1 - lambertw(-(1 - share) / np.e, k=-1).real
    unit_height = np.arctanh(np.clip(2 * nodes[:, 2] - 1, -0.9999, 0.9999))
    return unit_radius, 2 * np.pi * nodes[:, 1], unit_height, ndtri(nodes[:, 3:]).T


def bulge_variates(nodes: Float[np.ndarray, "n 8"]) -> tuple[np.ndarray, ...]:
    """Radius [Hernquist scale radii], unit vectors [1], 5 normal deviates [1]; shapes (n,), (n, 3), (5, n)."""
    root = np.sqrt(nodes[:, 0]) * BULGE_EDGE / (1 + BULGE_EDGE)  # M(<r) / M = (r / (r + a))^2
    cos_theta = 2 * nodes[:, 2] - 1
    sin_theta, azimuth = np.sqrt(1 - cos_theta**2), 2 * np.pi * nodes[:, 1]
    direction = np.stack([np.cos(azimuth) * sin_theta, np.sin(azimuth) * sin_theta, cos_theta], -1)
    return root / (1 - root), direction, ndtri(nodes[:, 3:]).T


def heating(age: Float[Array, "n"]) -> Float[Array, "n"]:
    """Dispersion at age [Gyr] over that at 10 Gyr: ((age + 0.1) / 10.1)^0.33 (form of Aumer & Binney 2009, eq. 2)."""
    return ((age + 0.1) / 10.1) ** AGE_POWER


def disc_orbits(
    v_c: Float[Array, "n"],
    steepness: Float[Array, "n"],
    sigma_r: Float[Array, "n"],
    unit_radius: Float[Array, "n"],
    g: Float[Array, "any n"],
) -> tuple[Array, Array, Array]:
    """Velocities of disc stars (radial, azimuthal, vertical) [km/s], each of shape (n,).

    Mean rotation by the Jeans equation for Sigma and sigma_R^2 both ~ exp(-R/r_disc), and the epicycle ratio of
    sigma_phi to sigma_R (Binney & Tremaine 2008, section 4.8.2, without the cross term).

    Args:
      v_c: circular velocity [km/s]; steepness: d ln v_c / d ln R [1]; sigma_r: radial dispersion [km/s].
      unit_radius: R / r_disc [1].
      g: normal deviates; the first three rows are used.
    """
    phi_over_r2 = 0.5 * (1 + steepness)
    v_c2 = v_c**2
    balance = v_c2 - sigma_r**2 * (phi_over_r2 - 1 + 2 * unit_radius)
    v_phi = jnp.sqrt(0.5 * (balance + jnp.sqrt(balance**2 + (0.2 * v_c2) ** 2)))  # smooth max(balance, 0)
    return sigma_r * g[0], v_phi + sigma_r * jnp.sqrt(phi_over_r2) * g[1], SIGMA_Z_OVER_R * sigma_r * g[2]


def cylindrical(radius: Float[Array, "n"], azimuth: Float[Array, "n"], z: Float[Array, "n"]) -> Float[Array, "n 3"]:
    """Cartesian positions [unit of radius and z] of an azimuth [rad]."""
    return jnp.stack([radius * jnp.cos(azimuth), radius * jnp.sin(azimuth), z * jnp.ones_like(radius)], -1)


def turned(azimuth: Float[Array, "n"], v_r: Array, v_phi: Array, v_z: Array) -> Float[Array, "n 3"]:
    """Cartesian components of cylindrical velocities [unit of those], shape (n, 3), at an azimuth [rad]."""
    c, s = jnp.cos(azimuth), jnp.sin(azimuth)
    return jnp.stack([v_r * c - v_phi * s, v_r * s + v_phi * c, v_z], -1)


def gas_layer(
    variates: tuple[Array, ...],
    r_gas: Float[Array, ""],
    height: Float[Array, ""],
    *,
    mass: Float[Array, ""],
    sfr: Float[Array, ""],
    metallicity: Float[Array, "n"],
    v_c: Float[Array, "n"],
) -> GasParticles:
    """Warm gas on nearly circular orbits in an exponential disc; particles of equal mass.

    Args:
      variates: of `disc_variates`, each (n,); radii are r_gas [kpc] times the first.
      height: h of the vertical sech^2(z/h) [kpc].
      mass: of all gas [Msun]; sfr: of all gas [Msun/yr].
      metallicity: metal mass fraction of each particle; v_c: circular velocity at each [km/s].
    """
    unit_radius, azimuth, unit_height, g = variates
    each = jnp.ones_like(v_c) / v_c.size
    vel = (GAS_SIGMA * g[0], v_c + GAS_SIGMA * g[1], GAS_SIGMA * g[2])
    return GasParticles(
        pos=cylindrical(r_gas * unit_radius, azimuth, height * unit_height),
        vel=turned(azimuth, *vel),
        mass=mass * each,
        metallicity=metallicity,
        temperature=jnp.full_like(v_c, GAS_TEMPERATURE),
        sfr=sfr * each,
        oxygen=OXYGEN_OF_METALS * metallicity,
        hydrogen=HYDROGEN_OF_LIGHT * (1 - metallicity),
    )
