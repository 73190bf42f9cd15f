"""What users can do wrong with `simulate`: one line with the remedy, exit code 2, and never a half-written cube."""

import collections
import errno
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from simulate_run import ROOT, SMALL, command
from simulation_files import write_eagle
from test_fits_cube import make_cube, make_maps

from galdiff.io import fits_cube
from galdiff.observing import grow, layout, mock, render

FILE = "input=file"
COMMON = ("runtime.precision=float64", "max_spaxels=8")
DISC = "input=disc"


@pytest.fixture
def no_long_work(monkeypatch):
    """No galaxy may be grown, nothing laid out or rendered."""

    def late(*_args, **_kwargs):
        raise AssertionError("long work began before the input was refused")

    monkeypatch.setattr(grow, "Population", late)
    monkeypatch.setattr(layout, "make_plan", late)
    monkeypatch.setattr(mock, "render", late)


def refused(capsys, folder, *overrides) -> str:
    """The one line on stderr of a command that must end with 2 and leave no product."""
    capsys.readouterr()
    assert command(folder, *overrides) == 2
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("galdiff: ")
    assert "Traceback" not in err
    left = [p.name for p in folder.rglob("*") if p.is_file() and ".hydra" not in p.parts] if folder.exists() else []
    assert left == []
    return lines[0]


def table(path, **changes):
    """A table of 50 stars, with some columns changed."""
    rng = np.random.default_rng(0)
    columns = {
        "pos_kpc": rng.normal(size=(50, 3)),
        "vel_kms": rng.normal(size=(50, 3)) * 50,
        "mass_msun": np.full(50, 1e6),
        "age_gyr": np.full(50, 5.0),
        "metallicity": np.full(50, 0.02),
    } | changes
    np.savez(path, **{name: values for name, values in columns.items() if values is not None})
    return f"input.path={path}"


def with_first(value, shape=(50,), fill=1.0):
    values = np.full(shape, fill)
    values.flat[0] = value
    return values


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pos_kpc": with_first(np.nan, (50, 3))}, "1 of 50 particles have NaN or infinite values"),
        ({"mass_msun": with_first(-1e6, fill=1e6)}, "are negative (lowest -1e+06 Msun)"),
        ({"age_gyr": with_first(-2.0)}, "are negative (lowest -2 Gyr)"),
        ({"mass_msun": None, "mass_kpc": np.ones(50)}, "mass"),  # a length as a mass
        ({"vel_kms": np.full((50, 3), 1e6)}, "inconsistent unit"),
        ({"mass_msun": None}, "no column mass"),
    ],
)
def test_particles_that_cannot_be_are_refused(changes, words, tmp_path, capsys, no_long_work):
    path = table(tmp_path / "stars.npz", **changes)
    line = refused(capsys, tmp_path / "out", *COMMON, FILE, path)
    assert words in line
    assert "stars.npz" in line


def truncated(path):
    write_eagle(path)
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 3)


def no_stars(path):
    with h5py.File(path, "w") as file:
        file.create_group("Header")
        file["PartType0/Coordinates"] = np.zeros((4, 3))


