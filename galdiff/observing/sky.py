"""Stars on the sky, behind their dust, at a distance."""

import warnings
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.core.stage import Stage
from galdiff.cosmology import Cosmology, age
from galdiff.records import Galaxy, Placement, SkyStars

NEAR = 0.002  # snapshots below this redshift are observed from DEFAULT_REDSHIFT
DEFAULT_REDSHIFT = 0.015
MOVED = 0.05  # in redshift: galaxies that are placed less far from their own are as good as there
TOO_OLD = 0.1  # of the mass, in stars older than the universe


def redshift_of(asked: float | None, galaxy: Galaxy) -> float:
    """Redshift at which a galaxy is observed: the asked one, its own, or a default for one that is at ours."""
    if asked is not None:
        return asked
    return galaxy.redshift if galaxy.redshift >= NEAR else DEFAULT_REDSHIFT


def warn_too_old(galaxy: Galaxy, redshift: float, cosmology: Cosmology) -> None:
    """Warn where much of a galaxy that is placed at a redshift above its own is older than the universe there."""
    if redshift < galaxy.redshift + MOVED:
        return
    then = float(age(cosmology, redshift))
    ages, mass = (np.asarray(x, np.float64) for x in (galaxy.stars.age, galaxy.stars.mass))
    share = mass[ages > then].sum() / max(mass.sum(), np.finfo(float).tiny)
    if share > TOO_OLD:
        warnings.warn(
            f"{share:.0%} of the mass formed is in stars older than the universe at redshift {redshift:g}"
            f" ({then:.3g} Gyr): a galaxy of redshift {galaxy.redshift:g} is placed there; grow it until then"
            f" (halo.observed_redshift={redshift:g}) or read a snapshot of that time",
            stacklevel=2,
        )


def visible(sky: Mapping[str, Stage], galaxy: Galaxy) -> dict[str, Stage]:
    """Stages of the sky, without the view of the gas where nothing reads it; warns where dust needs gas and has none.

    Args:
      sky: makes `sky_stars`, `sky_gas`, `observed_stars` and `placement`.
      galaxy: what is seen.
    """
    dusty = "sky_gas" in sky["observed_stars"].reads()
    if dusty and galaxy.gas is None:
        warnings.warn(f"{galaxy.name} has no gas, hence no dust", stacklevel=3)
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
