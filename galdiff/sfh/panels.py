"""Ages at which a star formation history is read: Gauss points inside panels between the ages of a library.

Differences of a cumulative mass, as of DSPS, lose single precision; sums over points do not. With two points in panels
of at most 0.1 Gyr the weights of the MILES ages are right to 1e-4 (total variation; median 1e-6).
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
    def below(self) -> np.ndarray:
        """Number [from 0] of the library's age at the younger side of each point, shape (point,)."""
        stretch = np.repeat(np.arange(self.parts.size), self.parts * self.points)
        return np.clip(stretch - 1, 0, len(self.lg_age_gyr) - 2)

    def points_before(self, time: Float[ArrayLike, ""]) -> AgePoints:
        """Points up to the age of the universe, `time` [Gyr]."""
        time = jnp.asarray(time)
        at, weight = np.polynomial.legendre.leggauss(self.points)
        # Stretches end with the universe before they are parted: that with the first stars has panels as short as any.
        marks = jnp.minimum(jnp.asarray(self.marks, time.dtype), time)
        part = np.concatenate([np.arange(n) / n for n in self.parts]).astype(time.dtype)
        stretch = np.repeat(np.arange(self.parts.size), self.parts)
        edges = jnp.append(marks[stretch] + part * jnp.diff(marks)[stretch], marks[-1])
        middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
        age = (middle[:, None] + half[:, None] * at.astype(time.dtype)).reshape(-1)
        return AgePoints(
            age=jnp.minimum(age, LAST * time),  # those of no width too are born after the beginning
            width=(half[:, None] * weight.astype(time.dtype)).reshape(-1),
            youngest=jnp.repeat(edges[:-1], self.points),
            oldest=jnp.repeat(edges[1:], self.points),
        )


@buildable
def panels_of(library: SSPGrid, *, widest: float = 0.1, points: int = 2) -> AgePanels:
    """The panels for the ages of a library; widest [Gyr] and points as in `AgePanels`."""
    ages = tuple(float(age) for age in np.asarray(library.ssp_lg_age_gyr))
    return AgePanels(lg_age_gyr=ages, widest=widest, points=points)
