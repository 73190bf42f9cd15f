"""Hydrogen between the galaxies: published values, limits, gradients in the redshift, the damping wing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.igm.damping_wing import DAMPING, GUNN_PETERSON, DampingWing, neutral_depth, wing
from galdiff.igm.inoue14 import Inoue14, continuum, optical_depth, series
from galdiff.light_records import Epoch, Spectrum
from galdiff.photometry.magnitudes import Photometry
from galdiff.photometry.passband import Passband

depth = jax.jit(optical_depth)
WAVE = jnp.concatenate([jnp.geomspace(91.0, 1300.0, 300), jnp.array([2e3, 1e4, 1e7])])


def at(redshift):
    one = jnp.asarray(1.0)
    return Epoch(time=one, redshift=jnp.asarray(redshift, one.dtype), luminosity_distance=one)


def test_the_transmission_at_redshift_3_is_that_of_eazy():
    """Values that its test of the same law keeps, at 850 to 1250 Angstrom."""
    kept = (0.33537573, 0.54634578, 0.74207249, 0.74194787, 0.79182545, 0.75792504, 0.72135181, 0.68233589, 1.0)
    np.testing.assert_allclose(jnp.exp(-depth(jnp.arange(850.0, 1251.0, 50.0), jnp.asarray(3.0))), kept, rtol=1e-3)


@pytest.mark.parametrize(
    ("redshift", "observed", "expected"),
    [  # by hand: forest, and damped systems, of the published tables
        (1.0, 2200.0, 0.0168976 * (2200 / 1215.67) ** 1.2 + 1.61698e-4 * (2200 / 1215.67) ** 2),
        (4.0, 5900.0, 2.35379e-3 * (5900 / 1215.67) ** 3.7 + 5.38995e-5 * (5900 / 1215.67) ** 3),
        (7.0, 9500.0, 1.02611e-4 * (9500 / 1215.67) ** 5.5 + 5.38995e-5 * (9500 / 1215.67) ** 3),
    ],
)
def test_lyman_alpha_absorbs_as_in_the_table(redshift, observed, expected):
    wave = jnp.asarray([observed / (1 + redshift)])
    assert wave[0] > 1030.0  # nothing but Lyman alpha
    np.testing.assert_allclose(depth(wave, jnp.asarray(redshift)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("redshift", "ratio", "expected"),
    [  # published sums of powers, ratio = observed / 911.8 Angstrom
        (1.0, 1.5, 0.3248 * (1.5**1.2 - 2**-0.9 * 1.5**2.1) + 0.2113 * 4 - 0.07661 * 2**2.3 * 1.5**-0.3 - 0.3031),
        (3.0, 3.5, 2.545e-2 * (4**1.6 * 3.5**2.1 - 3.5**3.7) + 0.04696 * 64 - 0.01779 * 4**3.3 * 3.5**-0.3 - 1.2502),
        (6.0, 6.5, 5.221e-4 * (7**3.4 * 6.5**2.1 - 6.5**5.5) + 0.04696 * 343 - 0.01779 * 7**3.3 * 6.5**-0.3 - 8.0080),
    ],
)  # fmt: skip
def test_the_continuum_absorbs_as_published(redshift, ratio, expected):
    wave = jnp.asarray([ratio * 911.8 / (1 + redshift)])
    np.testing.assert_allclose(continuum(wave, jnp.asarray(redshift))[0], expected, atol=3e-3)


def test_optical_depths_are_never_negative_vanish_at_redshift_0_and_redder_than_lyman_alpha_and_rise_with_redshift():
    depths = jnp.stack([depth(WAVE, jnp.asarray(z)) for z in (0.0, 0.05, 0.5, 1.2, 2.0, 3.0, 4.7, 5.5, 7.0)])
    assert jnp.isfinite(depths).all()
    assert (depths >= 0).all()
    assert (depths[:, WAVE > 1215.67] == 0).all()
    assert (depths[0] == 0).all()
    assert (jnp.diff(depths[:, WAVE < 1200.0], axis=0) >= -1e-9).all()
    transmission = jnp.exp(-depths[:, (WAVE > 1050.0) & (WAVE < 1170.0)]).mean(1)
    assert transmission[5] == pytest.approx(0.75, abs=0.02)  # at z of 2.46 to 2.85; 0.76 observed, Becker et al. (2013)
    assert transmission[-1] < 0.02


def test_the_optical_depth_is_continuous_where_powers_of_redshift_change():
    for z in (1.2, 2.0, 4.7):
        below, above = (depth(WAVE, jnp.asarray(z + step)) for step in (-1e-7, 1e-7))
        np.testing.assert_allclose(above, below, rtol=1e-5, atol=1e-6)


def test_gradients_in_the_redshift_match_differences_from_0_to_7():
    spectrum = Spectrum(
        wave=WAVE, lum=jnp.ones(WAVE.size), line_wave=jnp.asarray([1026.0, 1215.67]), line_lum=jnp.ones(2)
    )
    stage = Inoue14(strength=0.9)
    total = jax.jit(
        lambda z: (stage(spectrum, at(z)).lum * jnp.cos(WAVE)).sum() + stage(spectrum, at(z)).line_lum.sum()
    )
    slope = jax.jit(jax.grad(lambda z: total(z)))
    for z in (0.003, 0.37, 1.71, 2.9, 5.1, 6.9):
        np.testing.assert_allclose(slope(z), (total(z + 1e-7) - total(z - 1e-7)) / 2e-7, rtol=2e-5, atol=1e-6)
    assert jnp.isfinite(slope(0.0))


def test_single_precision_agrees_and_a_line_at_lyman_alpha_is_not_in_the_forest():
    wave = WAVE.astype(jnp.float32)
    single = optical_depth(wave, jnp.asarray(5.0, jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, depth(WAVE, jnp.asarray(5.0)), rtol=2e-4, atol=1e-4)
    assert (series(jnp.asarray([1215.6, 1215.67]), jnp.asarray(5.0)) == 0).all()


def test_the_wing_is_the_integral_of_its_profile():
    x = np.linspace(0.6, 0.9, 20_001)
    expected = np.trapezoid(x**4.5 / (1 - x) ** 2, x)
    np.testing.assert_allclose(wing(jnp.asarray(0.9)) - wing(jnp.asarray(0.6)), expected, rtol=1e-6)


def test_neutral_gas_takes_all_blue_light_and_a_wing_of_the_red():
    wave = jnp.asarray([1100.0, 1210.0, 1216.0, 1220.0, 1240.0, 1300.0])
    tau = neutral_depth(wave, jnp.asarray(8.0), 0.5, 6.0, 0.3)
    assert tau[1] > 1e3
    assert tau[0] > 1e3  # resonance at redshift 7.1, still neutral
    assert neutral_depth(jnp.asarray([930.0]), jnp.asarray(8.0), 0.5, 6.0, 0.3)[0] == 0  # after the end
    assert (jnp.diff(tau[2:]) < 0).all()
    near = 1 - 37.7 * 9**1.5 * 0.3 / 299792.458
    x = np.geomspace(7 / 9 / (1240 / 1215.67), near / (1240 / 1215.67), 20_001)
    by_hand = 0.5 * GUNN_PETERSON * (0.9 * 1240 / 1215.67) ** 1.5 * DAMPING / np.pi
    np.testing.assert_allclose(tau[4], by_hand * np.trapezoid(x**4.5 / (1 - x) ** 2, x), rtol=1e-5)
    larger = neutral_depth(wave, jnp.asarray(8.0), 0.5, 6.0, 3.0)
    assert (larger[2:] < tau[2:]).all()
    np.testing.assert_allclose(neutral_depth(wave, jnp.asarray(8.0), 0.25, 6.0, 0.3), tau / 2)
    assert (neutral_depth(wave, jnp.asarray(5.9), 0.5, 6.0, 0.3) == 0).all()


def test_gradients_of_the_wing_are_those_of_differences_and_finite_everywhere():
    stage = DampingWing(strength=1.0, neutral=0.4, end=6.0, bubble=0.5)
    spectrum = Spectrum(wave=jnp.asarray([1000.0, 1213.5, 1215.67, 1217.0, 1225.0, 1300.0]), lum=jnp.ones(6))

    def total(z, neutral, bubble):
        passes = jnp.exp(-neutral_depth(spectrum.wave[2:], z, neutral, 6.0, bubble))
        return (passes * jnp.arange(1.0, 5.0)).sum()

    start = (8.0, 0.3, 0.7)
    slopes = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(*start)
    run = jax.jit(total)
    for i, slope in enumerate(slopes):
        ahead, behind = (run(*(x + h * (i == k) for k, x in enumerate(start))) for h in (1e-6, -1e-6))
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-6)
    whole = jax.jit(jax.grad(lambda z: stage(spectrum, at(z)).lum.sum()))
    assert all(jnp.isfinite(whole(z)) for z in (0.0, 5.0, 6.0, 8.0))


def test_what_is_seen_counts_for_apparent_magnitudes_alone():
    wave = jnp.linspace(900.0, 2000.0, 500)
    spectrum = Spectrum(wave=wave, lum=1e8 + wave)
    band = Passband("hump", np.array([1000.0, 1100.0, 1200.0]), np.array([0.0, 1.0, 0.0]))
    seen = Inoue14(strength=1.0)(spectrum, at(3.0))
    rest = Photometry(passbands=[band], frame="rest")
    assert rest(spectrum, at(3.0), seen).mag[0] == rest(spectrum, at(3.0)).mag[0]
    redder = Passband("redder", 4 * band.wave, band.transmission)
    observed = Photometry(passbands=[redder])
    dimmed = observed(spectrum, at(3.0), seen).mag[0] - observed(spectrum, at(3.0)).mag[0]
    assert dimmed == pytest.approx(-2.5 * np.log10(0.74), abs=0.1)
