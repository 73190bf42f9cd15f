"""Stars on the sky, behind their dust, at a distance."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.core.stage import Stage
from galdiff.records import Galaxy, Placement, SkyStars

NEAR = 0.002  # snapshots below this redshift are observed from DEFAULT_REDSHIFT
DEFAULT_REDSHIFT = 0.015


def redshift_of(asked: float | None, galaxy: Galaxy) -> float:
    """Redshift at which a galaxy is observed: the asked one, its own, or a default for one that is at ours."""
    if asked is not None:
        return asked
    return galaxy.redshift if galaxy.redshift >= NEAR else DEFAULT_REDSHIFT


def visible(sky: Mapping[str, Stage], galaxy: Galaxy) -> dict[str, Stage]:
    """Stages of the sky, without the view of the gas where nothing reads it, or where there is none: no gas, no dust.

    Args:
      sky: makes `sky_stars`, `sky_gas`, `observed_stars` and `placement`.
      galaxy: what is seen.
    """
    dusty = "sky_gas" in sky["observed_stars"].reads()
    return {name: stage for name, stage in sky.items() if name != "sky_gas" or (dusty and galaxy.gas is not None)}


def look(sky: Mapping[str, Stage], galaxy: Galaxy) -> tuple[SkyStars, Placement]:
    """Stars on the sky, with their dust, and where they are; stages as for `visible`."""
    run, state = compiled(
        Pipeline(stages=visible(sky, galaxy), inputs={"galaxy": Galaxy}), ["observed_stars", "placement"], quick=True
    )
    made = run(state, galaxy=on_device(galaxy))
    return made["observed_stars"], made["placement"]


def on_device(galaxy: Galaxy) -> Galaxy:
    """The galaxy as arrays of JAX in the precision of the process."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), galaxy)
