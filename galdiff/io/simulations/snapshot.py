"""What a snapshot says of itself: when it is, in which universe, and in which units a dataset is."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from galdiff import units
from galdiff.core.numbers import scalar
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.io.simulations.convention import KINDS, Field, Header

ATTRIBUTES = (  # cgs factor, power of a, power of h, as EAGLE-like files, AREPO and SWIFT spell them
    ("CGSConversionFactor", "aexp-scale-exponent", "h-scale-exponent"),
    ("to_cgs", "a_scaling", "h_scaling"),
    ("Conversion factor to CGS (not including cosmological corrections)", "a-scale exponent", "h-scale exponent"),
)
LARGEST_POWER = 10.0  # of a or h in a unit
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclasses.dataclass(frozen=True)
class Epoch:
    """Scale factor, h and cosmology of a snapshot."""

    a: float
    h: float
    cosmology: Cosmology


def _number(header: Mapping, names: tuple[str, ...], path: str, meaning: str, default: float | None = None) -> float:
    for name in names:
        if name in header:
            value = scalar(header[name], f"{path}: Header.{name}")
            if value <= 0 and meaning != "w":
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
    if not (0.1 < h < 2.0 and 1e-3 < a <= 1.01 and omega_m <= 1.0 and -3.0 <= w < 0.0):
        raise InputError(
            f"{path}: Header gives h = {h:.6g}, a = {a:.6g}, Omega_m = {omega_m:.6g}, w = {w:.6g}; expected"
            " 0.1 < h < 2, 0.001 < a <= 1, 0 < Omega_m <= 1 and -3 <= w < 0: repair the header"
        )
    redshift = scalar(header.get("Redshift", 1.0 / a - 1.0), f"{path}: Header.Redshift")
    if abs(a * (1.0 + redshift) - 1.0) > 1e-3:
        raise InputError(
            f"{path}: scale factor {a:.6g} and Header.Redshift = {redshift:.6g} contradict each other"
            " (a = 1/(1+z) expected); repair the header"
        )
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
            cgs, a_power, h_power = (_attribute(attributes, name, where) for name in names)
            if not kind.lowest <= cgs <= kind.highest or max(abs(a_power), abs(h_power)) > LARGEST_POWER:
                raise InputError(
                    f"{where}: its attribute '{names[0]}' = {cgs:.4g}, with a^{a_power:g} h^{h_power:g}, is no unit of"
                    f" {field.unit.kind} in cgs (expected {kind.lowest:.0e} to {kind.highest:.0e}); correct the"
                    " attribute or delete it to use the convention's unit"
                )
    return cgs * epoch.a**a_power * epoch.h**h_power / kind.cgs


def _attribute(attributes: Mapping, name: str, where: str) -> float:
    try:
        return scalar(attributes.get(name, 0.0), f"{where}: its attribute '{name}'")
    except InputError as error:
        raise InputError(f"{error}, or delete it to use the convention's unit") from error
