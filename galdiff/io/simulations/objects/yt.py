"""A galaxy out of a data set or a region of yt (Turk et al. 2011, ApJS 192, 9)."""

import pathlib
from typing import Any

import numpy as np

from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.io.simulations.convention import Columns, Raw
from galdiff.io.simulations.finish import galaxy_of
from galdiff.io.simulations.objects.columns import Quantity, Seen, formed_and_now, sound
from galdiff.io.simulations.snapshot import stellar_ages
from galdiff.records import Galaxy

STAR_TYPES = ("PartType4", "star", "stars", "Stars", "young_stars")
GAS_TYPES = ("PartType0", "Gas", "gas")
COMMON = {
    "pos": Quantity("kpc", ("particle_position",), True),
    "vel": Quantity("km/s", ("particle_velocity",), True),
}
FORMED = ("particle_initial_mass", "particle_mass_initial", "InitialMass", "InitialMasses", "GFM_InitialMass")
BIRTH = Quantity("dimensionless", ("StellarFormationTime", "GFM_StellarFormationTime", "BirthScaleFactors"))
METALS = ("particle_metallicity", "metallicity", "GFM_Metallicity", "Metallicity_00", "Metallicity")
STARS = COMMON | {
    "mass": Quantity("Msun", FORMED),
    "mass_now": Quantity("Msun", ("particle_mass",), True),
    "age": Quantity("Gyr", ("age", "stellar_age", "particle_age")),
    "metallicity": Quantity("dimensionless", METALS, True),
}
GAS = COMMON | {
    "mass": Quantity("Msun", ("particle_mass",), True),
    "metallicity": Quantity("dimensionless", METALS),
    "temperature": Quantity("K", ("temperature", "Temperature")),
    "sfr": Quantity("Msun/yr", ("StarFormationRate", "star_formation_rate")),
    "smoothing": Quantity("kpc", ("smoothing_length", "SmoothingLength")),
}


def from_yt(ds: Any, *, centre: Any = "shrinking_sphere", r_max_kpc: float | None = None) -> Galaxy:
    """The star particles, and the gas particles if there are any, of a yt data set or a region of one.

    Args:
      ds: what `yt.load` returns, or a region (`ds.sphere(...)`); arrays are converted by yt, from any code units.
      centre: as in `galdiff.read_galaxy`, in the coordinates of the data set.
      r_max_kpc: the same [kpc].

    Returns:
      A galaxy as `galdiff.read_galaxy` gives it; without a mass formed the present mass is taken, with a warning. Gas
      in cells is left, with a warning.

    Raises:
      InputError: not such an object, no stars, a field is absent or its unit is not of the kind that is needed.
    """
    whole = getattr(ds, "all_data", None)
    region = ds if whole is None else whole()
    data: Any = getattr(region, "ds", None)
    if getattr(data, "particle_types", None) is None:
        raise InputError(f"from_yt: {type(ds).__name__} is no yt data set or region; give what yt.load returns")
    what = f"yt data set {pathlib.Path(str(data)).name}"
    fields = {tuple(field) for field in (*data.field_list, *data.derived_field_list)}
    kinds = {kind for kind, _ in fields}
    star = next((kind for kind in STAR_TYPES if kind in kinds and (kind, "particle_position") in fields), None)
    if star is None or not len(region[star, "particle_position"]):
        raise InputError(
            f"{what}: no stars: none of {', '.join(STAR_TYPES)} among its particles"
            f" ({', '.join(map(str, data.particle_types))}); choose a region with stars, or name a filter 'stars'"
        )
    seen = Seen(what, "stars", _getter(region, star, fields), _convert)
    stars, labels = seen.columns(STARS)
    stars, notes = formed_and_now(stars)
    if "age" not in stars:
        stars, labels = _with_ages(seen, stars, labels, data)
    kind = next((kind for kind in GAS_TYPES if (kind, "particle_position") in fields), None)
    get = None if kind is None else _getter(region, kind, fields)
    gas, names = Seen(what, "gas", get, _convert).columns(GAS) if get is not None else ({}, {})
    if kind is None and ("gas", "density") in fields:
        notes += ("gas in cells is left",)
    raw = Raw(
        path=what,
        convention="yt",
        stars=stars,
        gas=sound(gas),
        labels=labels | names,
        redshift=max(float(data.current_redshift), 0.0) if data.cosmological_simulation else 0.0,
        box=np.asarray(data.domain_width.to_value("kpc"), float) if all(data.periodicity) else None,
        notes=notes,
    )
    return galaxy_of(raw, name=what.replace(" data set", ":", 1), centre=centre, r_max_kpc=r_max_kpc)


def _getter(region: Any, kind: str, fields: set) -> Any:
    return lambda name: region[kind, name] if (kind, name) in fields else None


def _convert(array: Any, unit: str) -> Any:
    return array.to_value(unit)


def _with_ages(seen: Seen, stars: Columns, labels: dict[str, str], data: Any) -> tuple[Columns, dict[str, str]]:
    """Ages [Gyr] of stars (star,) from scale factors at birth, in the flat cosmology of the data set."""
    birth, names = seen.columns({"pos": STARS["pos"], "age": BIRTH})
    if "age" not in birth or not data.cosmological_simulation:
        raise InputError(
            f"{seen.what}: stars have no age [Gyr] or scale factor at birth ({', '.join(BIRTH.names)}); add a field"
            " 'age'"
        )
    a = 1.0 / (1.0 + float(data.current_redshift))
    formed = birth["age"]
    if not ((formed > 0) & (formed <= a * (1 + 1e-5))).all():
        raise InputError(
            f"{seen.what}: {names['stars.age']} lies between {formed.min():.4g} and {formed.max():.4g}; expected scale"
            f" factors at birth up to {a:.4g}: leave wind and other particles out of the region"
        )
    universe = Cosmology(h0=100.0 * float(data.hubble_constant), omega_m=float(data.omega_matter))
    return stars | {"age": stellar_ages(np.minimum(formed, a), a, universe)}, labels | names
