"""What a law is: a small module that turns the halo, and where it asks for them the contents, into positive numbers.

Laws of the halo alone are tabled once for all steps; those that see the contents run inside the step. A model's
corrections rescale what a law returns, so any law fits any slot and any hook.
"""

import abc
import functools
import inspect
import typing
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from galdiff.baryons.halo_state import HaloState
from galdiff.baryons.patankar import Contents
from galdiff.core.buildable import buildable
from galdiff.core.fitted import Ranges
from galdiff.core.record import quantity, record
from galdiff.core.variables import Physical
from galdiff.errors import InputError


class Law(nnx.Module):
    """One law of a baryon cycle; its physical parameters are arguments of the constructor of the same names."""

    sees_contents: ClassVar[bool] = False  # True: called inside the step, with the contents
    FITTED: ClassVar[Ranges] = ()  # of a `BaryonHistory`, where the form and its numbers are a published fit

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def __call__(self, p: Any, halo_state: HaloState, contents: Contents | None = None) -> Any:
        """The number that the slot asks for, positive (or zero); for cooling and yields a record of numbers.

        Args:
          p: values of this law's parameters in their units, by name: `parameters()`, or others in their place.
          halo_state: the halo as its baryons feel it, any shape.
          contents: of all reservoirs, same shape; None for laws of the halo alone.

        Returns:
          Array of that shape, in the unit of the slot.
        """

    def fitted(self) -> Ranges:
        """The ranges of what a `BaryonHistory` holds, in its units, that the law was fitted in."""
        return self.FITTED

    @typing.final
    def parameters(self) -> Any:
        """Values of the physical parameters, as a record with units and fields in the order of the constructor."""
        own = self._physical()
        kind = _record_of(type(self).__name__, tuple((name, variable.unit) for name, variable in own.items()))
        return kind(**{name: variable.bounded for name, variable in own.items()})

    @typing.final
    def summary(self) -> str:
        """Name, values and units in one line."""
        own = self._physical().items()
        values = ", ".join(f"{name}={float(x.bounded):.4g}{'' if x.unit == '1' else f' {x.unit}'}" for name, x in own)
        return f"{type(self).__name__}({values})"

    def _physical(self) -> dict[str, Physical]:
        given = inspect.signature(type(self).__init__).parameters
        return {name: getattr(self, name) for name in given if isinstance(getattr(self, name, None), Physical)}


@functools.cache
def _record_of(name: str, fields: tuple[tuple[str, str], ...]) -> type:
    body = {field: quantity("" if unit == "1" else unit, f"{field} of {name}") for field, unit in fields}
    return record(type(name, (), {"__annotations__": dict.fromkeys(body, Array), **body}))


Laws = Mapping[str, Law]  # slot -> law


def tabled(laws: Laws, p: Any, halo_state: HaloState) -> dict[str, Any]:
    """What the laws say of the halo alone [unit of the slot], in its shape; one where a law waits for the contents (see
    `with_contents`).
    """
    one = jnp.ones_like(halo_state.t_dyn)
    return {name: one if law.sees_contents else law(getattr(p, name), halo_state) for name, law in laws.items()}


def with_contents(laws: Laws, p: Any, halo_state: HaloState, contents: Contents, rates: Any) -> dict[str, Array]:
    """The rates that wait for the contents, times what their laws say [unit of the slot], in the shape of the contents.

    Args:
      laws, p: by slot.
      halo_state, contents: now.
      rates: record with the factors so far: what a correction made of one.
    """
    seen = {name: law for name, law in laws.items() if law.sees_contents}
    return {name: getattr(rates, name) * law(getattr(p, name), halo_state, contents) for name, law in seen.items()}


def of_the_halo(slot: str, law: Law) -> Law:
    """The law, for a slot that is tabled before there are contents.

    Raises:
      InputError: it sees the contents.
    """
    if law.sees_contents:
        raise InputError(f"{slot} is {type(law).__name__}, which sees the contents; give a law of the halo alone")
    return law
