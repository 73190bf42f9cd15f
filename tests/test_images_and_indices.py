"""Images of cubes through filters, Vega magnitudes, K-corrections, the Lick set at its resolution, slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.errors import InputError
from galdiff.photometry.images import band_images
from galdiff.photometry.magnitudes import Magnitudes, ab_magnitude, k_correction
from galdiff.photometry.passband import Passband
from galdiff.photometry.read import load_passband
from galdiff.photometry.vega import AB_MINUS_VEGA, vega_magnitudes
from galdiff.records import ObservedCube
from galdiff.sps.indices import LINE_INDICES, at_lick_resolution, line_index, spectral_index, uv_slope

HUMP = Passband("hump", np.array([5000.0, 5200.0, 5600.0, 5700.0]), np.array([0.0, 0.8, 0.6, 0.0]))
C = 2.99792458e18  # Angstrom/s
WAVE = np.arange(3900.0, 6600.0, 1.0)


def cube(medium="vacuum", ab=20.0):
    """A cube of constant AB magnitude per spaxel."""
    wave = np.arange(4800.0, 6000.0, 1.25)
    flux = 10 ** (-0.4 * (ab + 48.6)) * C / wave**2 / 1e-20
    flux = np.broadcast_to(flux, (2, 3, wave.size)) * np.arange(1, 7).reshape(2, 3, 1)
    parts = {"flux": jnp.asarray(flux), "variance": jnp.asarray(flux) ** 2 / 100, "inside": jnp.ones((2, 3), bool)}
    return ObservedCube(**parts, wave=jnp.asarray(wave), medium=medium, spaxel_arcsec=0.2)


@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_images_have_the_magnitude_of_their_spectra(medium):
    images = band_images(cube(medium), [HUMP])
    want = 20.0 - 2.5 * np.log10(np.arange(1, 7).reshape(2, 3)) + 2.5 * np.log10(0.04)
    np.testing.assert_allclose(images.surface_brightness[0], want, atol=1e-3)
    np.testing.assert_allclose(31.4 - 2.5 * np.log10(images.flux[0, 0, 0]), 20.0, atol=1e-3)
    assert (images.error > 0).all()
    assert (images.error < 0.1 * images.flux).all()  # pixels average
    assert images.names == ("hump",)


def test_images_have_gradients_and_dark_spaxels_have_no_magnitude():
    dark = cube()
    slope = jax.grad(lambda scale: band_images(_scaled(dark, scale), [HUMP]).flux.sum())(1.0)
    np.testing.assert_allclose(slope, band_images(dark, [HUMP]).flux.sum(), rtol=1e-9)
    assert np.isnan(band_images(_scaled(dark, -1.0), [HUMP]).surface_brightness).all()


def _scaled(cube, scale):
    return ObservedCube(**{**vars(cube), "flux": cube.flux * scale})


def test_a_filter_that_the_cube_does_not_cover_is_refused():
    with pytest.raises(InputError, match="hump runs from 4000"):
        band_images(cube(), [Passband("hump", HUMP.wave - 1000.0, HUMP.transmission)])
    with pytest.raises(InputError, match="passbands of an image are empty"):
        band_images(cube(), [])


def test_vega_has_its_published_offsets_and_others_are_refused():
    names = ("bessell-V", "twomass-Ks")
    got = vega_magnitudes(Magnitudes(mag=jnp.asarray([10.0, 10.0]), names=names))
    np.testing.assert_allclose(got, [9.98, 8.15], atol=1e-6)
    assert all(load_passband(name).name == name for name in AB_MINUS_VEGA)
    with pytest.raises(InputError, match="lsst2023-u has no published zero point"):
        vega_magnitudes(Magnitudes(mag=jnp.asarray([10.0]), names=("lsst2023-u",)))


def test_k_corrections_of_power_laws_are_those_of_the_textbook():
    wave, z = jnp.geomspace(1500.0, 9000.0, 4000), 0.5
    for slope in (-2.0, 0.0, 1.0):  # f_lambda ~ wave^slope: K = -2.5 (slope + 1) ... per frequency (1 + z)^(slope + 1)
        lum = (wave / 5000.0) ** slope
        want = 2.5 * (slope + 1) * np.log10(1 + z)
        np.testing.assert_allclose(k_correction(wave, lum, HUMP, z), want, atol=2e-4)
        np.testing.assert_allclose(k_correction(wave, lum, HUMP, z, band_redshift=z), -2.5 * np.log10(1 + z), atol=1e-6)
    k = k_correction(wave, lum, HUMP, z)
    np.testing.assert_allclose(ab_magnitude(wave, lum, HUMP, z) - ab_magnitude(wave, lum, HUMP), k)


@pytest.mark.parametrize("name", LINE_INDICES)
def test_an_index_of_the_lick_set_is_the_width_of_what_is_missing(name):
    index = LINE_INDICES[name]
    middle = 1.00028 * (index.feature[0] + index.feature[1]) / 2
    sigma = (index.feature[1] - index.feature[0]) / 12
    wave = np.arange(middle - 700.0, middle + 900.0, 0.25)
    flux = 1 - 0.3 * np.exp(-0.5 * ((wave - middle) / sigma) ** 2)
    width = 0.3 * sigma * np.sqrt(2 * np.pi)
    span = 1.00028 * (index.feature[1] - index.feature[0])
    want = -2.5 * np.log10(1 - width / span) if index.in_mag else width
    overlap = min(abs(index.blue[1] - index.feature[0]), abs(index.red[0] - index.feature[1]))
    assert overlap < 150
    np.testing.assert_allclose(line_index(jnp.asarray(wave), jnp.asarray(flux), name), want, rtol=5e-3)


def test_the_lick_resolution_widens_a_line_and_keeps_its_light():
    line = np.exp(-0.5 * ((WAVE - 5150.0) / 2.0) ** 2)
    smooth = at_lick_resolution(jnp.asarray(WAVE), jnp.asarray(line), 2.0 * 2.3548)
    np.testing.assert_allclose(smooth.sum(), line.sum(), rtol=2e-3)
    middle = (smooth * WAVE).sum() / smooth.sum()
    spread = np.sqrt((smooth * (WAVE - middle) ** 2).sum() / smooth.sum())
    np.testing.assert_allclose(spread * 2.3548, 8.4, rtol=0.01)
    np.testing.assert_array_equal(at_lick_resolution(jnp.asarray(WAVE), jnp.asarray(line), 20.0), line)
    weaker = [line_index(jnp.asarray(WAVE), 1 - 0.5 * f, "Fe5015") for f in (line, smooth)]
    assert abs(weaker[0] - weaker[1]) < 0.3
    slope = jax.grad(lambda f: spectral_index(jnp.asarray(WAVE), at_lick_resolution(jnp.asarray(WAVE), f, 4.7), "Mgb"))
    assert np.isfinite(slope(jnp.asarray(1 - 0.5 * line))).all()


@pytest.mark.parametrize("step", [1.0, 12.0])
def test_the_ultraviolet_slope_of_a_power_law_is_its_power(step):
    wave = jnp.arange(1200.0, 2700.0, step)
    np.testing.assert_allclose(uv_slope(wave, (wave / 1500.0) ** -1.7), -1.7, atol=2e-3)
