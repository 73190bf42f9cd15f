"""The wheel, installed away from the checkout, brings its configs and experiments along."""

import pathlib
import subprocess
import sys
import sysconfig
import venv
import zipfile

import numpy as np
import pytest
from astropy.io import fits
from programs import one_device

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*command, cwd) -> str:
    """Output of a command outside the checkout; fails with what it said on stderr."""
    env = {k: v for k, v in one_device(MPLBACKEND="Agg").items() if k != "PYTHONPATH"}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """The wheel of this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return next(out.glob("galdiff-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> pathlib.Path:
    """Folder of programs of a clean environment that holds the wheel; dependencies are those of the tests."""
    home = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    scheme = {"base": str(home), "platbase": str(home)}
    site, programs = (pathlib.Path(sysconfig.get_path(name, "venv", scheme)) for name in ("purelib", "scripts"))
    # A path file is not followed for further path files, so an editable galdiff of the tests stays out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = programs / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "-q", wheel, cwd=home)
    return programs


def test_the_wheel_holds_the_package_its_configs_and_its_experiments(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in (("galdiff", "galdiff"), ("conf", "galdiff/conf"), ("experiments", "galdiff/experiments")):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml"):
                assert f"{inside}/{path.relative_to(ROOT / folder)}" in names
    for path in (ROOT / "checkpoints").rglob("*"):
        assert path.is_dir() or f"galdiff/checkpoints/{path.relative_to(ROOT / 'checkpoints')}" in names
    assert not [n for n in names if n.startswith("tests/") or n.endswith((".pyc", ".h5", ".hdf5"))]
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert {"galdiff/nebular/byler17.npz", "galdiff/nebular/LICENSE_fsps.txt"} <= names  # the grid and its terms
    assert "galdiff/py.typed" in names  # else type checkers of users ignore every annotation


def test_the_installed_command_lists_what_is_in_the_wheel(installed, tmp_path):
    code = "import galdiff.folders as f; print(f.project_dir('conf'))"
    conf = pathlib.Path(run(installed / "python", "-c", code, cwd=tmp_path).strip())
    assert conf.is_relative_to(installed.parent)
    lines = run(installed / "galdiff", "list", cwd=tmp_path).splitlines()
    assert lines[0] == "experiments"
    for path in (ROOT / "experiments").glob("[!_]*.py"):
        assert any(line.split()[:1] == [path.stem] for line in lines)
    for path in (ROOT / "conf").rglob("*/*.yaml"):
        assert any(line.split()[:1] == [path.stem] for line in lines)


def test_the_checkpoints_in_the_wheel_load_in_the_default_precision(installed, tmp_path):
    code = (
        "import galdiff; from galdiff.train.export import bundled; "
        "from galdiff.train.trained_parts import emulated_ssp; "
        "m = galdiff.load(bundled('wind_correction')).model; print(type(m).__name__, emulated_ssp().ssp_flux.shape)"
    )
    said = run(installed / "python", "-W", "ignore", "-c", code, cwd=tmp_path)
    assert said.split("\n")[-2] == "Pandya23 (12, 44, 6277)"


def test_the_installed_command_makes_a_cube(installed, tmp_path):
    """Far from the checkout, with its own configs and the embedded library."""
    small = (
        "max_spaxels=6",
        "input.n_stars=500",
        "input.n_gas=50",
        "baryons.outputs.n_steps=64",
        "instrument.wave.end_angstrom=3985",
        "maps.gauss_hermite=false",
    )
    said = run(installed / "galdiff", "simulate", *small, "precision.rank=8", "output=first", cwd=tmp_path)
    assert "results in first" in said or "results in " + str(tmp_path / "first") in said
    assert "INFO" not in said
    with fits.open(tmp_path / "first" / "cube.fits") as file:
        assert file["DATA"].data.shape == (121, 6, 6)
        assert np.isfinite(file["DATA"].data).all()
        assert (file["STAT"].data > 0).all()
    assert {p.name for p in tmp_path.iterdir()} == {"first"}
