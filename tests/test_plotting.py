"""Pictures show what the arrays hold: orientation, limits, units, marks; and they can be drawn for odd cubes."""

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import AxesImage

from galdiff import units
from galdiff.plotting.figures import robust_limits, typeset
from galdiff.plotting.maps_figure import C_ANGSTROM, bar_length, plot_maps, signal_to_noise, surface_brightness
from galdiff.plotting.spectra_figure import FEATURES, observed_features, plot_spectra, spaxel_spectra
from galdiff.records import KinematicMaps, ObservedCube

N_Y, N_X, SPAXEL = 9, 11, 0.5


def disc_cube(n_y=N_Y, n_x=N_X, noise=1.0, medium="air"):
    """A round source with one corner outside the aperture."""
    y, x = np.indices((n_y, n_x))
    wave = np.linspace(4750.0, 7000.0, 300)
    image = 100 * np.exp(-np.hypot(x - (n_x - 1) / 2, (y - (n_y - 1) / 2)) / 2.0)
    inside = (x + y > 1) | (n_x * n_y == 1)
    flux = image[..., None] * inside[..., None] * np.ones(300)
    return ObservedCube(flux=flux, variance=noise * flux, wave=wave, inside=inside, medium=medium, spaxel_arcsec=SPAXEL)


def rotating_maps(cube):
    """V grows to the East."""
    y, x = np.indices(cube.inside.shape)
    one = np.ones(cube.inside.shape)
    return KinematicMaps(
        flux=one,
        v=20.0 * (x - (x.shape[1] - 1) / 2),
        sigma=50 + y,
        h3=0.01 * x,
        h4=0.01 * y,
        age=1.0 + y,
        metallicity=0.02 * one,
    )


@pytest.fixture(scope="module")
def cube():
    return disc_cube()


@pytest.fixture(scope="module")
def figure(cube):
    return plot_maps(cube, rotating_maps(cube), title="a disc", kpc_per_arcsec=0.8)


