"""Cubes and maps in FITS: exact round trips, sky and wavelength coordinates, and the tools that open them."""

import dataclasses
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.units import UnitsWarning
from astropy.wcs import WCS, FITSFixedWarning

from galdiff.errors import InputError
from galdiff.io.fits_cube import lsf_table, read_cube, write_cube, write_maps
from galdiff.io.fits_header import add_provenance, read_wavelength, wavelength_header
from galdiff.records import KinematicMaps, ObservedCube

N_Y, N_X, N_WAVE = 6, 9, 40
SPAXEL = 0.2  # [arcsec]


def make_cube(medium="air", wave=None, spaxel=SPAXEL):
    rng = np.random.default_rng(0)
    inside = np.ones((N_Y, N_X), bool)
    inside[0, :2] = inside[-1, -1] = False
    flux = rng.normal(10.0, 3.0, (N_Y, N_X, N_WAVE)).astype(np.float32) * inside[..., None]
    wave = 4750.0 + 1.25 * np.arange(N_WAVE) if wave is None else wave
    variance = (rng.uniform(0.5, 2.0, flux.shape) * inside[..., None]).astype(np.float32)
    return ObservedCube(flux=flux, variance=variance, wave=wave, inside=inside, medium=medium, spaxel_arcsec=spaxel)


def make_maps():
    rng = np.random.default_rng(1)
    names = ("flux", "v", "sigma", "h3", "h4", "age", "metallicity")
    maps = {name: rng.normal(size=(N_Y, N_X)) for name in names}
    maps["v"][0, 0] = np.nan
    return KinematicMaps(**maps)


@pytest.fixture
def written(tmp_path):
    """A cube with a bright spaxel to the East (x = 8) and North (y = 4)."""
    cube = make_cube()
    cube.flux[4, 8] += 1000.0
    path = tmp_path / "cube.fits"
    lsf = (np.array([4750.0, 9350.0]), np.array([2.9, 2.5]))
    write_cube(path, cube, provenance={"version": "0.1"}, redshift=0.3, maps=make_maps(), tables=[lsf_table(*lsf)])
    return path, cube


def celestial(header):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(header)


@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_round_trip_is_exact_in_single_precision(tmp_path, medium):
    cube = make_cube(medium)
    write_cube(tmp_path / "c.fits", cube, provenance={}, redshift=0.0)
    again = read_cube(tmp_path / "c.fits")
    for name in ("flux", "variance", "wave", "inside"):
        np.testing.assert_array_equal(getattr(again, name), getattr(cube, name))
    assert again.flux.dtype == np.float32
    assert (again.medium, again.spaxel_arcsec) == (medium, SPAXEL)
    write_cube(tmp_path / "d.fits", again, provenance={}, redshift=0.0)
    assert (tmp_path / "d.fits").read_bytes() == (tmp_path / "c.fits").read_bytes()


def test_the_primary_has_no_data_and_extensions_come_in_the_order_of_muse(written):
    with fits.open(written[0]) as hdus:
        hdus.verify("exception")
        assert hdus[0].data is None
        assert [hdu.name for hdu in hdus][:5] == ["PRIMARY", "DATA", "STAT", "DQ", "FLUX"]
        assert hdus[-1].name == "LSF"
        assert hdus[0].header["REDSHIFT"] == 0.3
        assert hdus[1].data.shape == (N_WAVE, N_Y, N_X)
        assert hdus[1].data.dtype == np.dtype(">f4")
        np.testing.assert_array_equal(hdus["LSF"].data["FWHM"], [2.9, 2.5])


def test_outside_the_aperture_data_is_nan_and_quality_is_one(written):
    with fits.open(written[0]) as hdus:
        outside = ~written[1].inside[:, ::-1]
        for name in ("DATA", "STAT"):
            np.testing.assert_array_equal(np.isnan(hdus[name].data).all(0), outside)
        np.testing.assert_array_equal(hdus["DQ"].data[7] == 1, outside)


