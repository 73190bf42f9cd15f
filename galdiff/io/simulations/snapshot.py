"""Columns of simulation HDF5: header, units by attributes, and errors that name file and field."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from galdiff import units
from galdiff.core.hdf5 import member, read_dataset
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.io.simulations.convention import KINDS, Columns, Field, Header

ATTRIBUTES = (  # cgs factor, power of a, power of h, as EAGLE-like files, AREPO and SWIFT spell them
    ("CGSConversionFactor", "aexp-scale-exponent", "h-scale-exponent"),
    ("to_cgs", "a_scaling", "h_scaling"),
    ("Conversion factor to CGS (not including cosmological corrections)", "a-scale exponent", "h-scale exponent"),
)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclasses.dataclass(frozen=True)
class Epoch:
    """Scale factor, h and cosmology of a snapshot."""

    a: float
    h: float
    cosmology: Cosmology


def numeric(values: Any, where: str) -> np.ndarray:
    """Values as float64, in the unit [as stored] and shape they have; text is refused.

    Raises:
      InputError: they are no numbers.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} holds {np.asarray(values).dtype} entries that are no numbers; repair it") from error


def _number(header: Mapping, names: tuple[str, ...], path: str, meaning: str, default: float | None = None) -> float:
    for name in names:
        if name in header:
            value = numeric(np.ravel(header[name])[:1], f"{path}: Header.{name}").item()
            if not np.isfinite(value) or (value <= 0 and meaning != "w"):
                raise InputError(f"{path}: Header.{name} = {value} is no {meaning}; repair the attribute")
            return value
    if default is not None:
        return default
    found = ", ".join(sorted(header)) or "none"
    raise InputError(f"{path}: Header has no {meaning} ({' or '.join(names)}); attributes found: {found}")


def read_epoch(header: Mapping, names: Header, path: str) -> Epoch:
    """Scale factor, h and flat cosmology of the header; checked against Header.Redshift where there is one."""
    a = _number(header, names.scale_factor, path, "scale factor")
    h = _number(header, names.hubble, path, "h of H0 = 100 h km/s/Mpc")
    omega_m = _number(header, names.omega_m, path, "matter density")
    w = _number(header, names.w, path, "w", default=-1.0)
    redshift = numeric(header.get("Redshift", 1.0 / a - 1.0), f"{path}: Header.Redshift").item()
    if abs(a * (1.0 + redshift) - 1.0) > 1e-3:
        raise InputError(
            f"{path}: scale factor {a:.6g} and Header.Redshift = {redshift:.6g} contradict each other"
            " (a = 1/(1+z) expected); repair the header"
        )
    if not 0.1 < h < 2.0 or a > 1.01:
        raise InputError(f"{path}: Header gives h = {h:.6g}, a = {a:.6g}; expected 0.1 < h < 2 and a <= 1")
    return Epoch(min(a, 1.0), h, Cosmology(h0=100.0 * h, omega_m=omega_m, w=w))


def stellar_ages(formation: np.ndarray, a: float, cosmology: Cosmology) -> np.ndarray:
    """Ages [Gyr] at scale factor a of stars born at scale factor `formation` (star,), never below 10 kyr.

    t = int da / (a H) from birth to a, without radiation; in s = a^(3/2) the integrand is smooth, for wa = 0
    2/3 / sqrt(Om + (1 - Om) s^(-2w)) / H0, and an integral over the interval itself keeps the precision of young stars
    (a difference of two times would not).
    """
    om, w, wa = (float(np.asarray(x)) for x in (cosmology.omega_m, cosmology.w, cosmology.wa))
    low, high = formation**1.5, a**1.5
    total = np.zeros_like(formation)
    for node, weight in zip((NODES + 1.0) / 2.0, WEIGHTS / 2.0, strict=True):
        s = low + (high - low) * node
        total += weight / np.sqrt(
            om + (1.0 - om) * s ** (-2.0 * (w + wa)) * np.exp(-3.0 * wa * (1.0 - s ** (2.0 / 3.0)))
        )
    return np.maximum(
        units.MPC_KMS_PER_GYR / float(np.asarray(cosmology.h0)) * (2.0 / 3.0) * (high - low) * total, 1e-5
    )


