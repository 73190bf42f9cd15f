"""Spoil SSP libraries at random and open them: refused on one line, or finite and true where they were not touched."""

import pathlib
import shutil
import traceback
import warnings

import h5py
import numpy as np
from snapshot_fuzz import Report, bytes_flipped, bytes_lost, unclear
from snapshot_mutations import EVERYTHING, Promise, bad_shape, bad_type, spoilt_values
from ssp_files import write_dsps, write_miles, write_ppxf

from galdiff.errors import InputError
from galdiff.sps.library import load_ssp

FIELDS = {
    "dsps": ("ssp_wave", "ssp_lg_age_gyr", "ssp_lgmet", "ssp_flux"),
    "ppxf": ("templates", "lam", "ages", "metals", "fwhm"),
}
AXES = {"ssp_wave": "ssp_wave", "lam": "ssp_wave", "ssp_lg_age_gyr": "ssp_lg_age_gyr", "ages": "ssp_lg_age_gyr"}
AXES |= {"ssp_lgmet": "ssp_lgmet", "metals": "ssp_lgmet", "fwhm": "ssp_fwhm", "ssp_flux": "ssp_flux"}
AXES |= {"templates": "ssp_flux"}
SIGNED = ("ssp_lg_age_gyr", "ssp_lgmet", "metals")  # logarithms


def _stored(path, kind):
    if kind == "dsps":
        with h5py.File(path) as file:
            return {name: file[name][()] for name in file}
    with np.load(path) as file:
        return {name: file[name] for name in file}


def _rewritten(path, kind, **changes):
    if kind == "dsps":
        write_dsps(path, **changes)
    else:
        write_ppxf(path, **changes)


def field(path, kind, rng):
    """One array with values, entries or a shape that cannot be, in another unit, or absent."""
    name = FIELDS[kind][rng.integers(len(FIELDS[kind]))]
    values = _stored(path, kind)[name]
    way = ("values", "type", "shape", "unit", "reversed", "absent")[rng.integers(6)]
    refused = True
    if way == "values":
        flat, what, _ = spoilt_values(values.ravel(), "pos" if name in SIGNED else name, rng)
        spoilt = flat.reshape(values.shape)
    elif way == "type":
        spoilt, what = bad_type(values, rng)
        if what in ("text", "object") or (what == "date" and kind == "dsps"):
            spoilt = spoilt.astype(str).astype("S")
    elif way == "shape":
        spoilt, what = bad_shape(values, rng)
        refused = None if what in ("flat", "one number") and name == "fwhm" else True
    elif way == "unit":
        what = ("1e-4", "0.1", "+9", "1e9")[rng.integers(4)]
        spoilt = values + 9 if what == "+9" else values * float(what)
        refused = what in ("1e-4", "1e9") if name in ("ssp_wave", "lam") else None
    elif way == "reversed":
        spoilt, what = values[::-1], ""
        refused = name not in ("ssp_flux", "templates", "fwhm")
    else:
        spoilt, what = None, ""
    _rewritten(path, kind, **{name: spoilt})
    touched = EVERYTHING if way == "unit" else frozenset({AXES[name]})
    return Promise(f"{name} {way} {what}", True if refused else None, (), touched)


def attribute(path, kind, rng):
    """An attribute of a DSPS file that is no number, no text, or not one."""
    name = ("resolution_fwhm_angstrom", "imf", "title", "wave_medium", "lsun_cgs")[rng.integers(5)]
    bad = {
        "text": "wide", "empty": np.array([]), "null": h5py.Empty("f8"), "nan": np.nan, "negative": -1.0, "inf": np.inf,
        "two": np.array([1.0, 2.0]), "complex": 1j, "bad bytes": np.bytes_(b"\xff"), "huge": 1e300, "zero": 0.0,
    }  # fmt: skip
    what = list(bad)[rng.integers(len(bad))]
    write_dsps(path, attrs={name: bad[what]})
    number = name in ("resolution_fwhm_angstrom", "lsun_cgs")
    return Promise(f"{name} {what}", True if number else None, (), frozenset())


