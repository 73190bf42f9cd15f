"""Who shines in emission lines: young stars with their gas, or gas that forms stars; as stars on the sky.

Emitters are stars of some age, metallicity and mass at the place and velocity of their gas, so that all that spreads,
dims and sorts stars does it for gas too.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from galdiff.core.stage import Stage
from galdiff.core.variables import table
from galdiff.nebular.lines_per_mass import SPAN
from galdiff.records import SkyGas, SkyStars
from galdiff.units import YR_PER_GYR

YOUNG = 1e-3  # Gyr: age by which gas that forms stars is put behind birth clouds


class YoungStars(Stage):
    """Each star ionises gas at its own place, which moves with it and is behind the same dust.

    Args of the constructor:
      smoothing: by which their gas is spread [kpc], shape (star,); None for that of the stars.
    """

    def __init__(self, *, smoothing: Float[ArrayLike, "star"] | None = None) -> None:
        self.smoothing = None if smoothing is None else table(jnp.asarray(smoothing, jnp.result_type(float)))

    def __call__(self, observed_stars: SkyStars) -> SkyStars:
        """The same stars."""
        if self.smoothing is None:
            return observed_stars
        return dataclasses.replace(observed_stars, smoothing=self.smoothing[...])


class StarFormingGas(Stage):
    """Gas that has formed stars at its present rate for 20 Myr, and shines where it is.

    Args of the constructor:
      dust: stage that puts dust in front of stars, as for the stars of the galaxy.
    """

    def __init__(self, *, dust: Stage) -> None:
        self.dust = dust

    def __call__(self, sky_gas: SkyGas) -> SkyStars:
        """Stars formed in that time, in place of the gas; the gas dims them where the dust follows it.

        Without a star formation rate there are none.
        """
        rate = jnp.zeros_like(sky_gas.mass) if sky_gas.sfr is None else jnp.maximum(sky_gas.sfr, 0.0)
        young = SkyStars(
            x=sky_gas.x,
            y=sky_gas.y,
            z=sky_gas.z,
            v_los=sky_gas.v_los,
            mass=rate * (SPAN * YR_PER_GYR),
            age=jnp.full_like(rate, YOUNG),
            metallicity=sky_gas.metallicity,
            smoothing=sky_gas.smoothing,
        )
        known = {"sky_stars": young, "sky_gas": sky_gas}
        return self.dust(**{name: known[name] for name in self.dust.reads()})
