"""Where the haloes of a mock survey are: a box at one redshift, or a lightcone."""

import abc
import dataclasses
import math
from typing import Any

import jax
import numpy as np

from galdiff import units
from galdiff.core.buildable import buildable
from galdiff.cosmology import Cosmology, comoving_distance, hubble
from galdiff.errors import InputError

SKY = 4 * math.pi * (180 / math.pi) ** 2  # deg^2
HIGHEST = 10.0  # redshift
N_TABLE = 257
NEAREST = 1.0  # Mpc, of a galaxy whose satellites are moved across the sky


class Volume(abc.ABC):
    """A part of the universe."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def slices(self, cosmology: Cosmology) -> tuple[np.ndarray, np.ndarray]:
        """Redshifts (slice,) and comoving volumes per unit of the axis there [Mpc^3], to integrate by trapezoids."""

    @abc.abstractmethod
    def positions(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Random places of n haloes by name: shapes (n,) [units of `position_units`]."""

    @abc.abstractmethod
    def displaced(
        self, places: dict[str, np.ndarray], offset: np.ndarray, redshift: np.ndarray, cosmology: Cosmology
    ) -> dict[str, np.ndarray]:
        """Places by name, shapes (n,) [units of `position_units`], moved by offsets (n, 3) [Mpc, comoving]."""

    position_units: dict[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot(Volume):
    """A cube at one redshift.

    Attributes:
      redshift: of all; side: of the cube [Mpc, comoving].
    """

    redshift: float
    side: float
    position_units = {"x": "Mpc", "y": "Mpc", "z": "Mpc"}  # noqa: RUF012

    def __post_init__(self) -> None:
        if not 0.0 <= self.redshift <= HIGHEST:
            raise InputError(f"redshift of the snapshot is {self.redshift}; give 0 to {HIGHEST:g}")
        if not 0.0 < self.side <= 1e4:
            raise InputError(f"side of the snapshot is {self.side} Mpc; give one above 0 and up to 1e4")

    def slices(self, cosmology: Cosmology) -> tuple[np.ndarray, np.ndarray]:
        """One redshift [1], shape (1,), and the volume [Mpc^3]."""
        return np.array([self.redshift]), np.array([self.side**3])

    def positions(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Uniform in the cube [Mpc], each of shape (n,)."""
        return {name: rng.uniform(0.0, self.side, n) for name in "xyz"}

    def displaced(
        self, places: dict[str, np.ndarray], offset: np.ndarray, redshift: np.ndarray, cosmology: Cosmology
    ) -> dict[str, np.ndarray]:
        """Places [Mpc] by name, shapes (n,), moved by offsets (n, 3) [Mpc]; who leaves the cube comes in again."""
        return {name: (places[name] + offset[:, i]) % self.side for i, name in enumerate("xyz")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lightcone(Volume):
    """A patch of sky between two redshifts.

    Attributes:
      area: of the patch [deg^2]; redshifts: lowest and highest.
    """

    area: float
    redshifts: tuple[float, float]
    position_units = {"ra": "deg", "dec": "deg"}  # noqa: RUF012

    def __post_init__(self) -> None:
        if not 0.0 < self.area <= SKY:
            raise InputError(f"area of the lightcone is {self.area} deg^2; give one above 0 and up to {SKY:.0f}")
        if len(self.redshifts) != 2 or not 0.0 <= self.redshifts[0] < self.redshifts[1] <= HIGHEST:
            raise InputError(
                f"redshifts of the lightcone are {list(self.redshifts)}; give two that rise, from 0 to {HIGHEST:g}"
            )

    def slices(self, cosmology: Cosmology) -> tuple[np.ndarray, np.ndarray]:
        """Redshifts [1] and dV/dz of the patch [Mpc^3], shapes (slice,)."""
        z = np.linspace(*self.redshifts, N_TABLE)
        d, rate = jax.jit(lambda x: (comoving_distance(cosmology, x), hubble(cosmology, x)))(z)
        steradian = self.area * (math.pi / 180) ** 2
        return z, steradian * units.C_KMS / np.asarray(rate, float) * np.asarray(d, float) ** 2

    def positions(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Uniform in a patch about (0, 0), as high as wide [deg], each of shape (n,)."""
        half = min(math.radians(math.sqrt(self.area)) / 2, math.pi / 2)
        wide = self.area * (math.pi / 180) ** 2 / (2 * math.sin(half))
        dec = np.arcsin(rng.uniform(-math.sin(half), math.sin(half), n))
        return {"ra": np.degrees(rng.uniform(-wide / 2, wide / 2, n)) % 360, "dec": np.degrees(dec)}

    def displaced(
        self, places: dict[str, np.ndarray], offset: np.ndarray, redshift: np.ndarray, cosmology: Cosmology
    ) -> dict[str, np.ndarray]:
        """Places [deg] by name, shapes (n,), moved across the sky by offsets (n, 3) [Mpc, comoving]."""
        distance = np.asarray(jax.jit(lambda z: comoving_distance(cosmology, z))(redshift), float)
        east, north = (np.degrees(offset[:, i] / np.maximum(distance, NEAREST)) for i in (0, 1))
        stretch = np.maximum(np.cos(np.radians(places["dec"])), 1e-3)
        return {"ra": (places["ra"] + east / stretch) % 360, "dec": np.clip(places["dec"] + north, -90.0, 90.0)}


def total(volume: Volume, cosmology: Cosmology) -> float:
    """Comoving size of a volume [Mpc^3]."""
    z, weight = volume.slices(cosmology)
    return float(np.trapezoid(weight, z) if z.size > 1 else weight[0])
