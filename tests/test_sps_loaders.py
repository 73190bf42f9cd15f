"""Readers of SSP libraries: units, media, resolution, published mass-to-light ratios, lookup, clipping and errors."""

import json
import runpy
import sys
import types

import h5py
import numpy as np
import pytest
from astropy.io import fits
from omegaconf import OmegaConf
from ssp_files import LG_AGE, WAVE, smooth_flux, write_dsps, write_miles, write_ppxf

from galdiff import units
from galdiff.core import air
from galdiff.core.record import check
from galdiff.errors import InputError
from galdiff.runtime import project_dir
from galdiff.sps.grid import cut_populations
from galdiff.sps.interpolate import node_table, spectrum
from galdiff.sps.library import load_ssp


@pytest.fixture(scope="module")
def miles(data_dir):
    return load_ssp(data_dir / "ssp" / "ssp_miles_basti_kb.h5")


def solar_mass_to_light(grid, lg_age):
    """M/L_V at 10^lg_age Gyr, Z = 0.0198: 100 Angstrom-smoothed V band of Bessell (1990), against M_V(AB) = 4.81."""
    band = np.array(
        [[4700, 0], [4800, 0.03], [4900, 0.163], [5000, 0.458], [5100, 0.78], [5200, 0.967], [5300, 1], [5400, 0.973],
         [5500, 0.898], [5600, 0.792], [5700, 0.684], [5800, 0.574], [5900, 0.461], [6000, 0.359], [6100, 0.27],
         [6200, 0.197], [6300, 0.135], [6400, 0.081], [6500, 0.045], [6600, 0.025], [6700, 0.017], [6800, 0.013],
         [6900, 0.009], [7000, 0]]
    )  # fmt: skip
    wave = np.asarray(grid.ssp_wave)
    lum = np.asarray(spectrum(node_table(grid, "linear"), lg_age, np.log10(0.0198)), np.float64)
    response = np.interp(wave, *band.T)
    # Photon-weighted mean of F_nu at 10 pc, from L_lambda: F_nu = L_lambda lambda^2 / c / (4 pi d^2).
    ten_pc = 4 * np.pi * (units.MPC_CM / 1e5) ** 2
    f_nu = lum * units.LSUN_ERG_S * wave**2 / (units.C_KMS * 1e13) / ten_pc
    mean = np.trapezoid(f_nu * response / wave, wave) / np.trapezoid(response / wave, wave)
    m_v = -2.5 * np.log10(mean) + units.AB_ZERO_POINT
    return m_v, 10 ** (0.4 * (m_v - 4.81))


def test_miles_has_the_published_mass_to_light_ratio(miles):
    m_v, ratio = solar_mass_to_light(miles, 1.0)
    assert abs(m_v - 6.99) < 0.02
    assert abs(ratio / 7.5 - 1) < 0.03
    assert abs(solar_mass_to_light(miles, 0.0)[1] / 1.09 - 1) < 0.05


def test_miuscat_is_brighter_by_its_mass_function(data_dir, miles):
    miuscat = load_ssp(data_dir / "ssp" / "ssp_miuscat_thin.h5")
    m_v, ratio = solar_mass_to_light(miuscat, 1.0)
    assert abs(m_v - 6.78) < 0.03
    assert abs(ratio / 6.2 - 1) < 0.04


def test_dsps_conversion_is_that_of_frequency_to_wavelength(data_dir, miles):
    check(miles)
    with h5py.File(data_dir / "ssp" / "ssp_miles_basti_kb.h5") as file:
        wave, l_nu = file["ssp_wave"][...], file["ssp_flux"][4, 20].astype(np.float64)
    np.testing.assert_allclose(miles.ssp_flux[4, 20], l_nu * 2.99792458e18 / wave**2, rtol=1e-6)
    assert miles.medium == "vacuum"
    assert "Kroupa revised" in miles.imf
    np.testing.assert_array_equal(miles.ssp_fwhm, np.full(4300, 2.51))
    assert abs(10 ** miles.ssp_lgmet[0] - 1e-4) < 1e-9


def test_dsps_round_trip_and_lsun_of_the_source(tmp_path):
    grid = load_ssp(write_dsps(tmp_path / "a.h5"))
    np.testing.assert_allclose(grid.ssp_flux, smooth_flux(), rtol=1e-12)
    other = load_ssp(write_dsps(tmp_path / "b.h5", attrs={"lsun_cgs": 3.839e33}))
    np.testing.assert_allclose(other.ssp_flux, smooth_flux() * 3.839 / 3.828, rtol=1e-12)


