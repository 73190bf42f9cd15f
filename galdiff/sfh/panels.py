"""Ages at which a star formation history is read: Gauss points inside panels between the ages of a library.

Differences of a cumulative mass, as of DSPS, lose single precision; sums over points do not. With two points in panels
of at most 0.1 Gyr the weights of the MILES ages are right to 1e-4 (total variation; median 1e-6). What a point gives to
each age of the library is a table: for many galaxies the weights are a product of matrices.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.records import SSPGrid

OLDEST = 14.5  # Gyr: no star is older than this in any universe that is asked for
N_LIMITS = (1, 8)
LAST = 0.9999  # of the cosmic time: largest age of a point


@record
class AgePoints:
    """Points in age and the panels they lie in, young to old; panels that begin before all have no width."""

    age: Float[Array, "point"] = quantity("Gyr", "age")
    width: Float[Array, "point"] = quantity("Gyr", "what a point stands for; they add up to the time")
    youngest: Float[Array, "point"] = quantity("Gyr", "younger end of the panel")
    oldest: Float[Array, "point"] = quantity("Gyr", "older end of the panel")


@buildable
@dataclasses.dataclass(frozen=True, kw_only=True)
class AgePanels:
    """How ages are sampled.

    Attributes:
      lg_age_gyr: log10(age/Gyr) of the library, increasing; panels never cross one of them.
      widest: longest panel [Gyr].
      points: Gauss points in a panel.
    """

    lg_age_gyr: tuple[float, ...]
    widest: float = 0.1
    points: int = 2

    def __post_init__(self) -> None:
        if len(self.lg_age_gyr) < 2 or not (np.diff(self.lg_age_gyr) > 0).all():
            raise InputError("lg_age_gyr must hold two or more ages [dex(Gyr)] that increase; take them from a library")
        if not 1e-3 <= self.widest <= OLDEST:
            raise InputError(f"widest is {self.widest} Gyr; give 0.001 to {OLDEST} Gyr (0.1 is the default)")
        if not N_LIMITS[0] <= self.points <= N_LIMITS[1]:
            raise InputError(f"points is {self.points}; give {N_LIMITS[0]} to {N_LIMITS[1]} (2 is the default)")

    @property
    def marks(self) -> np.ndarray:
        """0, the ages of the library, and an age beyond every star [Gyr], shape (stretch + 1,)."""
        ages = 10 ** np.asarray(self.lg_age_gyr, float)
        return np.concatenate([[0.0], ages[ages < OLDEST], [max(OLDEST, ages[-1])]])

    @property
    def parts(self) -> np.ndarray:
        """Number of panels [1] of each stretch between marks, shape (stretch,)."""
        return np.maximum(np.ceil(np.diff(self.marks) / self.widest - 1e-9), 1).astype(int)

    @property
    def n_points(self) -> int:
        """How many points there are [1]."""
        return int(self.parts.sum()) * self.points

    @property
    def stretch(self) -> np.ndarray:
        """Number [from 0] of the stretch that each point lies in, shape (point,)."""
        return np.repeat(np.arange(self.parts.size), self.parts * self.points)

    @property
    def fraction(self) -> np.ndarray:
        """Where in its stretch each point lies [1], shape (point,)."""
        at = (1 + np.polynomial.legendre.leggauss(self.points)[0]) / 2
        return np.concatenate([((np.arange(n)[:, None] + at) / n).reshape(-1) for n in self.parts])

    def points_before(self, time: Float[ArrayLike, ""]) -> AgePoints:
        """Points up to the age of the universe, `time` [Gyr]."""
        time = jnp.asarray(time)
        weight = np.polynomial.legendre.leggauss(self.points)[1] / 2
        marks, parts = self.marks, self.parts
        of_stretch = (marks[:-1], np.diff(marks), 1 / parts)
        low, length, part = (x[self.stretch].astype(time.dtype) for x in of_stretch)
        panel = np.concatenate([np.repeat(np.arange(n) / n, self.points) for n in parts]).astype(time.dtype)
        # Stretches end with the universe before they are parted: that with the first stars has panels as short as any.
        low = jnp.minimum(low, time)
        length = jnp.minimum(length, time - low)  # of whole stretches without cancellation
        age = low + length * self.fraction.astype(time.dtype)
        return AgePoints(
            age=jnp.minimum(age, LAST * time),  # those of no width too are born after the beginning
            width=length * (part * np.tile(weight, parts.sum()).astype(time.dtype)),
            youngest=low + length * panel,
            oldest=low + length * (panel + part),
        )

    def on_nodes(self, mass: Float[Array, "*met point"], time: Float[ArrayLike, ""]) -> Float[Array, "*met age"]:
        """Mass at the ages of the library [unit of mass], by linear interpolation in log10 age; ends count beyond them.

        Args:
          mass: of the points before `time`, shape (..., point).
          time: age of the universe [Gyr].
        """
        marks, dtype = self.marks, mass.dtype
        time = jnp.asarray(time, dtype)
        # The table is of whole stretches. In the one that holds the beginning the points are younger than there.
        number = (marks[1:-1].astype(dtype) < time).sum(dtype=jnp.int32)
        low, length = (jnp.asarray(x, dtype)[number] for x in (marks[:-1], np.diff(marks)))
        fraction = jnp.asarray(self.fraction_at, dtype)[number]
        younger = jnp.log10((low + jnp.minimum(time - low, length) * fraction) / (low + length * fraction))
        # A sum over a mask, as gathering from many galaxies is slow
        last = jnp.where(self.stretch.astype(np.int32) == number, mass, 0) @ self.places.astype(dtype)
        where = (np.arange(marks.size - 1, dtype=np.int32) == number).astype(dtype)
        moved = (last @ younger)[..., None] * (where @ self.steps.astype(dtype))
        return mass @ self.shares.astype(dtype) + moved

    @property
    def places(self) -> np.ndarray:
        """1 where a point is the so-manieth of its stretch [1], shape (point, place)."""
        within = np.concatenate([np.arange(n * self.points) for n in self.parts])
        return np.asarray(within[:, None] == np.arange(self.parts.max() * self.points), float)

    @property
    def fraction_at(self) -> np.ndarray:
        """Where in its stretch the so-manieth point lies [1], 1 where there is none, shape (stretch, place)."""
        made = np.ones((self.parts.size, self.places.shape[1]))
        made[self.stretch, self.places.argmax(1)] = self.fraction
        return made

    @property
    def steps(self) -> np.ndarray:
        """What the ages of the library gain where mass gets older, by stretch [1/dex of age], shape (stretch, age)."""
        lg_age, made = np.asarray(self.lg_age_gyr), np.zeros((self.parts.size, len(self.lg_age_gyr)))
        between = np.arange(1, min(self.parts.size, lg_age.size))  # stretches from one age to the next
        made[between, between] = 1 / np.diff(lg_age)[between - 1]
        made[between, between - 1] = -made[between, between]
        return made

    @property
    def shares(self) -> np.ndarray:
        """What each point of whole stretches gives to each age of the library [1], shape (point, age); rows sum to 1.

        Integrals over the panel of the Lagrange polynomial of the point times the hats of the ages in log10 age.
        """
        at, _ = np.polynomial.legendre.leggauss(self.points)
        fine, share = np.polynomial.legendre.leggauss(8)
        lg_age, marks = np.asarray(self.lg_age_gyr, float), self.marks
        each = [np.linspace(a, b, n + 1) for a, b, n in zip(marks[:-1], marks[1:], self.parts, strict=True)]
        ends = np.concatenate([np.stack([edges[:-1], edges[1:]], -1) for edges in each])
        age = ends.mean(1)[:, None] + np.diff(ends) / 2 * fine
        hats = np.stack([np.interp(np.log10(age), lg_age, unit) for unit in np.eye(lg_age.size)], -1)
        others = [np.delete(at, i) for i in range(at.size)]
        of_point = np.stack([np.prod((fine[:, None] - o) / (x - o), axis=-1) for x, o in zip(at, others, strict=True)])
        made = np.einsum("ix,pxa->pia", of_point * share, hats).reshape(-1, lg_age.size)
        return np.asarray(made / made.sum(1, keepdims=True))


@buildable
def panels_of(library: SSPGrid, *, widest: float = 0.1, points: int = 2) -> AgePanels:
    """The panels for the ages of a library; widest [Gyr] and points as in `AgePanels`."""
    ages = tuple(float(age) for age in np.asarray(library.ssp_lg_age_gyr))
    return AgePanels(lg_age_gyr=ages, widest=widest, points=points)
