"""What every halo mass function is, and the fit of diffsky."""

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError
from galdiff.populations.abundance import density, log10_cumulative
from galdiff.populations.published import published


class MassFunction(abc.ABC):
    """Number of haloes per comoving volume; one file or class and one yaml each."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def log10_cumulative(
        self, log10_m: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]
    ) -> Float[Array, "..."]:
        """log10 of the number above a mass [dex(1/Mpc^3)], at masses [dex(Msun)] and redshifts that broadcast."""

    @abc.abstractmethod
    def density(self, log10_m: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Number per dex of mass [1/Mpc^3/dex], likewise of shapes that broadcast."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiffskyMassFunction(MassFunction):
    """The fit of diffsky 0.3 to haloes of simulations with a Planck cosmology, which knows no other one."""

    def log10_cumulative(
        self, log10_m: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]
    ) -> Float[Array, "..."]:
        """log10 of the number above a mass [dex(1/Mpc^3)], at masses [dex(Msun)] and redshifts that broadcast."""
        return log10_cumulative(published("halo_mass_function"), log10_m, redshift)

    def density(self, log10_m: Float[ArrayLike, "..."], redshift: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Number per dex of mass [1/Mpc^3/dex], likewise of shapes that broadcast."""
        return density(published("halo_mass_function"), log10_m, redshift)


def halo_masses(
    mass_function: MassFunction,
    log10_m: tuple[float, float],
    redshift: float,
    uniform: Float[ArrayLike, "halo"],
) -> Float[Array, "halo"]:
    """Masses that follow a mass function between two masses.

    Args:
      mass_function: of the haloes; log10_m: smallest and largest mass [dex(Msun)]; redshift: when [1].
      uniform: random numbers between 0 and 1, shape (halo,).

    Returns:
      log10 of the masses [dex(Msun)], shape (halo,).

    Raises:
      InputError: masses that do not increase.
    """
    if not log10_m[0] < log10_m[1]:
        raise InputError(f"log10_mhalo is {list(log10_m)} dex(Msun); give a smaller and a larger mass")
    nodes = jnp.linspace(*log10_m, 512)
    above = 10.0 ** mass_function.log10_cumulative(nodes, redshift)
    wanted = above[-1] + jnp.asarray(uniform) * (above[0] - above[-1])
    return jnp.interp(-wanted, -above, nodes)
