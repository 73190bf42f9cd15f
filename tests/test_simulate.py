"""`simulate` from end to end: what the folder holds, and that the cube is the light of the stars."""

import dataclasses
import datetime
import json
import warnings

import h5py
import matplotlib.image
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from omegaconf import OmegaConf
from scipy.interpolate import RegularGridInterpolator
from simulate_run import SMALL, command, compose, library, rerun, run, script

from galdiff.cosmology import Cosmology
from galdiff.front.repeat import repeated
from galdiff.front.run import instrument_of
from galdiff.front.settings import RunSettings
from galdiff.ifu.spread_functions import lsf_fwhm
from galdiff.io.fits_cube import read_cube
from galdiff.io.histories import read_history
from galdiff.io.simulations import read_galaxy
from galdiff.observing.sky import DEFAULT_REDSHIFT, warn_too_old
from galdiff.records import Galaxy, StarParticles

LSUN_ERG_S, MPC_CM = 3.828e33, 3.0856775814913673e24
PLAIN = "maps.gauss_hermite=false"  # h3 and h4 are the dearest of the maps, and those of `small` are looked at
PRODUCTS = ["config.yaml", "cube.fits", "maps.fits", "maps.png", "spectra.png", "summary.json"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Folder of a small run with noise."""
    return run(tmp_path_factory.mktemp("small"), *SMALL, "view.position_angle=40", "max_spaxels=10")


def summary_of(folder) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_the_folder_holds_all_products_and_nothing_else(small):
    assert sorted(p.name for p in small.iterdir()) == PRODUCTS


def test_the_cube_has_coordinates_units_and_provenance(small):
    with fits.open(small / "cube.fits") as file:
        primary, data, stat = file[0].header, file["DATA"].header, file["STAT"].header
        assert file["DATA"].data.shape == file["STAT"].data.shape == (201, 10, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        warnings.simplefilter("ignore", u.UnitsWarning)  # MUSE's spelling has two slashes
        wcs = WCS(data)
        unit, unit2 = (u.Unit(header["BUNIT"]) for header in (data, stat))
    assert unit.is_equivalent("erg s-1 cm-2 Angstrom-1")
    assert unit2.is_equivalent(unit**2)
    np.testing.assert_allclose(wcs.pixel_to_world_values(0, 0, [0, 200])[2] * 1e10, [4750, 5000], rtol=1e-9)
    np.testing.assert_allclose(np.array(wcs.celestial.proj_plane_pixel_scales()[0].to_value("arcsec")), 0.2)
    facts = summary_of(small)
    assert primary["REDSHIFT"] == DEFAULT_REDSHIFT
    assert primary["INSTRUME"] == "MUSE WFM"
    assert (primary["INC"], primary["PA"], primary["SEED"], primary["SNR"]) == (60, 40, 0, 40)
    assert primary["NPART"] == facts["stars"]["in_field"]["number"] > 50
    assert primary["CONFHASH"] == facts["config_hash"]
    assert primary["SSP"] == facts["library"]
    assert primary["OBJECT"] == facts["galaxy"]
    assert primary["EXPTIME"] is None  # the noise is set by S/N
    assert (
        abs(
            datetime.datetime.fromisoformat(primary["DATE"]) - datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        ).total_seconds()
        < 3600
    )
    assert data["SPECSYS"] == "BARYCENT"
    assert [primary.comments[key].split("]")[0] for key in ("INC", "PA", "DISTANCE")] == ["[deg", "[deg", "[Mpc"]
    np.testing.assert_allclose(primary["GFWHM"], 0.8 * (4825 / 7000) ** -0.2, rtol=1e-6)
    assert "RFWHM" not in primary  # not recorded here
    np.testing.assert_allclose([primary["PSFFWHM"], primary["PSFWAVE"]], [0.8 * (4875 / 7000) ** -0.2, 4875], rtol=1e-6)


def test_the_lsf_of_the_file_is_that_of_the_data(small):
    with fits.open(small / "cube.fits") as file:
        table, data, primary = file["LSF"].header, file["LSF"].data, file[0].header
    instrument = lsf_fwhm(instrument_of(RunSettings(OmegaConf.load(small / "config.yaml"))).lsf, data["WAVE"])
    assert table["LSFPIXEL"] == "before"
    np.testing.assert_allclose(data["FWHM"], np.maximum(instrument, data["LIBRARY"]), rtol=1e-3)
    np.testing.assert_allclose(primary["LIBFWHM"] * (1 + DEFAULT_REDSHIFT), data["LIBRARY"][100], rtol=1e-6)


def test_the_config_in_the_file_is_that_of_the_run(small):
    again = repeated(compose(*SMALL[:1], f"from={small / 'cube.fits'}", "output=again"))
    kept = OmegaConf.load(small / "config.yaml")
    assert (
        RunSettings(again).short_name()
        == RunSettings(kept).short_name()
        == fits.getval(small / "cube.fits", "CONFHASH")
    )


def test_maps_and_pictures_show_the_galaxy(small):
    for name in ("maps.png", "spectra.png"):
        image = matplotlib.image.imread(small / name)[..., :3]
        assert min(image.shape[:2]) > 500
        assert image.std() > 0.1
    with fits.open(small / "maps.fits") as file:
        names = [hdu.name for hdu in file[1:]]
        maps = ("FLUX", "V", "SIGMA", "H3", "H4", "AGE", "Z")
        assert names == [f"{name}_{kind}" for kind in ("L", "PSF") for name in maps] + ["NSTARS", "QUALITY"]
        assert (file["NSTARS"].data >= 0).all()
        unfit = (file["QUALITY"].data & 2) > 0
        np.testing.assert_array_equal(unfit, np.isnan(file["V_L"].data) | np.isnan(file["SIGMA_L"].data))
        assert file["V_L"].header["BUNIT"] == file["V_PSF"].header["BUNIT"] == "km/s"
        assert np.isfinite(file["FLUX_L"].data).all()


def test_the_summary_says_what_was_done(small):
    facts = summary_of(small)
    stars = facts["stars"]
    assert stars["all"]["number"] == 2000 == stars["in_field"]["number"] + stars["outside_field"]["number"]
    assert {"beyond_velocity_range", "beyond_attenuation_range", "outside_library"} <= set(stars)
    assert facts["seconds"]["total"] >= sum(v for k, v in facts["seconds"].items() if k != "total") - 0.1
    assert any("compile" in name for name in facts["seconds"])
    np.testing.assert_allclose(
        facts["kinematics"]["r_half"] / facts["kpc_per_arcsec"], facts["kinematics"]["r_half_arcsec"], rtol=1e-6
    )
    assert len(set(facts["warnings"])) == len(facts["warnings"])
    assert all("\n" not in text for text in facts["warnings"])


def test_the_same_config_gives_the_same_cube_bit_for_bit_and_another_seed_other_noise(small, tmp_path):
    again = read_cube(rerun(small / "config.yaml", tmp_path / "again") / "cube.fits")
    first = read_cube(small / "cube.fits")
    np.testing.assert_array_equal(first.flux, again.flux)
    np.testing.assert_array_equal(first.variance, again.variance)
    assert command(tmp_path / "other", f"from={small / 'cube.fits'}", "seed=1", "extensions=jdaviz") == 0
    with fits.open(tmp_path / "other" / "cube.fits") as file:
        assert [hdu.name for hdu in file[1:4]] == ["FLUX", "VAR", "DQ"]
    other = read_cube(tmp_path / "other" / "cube.fits")
    np.testing.assert_array_equal(first.variance, other.variance)  # of the same noiseless cube
    pull = (first.flux - other.flux) / np.sqrt(2 * first.variance)
    assert abs(pull.std() - 1) < 0.03
    assert summary_of(tmp_path / "other")["config_hash"] != summary_of(small)["config_hash"]


def band_flux(galaxy, wave_rest, redshift, distance_mpc) -> float:
    """Sum over stars of mass L / (4 pi D^2 (1 + z)), band mean [1e-20 erg/s/cm2/A]; L interpolated bilinearly."""
    grid = library()
    at = np.interp(wave_rest, *(np.asarray(x) for x in (grid.ssp_wave, np.arange(len(grid.ssp_wave)))))
    spectra = np.asarray(grid.ssp_flux)
    low, share = at.astype(int), at % 1
    lum = np.trapezoid(spectra[..., low] * (1 - share) + spectra[..., low + 1] * share, wave_rest, axis=-1)
    axes = (np.asarray(grid.ssp_lgmet), np.asarray(grid.ssp_lg_age_gyr))
    points = (np.log10(galaxy.stars.metallicity), np.log10(galaxy.stars.age))
    points = np.stack([p.clip(a[0], a[-1]) for p, a in zip(points, axes, strict=True)], -1)
    total = (galaxy.stars.mass * RegularGridInterpolator(axes, lum)(points)).sum() / np.ptp(wave_rest)
    return 1e20 * total * LSUN_ERG_S / (4 * np.pi * (distance_mpc * MPC_CM) ** 2 * (1 + redshift))


@pytest.mark.parametrize(("name", "field"), [("Colibre", 390.0), ("EAGLE", 4.0)])
def test_the_cube_of_a_snapshot_holds_the_light_and_the_maps_the_mass_of_all_stars(name, field, data_dir, tmp_path):
    path = data_dir / "sims" / f"SimSpin_example_{name}.hdf5"
    wide = [f"instrument.field_{axis}_arcsec={field}" for axis in "xy"]
    wide += [f"instrument.spaxel_{axis}_arcsec={field / 12}" for axis in "xy"]
    options = (
        "runtime.precision=float64",
        "input=file",
        f"input.path={path}",
        "instrument=muse_wfm",
        "instrument.psf.kind=none",
        "smoothing.kind=none",
        "dust=none",
    )
    band = ("instrument.wave.start_angstrom=7000", "instrument.wave.end_angstrom=7400", "precision.rank=24")
    light = ("noise.snr=null", "maps.weight=mass", "engine=compressed", PLAIN)
    folder = run(tmp_path, *options, *wide, *band, *light)
    facts, cube, galaxy = summary_of(folder), read_cube(folder / "cube.fits"), read_galaxy(path)
    assert facts["stars"]["outside_field"]["number"] == 0
    expected_redshift = DEFAULT_REDSHIFT if name == "Colibre" else galaxy.redshift
    np.testing.assert_allclose(facts["redshift"], expected_redshift, rtol=1e-6)
    rest = (np.asarray(cube.wave)[[0, -1]] + [0.625 * -1, 0.625]) * 1.00028 / (1 + expected_redshift)  # air to vacuum
    expected = band_flux(galaxy, np.linspace(*rest, 3000), expected_redshift, facts["luminosity_distance_mpc"])
    np.testing.assert_allclose(cube.flux.sum((0, 1)).mean(), expected, rtol=0.01)
    assert (cube.variance == 0).all()
    in_maps = fits.getdata(folder / "maps.fits", "FLUX_M").sum()
    np.testing.assert_allclose(in_maps, galaxy.stars.mass.sum(), rtol=1e-5)


def test_the_receding_side_lies_where_it_was_asked(tmp_path):
    options = ("view.position_angle=130", "input.n_stars=20000", "input.n_gas=10", "instrument.spaxel_x_arcsec=1")
    options += ("instrument.spaxel_y_arcsec=1", "max_spaxels=16", "noise.snr=null", "precision.h_v_kms=150")
    folder = run(tmp_path, *SMALL[:1], SMALL[2], "precision.rank=4", "engine=compressed", *options, PLAIN)
    facts, flux = summary_of(folder), read_cube(folder / "cube.fits").flux
    assert (flux >= 0).all()  # in spaxels without stars too
    assert abs(facts["kinematics"]["kinematic_angle"] - 130) < 3
    assert abs(facts["kinematics"]["position_angle"] - 130) < 10
    assert facts["kinematics"]["lambda_r"] > 0.6


def test_a_galaxy_grown_in_a_halo_leaves_its_history_too(tmp_path, capsys):
    fast = ("halo.log10_mvir=11.5", "halo.observed_redshift=0.1", "baryons.outputs.n_steps=64")
    small = tuple(option for option in SMALL if option not in ("input=disc", "dust=none", "input.n_gas=200"))
    dusty = ("dust=gas_column", "input.n_gas=2000")  # as by default
    folder = run(tmp_path, "input=halo", *small, *fast, "placement.redshift=null", "noise.snr=null", *dusty, PLAIN)
    assert sorted(p.name for p in folder.iterdir()) == sorted([*PRODUCTS, "history.h5", "history.png"])
    history, facts = read_history(folder / "history.h5"), summary_of(folder)
    np.testing.assert_allclose(np.log10(history.m_vir[-1]), 11.5, atol=0.1)  # that today; the growth since is small
    np.testing.assert_allclose(facts["grown"]["log10_mstar"], np.log10(history.m_star[-1]), rtol=1e-6)
    np.testing.assert_allclose(facts["redshift"], 0.1, rtol=1e-4)
    np.testing.assert_allclose(facts["stars"]["all"]["mass_formed_msun"], history.m_star[-1] / 0.6, rtol=1e-3)
    np.testing.assert_allclose(facts["grown"]["log10_mstar_formed"], np.log10(history.m_formed[-1]), rtol=1e-6)
    assert 0.1 < facts["stars"]["in_field"]["a_v_mag"] < 2
    header = fits.getheader(folder / "cube.fits")
    np.testing.assert_allclose(
        [header["LGMSTAR"], header["LGMFORM"]], np.log10([history.m_star[-1], history.m_formed[-1]])
    )
    with h5py.File(folder / "history.h5") as file:
        np.testing.assert_allclose(file["mass_formed"][-1], history.m_formed[-1])
        assert file["contents/mass/stars"].attrs["long_name"] == "mass: stars that survive, and remnants"
    assert "10^11." in facts["galaxy"]
    options = ("input=halo", *small, "halo=population", "halo.n=2", "overwrite=true")
    capsys.readouterr()
    assert command(tmp_path, *options) == 2
    assert "halo holds 2 haloes; one is observed: halo=diffmah, or halo.index=0" in capsys.readouterr().err


def test_nirspec_sees_a_distant_galaxy_through_its_own_detector(tmp_path):
    distant = ("halo.observed_redshift=2.0", "placement.redshift=null", "baryons.outputs.n_steps=64")
    band = ("instrument=nirspec_g235h", "instrument.wave={start_angstrom: 19500.0, end_angstrom: 20100.0}")
    small = tuple(option for option in SMALL if option != "input=disc" and not option.startswith("instrument"))
    exposure = ("noise.mode=exposure", "noise.exposure_s=72000", "noise.n_exposures=72", "max_spaxels=6")
    folder = run(tmp_path, "input=halo", *small, *distant, *band, *exposure)
    facts, cube = summary_of(folder), read_cube(folder / "cube.fits")
    np.testing.assert_allclose(facts["redshift"], 2.0, rtol=1e-4)
    assert not any("older than the universe" in text for text in facts["warnings"])
    assert fits.getheader(folder / "cube.fits")["EXPTIME"] == 72000.0
    variance = np.asarray(cube.variance)
    assert (variance > 0).all()
    dark = variance[0, 0].mean() ** 0.5  # where nothing but sky and detector is seen
    assert 0.05 < dark < 0.5  # 1e-20 erg/s/cm2/Angstrom
    assert variance[2:4, 2:4].mean() > variance[0, 0].mean()  # the galaxy's own photons
    assert np.std(np.asarray(cube.flux)[0, 0]) == pytest.approx(dark, rel=0.25)


def test_a_galaxy_older_than_the_universe_where_it_is_placed_says_so():
    ages, one = np.array([1.0, 9.0, 9.0, 9.0]), np.ones(4)
    stars = StarParticles(pos=np.zeros((4, 3)), vel=np.zeros((4, 3)), mass=one, age=ages, metallicity=0.02 * one)
    galaxy = Galaxy(stars=stars, name="a galaxy", redshift=0.0)
    with pytest.warns(UserWarning, match=r"75% of the mass .* at redshift 4 \(1\.5\d* Gyr\).*observed_redshift=4"):
        warn_too_old(galaxy, 4.0, Cosmology())
    warn_too_old(galaxy, 0.3, Cosmology())  # 10.3 Gyr
    warn_too_old(dataclasses.replace(galaxy, redshift=4.0), 4.0, Cosmology())  # its own time, whatever its ages


def test_oblong_spaxels_reach_the_files(tmp_path):
    folder = run(tmp_path, *SMALL, "instrument.spaxel_y_arcsec=0.5", "noise.snr=null", PLAIN)
    for header in (fits.getheader(folder / "cube.fits", "DATA"), fits.getheader(folder / "maps.fits", "V_L")):
        np.testing.assert_allclose([-header["CD1_1"] * 3600, header["CD2_2"] * 3600], [0.2, 0.5], rtol=1e-9)


def test_the_closing_line_gives_uncertainties_and_says_what_is_unresolved(small):
    facts = summary_of(small)
    found = facts["kinematics"]
    said = script().closing(facts)
    for name, label in (("r_half", "r_half"), ("lambda_r", "lambda_R"), ("v_over_sigma", "V/sigma")):
        assert f"{label} = {found[name]:.2f} \N{PLUS-MINUS SIGN} {found[f'{name}_error']:.2g}" in said
    assert "unresolved" not in said
    assert "arcsec, unresolved" in script().closing({**facts, "kinematics": {**found, "resolved": False}})


def test_maps_in_bins_are_constant_where_each_bin_holds_enough_stars(tmp_path):
    binned = ("placement.redshift=0.05", "maps.bin_stars=30", "noise.snr=null", PLAIN)
    folder = run(tmp_path / "bins", *SMALL, *binned)
    with fits.open(folder / "maps.fits") as file:
        label = file["BIN"].data
        lit = label > 0
        assert 1 < label.max() < lit.sum()
        assert file["NSTARS"].data[lit].min() >= 30
        for name in ("FLUX_L", "V_L", "SIGMA_L", "AGE_L", "V_PSF"):
            values = file[name].data
            assert all(np.ptp(values[label == k]) == 0 for k in range(1, label.max() + 1)), name
        assert np.isfinite(file["V_L"].data[lit]).all()