def conversion(attributes: Mapping, field: Field, epoch: Epoch, where: str) -> float:
    """Factor from stored values to the internal unit of the field, by its attributes, else by its convention."""
    kind = KINDS[field.unit.kind]
    if field.unit.kind == "pure":
        return 1.0
    cgs, a_power, h_power = field.unit.cgs, field.unit.a_power, field.unit.h_power
    for names in ATTRIBUTES:
        if field.trusted and names[0] in attributes:
            cgs, a_power, h_power = (float(np.ravel(attributes.get(name, 0.0))[0]) for name in names)
            if not kind.lowest <= cgs <= kind.highest:
                raise InputError(
                    f"{where}: its attribute '{names[0]}' = {cgs:.4g} is no unit of {field.unit.kind} in cgs (expected"
                    f" {kind.lowest:.0e} to {kind.highest:.0e}); correct the attribute or delete it to use the"
                    " convention's unit"
                )
    return cgs * epoch.a**a_power * epoch.h**h_power / kind.cgs


def _missing(group: h5py.Group, field: Field, convention: str, path: str) -> InputError:
    names: list[str] = []
    group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    near = difflib.get_close_matches(field.names[0], names, n=3, cutoff=0.5)
    hint = f"nearest names: {', '.join(near)}" if near else f"fields found: {', '.join(sorted(names)) or 'none'}"
    return InputError(
        f"{path}: {group.name.strip('/')} has no {' or '.join(field.names)}, which files of '{convention}' hold"
        f" ({KINDS[field.unit.kind].name}); {hint}; add the field, or name another convention="
    )


def read_columns(
    group: h5py.Group, fields: Mapping[str, Field], epoch: Epoch, convention: str
) -> tuple[Columns, dict[str, str]]:
    """All fields of a particle group as float64 in internal units, and the dataset each was read from.

    Raises:
      InputError: a required field is missing, has the wrong shape, or a unit that cannot be meant.
    """
    path = group.file.filename
    columns: Columns = {}
    labels: dict[str, str] = {}
    count = -1  # set by the first field
    for key, field in fields.items():
        name = next((name for name in field.names if isinstance(member(group, name), h5py.Dataset)), None)
        if name is None:
            if field.required:
                raise _missing(group, field, convention, path)
            continue
        dataset = group[name]
        label = f"{group.name.strip('/')}/{name}"
        count = dataset.shape[0] if count < 0 and dataset.ndim else count
        _check_shape(dataset, count, field, f"{path}: {label}")
        rows = (slice(None), slice(field.width)) if field.width > 1 else ()
        values = numeric(read_dataset(dataset, rows), f"{path}: {label}").reshape(
            (count, field.width) if field.width > 1 else (count,)
        )
        columns[key] = values * conversion(dataset.attrs, field, epoch, f"{path}: {label}")
        labels[key] = label
    for key, field in fields.items():
        if key not in columns and field.instead in columns:
            columns[key], labels[key] = columns[field.instead], labels[field.instead]
    return columns, labels


def _check_shape(dataset: h5py.Dataset, count: int, field: Field, where: str) -> None:
    expected: tuple[int, ...] = (count, field.width) if field.width > 1 else (count,)
    allowed = [expected] if field.width > 1 else [expected, (count, 1)]
    if field.wider and dataset.ndim == 2:
        allowed.append((count, max(field.width, dataset.shape[1])))
    if dataset.shape not in allowed:
        more = " or more columns" if field.wider else ""
        raise InputError(
            f"{where} has shape {dataset.shape}; expected {expected}{more}: one row per particle, as in the first field"
            " of the group"
        )
