"""Stars on the sky, behind their dust, at a distance."""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.core.stage import Stage
from galdiff.cosmology import Cosmology, age
from galdiff.light_records import LineTable
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
    """Stages of the sky, without the view of the gas where nothing reads it, or where there is none: no gas, no dust.

    Args:
      sky: makes `sky_stars`, `sky_gas`, `observed_stars` and `placement`; with lines `sky_emitters` and `line_table`.
      galaxy: what is seen.
    """
    read = galaxy.gas is not None and any("sky_gas" in stage.reads() for stage in sky.values())
    return {name: stage for name, stage in sky.items() if name != "sky_gas" or read}


class Seen(NamedTuple):
    """What is on the sky: stars with their dust, where they are, and what shines in emission lines, if anything."""

    stars: SkyStars
    placement: Placement
    emitters: SkyStars | None = None
    line_table: LineTable | None = None


RECORDS = {"stars": "observed_stars", "placement": "placement", "emitters": "sky_emitters", "line_table": "line_table"}


def look(sky: Mapping[str, Stage], galaxy: Galaxy) -> Seen:
    """What is on the sky; stages as for `visible`."""
    wanted = {field: name for field, name in RECORDS.items() if name in sky}
    pipeline = Pipeline(stages=visible(sky, galaxy), inputs={"galaxy": Galaxy})
    run, state = compiled(pipeline, list(wanted.values()), quick=True)
    made = run(state, galaxy=on_device(galaxy))
    return Seen(**{field: made[name] for field, name in wanted.items()})


def on_device(galaxy: Galaxy) -> Galaxy:
    """The galaxy as arrays of JAX in the precision of the process."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), galaxy)
