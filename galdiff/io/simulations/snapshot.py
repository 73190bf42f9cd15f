"""The one reader of simulation HDF5: header, units by attributes, and errors that name file and field."""

import contextlib
import dataclasses
import difflib
import os
import warnings
from collections.abc import Iterator, Mapping

import h5py
import numpy as np

from galdiff import units
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.io.simulations.convention import KINDS, Columns, Convention, Field, Header

ATTRIBUTES = (  # cgs factor, power of a, power of h, as EAGLE-like files, AREPO and SWIFT spell them
    ("CGSConversionFactor", "aexp-scale-exponent", "h-scale-exponent"),
    ("to_cgs", "a_scaling", "h_scaling"),
    ("Conversion factor to CGS (not including cosmological corrections)", "a-scale exponent", "h-scale exponent"),
)
HEADER_GROUPS = ("Units", "Parameters", "Cosmology", "Header")  # the last one wins
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


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


@dataclasses.dataclass(frozen=True)
class Epoch:
    """Scale factor, h and cosmology of a snapshot."""

    a: float
    h: float
    cosmology: Cosmology


@contextlib.contextmanager
def open_hdf5(path: str) -> Iterator[h5py.File]:
    """An HDF5 file to read, with the library's errors turned into one line."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:  # h5py raises either for damaged files
        size = os.path.getsize(path)
        raise InputError(
            f"{path}: HDF5 cannot be read ({' '.join(str(error).split())}); the file has {size} bytes and is probably"
            " truncated or damaged: copy it again and compare the checksum"
        ) from error


def dataset_paths(file: h5py.File) -> frozenset[str]:
    """Paths of all datasets, and `path[columns]` for those with two axes."""
    paths: set[str] = set()

    def visit(name: str, item) -> None:
        if isinstance(item, h5py.Dataset):
            paths.add(name)
            if item.ndim == 2:
                paths.add(f"{name}[{item.shape[1]}]")

    file.visititems(visit)
    return frozenset(paths)


def header_of(file: h5py.File) -> dict:
    """Attributes of the header-like groups; arrays of length 1 become scalars, bytes become text."""
    merged = {}
    for group in HEADER_GROUPS:
        if group in file:
            for key, value in file[group].attrs.items():
                if isinstance(value, np.ndarray) and value.size == 1:
                    value = value.reshape(-1)[0]
                merged[key] = value.decode() if isinstance(value, bytes) else value
    return merged


def _numeric(values, where: str) -> np.ndarray:
    """Values as float64; text is refused."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} holds {np.asarray(values).dtype} entries that are no numbers; repair it") from error


def _number(header: Mapping, names: tuple[str, ...], path: str, meaning: str, default: float | None = None) -> float:
    for name in names:
        if name in header:
            value = _numeric(np.ravel(header[name])[:1], f"{path}: Header.{name}").item()
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
    redshift = _numeric(header.get("Redshift", 1.0 / a - 1.0), f"{path}: Header.Redshift").item()
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
        name = next((name for name in field.names if isinstance(group.get(name), h5py.Dataset)), None)
        if name is None:
            if field.required:
                raise _missing(group, field, convention, path)
            continue
        dataset = group[name]
        label = f"{group.name.strip('/')}/{name}"
        count = dataset.shape[0] if count < 0 and dataset.ndim else count
        expected: tuple[int, ...] = (count, field.width) if field.width > 1 else (count,)
        if dataset.shape != expected and not (field.width == 1 and dataset.shape == (count, 1)):
            raise InputError(
                f"{path}: {label} has shape {dataset.shape}; expected {expected}: one row per particle, as in the"
                " first field of the group"
            )
        values = _numeric(dataset[()], f"{path}: {label}").reshape(expected)
        columns[key] = values * conversion(dataset.attrs, field, epoch, f"{path}: {label}")
        labels[key] = label
    return columns, labels


def box_size(file: h5py.File, header: Mapping, convention: Convention, epoch: Epoch) -> np.ndarray | None:
    """Edges of the periodic box [kpc], (3,), or None where there is none."""
    edges = np.ravel(_numeric(header.get("BoxSize", 0.0), f"{file.filename}: Header.BoxSize"))
    if not (edges > 0).all():
        return None
    field, attributes = convention.stars["pos"], file["PartType4"][convention.stars["pos"].names[0]].attrs
    if convention.box is not None:
        field, attributes = convention.box, {}
    factor = conversion(attributes, field, epoch, f"{file.filename}: BoxSize")
    return np.broadcast_to(edges[:3] if edges.size >= 3 else edges[:1], (3,)) * factor


def _has_particles(file: h5py.File, group: str) -> bool:
    return group in file and any(isinstance(x, h5py.Dataset) and x.shape[:1] != (0,) for x in file[group].values())


def require_stars(file: h5py.File, groups: tuple[str, ...]) -> None:
    """Refuse a file whose star groups are absent or empty."""
    if not any(_has_particles(file, group) for group in groups):
        found = ", ".join(sorted(file)) or "nothing"
        raise InputError(
            f"{file.filename}: no stars: {' or '.join(groups)} is absent or empty (found: {found}); choose a galaxy"
            " or a snapshot with star particles"
        )


def read_cosmological(
    file: h5py.File, header: Mapping, convention: Convention, cosmology: Cosmology | None = None
) -> Raw:
    """Stars and gas of a snapshot of a cosmological simulation."""
    require_stars(file, ("PartType4",))
    epoch = read_epoch(header, convention.header, file.filename)
    if (parts := int(header.get("NumFilesPerSnapshot", 1))) > 1:
        warnings.warn(f"{file.filename} is one of {parts} files of a snapshot: the galaxy may be cut", stacklevel=2)
    stars, names = read_columns(file["PartType4"], convention.stars, epoch, convention.name)
    labels = {f"stars.{key}": name for key, name in names.items()}
    stars = convention.stars_rule(stars)
    labels.setdefault("stars.metallicity", labels.get("stars.metals", "metallicity"))
    formation = stars.pop("formation")
    _check_formation(formation, epoch.a, f"{file.filename}: {labels['stars.formation']}")
    stars["age"] = stellar_ages(np.minimum(formation, epoch.a), epoch.a, cosmology or epoch.cosmology)
    gas = None
    if _has_particles(file, "PartType0"):
        gas, names = read_columns(file["PartType0"], convention.gas, epoch, convention.name)
        labels |= {f"gas.{key}": name for key, name in names.items()}
        gas = convention.gas_rule(gas)
    return Raw(
        path=file.filename,
        convention=convention.name,
        stars=stars,
        gas=gas,
        labels=labels,
        redshift=round(1.0 / epoch.a - 1.0, 12),  # a = 1 in single precision is today
        box=box_size(file, header, convention, epoch),
    )


def _check_formation(formation: np.ndarray, a: float, where: str) -> None:
    if (bad := int((~np.isfinite(formation) | (formation <= 0)).sum())) > 0:
        raise InputError(
            f"{where}: {bad} of {formation.size} scale factors at birth are not positive numbers; drop these particles"
        )
    late = formation > a * (1 + 1e-5)  # single precision in the file
    if late.any():
        raise InputError(
            f"{where}: {int(late.sum())} of {formation.size} stars form at a = {formation.max():.5g}, after the"
            f" snapshot (a = {a:.5g}); expected scale factors at birth, not ages or redshifts"
        )
