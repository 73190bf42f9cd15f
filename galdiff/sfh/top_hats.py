"""Star formation in steps: constant rates between edges in time, whose masses in any panel are exact."""

import abc

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.light_records import Epoch
from galdiff.records import HaloGrowth
from galdiff.sfh.model import SfhLaw
from galdiff.sfh.panels import AgePoints
from galdiff.units import YR_PER_GYR


@record
class Steps:
    """Stretches of look-back time with a constant rate; they may overlap."""

    youngest: Float[Array, "step"] = quantity("Gyr", "age at the younger end")
    oldest: Float[Array, "step"] = quantity("Gyr", "age at the older end, larger")
    mass: Float[Array, "step"] = quantity("Msun", "mass formed in it")


class TopHats(SfhLaw):
    """A law in steps."""

    @abc.abstractmethod
    def steps(self, epoch: Epoch) -> Steps:
        """The steps seen from an epoch."""

    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Rate [Msun/yr] at cosmic times [Gyr] of any shape."""
        steps, age = self.steps(epoch), (epoch.time - time)[..., None]
        inside = (age >= steps.youngest) & (age < steps.oldest)
        return (jnp.where(inside, steps.mass / (steps.oldest - steps.youngest), 0.0)).sum(-1) / YR_PER_GYR

    def mass_formed(self, points: AgePoints, epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "point"]:
        """Mass formed at each point in age [Msun]: the exact mass of its panel, in the shares of its points."""
        steps = self.steps(epoch)
        lower = jnp.maximum(points.youngest[:, None], steps.youngest)
        upper = jnp.minimum(points.oldest[:, None], steps.oldest)
        share = jnp.maximum(upper - lower, 0.0) / (steps.oldest - steps.youngest)
        panel = points.oldest - points.youngest
        return share @ steps.mass * points.width / jnp.where(panel > 0, panel, 1.0)
