"""A galaxy out of a snapshot of pynbody (Pontzen et al. 2013, ASCL 1305.002)."""

import pathlib
from typing import Any

import numpy as np

from galdiff.errors import InputError
from galdiff.io.simulations.convention import Raw
from galdiff.io.simulations.finish import galaxy_of
from galdiff.io.simulations.objects.columns import Quantity, Seen, formed_and_now, sound
from galdiff.records import Galaxy

COMMON = {
    "pos": Quantity("kpc", ("pos",), True),
    "vel": Quantity("km s^-1", ("vel",), True),
}
STARS = COMMON | {
    "mass": Quantity("Msol", ("massform",)),
    "mass_now": Quantity("Msol", ("mass",), True),
    "age": Quantity("Gyr", ("age",), True),
    "metallicity": Quantity("1", ("metals",), True),
}
GAS = COMMON | {
    "mass": Quantity("Msol", ("mass",), True),
    "metallicity": Quantity("1", ("metals",)),
    "temperature": Quantity("K", ("temp",)),
    "sfr": Quantity("Msol yr^-1", ("sfr",)),
}


def from_pynbody(sim: Any, *, centre: Any = "shrinking_sphere", r_max_kpc: float | None = None) -> Galaxy:
    """The stars and gas of a pynbody snapshot, or of a part of one (a halo, a filter, a slice).

    Args:
      sim: has families `star` and `gas`; arrays are converted by pynbody, so that any units will do.
      centre: as in `galdiff.read_galaxy`, in the coordinates that the object has now.
      r_max_kpc: the same [kpc].

    Returns:
      A galaxy as `galdiff.read_galaxy` gives it; without `massform` the present mass is taken, with a warning.

    Raises:
      InputError: not such an object, no stars, an array is absent or its unit is not of the kind that is needed.
    """
    what = f"pynbody snapshot {pathlib.Path(str(getattr(sim, 'filename', ''))).name}".strip()
    if any(getattr(sim, name, None) is None for name in ("star", "gas", "properties")):
        raise InputError(f"from_pynbody: {type(sim).__name__} is no pynbody snapshot; give what pynbody.load returns")
    if not len(sim.star):
        raise InputError(f"{what}: no stars; choose a part with star particles")
    stars, labels = Seen(what, "stars", _getter(sim.star), _convert).columns(STARS)
    stars, notes = formed_and_now(stars)
    gas, names = Seen(what, "gas", _getter(sim.gas), _convert).columns(GAS) if len(sim.gas) else ({}, {})
    scale = sim.properties.get("a")
    raw = Raw(
        path=what,
        convention="pynbody",
        stars=stars,
        gas=sound(gas),
        labels=labels | names,
        redshift=0.0 if scale is None else max(round(1.0 / float(scale) - 1.0, 12), 0.0),
        box=_box(sim),
        notes=notes,
    )
    return galaxy_of(raw, name=what.replace(" snapshot", ":", 1), centre=centre, r_max_kpc=r_max_kpc)


def _getter(family: Any) -> Any:
    def get(name: str) -> Any:
        try:
            return family[name]
        except KeyError:
            return None

    return get


def _convert(array: Any, unit: str) -> Any:
    if unit == "1" and str(array.units) in ("NoUnit()", "1", "1.00e+00"):
        return np.asarray(array)
    return np.asarray(array.in_units(unit))


def _box(sim: Any) -> np.ndarray | None:
    """Edges of the periodic box [kpc], (3,), where pynbody knows it."""
    size = sim.properties.get("boxsize")
    if size is None:
        return None
    try:
        edge = float(size.in_units("kpc", **sim.conversion_context()))
    except Exception:  # a box without a unit is none
        return None
    return np.full(3, edge) if 0 < edge < np.inf else None
