"""Noise: the variance is exact, reaches the target, and is what the draw has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.errors import InputError
from galdiff.ifu.noise import MODES, add_noise, detector_variance, reference_flux, relative_variance, variance

WAVE = jnp.linspace(5000.0, 5100.0, 41)  # 2.5 A


@pytest.fixture(scope="module")
def cube():
    """Positive cube [4, 5, 41] with one dark spaxel; the brightest is (2, 3)."""
    rng = np.random.default_rng(3)
    image = rng.uniform(0.5, 2.0, (4, 5))
    image[2, 3], image[0, 0] = 5.0, 0.0
    return jnp.asarray(image[..., None] * (1.0 + 0.1 * np.sin(np.asarray(WAVE) / 10.0)))


def test_the_brightest_spaxel_has_the_ratio_that_was_asked_for(cube):
    at = 20  # WAVE[20] = 5050
    for mode in ("photon", "background"):
        var = variance(cube, WAVE, mode=mode, snr=30.0, wave_ref=5050.0)
        assert cube[2, 3, at] / jnp.sqrt(var[2, 3, at]) == pytest.approx(30.0)


def test_photon_noise_grows_with_the_root_of_the_flux_and_background_noise_is_flat(cube):
    photon = variance(cube, WAVE, mode="photon", snr=30.0)
    np.testing.assert_allclose(photon[2, 3] / photon[1, 1], cube[2, 3] / cube[1, 1], rtol=1e-10)
    assert (photon[0, 0] == 0.0).all()
    flat = variance(cube, WAVE, mode="background", snr=30.0)
    np.testing.assert_allclose(flat, flat[0, 0, 0])


def test_the_reference_can_be_the_median_lit_spaxel_or_a_flux(cube):
    lit = np.asarray(cube[..., 20])[np.asarray(cube[..., 20]) > 0]
    assert reference_flux(cube, WAVE, 5050.0, "median") == pytest.approx(np.median(lit))
    by_name = variance(cube, WAVE, mode="photon", snr=9.0, wave_ref=5050.0, reference="median")
    np.testing.assert_allclose(by_name, variance(cube, WAVE, mode="photon", snr=9.0, reference=np.median(lit)))


def test_the_reference_flux_is_linear_between_pixels_and_held_at_the_ends(cube):
    assert reference_flux(cube, WAVE, 5051.25) == pytest.approx(float(cube[2, 3, 20:22].mean()))
    assert reference_flux(cube, WAVE, 4000.0) == pytest.approx(float(cube[2, 3, 0]))
    assert reference_flux(cube, WAVE) == pytest.approx(float(cube[2, 3, 20]))


def test_a_ratio_per_angstrom_counts_the_width_of_a_pixel(cube):
    pixel = variance(cube, WAVE, mode="photon", snr=10.0)
    angstrom = variance(cube, WAVE, mode="photon", snr=10.0, per="angstrom")
    np.testing.assert_allclose(angstrom, pixel / 2.5, rtol=1e-10)


def test_galcraft_noise_has_its_ratio_at_the_brightest_voxel(cube):
    var = variance(cube, WAVE, mode="galcraft", snr=12.0)
    assert (cube / jnp.sqrt(jnp.where(var > 0, var, 1.0))).max() == pytest.approx(12.0)
    np.testing.assert_allclose(var, cube / (12.0**2 / cube.max()), rtol=1e-10)  # F/t, t = SNR^2/max F


def test_relative_noise_has_one_ratio_per_spaxel(cube):
    var = relative_variance(cube, 20.0)
    ratio = np.asarray(cube[1:] / jnp.sqrt(var[1:]))
    np.testing.assert_allclose(ratio, ratio[..., :1] * np.ones(41), rtol=1e-10)
    total = np.asarray(cube.sum(-1))
    np.testing.assert_allclose(ratio[..., 0], 20.0 * np.sqrt(total[1:] / np.median(total[total > 0])), rtol=1e-10)
    np.testing.assert_allclose(variance(cube, WAVE, mode="rubix", snr=20.0), var)
    assert (var[0, 0] == 0.0).all()


def test_detector_noise_is_the_variance_of_counted_electrons(cube):
    sensitivity, time, sky, dark, read, n = 2.0, 600.0, 0.5, 0.01, 3.0, 2
    var = detector_variance(
        cube, sensitivity=sensitivity, exposure_s=time, sky=sky, dark=dark, read=read, n_exposures=n
    )
    electrons = (sensitivity * (np.asarray(cube) + sky) + dark) * time
    np.testing.assert_allclose(var, (electrons + n * read**2) / (sensitivity * time) ** 2, rtol=1e-12)


def test_long_exposures_forget_the_read_out_noise(cube):
    ratio = [
        detector_variance(cube, sensitivity=1.0, exposure_s=t, sky=1.0, read=5.0)[2, 3, 0] * t for t in (10.0, 1e6)
    ]
    assert ratio[1] == pytest.approx(float(cube[2, 3, 0]) + 1.0, rel=1e-4)
    assert ratio[0] > 1.3 * ratio[1]


def test_a_draw_has_the_variance_it_was_given(cube):
    big = jnp.broadcast_to(cube[2, 3], (200, 50, 41))
    var = variance(big, WAVE, mode="photon", snr=10.0)
    noisy = add_noise(jax.random.key(5), big, var)
    chi = (noisy - big) / jnp.sqrt(var)
    assert chi.mean() == pytest.approx(0.0, abs=5 / np.sqrt(chi.size))
    assert chi.var() == pytest.approx(1.0, abs=5 * np.sqrt(2 / chi.size))


def test_the_key_decides_the_draw(cube):
    var = jnp.ones_like(cube)
    first, again, other = (add_noise(jax.random.key(k), cube, var) for k in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).mean() > 0.99


def test_dark_and_negative_voxels_give_finite_values_and_gradients(cube):
    dark = cube.at[1].set(-0.1)
    for mode in MODES:

        @jax.jit
        @jax.value_and_grad
        def loss(f, mode=mode):
            return add_noise(jax.random.key(0), f, variance(f, WAVE, mode=mode, snr=5.0)).sum()

        for flux in (dark, jnp.zeros_like(cube)):
            value, gradient = loss(flux)
            assert jnp.isfinite(value)
            assert jnp.isfinite(gradient).all()


def test_noise_keeps_float32(cube):
    flux = cube.astype(jnp.float32)
    for mode in MODES:
        var = variance(flux, WAVE.astype(jnp.float32), mode=mode, snr=5.0)
        assert var.dtype == jnp.float32
        assert add_noise(jax.random.key(0), flux, var).dtype == jnp.float32


@pytest.mark.parametrize("wrong", [{"mode": "poisson"}, {"reference": "best"}, {"per": "resel"}])
def test_an_unknown_choice_is_refused_with_the_allowed_ones(cube, wrong):
    with pytest.raises(InputError, match="choose one of"):
        variance(cube, WAVE, **({"mode": "photon", "snr": 5.0} | wrong))
