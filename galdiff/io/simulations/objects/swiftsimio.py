"""A galaxy out of data of swiftsimio (Borrow & Borrisov 2020, JOSS 5, 2430)."""

import pathlib
from typing import Any

import numpy as np

from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.io.simulations.convention import Raw
from galdiff.io.simulations.finish import galaxy_of
from galdiff.io.simulations.objects.columns import Quantity, Seen, formed_and_now, sound
from galdiff.io.simulations.snapshot import stellar_ages
from galdiff.records import Galaxy

COMMON = {
    "pos": Quantity("kpc", ("coordinates",), True),
    "vel": Quantity("km/s", ("velocities",), True),
}
STARS = COMMON | {
    "mass": Quantity("Msun", ("initial_masses",)),
    "mass_now": Quantity("Msun", ("masses",), True),
    "metallicity": Quantity("dimensionless", ("metal_mass_fractions", "smoothed_metal_mass_fractions"), True),
    "birth": Quantity("dimensionless", ("birth_scale_factors",), True),
}
GAS = COMMON | {
    "mass": Quantity("Msun", ("masses",), True),
    "metallicity": Quantity("dimensionless", ("metal_mass_fractions", "smoothed_metal_mass_fractions")),
    "temperature": Quantity("K", ("temperatures",)),
    "sfr": Quantity("Msun/yr", ("star_formation_rates",)),
    "smoothing": Quantity("kpc", ("smoothing_lengths",)),
}


def from_swiftsimio(data: Any, *, centre: Any = "shrinking_sphere", r_max_kpc: float | None = None) -> Galaxy:
    """The stars and gas of a snapshot that swiftsimio opened, whole or with a mask.

    Args:
      data: what `swiftsimio.load` returns; arrays are made physical and converted by swiftsimio.
      centre: as in `galdiff.read_galaxy`, in physical coordinates of the box.
      r_max_kpc: the same [kpc].

    Returns:
      A galaxy as `galdiff.read_galaxy` gives it; ages are those of the snapshot's cosmology, taken as flat.

    Raises:
      InputError: not such an object, no stars, a field is absent or its unit is not of the kind that is needed.
    """
    meta: Any = getattr(data, "metadata", None)
    if getattr(meta, "scale_factor", None) is None:
        raise InputError(
            f"from_swiftsimio: {type(data).__name__} is no swiftsimio data; give what swiftsimio.load returns"
        )
    what = f"swiftsimio snapshot {pathlib.Path(str(meta.filename)).name}"
    if getattr(data, "stars", None) is None or not len(data.stars.coordinates):
        raise InputError(f"{what}: no stars; choose a snapshot, or a mask, with star particles")
    a = float(np.ravel(meta.scale_factor)[0])
    stars, labels = Seen(what, "stars", _getter(data.stars), _convert).columns(STARS)
    stars, notes = formed_and_now(stars)
    birth = stars.pop("birth")
    labels["stars.age"] = labels.pop("stars.birth")
    if not ((birth > 0) & (birth <= a * (1 + 1e-5))).all():
        raise InputError(
            f"{what}: {labels['stars.age']} lie between {birth.min():.4g} and {birth.max():.4g}; expected scale factors"
            f" up to {a:.4g}: leave other particles out with a mask"
        )
    stars["age"] = stellar_ages(np.minimum(birth, a), a, _universe(meta, what))
    there = getattr(data, "gas", None)
    gas, names = Seen(what, "gas", _getter(there), _convert).columns(GAS) if there is not None else ({}, {})
    raw = Raw(
        path=what,
        convention="swiftsimio",
        stars=stars,
        gas=sound(gas),
        labels=labels | names,
        redshift=max(round(1.0 / a - 1.0, 12), 0.0),
        box=np.asarray(meta.boxsize.to_physical_value("kpc"), float),
        notes=notes,
    )
    return galaxy_of(raw, name=what.replace(" snapshot", ":", 1), centre=centre, r_max_kpc=r_max_kpc)


def _getter(particles: Any) -> Any:
    return lambda name: getattr(particles, name, None)


def _convert(array: Any, unit: str) -> Any:
    return array.to_physical_value(unit)


def _universe(meta: Any, what: str) -> Cosmology:
    """Flat cosmology of a snapshot, as astropy has it."""
    found = meta.cosmology
    if found is None:
        raise InputError(f"{what}: it is not cosmological, so that scale factors at birth give no ages; add ages [Gyr]")
    w = float(getattr(found, "w0", -1.0))
    return Cosmology(h0=float(found.H0.to_value("km / (s Mpc)")), omega_m=float(found.Om0), w=w)
