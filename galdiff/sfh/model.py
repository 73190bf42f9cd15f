"""What every star formation history is: a law that gives the rate at any time, and one stage that makes stars of it."""

import abc
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.light_records import Epoch, StellarHistory
from galdiff.records import HaloGrowth
from galdiff.sfh.panels import AgePanels, AgePoints
from galdiff.units import YR_PER_GYR

HOOK = Hook(
    drivers=("log10 age/Gyr", "log10 of the rate [Msun/yr]"),
    offset=(0.0, 0.0),
    scale=(1.0, 1.0),
    n_out=1,
    bound=1.0,
)
LOG10_MASS = (2.0, 14.0)  # of masses formed [dex(Msun)]
MASS_MIN = 1e-10  # Msun at a point, and
WIDTH_MIN = 1e-9  # Gyr of a panel; logarithms stay finite


class SfhLaw(nnx.Module):
    """Star formation rate at any cosmic time; one file and one yaml each."""

    needs_halo: ClassVar[bool] = False  # True: the rate follows from the growth of the halo

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def sfr(self, time: Float[Array, "..."], epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "..."]:
        """Star formation rate [Msun/yr], zero or positive.

        Args:
          time: cosmic time of birth [Gyr], positive and at most that of the epoch, any shape.
          epoch: when the galaxy is seen.
          halo: growth of its halo, where the law needs one.
        """

    def check_epoch(self, epoch: Epoch) -> None:
        """Refuse an epoch, not traced, that the law cannot be seen from; all are fine by default.

        Raises:
          InputError: naming the parameter, its value and the cosmic time.
        """

    def mass_formed(self, points: AgePoints, epoch: Epoch, halo: HaloGrowth | None = None) -> Float[Array, "point"]:
        """Mass formed at each point in age [Msun]; laws with edges in time know it better than by the rate there."""
        return self.sfr(epoch.time - points.age, epoch, halo) * points.width * YR_PER_GYR


def refuse_after(epoch: Epoch, name: str, value: Any) -> None:
    """Raise InputError where a time or an age `name` [Gyr] is at or beyond the cosmic time of an epoch, not traced."""
    if float(value) >= float(epoch.time):
        raise InputError(
            f"{name} is {float(value):.4g} Gyr, but the galaxy is seen at a cosmic time of {float(epoch.time):.4g} Gyr;"
            " lower it, or the redshift"
        )


class FormStars(Stage):
    """Stars of a galaxy from the history of its star formation.

    Args of the constructor:
      law: star formation rate at any time.
      ages: points in age.
      correction: of the mass formed at each point, see `HOOK`.
      keep_mass: whether the mass formed in all stays that of the law, so that a correction only moves it in time.
    """

    hooks: ClassVar = {"correction": HOOK}

    def __init__(
        self, *, law: SfhLaw, ages: AgePanels, correction: Correction | None = None, keep_mass: bool = True
    ) -> None:
        self.law = law
        self.ages = ages
        self.correction = NoCorrection() if correction is None else correction
        self.keep_mass = keep_mass

    def __call__(self, epoch: Epoch, halo: HaloGrowth | None = None) -> StellarHistory:
        """Stars at the points in age."""
        if self.law.needs_halo and halo is None:
            raise InputError(
                f"{type(self.law).__name__} follows the growth of a halo, which is missing; give the record halo, or a"
                " law that needs none: sfh=delayed_tau"
            )
        points = self.ages.points_before(epoch.time)
        mass = jnp.maximum(self.law.mass_formed(points, epoch, halo), MASS_MIN)
        if not isinstance(self.correction, NoCorrection):
            sfr = mass / jnp.maximum(points.width, WIDTH_MIN) / YR_PER_GYR
            seen = jnp.stack([jnp.log10(points.age), jnp.log10(sfr)], -1)
            corrected = self.correction(mass[:, None], seen)[:, 0]
            mass = corrected * (mass.sum() / corrected.sum()) if self.keep_mass else corrected
        return StellarHistory(age=points.age, mass=mass, time=epoch.time)

    def notes(self) -> tuple[str, ...]:
        """The law by name."""
        return (type(self.law).__name__,)