def header(path, kind, rng):
    """A FITS header that is wrong."""
    bad = {"CRVAL1": ("x", -1.0, 0.0, 1e30), "CDELT1": (0.0, -1.0, "x", 1e30), "CRPIX1": ("x", 1e30)}
    name = list(bad)[rng.integers(len(bad))]
    value = bad[name][rng.integers(len(bad[name]))]
    write_miles(path, **{name: value})
    return Promise(f"{name} {value}", True, (), frozenset())


def cut_fits(path, kind, rng):
    """One spectrum of a folder that ends too early, or has other bytes."""
    files = sorted(path.glob("*.fits"))
    path = files[rng.integers(len(files))]
    if rng.random() < 0.5:
        return bytes_flipped(path, kind, rng)
    bytes_lost(path, kind, rng)
    return Promise("truncated")  # FITS files end with padding, which is no matter


WAYS = {
    "dsps": (field, field, field, attribute, bytes_lost, bytes_flipped),
    "ppxf": (field, field, field, bytes_lost, bytes_flipped),
    "miles": (header, cut_fits),
}
RANGES = {"ssp_wave": (0, 1e10), "ssp_lg_age_gyr": (-5.1, 1.4), "ssp_lgmet": (-12.0, 0.0), "ssp_fwhm": (0, 1e8)}
RANGES |= {"ssp_flux": (-1e10, 1e10)}


def write_libraries(folder):
    """One valid library of each format."""
    miles = folder / "miles"
    miles.mkdir()
    return {
        "dsps": write_dsps(folder / "library.h5", attrs={"lsun_cgs": 3.828e33, "title": "a"}),
        "ppxf": write_ppxf(folder / "spectra_emiles_9.0.npz"),
        "miles": write_miles(miles),
    }


def untrue(found, true, promise):
    """What is wrong with a library that was opened; empty if nothing."""
    for name, (lo, hi) in RANGES.items():
        values = np.asarray(getattr(found, name))
        if not np.isfinite(values).all() or values.min() < lo or values.max() > hi:
            return f"{name} is not finite, or beyond {lo} to {hi}: {values.min()} {values.max()}"
        right = np.asarray(getattr(true, name))
        if not promise.touched & {"*", name} and not (
            values.shape == right.shape and np.allclose(values, right, rtol=1e-5)
        ):
            return f"{name} is not that of the true library"
    return ""


def fuzz_libraries(count, seed, folder, only=None):
    """Try a number of mutations, the same ones for the same seed; a `Report`."""
    folder = pathlib.Path(folder)
    samples = write_libraries(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        true = {kind: load_ssp(path) for kind, path in samples.items()}
    report = Report()
    for number in range(count) if only is None else (only,):
        rng = np.random.default_rng((seed, number))
        kind = list(samples)[rng.integers(len(samples))]
        spoilt = folder / "spoilt" / samples[kind].name
        shutil.rmtree(spoilt.parent, ignore_errors=True)
        spoilt.parent.mkdir()
        (shutil.copytree if samples[kind].is_dir() else shutil.copy)(samples[kind], spoilt)
        mutate = WAYS[kind][rng.integers(len(WAYS[kind]))]
        promise = mutate(spoilt, kind, rng)
        report.kinds.add(mutate.__name__)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", UserWarning)
                found = load_ssp(spoilt, kind=kind if number % 2 else None)
        except InputError as error:
            report.refused += 1
            wrong = unclear(error, spoilt, promise)
            wrong = wrong and f"{wrong}: {error}"
        except Exception:
            wrong = traceback.format_exc(limit=-3)
        else:
            report.read += 1
            wrong = untrue(found, true[kind], promise) or ("was opened" if promise.refused else "")
        if wrong:
            report.failures.append(f"{number} {kind} {mutate.__name__} {promise.what}: {wrong}")
    return report
