"""What a law of the black hole is: how fast it grows in two modes, and how much it heats the CGM."""

import abc
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.law import Law
from galdiff.baryons.patankar import Contents
from galdiff.core.record import quantity, record


@record
class BlackHoleRates:
    """What the halo says of its black hole; the contents come in by `two_zone.black_hole`."""

    cold: Array = quantity("", "ISM that it swallows, per mass of stars formed")
    hot: Array = quantity("1/Gyr/Msun", "CGM that it swallows, per mass of the CGM and of its own")
    heating: Array = quantity("(km/s)^2", "heat of the CGM per mass of CGM swallowed")


class BlackHoleLaw(Law):
    """Growth of the black hole and its heating of the CGM, of the halo alone."""

    @abc.abstractmethod
    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> BlackHoleRates | None:
        """The rates, positive, in the shape of the halo; None where there is no black hole."""

    @abc.abstractmethod
    def seed(self, p: Any) -> Array:
        """Mass when the gas of a halo is first followed [Msun], shape ()."""


class NoBlackHole(BlackHoleLaw):
    """No black hole, as Pandya et al. (2023)."""

    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> None:
        """None."""
        return None

    def seed(self, p: Any) -> Array:
        """Nothing [Msun], shape ()."""
        return jnp.zeros(())