def test_dsps_without_resolution_warns_once_unless_it_is_given(tmp_path):
    path = write_dsps(tmp_path / "plain.h5", attrs={"resolution_fwhm_angstrom": None, "imf": None})
    with pytest.warns(UserWarning, match="does not state its resolution") as caught:
        grid = load_ssp(path)
    assert len(caught) == 1
    np.testing.assert_array_equal(grid.ssp_fwhm, 2.5)
    grid = load_ssp(path, fwhm=[[4000.0, 2.0], [7000.0, 5.0]], imf="Chabrier")
    np.testing.assert_allclose(grid.ssp_fwhm[[0, 20, -1]], [2.0, 3.0, 5.0])
    assert grid.imf == "Chabrier"


def test_ppxf_library_in_air_becomes_vacuum_and_keeps_its_luminosity(tmp_path):
    grid = load_ssp(write_ppxf(tmp_path / "spectra_emiles_9.0.npz"), imf="Salpeter")
    check(grid)
    np.testing.assert_allclose(grid.ssp_wave, air.air_to_vacuum(WAVE))
    np.testing.assert_allclose(air.vacuum_to_air(grid.ssp_wave), WAVE, rtol=1e-13)
    np.testing.assert_allclose(grid.ssp_lgmet, np.array([-1.2, 0.1]) + np.log10(0.019))
    assert (grid.medium, grid.imf, grid.ssp_flux.shape) == ("air", "Salpeter", (2, 3, 61))
    before = np.trapezoid(smooth_flux(), WAVE)
    np.testing.assert_allclose(np.trapezoid(grid.ssp_flux, grid.ssp_wave), before, rtol=1e-6)
    np.testing.assert_allclose(grid.ssp_fwhm, 2.6 * 1.00028, rtol=2e-5)


def test_ppxf_library_in_vacuum_stays_as_it_is(tmp_path):
    grid = load_ssp(write_ppxf(tmp_path / "spectra_fsps_9.0.npz"))
    np.testing.assert_array_equal(grid.ssp_wave, WAVE)
    np.testing.assert_array_equal(grid.ssp_flux, smooth_flux().astype(np.float32))
    np.testing.assert_allclose(grid.ssp_lg_age_gyr, LG_AGE, atol=1e-15)
    assert grid.medium == "vacuum"


def test_unknown_ppxf_library_asks_for_what_the_file_does_not_say(tmp_path):
    path = write_ppxf(tmp_path / "spectra_mine.npz")
    with pytest.raises(InputError, match=r"'mine' is not one of emiles.*medium=air or vacuum and z_sun"):
        load_ssp(path)
    assert load_ssp(path, medium="vacuum", z_sun=0.02).ssp_lgmet[1] == pytest.approx(0.1 + np.log10(0.02))


def test_miles_folder_takes_everything_from_the_names(tmp_path):
    grid = load_ssp(write_miles(tmp_path))
    check(grid)
    np.testing.assert_allclose(10**grid.ssp_lgmet, [0.008, 0.0198])  # BaSTI
    np.testing.assert_allclose(grid.ssp_lg_age_gyr, LG_AGE, atol=1e-12)
    np.testing.assert_allclose(grid.ssp_wave, air.air_to_vacuum(WAVE))
    assert grid.imf == "Kroupa universal 1.30"
    assert grid.name == "MILES BaSTI iTp0.00_baseFe"
    expected = smooth_flux() * air.air_per_vacuum(np.asarray(grid.ssp_wave)) * 3.826 / 3.828
    np.testing.assert_allclose(grid.ssp_flux, expected, rtol=1e-6)
    np.testing.assert_allclose(grid.ssp_fwhm, 2.51 * 1.00028, rtol=2e-5)