def test_east_is_left_north_is_up_and_the_centre_is_the_pointing(written):
    data, header = fits.getdata(written[0], "DATA"), fits.getheader(written[0], "DATA")
    y, x = np.unravel_index(np.nanargmax(data[5]), data[5].shape)
    assert (y, x) == (4, 0)  # the spaxel at the largest x of the record lands on the left
    ra, dec, _ = celestial(header).all_pix2world([[x, y, 0]], 0)[0]
    assert (ra - 10.0) * 3600 * np.cos(np.deg2rad(dec)) == pytest.approx(4 * SPAXEL, rel=1e-6)  # to the East
    assert dec * 3600 == pytest.approx(1.5 * SPAXEL, rel=1e-6)
    middle = celestial(header).all_pix2world([[(N_X - 1) / 2, (N_Y - 1) / 2, 0]], 0)[0]
    np.testing.assert_allclose(middle[:2], [10.0, 0.0], atol=1e-10)


def test_units_of_data_and_variance_are_parsed_by_astropy(written):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # astropy dislikes MUSE's two slashes, but reads them
        data = u.Unit(fits.getheader(written[0], "DATA")["BUNIT"])
        stat = u.Unit(fits.getheader(written[0], "STAT")["BUNIT"])
    expected = 1e-20 * u.erg / u.s / u.cm**2 / u.AA
    assert data.to(expected) == pytest.approx(1.0)
    assert stat.to(expected**2) == pytest.approx(1.0)


@pytest.mark.parametrize(("medium", "kind"), [("air", "AWAV"), ("vacuum", "WAVE")])
@pytest.mark.parametrize("log", [False, True])
def test_wavelengths_by_the_coordinate_library_are_those_of_the_cube(tmp_path, medium, kind, log):
    wave = 3622.0 * 10 ** (1e-4 * np.arange(N_WAVE)) if log else 3622.0 + 1.04 * np.arange(N_WAVE)
    write_cube(tmp_path / "c.fits", make_cube(medium, wave), provenance={}, redshift=0.1)
    header = fits.getheader(tmp_path / "c.fits", "DATA")
    assert header["CTYPE3"] == kind + ("-LOG" if log else "")
    pixels = np.stack([np.zeros(N_WAVE), np.zeros(N_WAVE), np.arange(N_WAVE)], axis=1)
    metres = celestial(header).all_pix2world(pixels, 0)[:, 2]
    np.testing.assert_allclose(metres * 1e10, wave, rtol=1e-12)
    np.testing.assert_allclose(read_cube(tmp_path / "c.fits").wave, wave, rtol=1e-14)


def test_a_grid_held_in_single_precision_is_recognised():
    wave = (3622.0 + 1.04 * np.arange(4000)).astype(np.float32)
    header = wavelength_header(wave, "vacuum")
    assert header["CTYPE3"] == "WAVE"
    assert header["CD3_3"] == pytest.approx(1.04, rel=1e-6)
    header["NAXIS3"] = 4000
    np.testing.assert_allclose(read_wavelength(header, "x")[0], wave, rtol=2e-7)


def test_an_irregular_grid_is_refused():
    with pytest.raises(InputError, match="uniform neither"):
        wavelength_header(5000.0 + np.arange(50) ** 1.5, "air")
    with pytest.raises(InputError, match="increasing"):
        wavelength_header(np.array([5000.0, 4999.0]), "air")


def test_provenance_survives_whatever_it_holds(tmp_path):
    provenance = {
        "seed": np.int64(3),
        "config hash": "ab'" * 90,
        "INC": np.float32(60.0),
        "snr": float("nan"),
        "NOTE": "line one\nline two, " + "long " * 30,
        "imf": "Kroupa \u0393",
        "empty": None,
        "list": [1, 2],
        "naxis": 7,
        "bitpix": "x",
        "n_particles_of_all_kinds": 10**6,
        "big": 10**30,
    }
    write_cube(tmp_path / "c.fits", make_cube(), provenance=provenance, redshift=np.float32(0.3))
    header = fits.getheader(tmp_path / "c.fits")
    assert header["SEED"] == 3
    assert header["INC"] == 60.0
    assert header["SNR"] == "nan"
    assert header["NOTE"].startswith("line one line two, long")
    assert len(header["NOTE"]) > 100
    assert header["IMF"].startswith("Kroupa ?")
    assert header["NAXIS"] == 0
    assert header["BITPIX"] == 8
    assert header["GALDIFF CONFIG_HASH"].startswith("ab'ab'")
    assert header["GALDIFF N_PARTICLES_OF_ALL_KINDS"] == 10**6
    header.tostring()


