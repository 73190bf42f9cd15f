"""From box coordinates to a galaxy at rest at the origin: checks, periodic wrap, centre, bulk velocity."""

from typing import Any

import numpy as np

from galdiff import units
from galdiff.errors import InputError
from galdiff.galaxy.centre import median, shrinking_sphere, systemic_velocity
from galdiff.io.simulations.convention import Columns, Raw
from galdiff.io.simulations.sphere import FARTHEST, nearest_image

CENTRES = ("median", "shrinking_sphere")
LIMITS = {  # largest absolute values that a particle can have, and their units
    "pos": (FARTHEST, "kpc"), "vel": (units.C_KMS, "km/s"), "mass": (1e14, "Msun"), "mass_now": (1e14, "Msun"),
    "age": (100.0, "Gyr"), "a_v": (1e3, "mag"), "smoothing": (FARTHEST, "kpc"), "temperature": (1e12, "K"),
    "sfr": (1e8, "Msun/yr"), "metallicity": (1.0, "a mass fraction"), "oxygen": (1.0, "a mass fraction"),
    "hydrogen": (1.0, "a mass fraction"), "energy": (units.C_KMS**2, "(km/s)^2"), "electrons": (10.0, "per hydrogen"),
    "density": (1e30, "Msun/kpc^3"),
}  # fmt: skip
SIGNED = ("pos", "vel")


def _complain(raw: Raw, key: str, text: str) -> InputError:
    return InputError(f"{raw.path}: {raw.labels.get(key, key)}: {text}")


def check_columns(raw: Raw) -> None:
    """Refuse columns that are no galaxy, naming file, field and how many entries are wrong.

    Raises:
      InputError: on non-finite values, negative masses or ages, Z outside 0..1, or units that cannot be meant.
    """
    if not len(raw.stars["mass"]):
        raise _complain(raw, "stars.mass", "no stars are left after wind particles are dropped; choose another galaxy")
    for kind, columns in (("stars", raw.stars), ("gas", raw.gas or {})):
        check_values(kind, columns, raw)
    _check_scales(raw)


def check_values(kind: str, columns: Columns, raw: Raw, signed: tuple[str, ...] = SIGNED) -> None:
    """Refuse columns of stars or gas with values that no particle can have.

    Args:
      kind: "stars" or "gas".
      columns: in internal units, (particle,) or (particle, n).
      raw: for messages.
      signed: columns that may be negative.

    Raises:
      InputError: naming file, field, how many particles, the worst value, and the remedy.
    """
    for name, values in columns.items():
        key = f"{kind}.{name}"
        if not values.size:
            continue
        if bad := int((~np.isfinite(values)).reshape(len(values), -1).any(1).sum()):
            raise _complain(
                raw, key, f"{bad} of {len(values)} particles have NaN or infinite values; drop these particles"
            )
        if name not in signed and (bad := int((values < 0).sum())):
            unit = {"age": " Gyr", "mass": " Msun", "mass_now": " Msun"}.get(name, "")
            raise _complain(
                raw,
                key,
                f"{bad} of {values.size} values of '{name}' are negative (lowest {values.min():.4g}{unit});"
                " expected zero or more: repair or drop them",
            )
        limit, unit = LIMITS.get(name, (np.inf, ""))
        if bad := int((np.abs(values) > limit).sum()):
            top = values.ravel()[np.argmax(np.abs(values))]
            raise _complain(
                raw,
                key,
                f"{bad} values exceed {limit:.4g} (highest {top:.4g}); expected {unit}: inconsistent"
                f"{' mass' if name == 'mass' else ''} unit, repair it, or drop these particles",
            )


def _check_scales(raw: Raw) -> None:
    """Units that contradict each other: gross factors, which no galaxy shows."""
    stars = raw.stars
    mass, speed = stars["mass"].sum(), np.abs(np.median(stars["vel"], 0)).max()
    if not 1.0 < mass < 1e14:
        raise _complain(
            raw, "stars.mass", f"the stars sum to {mass:.3g} Msun; expected 1 to 1e14 Msun: inconsistent mass unit"
        )
    if speed > units.C_KMS / 10:
        raise _complain(
            raw, "stars.vel", f"the median velocity is {speed:.3g} km/s; expected below 3e4 km/s: inconsistent unit"
        )
    if "mass_now" in stars and np.mean(stars["mass_now"] > 1.01 * stars["mass"]) > 0.01:
        raise _complain(
            raw,
            "stars.mass",
            "more than 1 % of the stars formed with less mass than they have now; inconsistent units of initial and"
            f" current mass ({raw.labels.get('stars.mass_now', 'mass_now')})",
        )
    extent = np.ptp(stars["pos"], axis=0)
    if raw.box is not None and (extent > 1.01 * raw.box).any():
        raise _complain(
            raw,
            "stars.pos",
            f"positions extend over {extent.max():.4g} kpc, but the box is {raw.box.max():.4g} kpc wide; inconsistent"
            " units of Coordinates and Header.BoxSize",
        )


