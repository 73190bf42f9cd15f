"""N-body discs of Gadget (Springel 2005, MNRAS 364, 1105): particles without age or metallicity, which are assigned.

PartType2 is the disc, PartType3 the bulge, PartType4 (if there) other stars. Units are the usual ones of such
models, kpc, km/s and 1e10 Msun, where the file has no attributes. Only the present mass is known: it is taken as the
mass formed. Default populations are those SimSpin assigns (Harborne et al. 2020, PASA 37, e016).
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import ClassVar

import h5py
import numpy as np

from galdiff import units
from galdiff.core.numbers import numeric, scalar
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.io.simulations.columns import BLOCK, ROW, read_columns
from galdiff.io.simulations.convention import KPC_CM, Columns, Convention, Field, Raw, Request, Unit
from galdiff.io.simulations.cosmological import has_particles
from galdiff.io.simulations.look import Look, header_of, open_hdf5
from galdiff.io.simulations.snapshot import Epoch
from galdiff.io.simulations.sphere import Sphere

GROWN = ("Formation", "Birth", "Metal")  # in the names of fields of simulations of galaxy formation
GROUPS = {"PartType2": "disc", "PartType3": "bulge", "PartType4": "stars"}
FIELDS = {
    "pos": Field(("Coordinates",), Unit("length", KPC_CM), width=3),
    "vel": Field(("Velocities", "Velocity"), Unit("velocity", 1e5), width=3),
    "mass": Field(("Masses", "Mass"), Unit("mass", 1e10 * units.MSUN_G), required=False),
}


@dataclasses.dataclass(frozen=True)
class Population:
    """Age [Gyr] and metal mass fraction Z given to particles that have none, with Gaussian scatter in log10 [dex]."""

    age: float = 5.0
    metallicity: float = 0.024
    age_scatter: float = 0.0
    metallicity_scatter: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.age < 20 or not 0 < self.metallicity < 1:
            raise InputError(
                f"populations: age = {self.age} Gyr, metallicity = {self.metallicity}; allowed are 0 < age < 20 Gyr"
                " and a mass fraction 0 < metallicity < 1"
            )
        if self.age_scatter < 0 or self.metallicity_scatter < 0:
            raise InputError("populations: scatter [dex] is negative; give 0 or a positive number")

    def draw(self, count: int, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Ages [Gyr] and metallicities [1] of particles, inside (0, 13.8) Gyr and (0, 1).

        Args:
          count: number of all particles.
          rows: numbers of those that are wanted, rising, shape (row,); all of them by default. Each has what it has
            among all, drawn block by block.
        """
        rng = np.random.default_rng(self.seed)
        normal = rng.standard_normal((2, count)) if rows is None else [_some_normal(rng, count, rows) for _ in range(2)]
        return {
            "age": np.clip(self.age * 10 ** (self.age_scatter * normal[0]), 1e-5, max(13.8, self.age)),
            "metallicity": np.clip(self.metallicity * 10 ** (self.metallicity_scatter * normal[1]), 1e-6, 0.99),
        }


def _some_normal(rng: np.random.Generator, count: int, rows: np.ndarray) -> np.ndarray:
    """Some of the next `count` normal numbers, of which a block is held at once."""
    kept = []
    for start in range(0, count, BLOCK):
        drawn = rng.standard_normal(min(BLOCK, count - start))
        low, high = np.searchsorted(rows, (start, start + BLOCK))
        kept.append(drawn[rows[low:high] - start])
    return np.concatenate([np.zeros(0), *kept])


DEFAULTS = {
    "disc": Population(age=5.0, metallicity=0.024),
    "bulge": Population(age=10.0, metallicity=0.001),
    "stars": Population(age=5.0, metallicity=0.024),
}


def _population(name: str, given: Mapping) -> Population:
    if unknown := set(given) - set(DEFAULTS):
        raise InputError(f"populations: unknown component {', '.join(sorted(unknown))}; allowed: {', '.join(DEFAULTS)}")
    value = given.get(name, DEFAULTS[name])
    if isinstance(value, Population):
        return value
    if not isinstance(value, Mapping):
        raise InputError(f"populations.{name} = {value!r}; expected a mapping with age [Gyr] and metallicity")
    allowed = [field.name for field in dataclasses.fields(Population)]
    if wrong := [key for key in value if key not in allowed]:
        raise InputError(f"populations.{name}: unknown {', '.join(wrong)}; allowed: {', '.join(allowed)}")
    return dataclasses.replace(DEFAULTS[name], **value)


@typing.final
class Gadget(Convention):
    """Particles of discs and bulges."""

    name = "gadget"
    own_options: ClassVar = {"populations": "N-body files (gadget)"}
    star_groups = tuple(GROUPS)
    in_parts = False

    def recognises(self, look: Look) -> bool:
        """Whether there are disc or bulge particles, and none that knows its birth or its metals."""
        nbody = any(look.has(f"{group}/Coordinates") for group in ("PartType2", "PartType3"))
        return nbody and not any(
            name.startswith(("PartType0/", "PartType4/")) and any(word in name for word in GROWN)
            for name in look.shapes
        )

    def read(self, path: str, request: Request) -> Raw:
        """Disc, bulge and other stars of an N-body model, each with its assigned population.

        Args:
          path: of the snapshot.
          request: its `populations` are {"disc" | "bulge" | "stars": Population or its fields as a mapping}; the rest
            keeps its default.
        """
        with open_hdf5(path) as file:
            return _read(file, header_of(file), request.populations, request.sphere)


def _read(file: h5py.File, header: Mapping, populations: Mapping | None, sphere: Sphere | None) -> Raw:
    h = scalar(header.get("HubbleParam", 1.0), f"{file.filename}: Header.HubbleParam") or 1.0
    if not 0.1 < h < 2.0:
        raise InputError(f"{file.filename}: Header.HubbleParam = {h:.6g}; expected 0.1 < h < 2: repair the header")
    epoch = Epoch(1.0, h, Cosmology())  # Time is no scale factor here
    parts: list[Columns] = []
    labels: dict[str, str] = {}
    nearest = np.inf
    for group, name in GROUPS.items():
        if not has_particles(file, group):
            continue
        columns, names, closest = read_columns(file[group], FIELDS, epoch, "gadget", sphere, numbered=True)
        nearest, rows = min(nearest, closest), columns.pop(ROW, None)
        count = len(columns["pos"])
        if "mass" not in columns:
            table = np.ravel(numeric(header.get("MassTable", np.zeros(6)), f"{file.filename}: Header.MassTable"))
            mass = float(table[int(group[-1])]) if len(table) > int(group[-1]) else 0.0
            if not 0 < mass < np.inf:
                raise InputError(
                    f"{file.filename}: {group} has neither Masses nor an entry in Header.MassTable; add one"
                )
            columns["mass"] = np.full(count, mass * 1e10)
        columns |= _population(name, populations or {}).draw(len(file[f"{group}/Coordinates"]), rows)
        parts.append(columns)
        labels = {f"stars.{key}": label for key, label in names.items()} | labels
    stars = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Raw(file.filename, "gadget", stars | {"mass_now": stars["mass"]}, None, labels, nearest=nearest)
