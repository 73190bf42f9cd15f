"""Noise of an exposure: S/N that observatories publish, spaxels that share noise, and no voxel without variance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table
from omegaconf import OmegaConf
from test_instruments import custom, load

from galdiff.errors import InputError
from galdiff.front.noise import noise_of
from galdiff.ifu.counting import ab_flux, counting
from galdiff.ifu.covariance import averaged, correlation, excess, root
from galdiff.ifu.instrument import from_mapping, output_wave
from galdiff.ifu.noise import detector_variance
from galdiff.ifu.spectrograph import never_negative
from galdiff.observing.noise import warn_faint, with_noise
from galdiff.records import ObservedCube

DETECTOR = dict(telescope_area_m2=50.0, read_noise_electron=3.0, dark_electron_per_hour=3.0)
DETECTOR |= dict(wave_angstrom=[4000.0, 8000.0], throughput=[0.2, 0.3], sky_ab_mag=[22.0, 21.0])
NOISE = {"snr": 40.0, "mode": "exposure", "reference": "brightest", "wave_ref": None, "background": 0.01}
NOISE |= {"exposure_s": 3600.0, "n_exposures": 4, "sky": None, "covariance": False}


def mock(flux, inside=None) -> ObservedCube:
    wave = 5000.0 + 2.5 * np.arange(flux.shape[-1])
    inside = np.ones(flux.shape[:2], bool) if inside is None else inside
    return ObservedCube(flux=flux, variance=0 * flux, wave=wave, inside=inside, medium="air", spaxel_arcsec=0.5)


def signal_to_noise(instrument, wave, flux, spaxels, pixels, **exposure):
    """S/N of the sum over spaxels and pixels of light that is the same in all of them [1e-20 erg/s/cm2/A]."""
    at = np.argmin(np.abs(output_wave(instrument) - wave))
    counted = counting(instrument, output_wave(instrument), **exposure)
    variance = detector_variance(jnp.full((1, 1, instrument.n_wave), flux), **counted)[0, 0, at]
    return float(flux * np.sqrt(spaxels * pixels / variance)), {
        k: np.ravel(v)[at % np.size(v)] for k, v in counted.items()
    }


def test_muse_has_the_signal_to_noise_of_the_observatory():
    muse = from_mapping(load("muse_wfm"))
    # ESO's calculator as quoted in pyetc: 23 AB/arcsec2 (flux of 6400 A) at 8000 A, 3600 s, 1 arcsec2: 340 e- of 2170
    # e- of sky, S/N = 6.41 a pixel
    flux = ab_flux(23.0, 6400.0) * 0.04
    found, counted = signal_to_noise(muse, 8000.0, flux, 25, 1, exposure_s=3600.0, n_exposures=1)
    assert found == pytest.approx(6.41, rel=0.05)
    assert 25 * 3600 * flux * counted["sensitivity"] == pytest.approx(340, rel=0.05)
    assert 25 * 3600 * counted["sky"] * counted["sensitivity"] == pytest.approx(2170, rel=0.1)
    # the same: 753 e- of a line and 6226 e- of sky at 7000 A in 25 spaxels and 5 pixels, two times 1800 s: S/N = 7.69
    per_flux = 125 * 3600 * counting(muse, output_wave(muse), exposure_s=1, n_exposures=1)["sensitivity"][1800]
    found, counted = signal_to_noise(muse, 7000.0, 753 / per_flux, 25, 5, exposure_s=3600.0, n_exposures=2)
    assert found == pytest.approx(7.69, rel=0.05)
    assert 125 * 3600 * counted["sky"] * counted["sensitivity"] == pytest.approx(6226, rel=0.1)


def test_bluemuse_has_the_signal_to_noise_of_its_calculator():
    # quoted in pyetc: spaxels of 0.2 arcsec, pixels of 0.575 A, ten times 3600 s, 25 spaxels and 5 pixels at 4500 A:
    # 382 e- of a line of 1e-18 erg/s/cm2, of which 0.561 x 0.478 are counted, 25534 e- of sky, S/N = 1.86
    data = load("bluemuse")
    blue = from_mapping(data | {"spaxel_y_arcsec": 0.2, "wave": data["wave"] | {"step_angstrom": 0.575}})
    flux = 100 * 0.561 * 0.478 / (25 * 5 * 0.575)
    found, counted = signal_to_noise(blue, 4500.0, flux, 25, 5, exposure_s=36000.0, n_exposures=10)
    assert found == pytest.approx(1.86, rel=0.1)
    assert 125 * 36000 * flux * counted["sensitivity"] == pytest.approx(382, rel=0.05)
    assert 125 * 36000 * counted["sky"] * counted["sensitivity"] == pytest.approx(25534, rel=0.1)


@pytest.mark.parametrize("name", ["manga_19", "manga_127_linear"])
def test_manga_has_the_signal_to_noise_that_its_survey_was_designed_for(name):
    # Law et al. 2015, AJ 150, 19: 5 per Angstrom and fibre of 2 arcsec in the r band at 23 AB mag/arcsec2; in 3 h,
    # Bundy et al. 2015, ApJ 798, 7. Fibres see 0.56 of the sky, which is in the throughput of a spaxel.
    manga = from_mapping(load(name))
    step = np.gradient(output_wave(manga))[np.argmin(np.abs(output_wave(manga) - 6231.0))]
    fibre = np.pi / 0.25 / 0.56  # spaxels
    flux = ab_flux(23.0, 6231.0) * 0.25
    found, _ = signal_to_noise(manga, 6231.0, flux, fibre, 1 / step, exposure_s=10800.0, n_exposures=12)
    assert found == pytest.approx(5.0, rel=0.2)


@pytest.mark.parametrize("name", ["nirspec_g140h", "nirspec_g235h", "nirspec_g395h"])
def test_a_ramp_of_nirspec_is_limited_by_its_detector_and_ten_add_up(name):
    instrument = from_mapping(load(name))
    wave = output_wave(instrument)
    ramp, ten = (counting(instrument, wave, exposure_s=1000.0 * n, n_exposures=n) for n in (1, 10))
    electrons = 1000 * ramp["sky"] * ramp["sensitivity"]
    assert (electrons < ramp["read"] ** 2 + 1000 * ramp["dark"]).all()  # at R = 2700 the sky is dark
    assert (electrons > 0).all()
    assert ramp["read"] ** 2 + 1000 * ramp["dark"] == pytest.approx(6.0**2, rel=0.1)  # required: 6 electrons in 1000 s
    faint = jnp.full((1, 1, len(wave)), 0.1)
    one, more = (np.asarray(detector_variance(faint, **counted)) for counted in (ramp, ten))
    np.testing.assert_allclose(one, 10 * more, rtol=1e-6)


def test_an_exposure_that_is_too_short_for_its_galaxy_says_so():
    flux = np.full((2, 3, 5), 0.2)
    flux[1, 1] = 0.9
    with pytest.warns(UserWarning, match=r"S/N of this exposure is 0\.45 per pixel .* lengthen noise\.exposure_s"):
        warn_faint(mock(flux), np.full(flux.shape, 4.0))
    warn_faint(mock(flux), np.full(flux.shape, 0.25))
    dark = np.zeros((2, 3), bool)
    dark[0, 0] = True
    with pytest.warns(UserWarning, match="is 0.4 per pixel"):
        warn_faint(mock(flux, dark), np.full(flux.shape, 0.25))


def test_twice_the_spaxel_or_the_pixel_counts_twice_the_electrons():
    one, wide = (from_mapping(custom(detector=DETECTOR, spaxel_y_arcsec=s)) for s in (0.5, 1.0))
    finer = from_mapping(custom(detector=DETECTOR, wave={"step_angstrom": 0.625}))
    counted, large, fine = (counting(i, output_wave(i), exposure_s=60.0, n_exposures=1) for i in (one, wide, finer))
    np.testing.assert_allclose(large["sky"], 2 * counted["sky"], rtol=1e-12)
    np.testing.assert_allclose(fine["sensitivity"][0] * 2, counted["sensitivity"][0], rtol=1e-9)


def test_a_table_of_the_sky_keeps_its_lines(tmp_path):
    instrument = from_mapping(custom(detector=DETECTOR))
    wave = np.arange(4700.0, 7100.0, 0.1)
    line = 50.0 * np.exp(-0.5 * ((wave - 5577.3) / 0.2) ** 2)
    Table({"wave": wave, "flux": 10.0 + line}).write(tmp_path / "sky.csv")
    noise = noise_of(OmegaConf.create(NOISE | {"sky": str(tmp_path / "sky.csv")}), instrument)
    at = output_wave(instrument)
    sky = counting(instrument, at, exposure_s=1.0, n_exposures=1, sky=noise["sky"])["sky"] / 0.25
    assert sky[0] == pytest.approx(10.0)
    assert np.sum((sky - 10.0) * 1.25) == pytest.approx(50.0 * 0.2 * np.sqrt(2 * np.pi), rel=1e-3)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_spaxels_of_manga_share_noise_as_published(n):
    sigma = load("manga_127")["correlation_arcsec"] / 0.5
    assert excess(n, n, (sigma, sigma)) == pytest.approx(1 + 1.62 * np.log10(n * n), rel=0.06)  # Law et al. 2016


def test_drizzled_spaxels_of_muse_share_noise_as_published():
    sigma = load("muse_wfm")["correlation_arcsec"] / 0.2
    assert 1 / np.sqrt(averaged((sigma, sigma))) == pytest.approx(0.60, rel=0.02)  # Bacon et al. 2017


def test_a_draw_has_the_covariance_and_each_voxel_its_variance():
    cube = mock(np.full((6, 5, 4000), 2.0))
    noisy = with_noise(
        cube, seed=3, mode="background", sigmas=(1.9, 1.0), snr=10.0, reference="brightest", wave_ref=None
    )
    pull = np.asarray((noisy.flux - 2.0) / np.sqrt(noisy.variance)).reshape(30, -1)
    wanted = np.kron(correlation(6, 1.9), correlation(5, 1.0))
    np.testing.assert_allclose(np.corrcoef(pull), wanted, atol=5 / np.sqrt(4000))
    np.testing.assert_allclose(pull.std(1), 1.0, atol=5 / np.sqrt(8000))
    assert root(correlation(6, 1.9)).shape == (6, 6)


def test_an_exposure_that_was_resampled_has_the_noise_of_its_photons_in_large_bins():
    level = dict(sensitivity=1.0, exposure_s=100.0, sky=4.0, dark=0.0, read=0.0, n_exposures=1, seed=0, mode="exposure")
    cube = mock(np.ones((2, 2, 3)))
    alone, shared = (with_noise(cube, sigmas=s, **level).variance for s in (None, (1.5, 1.5)))
    np.testing.assert_allclose(shared * excess(200, 200, (1.5, 1.5)) ** 2, alone, rtol=0.02)


@pytest.mark.parametrize("mode", ["photon", "background", "galcraft", "rubix"])
def test_every_voxel_of_the_aperture_has_a_variance(mode):
    flux = np.zeros((5, 4, 20), np.float32)
    flux[2, 1] = 3.0
    inside = np.ones((5, 4), bool)
    inside[0] = False
    level = dict(snr=20.0, reference="brightest", wave_ref=None, background=0.01)
    noisy = with_noise(mock(flux, inside), seed=1, mode=mode, **level)
    assert (noisy.variance[inside] > 0).all()
    assert (noisy.variance[~inside] == 0).all()
    if mode in ("photon", "background"):
        assert 3.0 / np.sqrt(noisy.variance[2, 1, 10]) == pytest.approx(20.0, rel=1e-5)


def test_pulls_are_normal_in_every_decile_of_flux():
    rng = np.random.default_rng(0)
    cube = mock((10 ** rng.uniform(-3, 1, (6, 5, 20))).astype(np.float32))
    level = dict(mode="photon", snr=10.0, reference="brightest", wave_ref=None, background=0.01)
    draws = [with_noise(cube, seed=seed, **level) for seed in range(2000)]
    pull = (np.stack([d.flux for d in draws]) - cube.flux) / np.sqrt(draws[0].variance)
    decile = np.digitize(cube.flux, np.quantile(cube.flux, np.arange(1, 10) / 10))
    for k in range(10):
        pulls = pull[:, decile == k]
        assert abs(pulls.mean()) < 3 / np.sqrt(pulls.size)
        assert abs(pulls.var() - 1) < 3 * np.sqrt(2 / pulls.size)


def test_seeds_of_any_size_draw_as_a_key_of_jax():
    cube = mock(np.ones((1, 1, 3)))
    level = dict(mode="background", snr=1.0, reference="brightest", wave_ref=None)
    for seed in (0, 7, 2**31 + 5):
        drawn = with_noise(cube, seed=seed, **level).flux - 1.0
        np.testing.assert_allclose(drawn, jax.random.normal(jax.random.key(seed), (1, 1, 3)), rtol=1e-12)


def test_light_is_never_negative_and_keeps_its_derivative():
    value, slope = jax.value_and_grad(lambda x: never_negative(x).sum())(jnp.array([[[-1e-7, 0.0, 2.0]]]))
    assert value == 2.0
    np.testing.assert_array_equal(slope, np.ones((1, 1, 3)))


@pytest.mark.parametrize(
    ("changes", "noise", "words"),
    [
        ({}, {}, "custom has no instrument.detector"),
        ({}, {"mode": "photon", "covariance": True}, "does not say how its spaxels share noise"),
        ({"detector": DETECTOR | {"throughput": [0.2]}}, {}, "throughput has 1 values for 2 wavelengths"),
        ({"detector": DETECTOR | {"throughput": [0.2, 30.0]}}, {}, "throughput reaches 30; it is a share"),
        ({"detector": DETECTOR | {"read_noise": 3.0}}, {}, "did you mean 'read_noise_electron'"),
        ({"detector": DETECTOR | {"telescope_area_m2": None}}, {}, "telescope_area_m2: a value is required"),
        ({"correlation_arcsec": -1.0}, {}, "correlation_arcsec is -1"),
        ({"detector": DETECTOR}, {"sky": "nowhere.csv"}, "there is no such table"),
    ],
)
def test_what_an_exposure_lacks_is_named(changes, noise, words):
    with pytest.raises(InputError, match=words):
        noise_of(OmegaConf.create(NOISE | noise), from_mapping(custom(**changes)))


def test_a_field_without_light_sets_no_signal_to_noise():
    with pytest.raises(InputError, match="no light"):
        with_noise(mock(np.zeros((2, 2, 3))), seed=0, mode="photon", snr=5.0, reference="median", wave_ref=None)