def circular_mean(pos: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """A point (3,) [kpc] amid particles that may straddle the faces of a periodic box."""
    if box is None:
        return np.median(pos, 0)
    phase = np.exp(2j * np.pi * pos / box).mean(0)
    return np.angle(phase) / (2 * np.pi) * box


def chosen_centre(raw: Raw, centre: Any) -> np.ndarray:
    """Centre (3,) [kpc] in the coordinates of the file: given, or one of `CENTRES`; the stars are wrapped first."""
    if isinstance(centre, str):
        if centre not in CENTRES:
            raise InputError(f"centre = '{centre}' is unknown; allowed: {', '.join(CENTRES)}, or three numbers [kpc]")
        pos = nearest_image(raw.stars["pos"], circular_mean(raw.stars["pos"], raw.box), raw.box)
        mass = raw.stars.get("mass_now", raw.stars["mass"])
        mass = mass if mass.sum() > 0 else np.ones_like(mass)  # that there is no mass is said later
        return np.asarray(median(pos, mass > 0) if centre == "median" else shrinking_sphere(pos, mass))
    try:
        point = np.asarray(centre, dtype=float)
    except (TypeError, ValueError):
        point = np.full(3, np.nan)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise InputError(
            f"centre = {centre} is no point; expected three finite numbers [kpc] or one of {', '.join(CENTRES)}"
        )
    return point


def to_rest_frame(
    raw: Raw, centre: Any = "shrinking_sphere", r_max_kpc: float | None = None
) -> tuple[Columns, Columns | None]:
    """Stars and gas centred, cut to a sphere if asked, and with the bulk velocity of the inner stars removed.

    Args:
      raw: checked columns in box coordinates.
      centre: three numbers [kpc] in the file's (physical) coordinates, "median" or "shrinking_sphere".
      r_max_kpc: keep what lies within this radius [kpc] of the centre.
    """
    if r_max_kpc is not None and not r_max_kpc > 0:
        raise InputError(f"r_max_kpc = {r_max_kpc} is no radius; give a positive number [kpc] or null")
    point = chosen_centre(raw, centre)
    stars = _around(raw.stars, point, raw.box, r_max_kpc)
    gas = None if raw.gas is None else _around(raw.gas, point, raw.box, r_max_kpc)
    if not len(stars["mass"]):
        nearest = np.linalg.norm(nearest_image(raw.stars["pos"], point, raw.box) - point, axis=1).min()
        raise InputError(
            f"{raw.path}: no stars within r_max_kpc = {r_max_kpc} kpc of the centre {np.round(point, 3).tolist()} kpc;"
            f" the nearest star is {nearest:.4g} kpc away: enlarge r_max_kpc or give centre="
        )
    if not stars["mass"].sum() > 0:
        raise InputError(f"{raw.path}: all stars have zero mass; check {raw.labels.get('stars.mass', 'mass')}")
    bulk = systemic_velocity(stars["pos"], stars["vel"], stars.get("mass_now", stars["mass"]))
    stars = stars | {"vel": stars["vel"] - bulk}
    if gas is None or not len(gas["mass"]):
        return stars, None
    return stars, gas | {"vel": gas["vel"] - bulk}


def _around(columns: Columns, point: np.ndarray, box: np.ndarray | None, r_max_kpc: float | None) -> Columns:
    """Columns with positions relative to a point, cut to a sphere if asked."""
    columns = columns | {"pos": nearest_image(columns["pos"], point, box) - point}
    if r_max_kpc is None:
        return columns
    inside = np.linalg.norm(columns["pos"], axis=1) <= r_max_kpc
    return {name: values[inside] for name, values in columns.items()}
