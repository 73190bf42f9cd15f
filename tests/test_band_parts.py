"""Parts of passbands: they add up to the band, dim right behind dust, and say where they do not."""

import numpy as np
import pytest

from galdiff.photometry.parts import band_parts, dust_probes, part_columns, spectrum_weights
from galdiff.photometry.passband import Passband

BAND = Passband("hump", np.array([4500.0, 4600.0, 5000.0, 5300.0, 5310.0]), np.array([0.0, 0.6, 1.0, 0.7, 0.0]))
WAVE = np.linspace(1500.0, 9000.0, 1501)
STEP = np.where(WAVE > 4000.0, 2.0, 1.0) * (WAVE / 5000.0) ** -1.3
SPECTRA = np.stack([np.ones(WAVE.size), STEP / STEP.mean()])


def exact(lum, redshift=0.0):
    """Mean of lum wave^2 over the band by a fine sum."""
    x = np.linspace(*BAND.ends, 200_001)
    t = np.interp(x, BAND.wave, BAND.transmission)
    values = np.interp(x, WAVE * (1 + redshift), lum) / (1 + redshift)
    return np.trapezoid(t * values * x, x) / BAND.per_wave


@pytest.mark.parametrize("redshift", [0.0, 0.3])
def test_parts_add_up_to_the_band_and_dim_as_it_does(redshift):
    parts = band_parts(BAND, WAVE, SPECTRA, (redshift,), 1e-3)
    columns = part_columns(parts, BAND.per_wave, WAVE, redshift, SPECTRA)
    np.testing.assert_allclose(columns.sum(1), [exact(row, redshift) for row in SPECTRA], rtol=1e-6)
    assert columns.shape == (2, parts.centre.size)
    assert (np.diff(parts.centre) > 0).all()
    behind, at_parts = dust_probes(WAVE), dust_probes(parts.centre / (1 + redshift))
    for curve, share in zip(behind, at_parts, strict=True):
        want = np.array([exact(row * curve, redshift) for row in SPECTRA])
        np.testing.assert_allclose(2.5 * np.log10(columns @ share / want), 0.0, atol=1.2e-3)


def test_weights_are_exact_for_straight_lines_under_straight_lines():
    knots, t = np.array([4000.0, 4005.0, 4040.0]), np.array([0.2, 1.0, 0.0])
    wave = np.array([3990.0, 4003.0, 4020.0, 4050.0])
    inside, weights = spectrum_weights(knots, t, wave)
    lum = np.array([1.0, 3.0, -2.0, 0.5])
    x = np.linspace(4000.0, 4040.0, 400_001)
    want = np.trapezoid(np.interp(x, knots, t) * np.interp(x, wave, lum) * x, x)
    np.testing.assert_allclose(weights @ lum[inside], want, rtol=1e-8)


def test_a_tolerance_that_no_number_of_parts_meets_is_told():
    comb = np.stack([1 + 0.99 * np.sin(WAVE / 7.0)])
    with pytest.warns(UserWarning, match="passband hump in 24 panels is right behind steep dust to"):
        band_parts(BAND, WAVE, comb, (0.0, 0.5, 1.0), 1e-9)
