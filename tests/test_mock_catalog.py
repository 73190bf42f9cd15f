"""Mock surveys: numbers of haloes, light without a pipeline, errors, files that go on and open elsewhere, bad input."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import signal
import sys
from unittest import mock

import h5py
import hydra
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table
from ssp_files import write_dsps

from galdiff import units
from galdiff.cosmology import Cosmology, age, comoving_distance
from galdiff.errors import InputError
from galdiff.halo.virial import virial_radius
from galdiff.imf import chabrier
from galdiff.io.cluster import connected
from galdiff.io.mock_files import Parts
from galdiff.nebular.h_ii_regions import NoGas
from galdiff.photometry.tables import band_tables, of_bands
from galdiff.plotting.mock_figure import MockSummary, baldry12, plot_mock
from galdiff.populations import (
    catalogue,
    diffmahpop,
    diffstarpop,
    dust_population,
    gas,
    light,
    members,
    shells,
    survey,
    volumes,
)
from galdiff.populations.formed import StarsByAge
from galdiff.populations.mass_function import DiffskyMassFunction
from galdiff.populations.point_tables import point_tables
from galdiff.sfh.fractions import AgeFractions
from galdiff.sfh.metallicity import MassMetallicity
from galdiff.sps.library import load_ssp

ROOT = pathlib.Path(__file__).resolve().parent.parent
COSMOLOGY = Cosmology()
BANDS = ["sdss2010-g", "sdss2010-r"]
FILES = ["catalogue.h5", "config.yaml", "metrics.json", "mock.png"]
SMALL = ("survey.passbands=[sdss2010-g,sdss2010-r]", "survey.depths=[22,22]", "survey.detect_in=[sdss2010-r]")


@pytest.fixture(scope="module")
def library_file(tmp_path_factory):
    wave, lg_age, lgmet = np.geomspace(900.0, 26000.0, 700), np.linspace(-3.0, 1.15, 6), np.array([-4.0, -1.5])
    step = 1 - 0.2 * (1 - np.tanh((wave - 4000.0) / 60.0)) * (lg_age[:, None] > -1)
    flux = 10 ** (-0.8 * lg_age[:, None]) * step * (wave / 5500.0) ** (lg_age[:, None] - 1.0)
    flux = 1e-4 * flux * (wave / 5500.0) ** (0.3 * (lgmet[:, None, None] + 2.0))
    fields = {"ssp_wave": wave, "ssp_lg_age_gyr": lg_age, "ssp_lgmet": lgmet}
    attrs = {"imf": "Chabrier"}
    path = tmp_path_factory.mktemp("library") / "toy.h5"
    return write_dsps(path, **fields, ssp_flux=flux * wave**2 / (units.C_KMS * 1e13), attrs=attrs)


def small_survey(**changes):
    given = {"name": "toy", "passbands": BANDS, "depths": [22.0, 22.0], "detect_in": ["sdss2010-r"], "reference": ""}
    return survey.make_survey(**{**given, **changes})


@pytest.fixture(scope="module")
def made(library_file):
    """A catalogue of a thin lightcone."""
    library, imf, seen = load_ssp(path=str(library_file)), chabrier(), small_survey()
    cone = volumes.Lightcone(area=1.0, redshifts=(0.1, 0.16))
    found, places = members.draw_members(
        DiffskyMassFunction(), cone, COSMOLOGY, log10_m_min=12.0, satellites=True, seed=3
    )
    library, no_lines = gas.with_gas(library, NoGas(), lines=(), passbands=seen.passbands, dust=1.0)
    ages, lines = AgeFractions(), no_lines.of_nodes(12)
    fixed = {"ages": ages, "imf": imf, "cosmology": COSMOLOGY, "lines": lines, "passbands": seen.passbands}
    tables = shells.ShellTables(library=library, z_max=0.5, tolerance=0.002, step=0.02, **fixed)
    return catalogue.Mock(
        members=found,
        places=places,
        place_units=cone.position_units,
        light=light.MockLight(
            haloes=diffmahpop.halo_population(),
            stars=StarsByAge(metallicity=MassMetallicity(), ages=ages, lgmet=np.asarray(library.ssp_lgmet)),
            dust=dust_population.dust_population(),
            parts=tables.n_parts,
            gas=no_lines,
        ),
        former=diffstarpop.diffstar_population(calibration="smdpl_dr1").former(ages, COSMOLOGY, 16),
        tables=tables,
        survey=seen,
        cosmology=COSMOLOGY,
        seed=0,
        size=16,
        redshift=None,
    )


@pytest.fixture(scope="module")
def rows(made):
    return [made.make(number) for number in range(5)]


def test_a_lightcone_holds_the_number_of_haloes_of_the_mass_function():
    cone = volumes.Lightcone(area=30.0, redshifts=(0.05, 0.3))
    mean = members.expected(DiffskyMassFunction(), cone, 12.5, COSMOLOGY)
    found, places = members.draw_members(
        DiffskyMassFunction(), cone, COSMOLOGY, log10_m_min=12.5, satellites=False, seed=0
    )
    assert abs(found.log10_m.size - mean) < 4 * np.sqrt(mean)
    z = float(np.median(found.redshift))
    f = DiffskyMassFunction().log10_cumulative(jnp.array([12.5, 13.0]), z)
    share = float(10 ** (f[1] - f[0]))
    np.testing.assert_allclose((found.log10_m > 13.0).mean(), share, atol=4 * np.sqrt(share / mean))
    assert (np.diff(found.redshift) >= 0).all()
    assert (np.abs(places["dec"]) <= np.sqrt(30.0) / 2).all()
    moved = cone.displaced(places, np.full((found.host.size, 3), 0.5), found.redshift, COSMOLOGY)
    distance = np.asarray(comoving_distance(COSMOLOGY, found.redshift))
    np.testing.assert_allclose(moved["dec"] - places["dec"], np.degrees(0.5 / distance), rtol=1e-6)
    whole = volumes.Lightcone(area=volumes.SKY, redshifts=(0.05, 0.3)).positions(np.random.default_rng(0), 2000)
    assert abs(np.sin(np.radians(whole["dec"])).mean()) < 0.05
    assert (np.histogram(whole["ra"], 4, (0, 360))[0] > 400).all()


def test_satellites_follow_their_counts_and_lie_in_heavier_hosts():
    box = volumes.Snapshot(redshift=0.1, side=150.0)
    found, places = members.draw_members(DiffskyMassFunction(), box, COSMOLOGY, log10_m_min=12, satellites=True, seed=1)
    inside = found.satellite > 0
    assert (found.log10_m[inside] <= found.log10_mhost[inside]).all()
    assert (found.log10_m >= 12.0 - 1e-6).all()
    central = np.flatnonzero(~inside)
    assert (found.host[inside] < central.size).all()
    heavy = found.log10_mhost[central] > 13.5
    counted = np.bincount(found.host[inside], minlength=central.size)[heavy]
    from galdiff.populations.abundance import log10_subhaloes
    from galdiff.populations.published import published

    mass = found.log10_mhost[central][heavy]
    expected = 10 ** np.asarray(log10_subhaloes(published("subhaloes"), mass, 12.0 - mass))
    np.testing.assert_allclose(counted.sum(), expected.sum(), rtol=0.1)
    xyz = np.stack([places[name] for name in "xyz"], -1)
    offset = (xyz - xyz[np.flatnonzero(~inside)][found.host] + 75.0) % 150.0 - 75.0
    far = np.linalg.norm(offset, axis=1) / (1e-3 * 1.1 * virial_radius(10**found.log10_mhost, 0.1, COSMOLOGY))
    assert (far[~inside] == 0).all()
    assert (far[inside] <= 1 + 1e-6).all()
    half = np.log1p(2.5) - 2.5 / 3.5  # NFW of concentration 5 inside half its radius
    np.testing.assert_allclose((far[inside] < 0.5).mean(), half / (np.log(6.0) - 5 / 6), atol=0.03)


def test_a_galaxy_does_not_depend_on_its_chunk(made, rows):
    joined = np.concatenate(rows)
    assert made.dtype.names == joined.dtype.names
    picked = made.chunks[1][1][3:9]
    other = catalogue.Mock(**{**{f: getattr(made, f) for f in made.__dataclass_fields__}, "size": 16})
    object.__setattr__(other, "chunks", [(made.chunks[1][0], picked)])
    again = other.make(0)
    same = joined[np.isin(joined["id"], again["id"])]
    assert again["id"].size > 2
    for name in again.dtype.names:
        np.testing.assert_allclose(again[name], same[name], rtol=1e-6, err_msg=name)


def test_truths_are_sound_and_quenched_galaxies_form_few_stars(rows):
    t = np.concatenate(rows)
    for name in t.dtype.names:
        if not name.startswith("mag_"):
            assert np.isfinite(t[name].astype(float)).all(), name
    assert (t["true_log10_mstar"] < t["true_log10_mformed"]).all()
    assert (t["true_log10_mstar"] < t["log10_m"]).all()
    ssfr = t["true_log10_sfr"] - t["true_log10_mstar"]
    assert np.median(ssfr[t["true_quenched"]]) < np.median(ssfr[~t["true_quenched"]]) - 0.5
    assert (t["true_a_v_young"] >= t["true_a_v"]).all()
    assert ((t["true_r50"] >= 0.1) & (t["true_r50"] <= 40)).all()


def test_magnitudes_between_tables_are_those_of_tables_at_the_redshift(made):
    z = 0.1234
    number = int(made.tables.number(np.array([z]))[0])
    near = made.tables.shell(number)
    exact = band_tables(made.tables.library, made.tables.passbands, z, 0.002)
    width = near.ends[1] - near.ends[0]
    share = (np.log1p(z) - near.ends[0]) / width
    between = (1 - share) * near.near.flux + share * near.far.flux
    n = between.shape[1] // 4
    between = between[:, :n] + between[:, 2 * n : 3 * n]  # observed, of young and old stars
    lg_age, time = np.asarray(made.tables.library.ssp_lg_age_gyr), float(age(COSMOLOGY, z))
    now = point_tables(made.tables.ages, time, lg_age, np.asarray(exact.flux), made.tables.imf).flux
    bands = [between @ of_bands(made.tables.n_parts), (now[:, : now.shape[1] // 2] + now[:, now.shape[1] // 2 :])]
    bands[1] = bands[1] @ of_bands(exact.parts)
    np.testing.assert_allclose(-2.5 * np.log10(bands[0] / bands[1]), 0.0, atol=3e-3)


def test_who_has_no_stars_that_are_known_has_no_light_and_is_not_seen(made, rows):
    def lost(grown, keys, redshift):
        formed = made.former(grown, keys, redshift)
        return dataclasses.replace(formed, sfr=formed.sfr.at[::2].set(np.nan))

    other = catalogue.Mock(**{**{f: getattr(made, f) for f in made.__dataclass_fields__}, "former": lost})
    found = other.make(0)
    dark = np.isnan(found["true_log10_mstar"])
    assert 0 < dark.sum() < dark.size
    assert not found["detected"][dark].any()
    for name in ("mag_sdss2010_r", "true_mag_sdss2010_g", "true_log10_sfr"):
        assert np.isnan(found[name][dark]).all(), name
    for name in found.dtype.names:
        np.testing.assert_allclose(found[name][~dark], rows[0][name][~dark], rtol=1e-6, err_msg=name)


def test_errors_follow_the_depth_and_scatter_as_they_say():
    seen = small_survey(floor=0.0)
    assert abs(float(seen.relative_error(jnp.array([22.0, 22.0]))[0]) - 0.2) < 1e-3
    normal = jnp.asarray(np.random.default_rng(0).normal(size=(4000, 2)))
    flux, error, detected = seen.observed(jnp.full((4000, 2), 21.0), normal)
    np.testing.assert_allclose(flux.std(0) / error[0], 1.0, atol=0.05)
    np.testing.assert_allclose(flux.mean(0), 10 ** (-0.4 * (21.0 - 31.4)), rtol=0.01)
    assert detected.mean() > 0.99
    assert seen.observed(jnp.full((4000, 2), 24.5), normal)[2].mean() < 0.01


def test_published_masses_are_those_of_the_paper_and_the_picture_draws_few_galaxies():
    np.testing.assert_allclose(
        np.log10(baldry12(np.array([8.0, 9.0, 10.0, 10.5, 11.0]))),
        [-1.4886, -1.9404, -2.2431, -2.3301, -2.7346],
        atol=2e-4,
    )
    one = np.ones(3)
    few = MockSummary(
        volume=1e3, h0=70.0, bands=("g", "r"), log10_mstar=10 * one, mag_rest=-20 * one, colour=0.5 * one,
        mag=np.array([17.0, 18.0, np.nan]), redshift=0.1 * one, detected=np.zeros(3, bool),
    )  # fmt: skip
    assert len(plot_mock(few, "few").axes) == 4


def test_chunks_of_the_same_run_are_kept_and_those_of_another_refused(tmp_path):
    parts = Parts(tmp_path, "one")
    parts.write(3, np.arange(4))
    assert Parts(tmp_path, "one").has(3)
    np.testing.assert_array_equal(Parts(tmp_path, "one").read(3), np.arange(4))
    with pytest.raises(InputError, match="holds chunks of another run"):
        Parts(tmp_path, "two")
    assert not Parts(tmp_path, "two", overwrite=True).has(3)
    (tmp_path / "chunks" / "000005.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"000005.npy: cannot be read"):
        parts.read(5)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("mock_catalog", ROOT / "experiments" / "mock_catalog.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(script, folder, library_file, *overrides):
    box = ("volume=snapshot", "volume.side=15", "log10_m_min=11.5", "chunk=16", "runtime.precision=float64")
    given = ("ssp=file", f"ssp.path={library_file}", "nebular=none", *box, *SMALL)
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = hydra.compose("mock_catalog", overrides=[f"output={folder}", *given, *overrides])
    script.main(config)
    return folder


def test_a_run_that_is_stopped_goes_on_and_its_files_open_elsewhere(script, library_file, tmp_path, capsys):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    folder, make = tmp_path / "run", catalogue.Mock.make
    with (
        mock.patch.object(catalogue.Mock, "make", lambda self, n: make(self, n) if n < 2 else 1 / 0),
        pytest.raises(ZeroDivisionError),
    ):
        run(script, folder, library_file)
    kept = folder / "chunks" / "000000.npy"
    before = kept.stat().st_mtime_ns
    with pytest.raises(InputError, match="holds chunks of another run"):
        run(script, folder, library_file, "seed=7")
    assert kept.stat().st_mtime_ns == before
    run(script, folder, library_file)
    assert sorted(p.name for p in folder.iterdir()) == FILES
    whole = run(script, tmp_path / "whole", library_file, "format=parquet")
    table = Table.read(folder / "catalogue.h5", path="galaxies")
    frame = pandas.read_parquet(whole / "catalogue.parquet")
    assert list(frame.columns) == table.colnames
    for name in table.colnames:
        np.testing.assert_array_equal(frame[name], table[name])
    with h5py.File(folder / "catalogue.h5") as file:
        attributes = dict(file["galaxies"].attrs)
        assert "log10_m_min: 11.5" in file.attrs["config"]
    units_of = {attributes[f"FIELD_{i}_NAME"]: attributes[f"FIELD_{i}_UNIT"] for i in range(len(table.colnames))}
    assert units_of["flux_sdss2010_r"] == "nJy"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["galaxies"] == len(table) > 10
    assert "detected by SDSS" not in capsys.readouterr().err


def test_a_cluster_that_loses_a_worker_makes_the_catalogue_of_one_process(script, library_file, tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    write, killed = Parts.write, []

    def write_and_kill(self, number, rows):
        if not killed:
            killed.append(min(distributed.default_client().run(os.getpid).values()))
            os.kill(killed[0], signal.SIGKILL)
        write(self, number, rows)

    with mock.patch.object(Parts, "write", write_and_kill):
        run(script, tmp_path / "two", library_file, "cluster=local", "workers=2")
    run(script, tmp_path / "one", library_file)
    assert killed
    one, two = (Table.read(tmp_path / name / "catalogue.h5", path="galaxies") for name in ("one", "two"))
    assert len(one) > 10
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_a_cluster_that_is_not_installed_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'galdiff\[cluster\]', or cluster=none"), connected("local", 2):
        pass


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("volume.area=-1",), "area of the lightcone is -1"),
        (("volume.redshifts=[1,0.5]",), "redshifts of the lightcone are [1, 0.5]"),
        (("volume=snapshot", "volume.side=0"), "side of the snapshot is 0"),
        (("volume.area=40000",), "haloes above log10_m_min"),
        (("log10_m_min=20",), "log10_m_min is 20"),
        (("format=csv",), "format is 'csv'; choose one of hdf5, parquet"),
        (("survey.depths=[1]",), "passbands and 1 depths"),
        (("survey.detect_in=[nothing]",), "detect_in of survey LSST names 'nothing'"),
        (("sfh_population.calibration=eagle",), "calibration of diffstarpop is 'eagle'"),
        (("mass_function=tinker08", "mass_function.sigma8=9"), "sigma8 of the mass function is 9"),
        (("ssp=file", "ssp.path=LIBRARY"), "begins at 900.0 Angstrom"),
        (("lines=[Hbogus]",), "lines hold 'Hbogus'"),
        (("gas_dust=0",), "gas_dust"),
        (("survey=wise", "ssp=file", "ssp.path=LIBRARY", "nebular=none"), "passband wise2010-W1 runs from"),
    ],
)
def test_bad_input_ends_in_one_line(script, library_file, tmp_path, capsys, overrides, said):
    quiet = ("hydra/job_logging=none", "hydra/hydra_logging=none", "runtime.precision=float64")
    given = [text.replace("LIBRARY", str(library_file)) for text in overrides]
    small = [] if any("volume" in text for text in given) else ["volume.area=0.001"]
    argv = ["mock_catalog.py", f"output={tmp_path}/run", *quiet, f"hydra.run.dir={tmp_path}/hydra", *small, *given]
    with mock.patch.object(sys, "argv", argv), pytest.raises(SystemExit) as leaving:
        script.main()
    assert leaving.value.code == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "run" / "mock.png").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "survey").glob("*.yaml")), ids=lambda path: path.stem)
def test_surveys_of_the_project_have_their_passbands(path):
    from omegaconf import OmegaConf

    from galdiff.build import build

    found = build(OmegaConf.load(path), path="survey")
    assert len(found.passbands) == len(found.depths)
    assert found.reference
    assert all(14.0 < depth < 30.0 for depth in found.depths)


def test_survey_numbers_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="depths of survey toy hold 99"):
        small_survey(depths=[22.0, 99.0])
    with pytest.raises(InputError, match=r"gamma 0.5"):
        small_survey(gamma=0.5)
    with pytest.raises(InputError, match="passband box runs from 9000"):
        survey.top_hat(name="box", blue=9000.0, red=8000.0)
