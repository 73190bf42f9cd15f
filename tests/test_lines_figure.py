"""Pictures and images of emission lines: which panels there are, what they hold, and how files name them."""

import dataclasses
import re

import numpy as np
import pytest
from astropy.io import fits
from test_plotting import boxes, disc_cube, draw, rotating_maps

from galdiff import units
from galdiff.io.fits_cube import write_maps
from galdiff.light_records import LineMaps
from galdiff.nebular.lines import NAMES
from galdiff.observing.gas_lines import gas_lines, images_of, source_of
from galdiff.plotting.lines_figure import LIT, line_panels, plot_lines
from galdiff.plotting.spectra_figure import EMISSION, FEATURES, observed_features, plot_spectra

FOUR = ("Hbeta", "[OIII]5007", "Halpha", "[NII]6584")


@pytest.fixture(scope="module")
def cube():
    return disc_cube()


def line_maps(cube, names=FOUR):
    """Lines in fixed ratios of 1, 2, 3, 4 that fade outwards; gas that recedes in the East."""
    light = np.asarray(cube.flux)[..., 0]
    y, x = np.indices(light.shape)
    flux = light[..., None] * (1.0 + np.arange(len(names)))
    return LineMaps(flux=flux, v=10.0 * (x - (x.shape[1] - 1) / 2), sigma=25.0 + y)


def named(panels, name):
    return next(panel for panel in panels if panel.name == name)


def test_h_alpha_is_drawn_per_area_in_the_unit_of_the_cube(cube):
    image = named(line_panels(cube, line_maps(cube), FOUR), r"H$\alpha$").image
    middle = tuple(n // 2 for n in image.shape)
    expected = 3.0 * np.asarray(cube.flux)[middle][0] / cube.spaxel_arcsec**2
    assert image[middle] == pytest.approx(np.log10(expected))


def test_without_h_alpha_the_brightest_line_is_drawn(cube):
    names = ("[OIII]5007", "[SII]6716")
    panels = line_panels(cube, line_maps(cube, names), names)
    assert panels[0].name == "[SII]6716"
    assert len(panels) == 3  # no ratio has both of its lines


def test_ratios_are_those_of_the_lines(cube):
    panels = line_panels(cube, line_maps(cube), FOUR)
    middle = tuple(n // 2 for n in panels[0].image.shape)
    for name, ratio in (("[O III] 5007", 2.0), ("[N II] 6584", 4.0 / 3.0), (r"H$\alpha$ / H$\beta$", 3.0)):
        panel = next(p for p in panels if p.name.startswith(name) and " / " in p.name)
        assert panel.image[middle] == pytest.approx(np.log10(ratio))


def test_dark_spaxels_and_those_outside_the_aperture_are_empty(cube):
    maps = line_maps(cube)
    flux = np.array(maps.flux)
    flux[4, 2] = 0.5 * LIT * flux.max((0, 1))
    for panel in line_panels(cube, dataclasses.replace(maps, flux=flux), FOUR):
        assert np.isnan(panel.image[4, 2]), panel.name
        assert np.isnan(panel.image[~np.asarray(cube.inside)]).all(), panel.name


def test_velocity_of_gas_is_symmetric_about_zero(cube):
    panel = named(line_panels(cube, line_maps(cube), FOUR), "velocity of the gas")
    assert panel.limits[0] == -panel.limits[1]


def test_the_picture_has_no_text_upon_another(cube):
    figure = plot_lines(cube, line_maps(cube), FOUR, title="a disc", kpc_per_arcsec=0.8)
    assert draw(figure)[:4] == b"\x89PNG"
    found = list(boxes(figure).values())
    for k, (a, box) in enumerate(found):
        for b, other in found[k + 1 :]:
            assert not box.overlaps(other), (a, b)


def test_a_dark_field_can_be_drawn(cube):
    maps = line_maps(cube)
    dark = dataclasses.replace(maps, flux=np.zeros_like(maps.flux), v=np.full_like(maps.v, np.nan))
    assert draw(plot_lines(cube, dark, FOUR, title="dark"))[:4] == b"\x89PNG"


def test_spectra_mark_lines_of_gas_where_there_are_some(cube):
    wave = np.asarray(cube.wave)
    stars, gas = (observed_features(wave, "air", 0.02, emission) for emission in (False, True))
    assert set(gas) - set(stars) == {"[O III]", "[N II]", "[S II]"}  # [O II] is bluer than the cube
    assert not set(EMISSION) & set(FEATURES)
    assert gas["[O III]"] == pytest.approx(5006.84 * 1.02, abs=0.1)


def test_spectra_of_gas_show_whole_lines():
    plain = disc_cube()
    flux = np.array(plain.flux)
    flux[..., 100] *= 40.0
    bright = dataclasses.replace(plain, flux=flux)
    for emission in (False, True):
        figure = plot_spectra(bright, title="lines", redshift=0.02, emission=emission)
        highest = figure.axes[0].lines[-1].get_ydata().max()
        assert (figure.axes[0].get_ylim()[1] > highest) == emission


def test_images_are_named_after_lines_in_letters_and_digits(cube):
    maps = line_maps(cube, NAMES)
    images = images_of(maps, NAMES)
    assert len(images) == len(NAMES) + 2
    assert all(re.fullmatch("[A-Z0-9_]+", name) for name in images)
    assert {"F_HALPHA", "F_OIII5007", "F_NII6584", "F_HEI5876", "V_GAS", "SIGMA_GAS"} <= set(images)
    np.testing.assert_array_equal(images["F_OIII5007"][0], np.asarray(maps.flux)[..., NAMES.index("[OIII]5007")])
    assert images_of(None, ()) == {}


def test_maps_of_gas_are_stored_east_left_beside_those_of_stars(tmp_path, cube):
    maps = line_maps(cube)
    write_maps(
        tmp_path / "maps.fits",
        rotating_maps(cube),
        spaxel_arcsec=cube.spaxel_arcsec,
        provenance={},
        redshift=0.02,
        spaxels={"NSTARS": np.ones(maps.v.shape, np.float32)},
        lines=images_of(maps, FOUR),
    )
    with fits.open(tmp_path / "maps.fits") as file:
        names = [hdu.name for hdu in file]
        assert names.index("F_HBETA") > names.index("NSTARS") > names.index("V")
        np.testing.assert_allclose(file["V_GAS"].data[:, ::-1], maps.v)
        assert (file["V_GAS"].header["BUNIT"], "BUNIT" in file["NSTARS"].header) == ("km/s", False)
        assert file["F_HBETA"].header["CTYPE1"] == file["V"].header["CTYPE1"]


def test_dust_dims_blue_lines_more():
    made = gas_lines(turbulence_kms=15.0, a_v_ratio=2.0, curve=lambda wave: (5500.0 / wave) ** 0.7)
    order = np.argsort([units.C_KMS / k for k in made.dimming])  # as dimming falls
    assert NAMES[int(np.argmax(made.dimming))] == "Lyalpha"
    assert made.a_v_ratio == 2.0
    assert (np.diff(made.dimming[order]) <= 0).all()


def test_heavy_atoms_have_narrow_lines():
    made = gas_lines(turbulence_kms=15.0, a_v_ratio=1.0, curve=None)
    hydrogen, sulphur = (made.sigma[NAMES.index(name)] for name in ("Halpha", "[SII]6716"))
    assert hydrogen == pytest.approx(np.hypot(15.0, 9.08), abs=0.01)
    assert 15.0 < sulphur < 15.2


def test_a_source_that_is_not_known_names_those_that_are():
    with pytest.raises(Exception, match="choose one of auto, gas, stars"):
        source_of("dust", None)
