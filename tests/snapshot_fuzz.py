"""Spoil valid files at random and read them: refused on one line, or a galaxy that is true where it was not touched."""

import dataclasses
import pathlib
import shutil
import signal
import traceback
import warnings

import h5py
import numpy as np
from snapshot_mutations import (
    EVERYTHING,
    Promise,
    bad_shape,
    bad_type,
    pick,
    replace,
    spoilt_values,
    table_columns,
    write_all,
    write_table,
)

from galdiff import units
from galdiff.errors import InputError
from galdiff.io.simulations import known_conventions, read_galaxy
from galdiff.io.simulations.convention import Request

SECONDS = 20  # for one file
WIDE, NEAR = 1e4, 2.0  # kpc
LIMITS = {  # what a reader may return at most, in absolute numbers
    "pos": 1e9, "vel": units.C_KMS, "mass": 1e14, "mass_now": 1e14, "age": 100.0, "metallicity": 1.0, "smoothing": 1e9,
    "temperature": 1e13, "sfr": 1e9, "oxygen": 1.0, "hydrogen": 1.0, "a_v": 1e4,
}  # fmt: skip
HEADER = ("ExpansionFactor", "Scale-factor", "Time", "HubbleParam", "h", "Omega0", "Omega_m", "Redshift", "BoxSize")
HEADER += ("NumFilesPerSnapshot", "MassTable", "ComovingIntegrationOn", "UnitMass_In_CGS")
UNIT = ("CGSConversionFactor", "aexp-scale-exponent", "h-scale-exponent")
UNUSED = {("eagle", "Time"), ("magneticum", "Time"), ("gadget", "Time")}  # another name wins, or it is no scale factor


def values(path, kind, rng):
    """Values that cannot be, in some rows."""
    name, touched, field = pick(path, kind, rng)
    with h5py.File(path, "r+") as file:
        spoilt, what, rows = spoilt_values(file[name][()], min(touched, key=len), rng)
        replace(file, name, spoilt)
    wind = kind == "illustris_tng" and "stars.age" in touched and what.startswith(("neg", "-1"))
    free = wind or (field is not None and field.width > 3) or ("gas.sfr" in touched and kind == "swift")
    return Promise(f"{name} {what}", None if free else True, (), frozenset(touched), rows, fewer=wind)


def types(path, kind, rng):
    """Entries that are no real numbers."""
    name, _, _ = pick(path, kind, rng)
    with h5py.File(path, "r+") as file:
        spoilt, what = bad_type(file[name][()], rng)
        if what == "date":
            replace(file, name, spoilt.astype(h5py.opaque_dtype(spoilt.dtype)))
        elif what in ("text", "object"):
            replace(file, name, spoilt.astype(object), dtype=h5py.string_dtype())
        else:
            replace(file, name, spoilt)
    return Promise(f"{name} {what}", True, (name.split("/")[-1],))


def same_numbers(path, kind, rng):
    """The same numbers, written in another way."""
    name, _, field = pick(path, kind, rng)
    with h5py.File(path, "r+") as file:
        stored = file[name][()]
        ways = {
            "big-endian": lambda: replace(file, name, stored.astype(stored.dtype.newbyteorder(">"))),
            "double": lambda: replace(file, name, stored.astype("f8")),
            "compressed": lambda: replace(file, name, stored, compression="gzip", shuffle=True, fletcher32=True),
            "unlimited": lambda: replace(file, name, stored, maxshape=(None, *stored.shape[1:])),
        }
        if stored.ndim == 1 and field is not None:
            ways["one column"] = lambda: replace(file, name, stored[:, None])
        what = list(ways)[rng.integers(len(ways))]
        ways[what]()
    return Promise(f"{name} {what}", False)


def shapes(path, kind, rng):
    """A column that does not fit the others."""
    name, _, _ = pick(path, kind, rng)
    with h5py.File(path, "r+") as file:
        if rng.random() < 0.1:
            what = "null"
            replace(file, name, h5py.Empty("f8"))
        else:
            spoilt, what = bad_shape(file[name][()], rng)
            replace(file, name, spoilt)
    return Promise(f"{name} {what}", True)