def wrong_unit(path):
    write_eagle(path)
    with h5py.File(path, "r+") as file:
        file["PartType4/Coordinates"].attrs["CGSConversionFactor"] = 1.989e43  # of a mass


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (truncated, "truncated or damaged"),
        (lambda path: path.write_text("no galaxy at all"), "neither HDF5, NPZ nor ECSV"),
        (lambda path: None, "does not exist"),
        (no_stars, "no stars"),
        (wrong_unit, "is no unit of length"),
    ],
)
def test_files_that_cannot_be_read_are_refused(write, words, tmp_path, capsys, no_long_work):
    path = tmp_path / "snapshot.hdf5"
    write(path)
    line = refused(capsys, tmp_path / "out", *COMMON, FILE, f"input.path={path}")
    assert words in line
    assert "snapshot.hdf5" in line


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("instrument=muse_wmf",), "instrument=muse_wmf: there is no such preset; did you mean 'muse_wfm'?"),
        (("view.inclinaton=30",), "view.inclinaton: there is no such key; did you mean 'view.inclination'?"),
        (("view.inclination=steep",), "view.inclination is 'steep'; expected a number, such as 60.0"),
        (("view.inclination=1000",), "view.inclination is 1000 deg; give a number above -270 and below 450 deg"),
        (("view.inclination=nan",), "view.inclination is nan deg; give a number above -270 and below 450 deg"),
        (("view.position_angle=1e9",), "view.position_angle is 1e+09 deg; give"),
        (("psf_scale=1e-6",), "psf_scale is 1e-06; give a number above 0.2 and below 2.6"),
        (("cosmology.h0=-70",), "galdiff: cosmology.h0 is -70 [km/s/Mpc]; give 10 to 200"),
        (
            ("placement.luminosity_distance_mpc=1e-300",),
            "placement.luminosity_distance_mpc is 1e-300 [Mpc]; give 0.001 to 1e+06, or null",
        ),
        (("view.orientation=disc",), "view.orientation is 'disc'; choose one of angular_momentum, shape, none"),
        (("input.n_stars=many",), "input.n_stars is 'many'; give a whole number"),
        (("placement.redshift=-0.1",), "placement.redshift is -0.1; give a number above 0 and below 20"),
        (("placement.pointing_arcsec=[1]",), "placement.pointing_arcsec is [1]; give a list of 2 values"),
        (("max_spaxels=0",), "max_spaxels is 0; give a positive number, or null, below 1e+06"),
        (("noise.snr=-4",), "noise.snr is -4; give a positive number, or null, below 1e+06"),
        (("noise.background=0",), "noise.background is 0; give a positive number"),
        (("extensions=fits",), "extensions is 'fits'; choose one of muse, jdaviz"),
        (("from=nowhere.fits",), "from is nowhere.fits, whose config cannot be read"),
        (("noise.mode=loud",), "noise.mode is 'loud'; choose one of photon"),
        (("engine=fast",), "engine is 'fast'; choose one of auto"),
        (("precision.kernel=gauss",), "precision.kernel is 'gauss'; choose one of nearest"),
        (("precision.rank=0.5",), "precision.rank is 0.5; give a whole number from 1"),
        (("maps.weight=gas",), "maps.weight is 'gas'; choose one of light, mass"),
        (("overwrite=maybe",), "overwrite is 'maybe'; expected true or false"),
        (("instrument.wave.end_angstrom=100",), "the end must be above the start"),
        (
            ("dust=screen", "dust/curve=calzetti"),
            "dust/curve=calzetti: there is no such preset; did you mean 'calzetti00'?",
        ),
        (("dust=screen", "dust.curve.r_v=9"), "dust.curve.r_v of the dust curve is 9; give a number from 2 to 6"),
        (("input=file",), "input.path: a value is required"),
        (("input=halo", "view.orientation=disc"), "choose one of angular_momentum, shape, none"),
        (("input=halo", "input.size_of_spin=9"), "input.size_of_spin is 9"),
        (("input=halo", "input.n_stars=1"), "input.n_stars is 1; give 8 to 1e+08 particles"),
    ],
)
def test_wrong_settings_are_refused(overrides, words, tmp_path, capsys, no_long_work):
    given = overrides if any(o.startswith("input=") for o in overrides) else (DISC, *overrides)
    assert words in refused(capsys, tmp_path / "out", *COMMON, *given)


def test_a_field_without_stars_is_refused_with_where_they_are(tmp_path, capsys, no_long_work):
    small = ("input.n_stars=500", "input.n_gas=50", "placement.pointing_arcsec=[900,0]")
    line = refused(capsys, tmp_path / "out", *COMMON, DISC, *small)
    assert "none of the 500 stars falls on the field of 8.0 x 8.0 arcsec" in line
    assert "placement.pointing_arcsec" in line


