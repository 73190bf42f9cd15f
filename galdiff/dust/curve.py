"""What every dust curve is: a formula on a range of wavelengths, continued smoothly outside it."""

import abc
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError

Wave = Float[Array, "*wave"]
LEVEL = 0.1  # in ln(wave): how far beyond its blue end a curve still rises


class Curve(abc.ABC):
    """A(wave)/A(V) at the rest wavelength; one file of `galdiff.dust.curves` and one of conf/dust/curve each.

    Bluer than `blue` the curve levels off within about 10 per cent of the wavelength; redder than `red` it goes on as
    a power law. Both begin with the slope that the formula has at its end.
    """

    blue: ClassVar[float]  # [Angstrom], ends of the range of the formula
    red: ClassVar[float]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def formula(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] from rest-frame vacuum wavelengths within the range [Angstrom], of the same shape."""

    @final
    def __call__(self, wave: Wave) -> Wave:
        """A(wave)/A(V) [1] at any rest-frame vacuum wavelength [Angstrom], of the same shape."""
        wave = jnp.asarray(wave)
        beyond_blue = jnp.minimum(jnp.log(wave / self.blue), 0.0)
        beyond_red = jnp.maximum(jnp.log(wave / self.red), 0.0)
        slopes = [self._slope(jnp.asarray(end, wave.dtype)) for end in (self.blue, self.red)]
        rise = slopes[0] * LEVEL * jnp.tanh(beyond_blue / LEVEL)
        return self.formula(jnp.clip(wave, self.blue, self.red)) * jnp.exp(rise + slopes[1] * beyond_red)

    def _slope(self, wave: Float[Array, ""]) -> Float[Array, ""]:
        """d ln A / d ln wave."""
        value, change = jax.jvp(self.formula, (wave,), (wave,))
        return change / value


def check_range(name: str, value: Any, lo: float, hi: float) -> None:
    """Refuse a parameter of a curve outside its limits; what is being differentiated has no value to look at.

    Raises:
      InputError: naming the parameter, its value and the limits.
    """
    if isinstance(value, jax.core.Tracer):
        return
    if isinstance(value, str | bool) or not lo <= value <= hi:
        raise InputError(f"{name} of the dust curve is {value}; give a number from {lo:g} to {hi:g}")
