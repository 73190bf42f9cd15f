"""The bulge of a grown galaxy: which share of the stars it holds (a law in a slot of `GrownGalaxy`), and its size."""

import abc

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.core.priors import Normal
from galdiff.core.variables import physical
from galdiff.galaxy.births import mean_age
from galdiff.records import BaryonHistory

RE, RE_SLOPE = 2.88e-6, 0.56  # R_e = 2.88e-6 kpc (M/Msun)^0.56 of early types (Shen et al. 2003, MNRAS 343)
RE_OVER_A = 1.8153  # effective over scale radius (Hernquist 1990, ApJ 356, 359)
TYPICAL_AGE = 0.5  # mean of the stars over the time since the Big Bang, in a galaxy that keeps forming them


def bulge_radius(mass: Float[Array, ""]) -> Float[Array, ""]:
    """Hernquist scale radius [kpc] of a bulge of this mass [Msun], by the size-mass relation of early types."""
    return RE * mass**RE_SLOPE / RE_OVER_A


class BulgeShare(nnx.Module):
    """One law of the share of the stars that is in the bulge; subclasses are final."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def __call__(self, history: BaryonHistory) -> Float[Array, ""]:
        """Share of the stars [1], above 0 and below 1, at the end of the history of one galaxy."""


class ByMassAndAge(BulgeShare):
    """A logistic in stellar mass, in the age of the stars, and in what this galaxy was dealt; round numbers, no fit.

    Args of the constructor:
      most: share in the most massive galaxies.
      log10_mass: stellar mass where it is half of that, if the stars are half as old as the universe; width: [dex].
      early: growth of the logit with the mean age of the stars over that of the universe: stars that form while the
        halo grows fast end in the bulge.
      scatter: of the logit from galaxy to galaxy; latent: this galaxy's deviate, standard normal.
    """

    def __init__(
        self, *, most: float, log10_mass: float, width: float, early: float, scatter: float, latent: float
    ) -> None:
        self.most = physical(most, unit="1", lo=0.0, hi=0.95)
        self.log10_mass = physical(log10_mass, unit="dex(Msun)", lo=8.0, hi=13.0)
        self.width = physical(width, unit="dex", lo=0.1, hi=3.0)
        self.early = physical(early, unit="1", lo=-1.0, hi=20.0)
        self.scatter = physical(scatter, unit="1", lo=-1.0, hi=3.0)
        self.latent = physical(latent, unit="1", prior=Normal(0.0, 1.0))

    def __call__(self, history: BaryonHistory) -> Float[Array, ""]:
        """Share of the stars [1]."""
        by_mass = jnp.log(10.0) * (jnp.log10(history.m_star[-1]) - self.log10_mass.bounded) / self.width.bounded
        by_age = self.early.bounded * (mean_age(history) / history.time[-1] - TYPICAL_AGE)
        by_chance = self.scatter.bounded * self.latent.bounded
        return self.most.bounded * jax.nn.sigmoid(by_mass + by_age + by_chance)


def typical_bulge() -> BulgeShare:
    """The law of conf/input/bulge/by_mass_and_age.yaml."""
    return ByMassAndAge(most=0.8, log10_mass=11.0, width=0.8, early=6.0, scatter=0.8, latent=0.0)
