"""What a law of recycling and yields is: what a generation of stars gives back, per mass formed."""

import abc
import typing
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.laws.law import Law
from galdiff.baryons.patankar import Contents
from galdiff.core.record import quantity, record
from galdiff.errors import InputError


@record
class Generation:
    """What a generation of stars gives, per mass formed, at once."""

    f_recycle: Array = quantity("", "share of the mass that dies and returns")
    metal_yield: Array = quantity("", "new metals")
    energy_yield: Array | None = quantity("(km/s)^2", "energy of supernovae; None where it is not known", default=None)


class YieldsLaw(Law):
    """Instantaneous recycling: what stars give depends on their mass function, not on the halo."""

    @abc.abstractmethod
    def generation(self, p: Any) -> Generation:
        """What stars give per mass formed; numbers.

        Args:
          p: values of this law's parameters, by name.
        """

    @typing.final
    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Generation:
        """The same for all, in the shape of the halo."""
        return jax.tree.map(lambda x: jnp.full_like(halo_state.t_dyn, x), self.generation(p))


def with_energy(law: YieldsLaw, where: str) -> YieldsLaw:
    """The law, for a cycle whose winds carry energy.

    Raises:
      InputError: it gives none.
    """
    if law.generation(law.parameters()).energy_yield is None:
        raise InputError(
            f"yields of {where} give no energy_yield [(km/s)^2]; give yields=constant, which has it, or imf"
        )
    return law
