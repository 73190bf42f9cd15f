"""Velocity dispersion and line spread of the spectrum of a whole galaxy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.errors import InputError
from galdiff.light_records import Epoch, Spectrum
from galdiff.observing.broadening import Broadening, broadened, instrument_sigma, with_lines
from galdiff.units import C_KMS

WAVE = 5000.0 * jnp.exp(jnp.arange(-800.0, 801.0) * 60.0 / C_KMS)  # 60 km/s apart
EPOCH = Epoch(time=jnp.asarray(8.0), redshift=jnp.asarray(0.5), luminosity_distance=jnp.asarray(2e3))


def gaussian(sigma, centre=5000.0):
    """A line of unit power."""
    x = jnp.log(WAVE / centre) * C_KMS / sigma
    return jnp.exp(-(x**2) / 2) / (sigma / C_KMS * np.sqrt(2 * np.pi)) / WAVE


@pytest.mark.parametrize("sigma", [40.0, 150.0, 400.0])
def test_a_gaussian_line_becomes_a_wider_gaussian_line_of_the_same_power(sigma):
    narrow = gaussian(120.0)
    seen = broadened(WAVE, narrow, sigma)
    np.testing.assert_allclose(seen, gaussian(np.hypot(120.0, sigma)), atol=0.025 * float(seen.max()))
    assert jnp.trapezoid(seen, WAVE) == pytest.approx(float(jnp.trapezoid(narrow, WAVE)), rel=1e-4)


def test_a_flat_spectrum_per_logarithm_stays_flat_and_no_dispersion_changes_nothing():
    flat = 1 / WAVE
    inner = slice(60, -60)
    np.testing.assert_allclose(broadened(WAVE, flat, 300.0)[inner], flat[inner], rtol=1e-4)
    np.testing.assert_allclose(broadened(WAVE, gaussian(150.0), 1e-6), gaussian(150.0), rtol=1e-6, atol=1e-20)


def test_the_instrument_counts_in_quadrature_beyond_the_library():
    sigma = instrument_sigma(WAVE, 0.5, 6.0, 2.5)
    expected = np.sqrt((6.0 / 1.5) ** 2 - 2.5**2) / 2.3548200450309493 / WAVE * C_KMS
    np.testing.assert_allclose(sigma, expected)
    assert (instrument_sigma(WAVE, 0.5, 3.0, 2.5) < 1e-9).all()
    spectrum = Spectrum(wave=WAVE, lum=gaussian(120.0))
    seen = Broadening(sigma_v=150.0, fwhm=6.0, fwhm_library=0.0)(spectrum, EPOCH)
    total = np.sqrt(120.0**2 + 150.0**2 + float(instrument_sigma(WAVE, 0.5, 6.0, 0.0)[800]) ** 2)
    np.testing.assert_allclose(seen.lum.max(), gaussian(total).max(), rtol=0.02)


def test_gradients_in_the_dispersion_match_differences_and_lines_are_drawn_whole():
    lines = {"line_wave": jnp.asarray([5008.24]), "line_lum": jnp.asarray([30.0])}
    spectrum = Spectrum(wave=WAVE, lum=1.0 - 0.5 * gaussian(130.0) / gaussian(130.0).max(), **lines)
    total = jax.jit(lambda s: (broadened(WAVE, spectrum.lum, s) ** 2).sum())
    np.testing.assert_allclose(jax.grad(total)(213.7), (total(213.701) - total(213.699)) / 2e-3, rtol=1e-5)
    drawn = with_lines(spectrum, 80.0)
    assert jnp.trapezoid(drawn - spectrum.lum, WAVE) == pytest.approx(30.0, rel=1e-4)
    single = broadened(WAVE.astype(jnp.float32), spectrum.lum.astype(jnp.float32), 200.0)
    np.testing.assert_allclose(single, broadened(WAVE, spectrum.lum, 200.0), rtol=1e-4)


def test_a_negative_width_is_refused():
    with pytest.raises(InputError, match="fwhm of the broadening is -1 Angstrom"):
        Broadening(sigma_v=100.0, fwhm=-1, fwhm_library=0.0)
