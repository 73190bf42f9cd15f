"""How a simulation writes its files: names, units and the few rules that differ, as data."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from galdiff import units

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
    """

    names: tuple[str, ...]
    unit: Unit = PURE
    width: int = 1  # columns of the dataset; 1 means a plain (N,) array
    required: bool = True
    trusted: bool = True


@dataclasses.dataclass(frozen=True)
class Header:
    """Names under which the numbers of a snapshot stand in its attributes, the first one found wins."""

    scale_factor: tuple[str, ...] = ("ExpansionFactor", "Scale-factor", "Time")
    hubble: tuple[str, ...] = ("HubbleParam", "h")
    omega_m: tuple[str, ...] = ("Omega0", "Omega_m", "OmegaMatter")
    w: tuple[str, ...] = ("w_0", "w0")


def unchanged(columns: Columns) -> Columns:
    """The rule of a simulation that needs none."""
    return columns


@dataclasses.dataclass(frozen=True)
class Convention:
    """A simulation's files: how to know them, which fields to read, and what to derive from them.

    `stars_rule` and `gas_rule` turn the columns as read (internal units) into columns of the records; stars carry
    `formation` (scale factor at birth) instead of an age. `box` is the unit of Header.BoxSize where it is not that
    of the coordinates. `labels` are lower-case beginnings of the run's label in the header.
    """

    name: str
    stars: Mapping[str, Field]
    gas: Mapping[str, Field]
    recognise: Callable[["frozenset[str]", Mapping], bool]
    labels: tuple[str, ...] = ()
    box: Field | None = None
    stars_rule: Callable[[Columns], Columns] = unchanged
    gas_rule: Callable[[Columns], Columns] = unchanged
    header: Header = Header()
