"""Stages that put dust in front of stars; each adds to the attenuation the stars already have."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.dust.column import DUST_RELATIONS, ColumnGrid, dust_mass, line_of_sight_av
from galdiff.errors import InputError
from galdiff.records import SkyGas, SkyStars

HOOK = Hook(
    drivers=("log10 age/Gyr", "log10 Z", "x to the East [kpc]", "y to the North [kpc]"),
    offset=(0.0, -2.0, 0.0, 0.0),
    scale=(1.0, 0.5, 10.0, 10.0),
    n_out=1,
    bound=1.0,
)


def add_attenuation(stars: SkyStars, a_v: Float[Array, "star"], correction: Correction) -> SkyStars:
    """Stars with `a_v` [mag], corrected star by star, more dust in front of them; the drivers are those of `HOOK`."""
    seen = (log10_of(stars.age), log10_of(stars.metallicity), stars.x, stars.y)
    a_v = correction(a_v[:, None], jnp.stack(seen, -1))[:, 0]
    return dataclasses.replace(stars, a_v=a_v if stars.a_v is None else stars.a_v + a_v)


def log10_of(x: Float[Array, "star"]) -> Float[Array, "star"]:
    """log10 of x [any unit] with a floor: a newborn star has age 0, and one of the first has no metals."""
    return jnp.log10(jnp.where(x > 1e-6, x, 1e-6))


def birth_cloud_fraction(age: Float[Array, "star"], t_birth: Float[Array, ""], width: float) -> Float[Array, "star"]:
    """Share of its birth cloud that a star of this age still sits in [1]: 1 when young, 0 when old.

    Args:
      age: age [Gyr].
      t_birth: lifetime of a birth cloud [Gyr].
      width: width of the edge [dex of age]; 0 for a step.
    """
    if width == 0.0:
        return (age < t_birth).astype(age.dtype)
    return jax.nn.sigmoid((jnp.log10(t_birth) - log10_of(age)) / width)


class NoDust(Stage):
    """No dust: stars as they are, with the attenuation they were given."""

    def __call__(self, sky_stars: SkyStars) -> SkyStars:
        """Pass the stars on."""
        return sky_stars


class DustScreen(Stage):
    """One screen in front of all stars."""

    hooks: ClassVar = {"correction": HOOK}

    def __init__(self, *, a_v: float, correction: Correction | None = None) -> None:
        """a_v: attenuation at V [mag]; correction: of it, see `HOOK`."""
        self.a_v = physical(a_v, lo=0.0, hi=10.0, unit="mag")
        self.correction = NoCorrection() if correction is None else correction

    def __call__(self, sky_stars: SkyStars) -> SkyStars:
        """Add the screen."""
        a_v = jnp.broadcast_to(self.a_v.bounded, sky_stars.age.shape)
        return add_attenuation(sky_stars, a_v, self.correction)


class BirthCloudDust(Stage):
    """A screen in front of all stars and a birth cloud around young ones; Charlot & Fall (2000, ApJ 539, 718).

    Both follow one curve, as a star has a single A_V. Their eq. 5 has a_v_birth = 2 a_v, 10 Myr and slope -0.7.
    """

    hooks: ClassVar = {"correction": HOOK}

    def __init__(
        self, *, a_v: float, a_v_birth: float, t_birth: float, width: float, correction: Correction | None = None
    ) -> None:
        """Screen and birth clouds.

        Args:
          a_v, a_v_birth: attenuation of the screen and of a birth cloud [mag].
          t_birth: lifetime of a birth cloud [Gyr]; width: of the edge [dex of age].
          correction: of their sum, see `HOOK`.
        """
        if width < 0.0:
            raise InputError(f"width of the birth-cloud edge is {width:g} dex; give 0 (a step) or a positive number")
        self.a_v = physical(a_v, lo=0.0, hi=10.0, unit="mag")
        self.a_v_birth = physical(a_v_birth, lo=0.0, hi=20.0, unit="mag")
        self.t_birth = physical(t_birth, lo=1e-3, hi=0.1, unit="Gyr")
        self.width = width
        self.correction = NoCorrection() if correction is None else correction

    def __call__(self, sky_stars: SkyStars) -> SkyStars:
        """Add both components."""
        young = birth_cloud_fraction(sky_stars.age, self.t_birth.bounded, self.width)
        return add_attenuation(sky_stars, self.a_v.bounded + self.a_v_birth.bounded * young, self.correction)


class GasColumnDust(Stage):
    """Dust that the gas of the simulation brings with it, in front of each star."""

    hooks: ClassVar = {"correction": HOOK}

    def __init__(
        self,
        *,
        kappa_v: float = 0.7394,
        relation: str = "metallicity_x_co",
        log10_t_max: float | None = 4.5,
        grid: ColumnGrid | None = None,
        correction: Correction | None = None,
    ) -> None:
        """Dust column.

        Args:
          kappa_v: A_V of 1e5 Msun/kpc^2 of dust [mag]; the default is that of the mixture of
            Draine & Li (2007), as Draine et al. (2014, ApJ 780, 172) use it.
          relation: dust-to-gas relation, see `column.dust_to_gas`.
          log10_t_max: hotter gas has no dust [dex of K]; None keeps all.
          grid: box and cells.
          correction: of the attenuation, see `HOOK`.
        """
        if relation not in DUST_RELATIONS:
            raise InputError(f"dust-to-gas relation is '{relation}'; choose one of {', '.join(DUST_RELATIONS)}")
        self.kappa_v = physical(kappa_v, lo=0.0, hi=20.0, unit="mag per 1e5 Msun/kpc^2")
        self.relation = relation
        self.log10_t_max = log10_t_max
        self.grid = ColumnGrid() if grid is None else grid
        self.correction = NoCorrection() if correction is None else correction

    def __call__(self, sky_stars: SkyStars, sky_gas: SkyGas | None = None) -> SkyStars:
        """Add the column; a galaxy without gas has none."""
        if sky_gas is None:
            return add_attenuation(sky_stars, jnp.zeros_like(sky_stars.age), NoCorrection())
        dust = dust_mass(sky_gas, relation=self.relation, log10_t_max=self.log10_t_max)
        kappa = self.kappa_v.bounded / 1e5
        return add_attenuation(sky_stars, line_of_sight_av(sky_stars, sky_gas, dust, self.grid, kappa), self.correction)
