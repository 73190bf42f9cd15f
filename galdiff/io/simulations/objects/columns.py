"""What the adapters share: columns by the names under which an object has them, converted by its own units."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from galdiff.core.numbers import numeric
from galdiff.errors import InputError
from galdiff.io.simulations.convention import Columns
from galdiff.io.simulations.look import is_helium

FORMED = "there is no mass formed; the present mass is taken for it, which is too low for old stars by up to 40 %"
ELEMENTS = 11  # of GIZMO's table of metals


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A column: the unit that is wanted, in the words of the package, and the names it goes by."""

    unit: str
    names: tuple[str, ...]
    required: bool = False


@dataclasses.dataclass(frozen=True)
class Seen:
    """Particles of one kind in an object of another package.

    Attributes:
      what: the object, for messages; "pynbody snapshot a.hdf5".
      kind: "stars" or "gas".
      get: the array of a name, None where there is none.
      convert: an array in a unit, as plain numbers.
    """

    what: str
    kind: str
    get: Callable[[str], Any]
    convert: Callable[[Any, str], Any]

    def columns(self, wanted: Mapping[str, Quantity]) -> tuple[Columns, dict[str, str]]:
        """Columns as float64 in the units that are wanted, and the name that each was found by.

        Raises:
          InputError: one is absent, no number, in another kind of unit, or of another length than the first.
        """
        found: Columns = {}
        labels: dict[str, str] = {}
        for key, quantity in wanted.items():
            name = next((name for name in quantity.names if self.get(name) is not None), None)
            if name is None:
                if quantity.required:
                    raise InputError(
                        f"{self.what}: {self.kind} have no {' or '.join(quantity.names)} [{quantity.unit or '1'}]; add"
                        " it to the object, or read the file itself with galdiff.read_galaxy"
                    )
                continue
            found[key] = self._numbers(name, quantity.unit)
            labels[f"{self.kind}.{key}"] = f"{self.kind} {name}"
            count = len(next(iter(found.values())))
            if found[key].shape[:1] != (count,) or found[key].shape[1:] != ((3,) if key in ("pos", "vel") else ()):
                raise InputError(
                    f"{self.what}: {self.kind} {name} has shape {found[key].shape}; expected one value"
                    f"{' of three numbers' if key in ('pos', 'vel') else ''} for each of {count} particles"
                )
        return found, labels

    def _numbers(self, name: str, unit: str) -> np.ndarray:
        array = self.get(name)
        try:
            values = self.convert(array, unit)
        except Exception as error:  # each package has errors of its own for units
            has = getattr(array, "units", "none")
            raise InputError(
                f"{self.what}: {self.kind} {name} in units of {has} cannot be turned into {unit or 'pure numbers'}"
                f" ({' '.join(str(error).split())[:100]}); give the array its unit"
            ) from error
        values = numeric(values, f"{self.what}: {self.kind} {name}")
        metals = values.ndim == 2 and values.shape[1] >= ELEMENTS and is_helium(values[:, 1])
        return values[:, 0] if metals else values  # GIZMO's table begins with the sum of all metals


def formed_and_now(stars: Columns) -> tuple[Columns, tuple[str, ...]]:
    """Stars with a mass formed, for which the present mass stands in with a note where there is none."""
    if "mass" in stars:
        return stars, ()
    if "mass_now" not in stars:
        return stars, ()
    return stars | {"mass": stars["mass_now"]}, (FORMED,)


def sound(gas: Columns) -> Columns | None:
    """Gas, if there is any that can be used: it needs place, velocity, mass and metals; rates are not negative."""
    if not {"pos", "vel", "mass", "metallicity"} <= gas.keys() or not len(gas["mass"]):
        return None
    return gas | ({"sfr": np.maximum(gas["sfr"], 0.0)} if "sfr" in gas else {})