def claims(path, kind, rng):
    """Rows that are claimed and were never written."""
    name, _, _ = pick(path, kind, rng)
    with h5py.File(path, "r+") as file:
        group, stored = file[name.split("/")[0]], file[name]
        count, rest = stored.shape[0], stored.shape[1:]
        way = rng.integers(4)
        if way == 0:
            replace(file, name, None, shape=(10**12, *rest), dtype="f8", chunks=(2**16, *rest))
        elif way == 1:  # all columns of the group alike
            names = [f"{group.name}/{n}" for n, x in group.items() if isinstance(x, h5py.Dataset) and x.shape]
            for each in names:
                more = file[each].shape[1:]
                replace(file, each, None, shape=(10**12, *more), dtype="f8", chunks=(2**16, *more))
        elif way == 2:
            replace(file, name, None, shape=(count, *rest), dtype="f8")
        else:
            part = replace(file, name, None, shape=(count, *rest), dtype="f8", chunks=(max(count // 4, 1), *rest))
            part[: count // 4] = 1.0
    return Promise(f"{name} never written ({way})", True)


def unit_attributes(path, kind, rng):
    """Units of datasets that are text, empty, not one number, or out of range."""
    name, _, field = pick(path, kind, rng)
    bad = {
        "text": "kpc", "empty text": "", "empty": np.array([]), "null": h5py.Empty("f8"), "nan": np.nan, "inf": np.inf,
        "two": np.array([1.0, 2.0]), "complex": 1j, "digits": "1e21", "huge": 1e300, "bytes": b"cgs",
    }  # fmt: skip
    what = list(bad)[rng.integers(len(bad))]
    attribute = UNIT[rng.integers(3)]
    with h5py.File(path, "r+") as file:
        attributes = file[name].attrs
        if UNIT[0] not in attributes and attribute != UNIT[0]:
            attributes[UNIT[0]] = 1.0 if field is None else field.unit.cgs
        attributes[attribute] = bad[what]
    used = field is None or (field.trusted and field.unit.kind != "pure")
    return Promise(f"{name} {attribute} {what}", used, (name.split("/")[-1],))


def header_attributes(path, kind, rng):
    """Numbers of the header that are none, or more than one."""
    bad = {
        "text": "today", "empty text": "", "empty": np.array([]), "null": h5py.Empty("f8"), "nan": np.nan,
        "inf": np.inf, "negative": -1.0, "two": np.array([0.7, 0.3]), "complex": 1j, "bytes": b"1",
        "bad bytes": b"\xff", "huge": 1e300, "object": np.array(["a", "b"], object),
    }  # fmt: skip
    same = {"three alike": lambda x: np.full(3, x), "matrix": lambda x: np.full((1, 1), x), "f4": np.float32}
    with h5py.File(path, "r+") as file:
        attributes = file["Header"].attrs
        there = [name for name in HEADER if name in attributes]
        name = there[rng.integers(len(there))]
        what = [*bad, *same, "deleted"][rng.integers(len(bad) + len(same) + 1)]
        if what == "deleted":
            del attributes[name]
        elif what in same:
            stored = np.ravel(attributes[name])
            attributes[name] = same[what](stored[0]) if stored.size == 1 else np.reshape(stored, (1, -1))
        else:
            attributes[name] = bad[what]
    free = (kind, name) in UNUSED or what == "deleted" or (name == "BoxSize" and what == "huge")
    alike = what in same and what != "f4"
    near = what == "f4"
    refused = None if free else not (alike or near)
    named = () if free else (name, "Header gives")
    return Promise(f"Header.{name} {what}", refused, named, EVERYTHING if near else frozenset(), None)


def structure(path, kind, rng):
    """Datasets and groups that are absent, are something else, or lead nowhere."""
    name, touched, _ = pick(path, kind, rng)
    ways = ("deleted", "group", "soft", "circle", "external", "stars gone", "gas gone", "header gone", "ids", "strange")
    way = ways[rng.integers(len(ways))]
    with h5py.File(path, "r+") as file:
        if way in ("deleted", "group", "soft", "circle", "external"):
            del file[name]
        if way == "group":
            file.create_group(name)
        elif way in ("soft", "circle"):
            file[name] = h5py.SoftLink("/nowhere" if way == "soft" else f"/{name}")
        elif way == "external":
            file[name] = h5py.ExternalLink("absent.hdf5", "a")
        elif way.endswith("gone"):
            wanted = {"stars gone": "PartType4", "gas gone": "PartType0", "header gone": "Header"}[way]
            if wanted in file:
                del file[wanted]
        elif way == "ids":
            for group in file:
                if group != "Header":
                    count = len(file[group]["Coordinates"])
                    file[group].pop("ParticleIDs", None)
                    ids = (np.full(count, -1), np.arange(2), np.full(count, "id", object))[rng.integers(3)]
                    file[group]["ParticleIDs"] = ids
        elif way == "strange":
            group = file[name.split("/")[0]]
            group["References"] = np.array([group.ref] * 3, h5py.ref_dtype)
            group["Dates"] = np.full(3, np.datetime64("2020-01-01")).astype(h5py.opaque_dtype("M8[D]"))
            h5py.h5d.create(group.id, b"Bits", h5py.h5t.STD_B8LE, h5py.h5s.create_simple((3,)))
            group["Type"] = np.dtype("f8")
            group.attrs["unit"] = h5py.Empty("f8")
    if way == "gas gone":
        return Promise(way, None, (), frozenset({"gas"}), None)
    if way in ("ids", "strange"):
        return Promise(way, False)
    lost = way in ("soft", "circle", "external") or (way == "stars gone" and kind != "gadget")
    touched = touched if way in ("deleted", "group") else ()
    return Promise(f"{name} {way}", True if lost else None, (), frozenset(touched), None)


def bytes_lost(path, kind, rng):
    """A file that ends too early."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.truncate(int(rng.choice([0, 1, 8, 100, size - 1, size // 2, int(rng.integers(size))])))
    text = path.suffix == ".ecsv"
    return Promise("truncated", None if text else True, (), EVERYTHING if text else frozenset(), None, fewer=text)


def bytes_flipped(path, kind, rng):
    """Some bytes that are others; in a file without checksums no one can tell a number from a wrong one."""
    size = path.stat().st_size
    head = rng.random() < 0.6  # where HDF5 and zip say what is where
    with open(path, "r+b") as file:
        for place in rng.integers(min(size, 6000) if head else size, size=rng.integers(1, 5)):
            file.seek(int(place))
            byte = file.read(1)[0]
            file.seek(int(place))
            file.write(bytes([byte ^ int(rng.integers(1, 256))]))
    return Promise("bytes flipped", None, (), EVERYTHING, None, fewer=True)


def table(path, kind, rng):
    """A table with a column that is wrong, has no number, another shape, a wrong unit, or is absent."""
    columns = table_columns()
    name = list(columns)[rng.integers(len(columns))]
    stored, unit = columns[name]
    way = ("values", "type", "shape", "unit", "absent", "strange")[rng.integers(6)]
    named, touched, rows, refused = (name,), frozenset({f"stars.{name}"}), (), True
    if way == "values":
        stored, what, rows = spoilt_values(stored, name, rng)
    elif way == "type":
        stored, what = bad_type(stored, rng)
        if path.suffix == ".ecsv" and (stored.dtype.kind in "MV" or stored.ndim > 1):  # not to be written as they are
            stored = np.char.mod("%.6g", columns[name][0])
        if path.suffix == ".h5" and what in ("date", "text", "object"):
            stored = stored.astype(object).astype(str).astype("S")
        if path.suffix == ".npz" and what == "object":
            stored = stored.astype(str)
    elif way == "shape":
        stored, what = bad_shape(stored, rng)
        if path.suffix == ".ecsv" and stored.shape[:1] != (len(columns["mass"][0]),):
            stored, what = np.stack([columns[name][0]] * 2, -1), "axis more"
        named = ()
    elif way == "unit":
        what = ("mag", "furlong", "1e999 kpc", "kpc/0", "\n", "nan", "[]")[rng.integers(7)]
        unit, refused = what, None
    elif way == "absent":
        what = ""
        del columns[name]
        refused, rows = name not in ("mass_now", "smoothing"), None
    else:
        what, refused, named, touched = "column more", False, (), frozenset()
        columns["note"] = (np.array(["x"] * len(stored)), "")
        columns["flag"] = (np.arange(len(stored)) > 3, "")
    if way != "absent":
        columns[name] = (stored, unit)
    if path.suffix == ".h5" and "note" in columns:
        columns["note"] = (columns["note"][0].astype("S"), "")
    path.unlink()
    write_table(path, columns)
    return Promise(f"{name} {way} {what!r}", refused, named, touched, rows if way == "values" else None)


ANY = (bytes_lost, bytes_flipped)
OF_SNAPSHOTS = (values, types, same_numbers, shapes, claims, unit_attributes, header_attributes, structure)


@dataclasses.dataclass
class Report:
    """Counts of what came, and the failures."""

    refused: int = 0
    read: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    kinds: set[str] = dataclasses.field(default_factory=set)


def arrays(found):
    """Arrays of a galaxy by their names."""
    parts = {"stars": found.stars, "gas": found.gas}
    return {
        f"{part}.{name}": value
        for part, record in parts.items()
        if record is not None
        for name, value in vars(record).items()
        if isinstance(value, np.ndarray)
    }


def untrue(found, true, promise):
    """What is wrong with a galaxy that was read from a spoilt file; empty if nothing."""
    for name, value in arrays(found).items():
        if not np.isfinite(value).all() or (np.abs(value) > LIMITS[name.split(".")[1]]).any():
            return f"{name} is not finite or beyond its limit: {np.abs(value).max()}"
        if not name.endswith(("pos", "vel")) and (value < 0).any():
            return f"{name} is negative"
    if "*" in promise.touched:
        return ""
    ours, theirs = arrays(found), arrays(true)
    if abs(found.redshift - true.redshift) > 1e-9:
        return f"redshift is {found.redshift}, not {true.redshift}"
    for name in sorted(ours.keys() ^ theirs.keys()):
        if name not in promise.touched and name.split(".")[0] not in promise.touched:
            return f"{name} is {'new' if name in ours else 'lost'}"
    for name in sorted(ours.keys() & theirs.keys()):
        changed = name in promise.touched
        if changed and promise.rows is None:
            continue
        keep = np.ones(len(theirs[name]), bool)
        if changed or (promise.fewer and name.startswith("stars")):
            keep[list(promise.rows or ())] = False
        if len(ours[name]) != len(keep):
            if promise.fewer and len(ours[name]) == keep.sum():
                left, right = ours[name], theirs[name][keep]
            elif promise.fewer and name.startswith("gas"):
                continue
            else:
                return f"{name} has {len(ours[name])} rows, not {len(keep)}"
        else:
            left, right = ours[name][keep], theirs[name][keep]
        if name.endswith(("pos", "vel")) and len(left):  # centre and rest frame may move with what was touched
            left, right = left - left[0], right - right[0]
        if not np.allclose(left, right, rtol=2e-6, atol=1e-6 * np.abs(right).max(initial=0.0)):
            return f"{name} is not that of the true file"
    return ""


def unclear(error, path, promise):
    """What is wrong with the message of a refusal; empty if nothing."""
    text = str(error)
    if "\n" in text:
        return "more than one line"
    if path.name not in text:
        return "does not name the file"
    if not any(sign in text.split(path.name, 1)[1] for sign in (";", "expected", "allowed", ": copy", ": write")):
        return "has no remedy"
    if promise.named and not any(word in text for word in promise.named):
        return f"names none of {promise.named}"
    return ""


def one(path, kind, mutate, rng, options, true):
    """Spoil a file and read it: (whether it was refused, what is wrong)."""
    promise = mutate(path, kind, rng)
    if options.get("r_max_kpc") == NEAR and promise.touched:  # what was touched may lie outside
        promise = dataclasses.replace(promise, refused=None, touched=EVERYTHING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", UserWarning)
            found = read_galaxy(path, **options)
    except InputError as error:
        wrong = unclear(error, path, promise)
        wrong = wrong or ("refused, though nothing is wrong" if promise.refused is False else "")
        return True, wrong and f"{promise.what}: {wrong}: {error}"
    except Exception:
        return True, f"{promise.what}: {traceback.format_exc(limit=-3)}"
    wrong = untrue(found, true, promise) or ("was read" if promise.refused else "")
    return False, wrong and f"{promise.what}: {wrong}"


def asked(path):
    """Ways to ask for a galaxy, with what is right: whole, by a wide sphere, by one that cuts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        whole = read_galaxy(path)
        raw = known_conventions()[whole.name.split(":")[0]].read(str(path), Request())
        centre = np.median(raw.stars["pos"], 0).tolist()
        ways = [{}, {}, {"centre": centre, "r_max_kpc": WIDE}, {"centre": centre, "r_max_kpc": NEAR}]
        return [(options, read_galaxy(path, **options) if options else whole) for options in ways]


def fuzz(count, seed, folder, only=None):
    """Try a number of mutations, the same ones for the same seed, or one of them alone; a `Report`."""
    folder = pathlib.Path(folder)
    samples = write_all(folder)
    ways = {kind: asked(path) for kind, path in samples.items()}
    report = Report()
    for number in range(count) if only is None else (only,):
        rng = np.random.default_rng((seed, number))
        kind = list(samples)[rng.integers(len(samples))]
        own = (table,) * 6 if kind.startswith("table") else () if kind == "compound" else OF_SNAPSHOTS
        mutate = (*ANY, *own)[rng.integers(len(own) + len(ANY))]
        options, true = ways[kind][rng.integers(len(ways[kind]))]
        spoilt = folder / f"spoilt{samples[kind].suffix}"
        shutil.copy(samples[kind], spoilt)
        signal.alarm(SECONDS)
        refused, wrong = one(spoilt, kind, mutate, rng, options, true)
        signal.alarm(0)
        report.kinds.add(mutate.__name__)
        report.refused += refused
        report.read += not refused
        if wrong:
            report.failures.append(f"{number} {kind} {mutate.__name__} {list(options)} {wrong}")
    return report
