"""Valid files of every convention, and what can be wrong with them: each mutation says what it may touch.

A mutation takes a path and a random generator, spoils the file, and returns a `Promise`: that reading must be refused,
naming one of some words, or may give a galaxy that differs in nothing but the columns and rows that were touched.
"""

import dataclasses
import pathlib
import warnings

import h5py
import numpy as np
from astropy.table import Table
from simulation_files import (
    N_GAS,
    field,
    galaxy,
    write_eagle,
    write_gadget,
    write_gizmo,
    write_horizon,
    write_magneticum,
    write_swift,
    write_tng,
)

from galdiff.io.simulations import known_conventions

EVERYTHING = frozenset({"*"})
TOUCHES = {  # columns of the records that follow from a column of a file, beside that of the same name
    "formation": {"age"},
    "metals": {"metallicity", "oxygen", "hydrogen", "temperature"},
    "energy": {"temperature"},
    "electrons": {"temperature"},
    "density": {"smoothing"},
    "mass": {"metallicity", "oxygen", "hydrogen", "smoothing", "mass_now"},
    "mass_now": {"mass"},
}


@dataclasses.dataclass(frozen=True)
class Promise:
    """What may come of a spoilt file.

    Attributes:
      what: was done, for the report.
      refused: True for must be, False for must not be, None for may be.
      named: words of which a refusal holds one.
      touched: "stars.mass" and the like; "*" for everything.
      rows: particles that were touched; None for all.
      fewer: whether particles may be lost.
    """

    what: str
    refused: bool | None = None
    named: tuple[str, ...] = ()
    touched: frozenset[str] = frozenset()
    rows: tuple[int, ...] | None = ()
    fewer: bool = False


def _gas(path, names, group="PartType0"):
    part = galaxy(2, N_GAS)
    with h5py.File(path, "r+") as file:
        stars = file["PartType4"]
        scale = np.median(stars["Coordinates"], 0)
        values = {
            "pos": part["pos"] * np.std(stars["Coordinates"][:, 0]) / 2.0 + scale,
            "vel": part["vel"],
            "mass": np.full(N_GAS, 1e-5),
            "z": np.full(N_GAS, 0.01),
            "sfr": np.full(N_GAS, 0.02),
            "energy": np.full(N_GAS, 100.0),
            "electrons": np.full(N_GAS, 1.1),
            "density": np.full(N_GAS, 1e-5),
            "metals": np.full((N_GAS, 10), 0.1),
            "temperature": np.full(N_GAS, 1e4),
        }
        made = file.create_group(group)
        for key, name in names.items():
            field(made, name, values[key])


def _tng(path):
    write_tng(path, NumFilesPerSnapshot=1, RunLabel=b"Illustris")
    with h5py.File(path, "r+") as file:
        del file["Header"].attrs["RunLabel"]
        file["PartType4/Masses"] = file["PartType4/GFM_InitialMass"][()] * 0.6
    names = {"pos": "Coordinates", "vel": "Velocities", "mass": "Masses", "z": "GFM_Metallicity"}
    names |= {"energy": "InternalEnergy", "electrons": "ElectronAbundance", "density": "Density"}
    _gas(path, names | {"sfr": "StarFormationRate", "metals": "GFM_Metals"})


def _swift(path):
    write_swift(path, NumFilesPerSnapshot=1)
    names = {"pos": "Coordinates", "vel": "Velocities", "mass": "Masses", "z": "MetalMassFractions"}
    _gas(path, names | {"sfr": "StarFormationRates", "temperature": "Temperatures"})


def table_columns():
    """Columns of a table with their units."""
    part, rng = galaxy(), np.random.default_rng(5)
    count = len(part["mass"])
    return {
        "pos": (part["pos"], "kpc"),
        "vel": (part["vel"], "km/s"),
        "mass": (part["mass"], "Msun"),
        "age": (rng.uniform(0.1, 13.0, count), "Gyr"),
        "metallicity": (rng.uniform(0.001, 0.03, count), ""),
        "mass_now": (part["mass"] * 0.6, "Msun"),
        "smoothing": (np.full(count, 0.3), "kpc"),
    }


def write_table(path, columns):
    """A table in the format of its ending."""
    if path.suffix == ".npz":
        np.savez(path, **{k: v for k, (v, _) in columns.items()}, **{f"{k}_unit": u for k, (_, u) in columns.items()})
    elif path.suffix == ".ecsv":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy's about units that it does not know
            table = Table({name: np.asarray(values) for name, (values, _) in columns.items()})
            for name, (_, unit) in columns.items():
                table[name].unit = str(unit)
            table.write(path, format="ascii.ecsv", overwrite=True)
    else:
        with h5py.File(path, "w") as file:
            for name, (values, unit) in columns.items():
                file[name] = values
                file[name].attrs["unit"] = unit