def test_emiles_folder_has_the_resolution_of_its_parts(tmp_path):
    names = {"prefix": "Eku1.30", "tail": "_iPp0.00_baseFe", "mets": ("m0.40", "p0.00")}
    grid = load_ssp(write_miles(tmp_path, **names, CRVAL1=2800.0, CDELT1=200.0))
    np.testing.assert_allclose(10**grid.ssp_lgmet, [0.008, 0.019])  # Padova00
    fwhm = np.interp([2900.0, 3300.0, 5000.0, 12000.0], grid.ssp_wave, grid.ssp_fwhm)
    np.testing.assert_allclose(fwhm, [3.0, 5.0, 2.51, 12000 * 60 / units.C_KMS * units.FWHM_PER_SIGMA], rtol=1e-3)


def test_miles_folder_names_the_missing_combination(tmp_path):
    write_miles(tmp_path, skip={("p0.06", "01.0000")})
    with pytest.raises(InputError, match=r"1 of 6 combinations are missing \(\[M/H\]=\+0.06 T=1\)"):
        load_ssp(tmp_path)


def test_miles_folder_with_two_libraries_asks_to_choose(tmp_path):
    write_miles(write_miles(tmp_path), prefix="Mun1.30")
    with pytest.raises(InputError, match=r"2 libraries .*Mku1.30\*_iTp0.00_baseFe.*pattern="):
        load_ssp(tmp_path)
    assert load_ssp(tmp_path, pattern="Mun*").imf == "unimodal 1.30"


class FakePopulation:
    """What the reader needs of fsps.StellarPopulation: two metallicities, three ages, Lsun/Hz."""

    zlegend = np.array([0.001, 0.02])
    ssp_ages = np.array([8.0, 9.0, 10.0])  # log10(age/yr)
    wavelengths = np.linspace(500.0, 30000.0, 600)
    resolutions = np.where(wavelengths < 4000.0, -100.0, 60.0)  # km/s; negative where approximate
    libraries = (b"mist", b"miles")

    def __init__(self, **parameters):
        self.parameters = parameters

    def get_spectrum(self, *, zmet, tage, peraa):
        assert (tage, peraa) == (0.0, False)
        lum = smooth_flux(self.wavelengths, self.ssp_ages - 9, np.log10(self.zlegend))[zmet - 1]
        return self.wavelengths, lum * self.wavelengths**2 / 2.99792458e18


def test_fsps_makes_a_library_in_our_units(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsps", types.SimpleNamespace(StellarPopulation=FakePopulation))
    grid = load_ssp(None, kind="fsps", imf_type=0, wave_range=(3000.0, 9000.0))
    check(grid)
    assert (grid.name, grid.imf) == ("FSPS mist miles", "Salpeter 1955")
    assert grid.ssp_wave[0] >= 3000.0
    assert grid.ssp_wave[-1] <= 9000.0
    expected = smooth_flux(np.asarray(grid.ssp_wave), np.array([-1.0, 0.0, 1.0]), np.log10(FakePopulation.zlegend))
    np.testing.assert_allclose(grid.ssp_flux, expected * 3.839 / 3.828, rtol=1e-12)
    np.testing.assert_allclose(np.interp(5000.0, grid.ssp_wave, grid.ssp_fwhm), 5000 * 60 / 299792.458 * 2.35482, 1e-6)
    assert (grid.ssp_fwhm > 0).all()


class NebularPopulation(FakePopulation):
    """The same with two emission lines; FSPS gives those of all ages once a spectrum of all ages was asked for."""

    emline_wavelengths = np.array([6564.6, 4862.7])
    emline_luminosity = None

    def get_spectrum(self, *, zmet, tage, peraa):
        self.emline_luminosity = np.array([[3.0, 1.0], [0.3, 0.1], [0.0, 0.0]]) * zmet
        return super().get_spectrum(zmet=zmet, tage=tage, peraa=peraa)


def test_fsps_with_nebular_emission_brings_its_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsps", types.SimpleNamespace(StellarPopulation=NebularPopulation))
    grid = load_ssp(None, kind="fsps", wave_range=(3000.0, 9000.0), add_neb_emission=True, nebemlineinspec=False)
    check(grid)
    np.testing.assert_allclose(grid.line_wave, [6564.6, 4862.7])
    np.testing.assert_allclose(grid.line_lum_per_msun[:, 0, 0], np.array([3.0, 6.0]) * 3.839 / 3.828)
    assert load_ssp(None, kind="fsps", wave_range=(3000.0, 9000.0)).line_wave is None


LINES = {
    "ssp_emline_wave": np.array([4862.7, 6564.6]),
    "ssp_emline_luminosity": np.arange(12.0).reshape(2, 3, 2),
    "ssp_emline_name": np.array([b"Hbeta", b"Halpha"]),
}


def test_dsps_lines_are_read_with_their_names_and_stay_in_parts_of_the_library(tmp_path):
    path = write_dsps(tmp_path / "lines.h5", attrs={"lsun_cgs": 3.839e33}, **LINES)
    grid = load_ssp(path)
    check(grid)
    assert grid.line_names == ("Hbeta", "Halpha")
    np.testing.assert_allclose(grid.line_wave, LINES["ssp_emline_wave"])
    np.testing.assert_allclose(grid.line_lum_per_msun, LINES["ssp_emline_luminosity"] * 3.839 / 3.828)
    part = cut_populations(load_ssp(path, wave_range=(4500.0, 5500.0)), (0.1, 0.9), (-1.7, -1.7))
    check(part)
    np.testing.assert_allclose(part.line_lum_per_msun, grid.line_lum_per_msun[1:, 1:])
    without = load_ssp(write_dsps(tmp_path / "none.h5"))
    assert (without.line_wave, without.line_lum_per_msun, without.line_names) == (None, None, ())


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"ssp_emline_luminosity": None}, "it has ssp_emline_wave alone; emission lines need both"),
        ({"ssp_emline_luminosity": np.ones((3, 2, 2))}, r"has shape \(3, 2, 2\); \(met, age, line\) = \(2, 3, 2\)"),
        ({"ssp_emline_luminosity": np.full((2, 3, 2), -1.0)}, "runs from -1 to -1 Lsun per Msun formed"),
        ({"ssp_emline_luminosity": np.full((2, 3, 2), np.nan)}, "all finite"),
        ({"ssp_emline_luminosity": np.full((2, 3, 2), 1e33)}, "convert or repair it"),
        ({"ssp_emline_wave": np.array([0.48, 0.65])}, "Angstrom from 100 to"),
        ({"ssp_emline_name": np.array([b"Hbeta"])}, "1 names for 2 lines"),
    ],
)
def test_lines_that_cannot_be_are_refused(tmp_path, changes, match):
    with pytest.raises(InputError, match=match):
        load_ssp(write_dsps(tmp_path / "lines.h5", **(LINES | changes)))