def test_provenance_keys_that_are_structure_go_under_our_own_name():
    header = fits.Header()
    add_provenance(header, {"SIMPLE": 1, "END": 2, "NAXIS1": 3})
    assert [header[f"GALDIFF {key}"] for key in ("SIMPLE", "END", "NAXIS1")] == [1, 2, 3]


def test_maps_carry_units_and_the_same_sky_as_the_cube(tmp_path, written):
    maps = make_maps()
    write_maps(tmp_path / "m.fits", {"light": maps, "mass": maps}, spaxel_arcsec=SPAXEL, provenance={}, redshift=0.3)
    with fits.open(tmp_path / "m.fits") as hdus:
        units = {hdu.name: hdu.header.get("BUNIT", "") for hdu in hdus[1:]}
        assert {key: units[key] for key in ("FLUX_L", "FLUX_M", "V_L", "SIGMA_M", "AGE_L", "Z_L")} == {
            "FLUX_L": "solLum", "FLUX_M": "solMass", "V_L": "km/s", "SIGMA_M": "km/s", "AGE_L": "Gyr", "Z_L": "",
        }  # fmt: skip
        assert all(u.Unit(unit) is not None for unit in units.values())
        np.testing.assert_array_equal(hdus["V_M"].data, maps.v[:, ::-1].astype(np.float32))
        cube_header = fits.getheader(written[0], "DATA")
        for key in ("CRPIX1", "CRPIX2", "CD1_1", "CD2_2", "CRVAL1", "CTYPE1"):
            assert hdus["V_L"].header[key] == cube_header[key]


def test_mpdaf_opens_the_cube_with_the_right_axes_units_and_variance(written):
    mpdaf = pytest.importorskip("mpdaf.obj", exc_type=ImportError)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations and unit notes of MPDAF
        cube = mpdaf.Cube(str(written[0]))
        np.testing.assert_allclose(cube.wave.coord(unit=u.AA), written[1].wave)
        np.testing.assert_allclose(cube.wcs.get_step(unit=u.arcsec), [SPAXEL, SPAXEL])
        assert cube.unit.to(1e-20 * u.erg / u.s / u.cm**2 / u.AA) == pytest.approx(1.0)
    np.testing.assert_array_equal(cube.data.mask[3], ~written[1].inside[:, ::-1])
    inside = ~cube.data.mask
    stored = np.moveaxis(written[1].variance[:, ::-1], 2, 0)
    np.testing.assert_array_equal(cube.var.data[inside], stored[inside])


def test_specutils_opens_the_cube_with_the_right_wavelengths_and_variance(written):
    specutils = pytest.importorskip("specutils")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        warnings.simplefilter("ignore", FITSFixedWarning)
        cube = specutils.Spectrum.read(
            written[0], format="wcs1d-fits", hdu="DATA", uncertainty_hdu="STAT", uncertainty_type="var"
        )
    np.testing.assert_allclose(cube.spectral_axis.to_value("Angstrom"), written[1].wave, rtol=1e-12)
    np.testing.assert_array_equal(cube.mask[3], ~written[1].inside[:, ::-1])
    assert cube.flux.shape == (N_WAVE, N_Y, N_X)
    expected = np.moveaxis(written[1].flux[:, ::-1], 2, 0)
    found = cube.flux.to_value(1e-20 * u.erg / u.s / u.cm**2 / u.AA)
    np.testing.assert_allclose(found[~cube.mask.astype(bool)], expected[~cube.mask.astype(bool)], rtol=1e-6)
    np.testing.assert_allclose(
        cube.uncertainty.array[10, 3], written[1].variance[3, ::-1, 10], rtol=1e-6, err_msg="variance"
    )


def test_oblong_spaxels_survive_and_are_in_the_header(tmp_path):
    cube = dataclasses.replace(make_cube(spaxel=0.69), spaxel_y_arcsec=0.29)
    write_cube(tmp_path / "c.fits", cube, provenance={}, redshift=0.0, maps=make_maps())
    again = read_cube(tmp_path / "c.fits")
    assert (again.spaxel_arcsec, again.spaxel_y_arcsec) == (0.69, 0.29)
    for name in ("DATA", "V"):
        header = fits.getheader(tmp_path / "c.fits", name)
        np.testing.assert_allclose([-header["CD1_1"] * 3600, header["CD2_2"] * 3600], [0.69, 0.29], rtol=1e-9)