def write_compound(path):
    """A table of one compound dataset, as astropy writes it."""
    table = Table({name: values for name, (values, _) in table_columns().items()})
    for name, (_, unit) in table_columns().items():
        table[name].unit = unit
    table.write(path, path="stars", format="hdf5", serialize_meta=True)


SNAPSHOTS = {
    "eagle": lambda path: write_eagle(path),
    "gadget": write_gadget,
    "gizmo": lambda path: write_gizmo(path, ComovingIntegrationOn=1, NumFilesPerSnapshot=1),
    "gizmo_initial": lambda path: write_gizmo(path, initial_mass=True, UnitMass_In_CGS=1.989e43),
    "horizon_agn": write_horizon,
    "illustris_tng": _tng,
    "magneticum": lambda path: write_magneticum(path, run_label=False),
    "swift": _swift,
}
TABLES = ("table.npz", "table.ecsv", "table.h5")


def write_all(folder):
    """One valid file of each kind, by its name."""
    found = {}
    for name, write in SNAPSHOTS.items():
        found[name] = pathlib.Path(folder) / f"{name}.hdf5"
        write(found[name])
    for name in TABLES:
        found[name] = pathlib.Path(folder) / name
        write_table(found[name], table_columns())
    found["compound"] = pathlib.Path(folder) / "compound.h5"
    write_compound(found["compound"])
    return found


def read_fields(kind):
    """(dataset, names of the record's columns, field) of what a convention reads of its sample."""
    name = kind.removesuffix("_initial")
    convention = known_conventions()[name]
    if name == "gadget":
        return [
            ("PartType2/Coordinates", {"stars.pos"}, None),
            ("PartType2/Velocities", {"stars.vel"}, None),
        ]
    found = []
    for group, fields in (("stars", convention.stars), ("gas", convention.gas)):
        for key, each in fields.items():
            columns = {f"{group}.{other}" for other in {key} | TOUCHES.get(key, set())}
            found += [(f"PartType{4 if group == 'stars' else 0}/{name}", columns, each) for name in each.names]
    return found


def pick(path, kind, rng):
    """One dataset that is read from a snapshot: its path, what follows from it, its field."""
    with h5py.File(path) as file:
        there = [each for each in read_fields(kind) if each[0] in file]
    return there[rng.integers(len(there))]


def replace(file, name, values, **options):
    """A dataset anew, with the attributes it had."""
    attributes = dict(file[name].attrs)
    del file[name]
    dataset = file.create_dataset(name, **({"data": values} if values is not None else {}), **options)
    dataset.attrs.update(attributes)
    return dataset


def rows_of(count, rng):
    return tuple(int(i) for i in rng.choice(count, min(rng.integers(1, 4), count), replace=False))


def spoilt_values(values, key, rng):
    """Some rows of a column with a value that it cannot have: the column, what was done, the rows, and if it is bad."""
    rows = rows_of(len(values), rng)
    values = np.array(values, float)
    signed = key.endswith(("pos", "vel"))
    kinds = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "1e300": 1e300, "-1e300": -1e300, "1e30": 1e30}
    kinds |= {} if signed else {"negative": -1.0, "-1e-3": -1e-3}
    name = list(kinds)[rng.integers(len(kinds))]
    if values.ndim > 1:
        values[list(rows), rng.integers(values.shape[1])] = kinds[name]
    else:
        values[list(rows)] = kinds[name]
    return values, name, rows


def bad_type(values, rng):
    """A column as entries that are no real numbers."""
    names = ("complex", "text", "bytes", "bool", "date", "compound", "object")
    name = names[rng.integers(len(names))]
    if name == "complex":
        return values + 1j, name
    if name == "bool":
        return values > 0, name
    if name == "date":
        return np.full(values.shape, np.datetime64("2020-01-01T00:00:00")), name
    if name == "compound":
        made = np.zeros(values.shape, [("value", "f8"), ("error", "f8")])
        made["value"] = values
        return made, name
    text = np.char.mod("%.6g", values)
    return text.astype("S") if name == "bytes" else text.astype(object) if name == "object" else text, name


def bad_shape(values, rng):
    """A column in a shape that does not fit the others."""
    changes = {
        "row lost": lambda x: x[1:],
        "row more": lambda x: np.concatenate([x, x[:1]]),
        "transposed": lambda x: x.T if x.ndim > 1 else x[None],
        "axis more": lambda x: np.stack([x, x], -1),
        "no rows": lambda x: x[:0],
        "one number": lambda x: x.ravel()[0],
        "flat": lambda x: x.ravel() if x.ndim > 1 else np.stack([x] * 2, -1),
    }
    name = list(changes)[rng.integers(len(changes))]
    return changes[name](values), name
