"""Which share of the gas is molecular, place by place: where stars form now (a law in a slot of `GrownGalaxy`)."""

import abc

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record


@record
class Midplane:
    """A galactic disc at the places of its gas."""

    gas: Float[Array, "gas"] = quantity("Msun/pc^2", "surface density of the gas, helium included")
    stars: Float[Array, "gas"] = quantity("Msun/pc^2", "surface density of the stars of the disc")
    height: Float[Array, ""] = quantity("pc", "height of the stars")
    metallicity: Float[Array, "gas"] = quantity("", "metal mass fraction of the gas")


class MolecularFraction(nnx.Module):
    """One law of the molecular share of the gas; subclasses are final."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def __call__(self, at: Midplane) -> Float[Array, "gas"]:
        """Share of the gas that is molecular [1], positive; stars form in proportion to it."""


class InProportion(MolecularFraction):
    """The same share everywhere: stars form in proportion to the gas."""

    def __call__(self, at: Midplane) -> Float[Array, "gas"]:
        """One."""
        return jnp.ones_like(at.gas)
