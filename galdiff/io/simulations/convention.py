"""How a simulation writes its files: names, units and the few rules that differ, as data."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from galdiff import units
from galdiff.core.buildable import buildable
from galdiff.cosmology import Cosmology
from galdiff.io.simulations.look import Look
from galdiff.io.simulations.sphere import Sphere

KPC_CM = units.MPC_CM / 1e3
YEAR_S = units.GYR_S / 1e9
MSUN_CGS, MPC_CGS = units.MSUN_GADGET_G, units.MPC_GADGET_CM  # of Gadget, AREPO and their files

Columns = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A dimension: name and size in cgs of the unit used inside, and the code units [cgs] that can be meant by it."""

    name: str
    cgs: float
    lowest: float = 0.0
    highest: float = np.inf


KINDS = {
    "length": Kind("kpc", KPC_CM, 1e15, 1e30),
    "mass": Kind("Msun", units.MSUN_G, 1e31, 1e50),
    "velocity": Kind("km/s", 1e5, 1.0, 3e10),
    "energy": Kind("(km/s)^2", 1e10, 1.0, 1e21),
    "density": Kind("Msun/kpc^3", units.MSUN_G / KPC_CM**3, 1e-50, 1e3),
    "sfr": Kind("Msun/yr", units.MSUN_G / YEAR_S, 1e22, 1e30),
    "temperature": Kind("K", 1.0, 1e-3, 1e10),
    "pure": Kind("1", 1.0),  # fractions, scale factors: attributes carry no unit
}


@dataclasses.dataclass(frozen=True)
class Unit:
    """A code unit: one of `KINDS`, and stored value * cgs * a^a_power * h^h_power = value in cgs."""

    kind: str
    cgs: float = 1.0
    a_power: float = 0.0
    h_power: float = 0.0


PURE = Unit("pure")
KELVIN = Unit("temperature")


@dataclasses.dataclass(frozen=True)
class Field:
    """One dataset: the names it goes by, and its unit where the file does not tell.

    `trusted=False` says that the attributes of the files in circulation are known to be wrong: the unit here holds.
    `wider` allows more columns than `width`, which are left. Where the field is absent, the one called `instead` is
    taken, with a note.
    """

    names: tuple[str, ...]
    unit: Unit = PURE
    width: int = 1  # columns of the dataset; 1 means a plain (N,) array
    required: bool = True
    trusted: bool = True
    wider: bool = False
    instead: str | None = None


@dataclasses.dataclass(frozen=True)
class Header:
    """Names under which the numbers of a snapshot stand in its attributes, the first one found wins."""

    scale_factor: tuple[str, ...] = ("ExpansionFactor", "Scale-factor", "Time")
    hubble: tuple[str, ...] = ("HubbleParam", "h")
    omega_m: tuple[str, ...] = ("Omega0", "Omega_m", "OmegaMatter", "Omega_Matter")
    w: tuple[str, ...] = ("w_0", "w0")


@dataclasses.dataclass
class Raw:
    """What a reader hands on: columns in internal units, and where each came from (for messages)."""

    path: str
    convention: str
    stars: Columns
    gas: Columns | None
    labels: dict[str, str]
    redshift: float = 0.0
    box: np.ndarray | None = None
    nearest: float = np.inf  # distance [kpc] of the nearest star to the centre of the sphere, where one was asked for
    notes: tuple[str, ...] = ()  # what the user should hear, said once for all files of a snapshot


@dataclasses.dataclass(frozen=True)
class Request:
    """What `read_galaxy` was asked beside the path, as far as it matters to a convention."""

    cosmology: Cosmology | None = None
    units: Mapping[str, str] | None = None
    populations: Mapping | None = None
    sphere: Sphere | None = None  # a reader may leave what is outside


class Convention(abc.ABC):
    """How a code writes its files; one file of `galdiff.io.simulations.conventions` each, or of a trusted package.

    Attributes:
      name: as `convention=` of `read_galaxy` takes it.
      own_options: names of the fields of `Request` that other files have no use for, with what they are for.
      star_groups: groups that hold the stars; at least one must have particles.
      in_parts: whether a snapshot in several files is put together.
      hdf5: whether its files are HDF5 and nothing else.
    """

    name: ClassVar[str]
    own_options: ClassVar[Mapping[str, str]] = {}
    star_groups: ClassVar[tuple[str, ...]] = ("PartType4",)
    in_parts: ClassVar[bool] = True
    hdf5: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls, reads=True)

    @abc.abstractmethod
    def recognises(self, look: Look) -> bool:
        """Whether a file is of this convention and of no other, by what it holds, never by its name."""

    @abc.abstractmethod
    def read(self, path: str, request: Request) -> Raw:
        """Stars and gas of one file in internal units; no columns of stars where the file has none.

        Raises:
          InputError: naming file, field, what was expected and the remedy.
        """

    def claims(self, look: Look) -> bool:
        """Whether the label of the run in the header decides for this convention; by default there is none."""
        return False

    def cosmology(self, path: str) -> Cosmology | None:
        """Flat cosmology of a file's header; by default there is none."""
        return None
