"""A synthetic disc galaxy: exponential disc, Hernquist bulge and gas disc, in centrifugal balance.

Particles are smooth functions of fixed low-discrepancy nodes and of the parameters, so the galaxy is deterministic and
differentiable in all its parameters. It spins along +z (counter-clockwise seen from +z) and is centred and at rest.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record
from galdiff.cosmology import Cosmology, age
from galdiff.errors import InputError
from galdiff.galaxy import profiles
from galdiff.galaxy.profiles import bulge_variates, check_number, disc_variates, nodes
from galdiff.records import Galaxy, GasParticles, StarParticles

DEPLETION_TIME = 2e9  # yr, gas over star formation rate (Leroy et al. 2008, AJ 136, 2782: 1.9 Gyr for H2)


@buildable
@record
class Disc:
    """Parameters of the synthetic disc galaxy, as for a spiral of Milky-Way type."""

    log10_mstar: Float[ArrayLike, ""] = quantity("dex(Msun)", "log10 of the stellar mass formed", default=10.5)
    r_disc: Float[ArrayLike, ""] = quantity("kpc", "exponential scale length of the disc", default=3.5)
    height: Float[ArrayLike, ""] = quantity("kpc", "h of the vertical profile sech^2(z/h)", default=0.4)
    bulge_fraction: float = quantity("", "share of the stars in the bulge (sets a number of particles)", default=0.15)
    r_bulge: Float[ArrayLike, ""] = quantity(
        "kpc", "Hernquist scale radius; half of the mass in 2 r_bulge", default=0.5
    )
    v_flat: Float[ArrayLike, ""] = quantity(
        "km/s", "circular velocity where flat: v_flat tanh(R/r_turn)", default=220.0
    )
    r_turn: Float[ArrayLike, ""] = quantity("kpc", "radius where the rotation curve turns over", default=1.5)
    sigma_disc: Float[ArrayLike, ""] = quantity("km/s", "radial dispersion at 2 r_disc and age 10 Gyr", default=40.0)
    sigma_bulge: Float[ArrayLike, ""] = quantity("km/s", "central dispersion of the bulge, one axis", default=120.0)
    age_disc: Float[ArrayLike, ""] = quantity("Gyr", "median age at R = r_disc", default=5.0)
    age_slope: Float[ArrayLike, ""] = quantity("Gyr", "change of age per scale length at R = r_disc", default=-1.2)
    age_scatter: Float[ArrayLike, ""] = quantity("Gyr", "scatter of ages at R = r_disc", default=2.0)
    age_bulge: Float[ArrayLike, ""] = quantity("Gyr", "median age of the bulge", default=10.0)
    log10_z_disc: Float[ArrayLike, ""] = quantity("dex", "log10 Z of the disc at the centre", default=-1.65)
    z_slope: Float[ArrayLike, ""] = quantity("dex/kpc", "slope of log10 Z in the disc", default=-0.04)
    z_scatter: Float[ArrayLike, ""] = quantity("dex", "scatter of log10 Z", default=0.1)
    log10_z_bulge: Float[ArrayLike, ""] = quantity("dex", "log10 Z of the bulge", default=-1.6)
    gas_fraction: Float[ArrayLike, ""] = quantity("", "gas over gas plus stars, by mass; 0 for no gas", default=0.15)


AGE_MAX, BULGE_AGE_SCATTER = 13.0, 1.0  # Gyr at redshift 0


@buildable
def disc_galaxy(
    disc: Disc | None = None,
    *,
    n_stars: int = 100_000,
    n_gas: int = 20_000,
    seed: int = 0,
    redshift: float = 0.0,
    cosmology: Cosmology | None = None,
) -> Galaxy:
    """Build the galaxy; differentiable in all fields of disc but bulge_fraction.

    Ages are scaled by the age of the universe at redshift over that today, so that no star is older than it.

    Args:
      disc: parameters; None for the defaults.
      n_stars, n_gas: number of particles; n_gas = 0 for no gas. All stars have the same mass, so has all gas.
      seed: of the scrambling of the nodes.
      redshift: of the snapshot.
      cosmology: of the ages of the universe.

    Raises:
      InputError: numbers of particles or bulge fraction not possible.
    """
    disc = Disc() if disc is None else disc
    for name, n, least in (("n_stars", n_stars, 1), ("n_gas", n_gas, 0)):
        check_number(name, n, least)
    if not 0 <= disc.bulge_fraction <= 1:
        raise InputError(f"bulge_fraction is {disc.bulge_fraction}; give a share between 0 and 1")
    n_bulge = round(float(disc.bulge_fraction) * n_stars)
    universe = Cosmology() if cosmology is None else cosmology
    young = age(universe, redshift) / age(universe, 0.0)
    made = [
        disc_stars(disc, disc_variates(nodes(n_stars - n_bulge, seed))),
        bulge_stars(disc, bulge_variates(nodes(n_bulge, seed + 1))),
    ]
    joined = {name: jnp.concatenate([part[name] for part in made]) for name in made[0]}
    joined["age"] = joined["age"] * young
    mass = jnp.full(n_stars, 1.0 / n_stars) * 10.0 ** jnp.asarray(disc.log10_mstar)
    no_gas = n_gas == 0 or (isinstance(disc.gas_fraction, float | int) and disc.gas_fraction == 0)
    gas = None if no_gas else gas_disc(disc, disc_variates(nodes(n_gas, seed + 2)))
    name = f"synthetic disc galaxy, {n_stars} stars, seed {seed}"
    return Galaxy(stars=StarParticles(mass=mass, **joined), gas=gas, redshift=float(redshift), name=name)


def disc_velocity(disc: Disc, radius: Float[ArrayLike, "n"]) -> Float[Array, "n"]:
    """v_c = v_flat tanh(R / r_turn) [km/s] at radius [kpc]."""
    return jnp.asarray(disc.v_flat) * jnp.tanh(jnp.asarray(radius) / disc.r_turn)


@jax.jit
def disc_stars(disc: Disc, variates: tuple[np.ndarray, ...]) -> dict[str, Array]:
    """Positions [kpc], velocities [km/s], ages [Gyr] and metallicities of disc stars.

    Shapes are (n, 3) and (n,). `variates` come from `disc_variates`; velocities are those of `disc_orbits`.
    """
    unit_radius, azimuth, unit_height, g = (jnp.asarray(v) for v in variates)
    radius = disc.r_disc * unit_radius
    median = _ages(disc.age_disc, disc.age_slope * (unit_radius - 1), disc.age_scatter * g[3])
    turn = radius / disc.r_turn
    steep = turn / (jnp.sinh(jnp.minimum(turn, 30.0)) * jnp.cosh(jnp.minimum(turn, 30.0)))  # d ln v_c / d ln R
    sigma_r = disc.sigma_disc * jnp.exp(1 - unit_radius / 2) * profiles.heating(median)
    vel = profiles.disc_orbits(disc_velocity(disc, radius), steep, sigma_r, unit_radius, g)  # type: ignore[arg-type]
    log10_z = disc.log10_z_disc + disc.z_slope * radius + disc.z_scatter * g[4]
    return dict(
        pos=profiles.cylindrical(radius, azimuth, disc.height * unit_height),  # type: ignore[arg-type]
        vel=profiles.turned(azimuth, *vel),
        age=median,
        metallicity=10.0**log10_z,  # type: ignore[dict-item]
    )


@jax.jit
def bulge_stars(disc: Disc, variates: tuple[np.ndarray, ...]) -> dict[str, Array]:
    """As `disc_stars` for the bulge (`bulge_variates`): Hernquist (1990, ApJ 356, 359), isotropic, without rotation.

    The dispersion [km/s] falls as sigma_bulge / sqrt(1 + r / 4 r_bulge); shapes are those of `disc_stars`.
    """
    unit_radius, direction, g = variates
    sigma = disc.sigma_bulge / jnp.sqrt(1 + unit_radius / 4)
    return dict(
        pos=disc.r_bulge * (unit_radius[:, None] * direction),
        vel=sigma[:, None] * g[:3].T,
        age=_ages(disc.age_bulge, 0.0, BULGE_AGE_SCATTER * g[3]),
        metallicity=10.0 ** (disc.log10_z_bulge + disc.z_scatter * g[4]),
    )


@jax.jit
def gas_disc(disc: Disc, variates: tuple[np.ndarray, ...]) -> GasParticles:
    """Gas [kpc, km/s, Msun], shape (n,), on nearly circular orbits in a thinner, wider disc, with the metals of the
    disc stars.
    """
    length = jnp.asarray(profiles.GAS_LENGTH * disc.r_disc)
    radius = length * variates[0]
    fraction = jnp.asarray(disc.gas_fraction)
    total = 10.0 ** jnp.asarray(disc.log10_mstar) * fraction / (1 - fraction)
    return profiles.gas_layer(
        tuple(jnp.asarray(v) for v in variates),
        length,
        jnp.asarray(profiles.GAS_HEIGHT * disc.height),
        mass=total,
        sfr=total / DEPLETION_TIME,
        metallicity=jnp.power(10.0, disc.log10_z_disc + disc.z_slope * radius),
        v_c=disc_velocity(disc, radius),
    )


def _ages(median: ArrayLike, shift: ArrayLike, scatter: ArrayLike) -> Array:
    """Ages in (0, AGE_MAX) with the given median, slope and scatter [Gyr] there: a logistic."""
    share = jnp.asarray(median) / AGE_MAX
    steep = AGE_MAX * share * (1 - share)
    return AGE_MAX * jax.nn.sigmoid(jnp.log(share / (1 - share)) + (shift + scatter) / steep)