def test_fsps_that_is_not_installed_is_an_error_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsps", None)
    with pytest.raises(InputError, match="pip install fsps"):
        load_ssp(None, kind="fsps")
    monkeypatch.setitem(sys.modules, "fsps", types.SimpleNamespace(StellarPopulation=FakePopulation))
    with pytest.raises(InputError, match="imf_type is 9"):
        load_ssp(None, kind="fsps", imf_type=9)
    with pytest.raises(InputError, match="sfh is fixed"):
        load_ssp(None, kind="fsps", sfh=1)


def test_broken_files_are_refused_with_their_name(tmp_path):
    whole = write_dsps(tmp_path / "whole.h5")
    broken = tmp_path / "broken.h5"
    broken.write_bytes(whole.read_bytes()[:1500])
    with pytest.raises(InputError, match=r"broken.h5: cannot be read as HDF5"):
        load_ssp(broken)
    with pytest.raises(InputError, match=r"b.h5: no ssp_lgmet, but ssp_flux"):
        load_ssp(write_dsps(tmp_path / "b.h5", ssp_lgmet=None))
    with pytest.raises(InputError, match=r"c.h5: ssp_flux has shape \(61,\)"):
        load_ssp(write_dsps(tmp_path / "c.h5", ssp_flux=WAVE))
    half = tmp_path / "spectra_emiles_9.npz"
    half.write_bytes(write_ppxf(tmp_path / "spectra_emiles_8.npz").read_bytes()[:800])
    with pytest.raises(InputError, match=r"spectra_emiles_9.npz: cannot be read as npz"):
        load_ssp(half)
    with pytest.raises(InputError, match="no fwhm, but templates"):
        load_ssp(write_ppxf(tmp_path / "spectra_xsl_1.npz", fwhm=None))