def test_wavelengths_outside_the_library_are_refused(tmp_path, capsys):
    line = refused(capsys, tmp_path / "out", *COMMON, DISC, "input.n_stars=500", "instrument=nirspec_g395h")
    assert "covers" in line
    assert "precision.coverage=crop" in line or "choose another library" in line


def test_a_galaxy_whose_band_the_library_does_not_cover_is_refused_before_it_grows(tmp_path, capsys, no_long_work):
    line = refused(capsys, tmp_path / "out", *COMMON, "instrument=nirspec_g395h", "placement.redshift=0.1")
    assert "at redshift 0.1" in line
    assert "choose another library, redshift or instrument" in line


def test_a_full_disk_is_noticed_before_long_work(tmp_path, capsys, monkeypatch, no_long_work):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    line = refused(capsys, tmp_path / "out", *COMMON, DISC)
    assert "no space" in line
    assert "choose another output folder" in line


def test_existing_results_are_kept(tmp_path, capsys, no_long_work):
    (tmp_path / "cube.fits").write_text("precious")
    capsys.readouterr()
    assert command(tmp_path, *COMMON, DISC) == 2
    assert "overwrite=true" in capsys.readouterr().err
    assert (tmp_path / "cube.fits").read_text() == "precious"


@pytest.fixture
def quick_render(monkeypatch):
    """A ready cube instead of an observation, so that only writing is real."""
    monkeypatch.setattr(mock, "render", lambda *_: (make_cube(), make_maps(), make_maps(), None))
    many = np.full(make_maps().v.shape, 50.0)
    monkeypatch.setattr(mock, "count_in_spaxels", lambda *x: (many, np.ones(len(x[2].mass))))


def test_a_disk_that_fills_while_writing_leaves_no_file(tmp_path, capsys, monkeypatch, quick_render):
    image = fits_cube._image

    def full(data, header, name, unit):
        if name == "STAT":
            raise OSError(errno.ENOSPC, "No space left on device")
        return image(data, header, name, unit)

    monkeypatch.setattr(fits_cube, "_image", full)
    line = refused(capsys, tmp_path / "out", *SMALL)
    assert "No space left on device" in line
    assert "no partial file is left" in line


@pytest.mark.parametrize("moment", ["observe", "write"])
def test_an_interrupt_leaves_no_file_and_exits_with_130(moment, tmp_path, capsys, monkeypatch, request):
    def stop(*_args, **_kwargs):
        raise KeyboardInterrupt

    if moment == "observe":
        monkeypatch.setattr(render, "observe_in_tiles", stop)
    else:
        request.getfixturevalue("quick_render")
        monkeypatch.setattr(fits_cube, "_image", stop)
    assert command(tmp_path / "out", *SMALL) == 130
    assert [p for p in (tmp_path / "out").iterdir() if p.is_file()] == []
    assert "interrupted" in capsys.readouterr().err


def test_an_unexpected_failure_keeps_its_traceback(tmp_path, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("the device went away")

    monkeypatch.setattr(render, "observe_in_tiles", broken)
    with pytest.raises(RuntimeError, match="went away"):
        command(tmp_path / "out", *SMALL)
    assert not (tmp_path / "out" / "cube.fits").exists()


def test_the_real_command_prints_one_line_and_exits_with_2(tmp_path):
    out = tmp_path / "out"
    argv = [sys.executable, str(ROOT / "experiments" / "simulate.py"), f"output={out}", FILE, "input.path=nowhere.hdf5"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    said = "does not exist; give the path of one HDF5, NPZ or ECSV file, or of one snapshot"
    assert done.stderr == f"galdiff: input: nowhere.hdf5: {said}\n"
    assert "INFO" not in done.stdout
    assert not (out / "cube.fits").exists()