def draw(figure):
    """The figure as PNG bytes; warnings are errors."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def panel(figure, name):
    return next(ax for ax in figure.axes if ax.get_title().startswith(name))


def image_of(ax) -> AxesImage:
    return ax.images[0]


def test_east_is_left_and_north_is_up(figure):
    ax = panel(figure, "velocity")
    draw(figure)
    east, west = (ax.transData.transform((x, 0.0))[0] for x in (2.0, -2.0))
    south, north = (ax.transData.transform((0.0, y))[1] for y in (-2.0, 2.0))
    assert east < west
    assert south < north
    left, right, bottom, top = image_of(ax).get_extent()
    assert (left, right, bottom, top) == (-N_X * SPAXEL / 2, N_X * SPAXEL / 2, -N_Y * SPAXEL / 2, N_Y * SPAXEL / 2)
    assert image_of(ax).get_array()[4, -1] > 0 > image_of(ax).get_array()[4, 0]  # recedes in the East, as the map does


def test_velocity_is_symmetric_about_zero(figure):
    lo, hi = image_of(panel(figure, "velocity")).get_clim()
    assert lo == -hi
    assert hi == pytest.approx(100.0, rel=0.02)


def test_nothing_is_drawn_outside_the_aperture(figure, cube):
    for name in ("velocity", "age", "metallicity", "signal to noise", "velocity dispersion"):
        masked = np.ma.getmaskarray(image_of(panel(figure, name)).get_array())
        np.testing.assert_array_equal(masked, ~cube.inside)


def test_spaxels_without_light_to_see_are_drawn_as_empty(cube):
    dark = np.full(cube.inside.shape, False)
    dark[4, 9] = True
    faint = dataclasses.replace(cube, flux=np.where(dark[..., None], 1e-9 * cube.flux, cube.flux))
    figure = plot_maps(faint, rotating_maps(faint), title="a disc")
    for name in ("white light", "velocity", "age"):
        hidden = np.ma.getmaskarray(image_of(panel(figure, name)).get_array())
        np.testing.assert_array_equal(hidden, dark | ~cube.inside)
    assert image_of(panel(figure, "white light")).norm.vmax < 30.0  # mag


def test_what_is_empty_is_hatched_as_no_colour_map_is(figure):
    assert all(ax.patch.get_hatch() for ax in figure.axes if ax.images)


def test_masses_in_titles_are_formulae_and_other_text_stays(cube):
    said = typeset("a halo of 10^12.10 Msun in snap_$1.hdf5")
    assert said == r"a halo of $10^{12.10}\,{\rm M}_\odot$ in snap_\$1.hdf5"
    draw(plot_maps(cube, rotating_maps(cube), title="a halo of 10^12.10 Msun in snap_$1$.hdf5"))


def test_every_panel_has_a_colour_bar_with_a_unit(figure):
    bars = [ax.get_ylabel() for ax in figure.axes if ax.get_label() == "<colorbar>"]
    for unit in ("mag arcsec", "km s", "Gyr", "dex", "S/N"):
        assert any(unit in bar for bar in bars), unit
    assert len(bars) == 6


def test_few_wild_spaxels_do_not_set_the_limits():
    values = np.linspace(0.0, 1.0, 2000)
    values[:4] = 1e6
    lo, hi = robust_limits(values)
    assert 0 <= lo < hi < 1.01


@pytest.mark.parametrize("values", [np.full(4, np.nan), np.full(4, 3.0), np.zeros(4), np.full(4, -1e9)])
def test_limits_are_never_empty(values):
    for symmetric in (False, True):
        lo, hi = robust_limits(values, symmetric=symmetric)
        assert lo < hi


def test_a_flat_source_has_its_ab_magnitude(cube):
    f_nu = 10 ** (-0.4 * (20.0 - units.AB_ZERO_POINT))  # erg/s/cm2/Hz
    flux = f_nu * C_ANGSTROM / cube.wave**2 / units.FLUX_UNIT * np.ones_like(cube.flux)
    mu = surface_brightness(dataclasses.replace(cube, flux=flux))
    np.testing.assert_allclose(mu[cube.inside], 20.0 + 2.5 * np.log10(SPAXEL**2), atol=1e-3)
    assert np.isnan(mu[~cube.inside]).all()


def test_signal_to_noise_is_flux_over_sigma(cube):
    snr = signal_to_noise(cube)
    np.testing.assert_allclose(snr[cube.inside], np.sqrt(cube.flux[cube.inside][:, 0]))


def test_scale_bars_are_round_and_fit():
    assert [bar_length(x) for x in (1.0, 1.99, 4.9, 7.0, 0.03, 120.0)] == pytest.approx([1, 1, 2, 5, 0.02, 100])


def test_the_scale_bar_has_the_stated_length(figure, cube):
    ax = figure.axes[0]
    (bar,) = ax.lines
    label = next(t.get_text() for t in ax.texts if "kpc" in t.get_text())
    kpc = float(label.split()[0])
    width = np.ptp(bar.get_xdata()) * N_X * SPAXEL
    assert width == pytest.approx(kpc / 0.8)
    assert f"{width:.3g}" in label


def test_features_lie_at_the_redshift_in_the_medium_of_the_cube():
    wave = np.linspace(4800.0, 8000.0, 100)
    air, vacuum = (observed_features(wave, medium, 0.05) for medium in ("air", "vacuum"))
    h_alpha = r"H$\alpha$"
    assert vacuum[h_alpha] == pytest.approx(6564.61 * 1.05, abs=0.1)
    assert vacuum[h_alpha] - air[h_alpha] == pytest.approx(1.9, abs=0.1)
    assert set(air) < set(FEATURES)
    assert all(wave[0] < at < wave[-1] for at in air.values())


def test_the_side_spaxels_enclose_half_of_the_light(cube):
    spectra = spaxel_spectra(cube)
    assert [s.name.split(":")[0] for s in spectra[1:]] == [
        "centre",
        "half-light radius",
        "half-light radius, other side",
    ]
    np.testing.assert_allclose(spectra[0].flux, cube.flux.sum((0, 1)))
    np.testing.assert_allclose(spectra[1].flux, cube.flux[N_Y // 2, N_X // 2])
    y, x = np.indices(cube.inside.shape)
    at = np.argwhere(np.isclose(cube.flux[..., 0], spectra[2].flux[0]))[0]
    within = np.hypot(x - N_X // 2, y - N_Y // 2) <= np.hypot(*(at - [N_Y // 2, N_X // 2])) + 1e-9
    share = cube.flux[within].sum() / cube.flux.sum()
    assert 0.3 < share < 0.75


def test_spectra_state_the_medium_and_the_redshift(cube):
    for medium in ("air", "vacuum"):
        figure = plot_spectra(dataclasses.replace(cube, medium=medium), title="a disc", redshift=0.04)
        assert f"in {medium}" in figure.axes[-1].get_xlabel()
        assert "z = 0.04" in figure.axes[-1].get_xlabel()


def boxes(figure):
    """Text of a figure with its box on the canvas."""
    figure.draw_without_rendering()
    seen = (
        [ax.title for ax in figure.axes]
        + [ax.yaxis.label for ax in figure.axes]
        + [ax.xaxis.label for ax in figure.axes]
    )
    seen += [text for ax in figure.axes for text in ax.texts] + list(figure.texts)
    return {id(t): (t.get_text(), t.get_window_extent()) for t in seen if t.get_text().strip() and t.get_visible()}


LONG = "a disc with a name that goes on and on " * 4


@pytest.mark.parametrize("kind", ["maps", "spectra", "all maps", "a strip"])
def test_no_texts_overlap_and_none_is_cut(figure, cube, kind):
    if kind == "spectra":
        figure = plot_spectra(cube, title=LONG, redshift=0.02)
    elif kind == "all maps":
        figure = plot_maps(cube, rotating_maps(cube), title=LONG, higher_moments=True)
    elif kind == "a strip":
        figure = plot_maps(ODD[kind], rotating_maps(ODD[kind]), title="a strip")
    found = list(boxes(figure).values())
    inside = [(ax.get_title(), ax.get_tightbbox()) for ax in figure.axes if ax.get_visible()]
    for text, box in [*found, *inside]:
        assert figure.bbox.padded(1).containsx(box.x0), text
        assert figure.bbox.padded(1).containsx(box.x1), text
        assert figure.bbox.padded(1).containsy(box.y0), text
        assert figure.bbox.padded(1).containsy(box.y1), text
    for k, (a, box) in enumerate(found):
        for b, other in found[k + 1 :]:
            assert not box.overlaps(other), (a, b)


def test_a_colour_bar_is_as_high_as_its_map(figure):
    bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    for ax, bar in zip([ax for ax in figure.axes if ax.images], bars, strict=True):
        place = bar.get_position(original=True)  # with its arrows
        assert (place.y0, place.y1) == pytest.approx((ax.get_position().y0, ax.get_position().y1))


def test_oblong_spaxels_keep_their_shape():
    oblong = dataclasses.replace(disc_cube(), spaxel_y_arcsec=2 * SPAXEL)
    figure = plot_maps(oblong, rotating_maps(oblong), title="a disc")
    assert image_of(figure.axes[0]).get_extent()[2:] == [-N_Y * SPAXEL, N_Y * SPAXEL]
    square = surface_brightness(disc_cube())
    np.testing.assert_allclose(
        surface_brightness(oblong) - square, np.where(np.isnan(square), np.nan, 2.5 * np.log10(2))
    )


ODD = {
    "one spaxel": disc_cube(1, 1),
    "a strip": disc_cube(2, 12),
    "no noise": disc_cube(noise=0.0),
    "no light": dataclasses.replace(disc_cube(), flux=np.zeros((N_Y, N_X, 300))),
    "negative light": dataclasses.replace(disc_cube(), flux=-np.ones((N_Y, N_X, 300))),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_cubes_can_be_drawn(name):
    cube = ODD[name]
    maps = rotating_maps(cube)
    empty = KinematicMaps(**{f.name: np.full(cube.inside.shape, np.nan) for f in dataclasses.fields(maps)})
    for values in (maps, empty):
        assert draw(plot_maps(cube, values, title=name, higher_moments=True)).startswith(b"\x89PNG")
    assert draw(plot_spectra(cube, title=name, redshift=0.1)).startswith(b"\x89PNG")


def test_no_window_is_needed():
    """pyplot would choose a backend; figures are made without it."""
    modules = "galdiff.plotting.maps_figure, galdiff.plotting.spectra_figure"
    code = f"import sys, {modules}; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