def test_broken_fits_files_are_refused_with_their_name(tmp_path):
    write_miles(tmp_path, CRVAL1=4000.0)
    name = "Mku1.30Zp0.06T10.0000_iTp0.00_baseFe.fits"
    fits.PrimaryHDU(np.ones(9, np.float32), fits.Header({"CRVAL1": 1.0, "CDELT1": 1.0})).writeto(
        tmp_path / name, overwrite=True
    )
    with pytest.raises(InputError, match=rf"{name}: 9 wavelengths from 1 Angstrom, but 61"):
        load_ssp(tmp_path)
    (tmp_path / name).write_text("not FITS")
    with pytest.raises(InputError, match=rf"{name}: cannot be read as FITS"):
        load_ssp(tmp_path)
    (tmp_path / "readme.fits").write_text("")
    with pytest.raises(InputError, match=r"readme.fits is not named like a MILES spectrum"):
        load_ssp(tmp_path)


def test_library_says_what_it_cannot_open(tmp_path):
    text = tmp_path / "library.txt"
    text.write_text("no library")
    with pytest.raises(InputError, match="neither HDF5"):
        load_ssp(text)
    with pytest.raises(InputError, match="does not exist"):
        load_ssp(tmp_path / "absent.h5")
    with pytest.raises(InputError, match="choose one of dsps, miles, ppxf, analytic, fsps"):
        load_ssp(text, kind="bc03")
    with pytest.raises(InputError, match="leave out the path"):
        load_ssp(text, kind="fsps")


@pytest.mark.parametrize(
    ("field", "values", "match"),
    [
        ("ssp_lg_age_gyr", LG_AGE + 9, r"runs from 8 to 10; .*20 Gyr.*probably log10 of yr: subtract 9"),
        ("ssp_lg_age_gyr", LG_AGE + 3, r"runs from 2 to 4; .*probably log10 of Myr: subtract 3"),
        ("ssp_lg_age_gyr", np.array([0.1, 1.0, 13.0]), r"runs from 0.1 to 13; .*probably ages in Gyr: take log10"),
        ("ssp_lg_age_gyr", LG_AGE - 6, r"runs from -7 to -5; .*1e4 yr"),
        ("ssp_wave", WAVE / 10, r"runs from 400 to 700; Angstrom are expected.*probably nm: multiply by 10"),
        ("ssp_wave", WAVE / 1e4, r"runs from 0.4 to 0.7; Angstrom are expected.*probably micrometre"),
    ],
)
def test_an_axis_in_another_unit_is_refused_with_the_likely_one(tmp_path, field, values, match):
    with pytest.raises(InputError, match=rf"a.h5: {field} {match}"):
        load_ssp(write_dsps(tmp_path / "a.h5", **{field: values}))


def test_the_units_of_axes_are_checked_in_all_formats(tmp_path):
    with pytest.raises(InputError, match=r"spectra_fsps_9.0.npz: ssp_lg_age_gyr runs from 8 to 10"):
        load_ssp(write_ppxf(tmp_path / "spectra_fsps_9.0.npz", ages=10 ** (LG_AGE + 9)))
    with pytest.raises(InputError, match=r"ssp_wave runs from 400 to 700; .*nm"):
        load_ssp(write_miles(tmp_path, CRVAL1=400.0, CDELT1=5.0))


def test_unknown_option_of_a_reader_is_an_error_that_lists_the_options(tmp_path):
    with pytest.raises(InputError, match="kind 'dsps' has no option z_sun; its options are fwhm, imf, medium"):
        load_ssp(write_dsps(tmp_path / "a.h5"), z_sun=0.02)


def test_gradient_experiment_meets_its_tolerance_and_leaves_figure_and_summary(tmp_path):
    script = runpy.run_path(str(project_dir("experiments") / "interpolation_gradients.py"))
    config = OmegaConf.load(project_dir("conf") / "interpolation_gradients.yaml")
    config.update(output=str(tmp_path / "out"), age=1.0)
    config.ssp.path = str(write_dsps(tmp_path / "a.h5"))
    script["main"](config)
    summary = json.loads((tmp_path / "out" / "interpolation_gradients.json").read_text())
    assert summary["passed"]
    assert max(summary["max_relative_difference"].values()) < 1e-9
    assert (tmp_path / "out" / "interpolation_gradients.png").stat().st_size > 10_000
    with pytest.raises(InputError, match="exists already"):
        script["main"](config)
    with pytest.raises(InputError, match=r"age is 15, but .* spans 0.1 to 10"):
        script["main"](OmegaConf.merge(config, {"age": 15.0, "overwrite": True}))
