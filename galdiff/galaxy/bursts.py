"""Star formation that flickers about the history of a grown galaxy (a law in a slot of `GrownGalaxy`)."""

import abc

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.core.variables import physical, table

N_WAVES = 256


class Bursts(nnx.Module):
    """One law of how the rate flickers; subclasses are final."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def __call__(self, age: Float[Array, "..."]) -> Float[Array, "..."]:
        """ln of the rate at lookback times [Gyr] over that of the history [1], same shape."""


class Steady(Bursts):
    """No bursts."""

    def __call__(self, age: Float[Array, "..."]) -> Float[Array, "..."]:
        """Zero."""
        return jnp.zeros_like(age)


class DampedRandomWalk(Bursts):
    """log10 of the rate as a damped random walk (Caplar & Tacchella 2019, MNRAS 487, 3845, slope 2).

    A sum of waves whose frequencies have the walk's Lorentzian spectrum (Rahimi & Recht 2007, NIPS 20): Gaussian to
    1 / `N_WAVES`, and smooth, so that there are slopes in sigma and tau.

    Args of the constructor:
      sigma: scatter of log10 of the rate [dex].
      tau: time over which the rate forgets [Gyr].
      seed: of the waves: which burst came when.
    """

    def __init__(self, *, sigma: float, tau: float, seed: int = 0) -> None:
        self.sigma = physical(sigma, unit="dex", lo=0.0, hi=2.0)
        self.tau = physical(tau, unit="Gyr", lo=1e-3, hi=5.0)
        share, phase = np.random.default_rng(seed).uniform(size=(2, N_WAVES))
        shares = (np.arange(N_WAVES) + share) / N_WAVES  # one in each stratum
        self.waves = table((np.tan(np.pi * (shares - 0.5)), 2 * np.pi * phase))

    def __call__(self, age: Float[Array, "..."]) -> Float[Array, "..."]:
        """ln of the rate at lookback times [Gyr] over that of the history; its mean factor over time is one [1]."""
        frequency, phase = self.waves.get_value()
        x = (age / self.tau.bounded)[..., None] * frequency + phase
        sigma = jnp.log(10.0) * self.sigma.bounded
        return sigma * np.sqrt(2 / N_WAVES) * jnp.cos(x).sum(-1) - sigma**2 / 2
