"""The embedded analytic SSP library: physics, calibration against MILES, gradients in the IMF, precision."""

import dataclasses

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff import imf
from galdiff.core.record import check
from galdiff.errors import InputError
from galdiff.sps import analytic, indices
from galdiff.sps.analytic import calibration, coefficients, evolution, features, spectra, synthesis, tables
from galdiff.units import C_KMS, FWHM_PER_SIGMA

C_A_S = C_KMS * 1e13  # speed of light [Angstrom/s]
synthesise = jax.jit(synthesis.synthesise)
density = jax.jit(imf.number_density)


@pytest.fixture(scope="module")
def grid():
    return analytic.default_grid()


@pytest.fixture(scope="module")
def spectrum(grid):
    """Function (age [Gyr], Z) -> flux of the nearest populations of the default grid."""
    lg_age, lg_met, flux = (np.asarray(x) for x in (grid.ssp_lg_age_gyr, grid.ssp_lgmet, grid.ssp_flux))

    def nearest(age, metallicity=0.02):
        return flux[np.abs(lg_met - np.log10(metallicity)).argmin(), np.abs(lg_age - np.log10(age)).argmin()]

    return nearest


def v_light(wave, flux):
    """Mean luminosity density [Lsun/Angstrom/Msun] near 5500 Angstrom; the Sun has 1.37e-4 (1.86 W/m2/nm)."""
    return flux @ indices.band_weights(jnp.asarray(wave), (5100.0, 5900.0)) / 800.0


def test_grid_is_a_valid_record_with_positive_light_and_stated_resolution(grid):
    check(grid)
    assert grid.ssp_flux.shape == (grid.ssp_lgmet.size, grid.ssp_lg_age_gyr.size, grid.ssp_wave.size)
    assert (np.asarray(grid.ssp_flux) > 0).all()
    assert (grid.medium, grid.imf) == ("vacuum", "kroupa")
    wave, fwhm = np.asarray(grid.ssp_wave), np.asarray(grid.ssp_fwhm)
    assert wave[0] == pytest.approx(91.0)
    assert wave[-1] == pytest.approx(25000.0, rel=1e-3)
    assert (np.gradient(wave) < fwhm / 2).all()
    optical = (wave > 3600) & (wave < 9000)
    np.testing.assert_allclose(wave[optical] / fwhm[optical], 2000.0, rtol=0.02)


def test_ages_are_uniform_in_log_and_reach_from_a_million_years_to_the_age_of_the_universe(grid):
    youngest, *lg_age = np.asarray(grid.ssp_lg_age_gyr)
    assert youngest == pytest.approx(-4.0)  # one more, as stars hardly change in their first million years
    np.testing.assert_allclose(np.diff(lg_age), np.diff(lg_age)[0], atol=2e-6)
    assert lg_age[0] == pytest.approx(-3.0)
    assert lg_age[-1] > np.log10(13.8)


def test_stellar_evolution_fits_give_the_sun_and_known_lifetimes():
    zeta = np.zeros(())
    assert evolution.zams_luminosity(1.0, zeta) == pytest.approx(0.698, rel=2e-3)  # Tout et al. 1996
    assert evolution.zams_radius(1.0, zeta) == pytest.approx(0.888, rel=2e-3)
    assert evolution.main_sequence_time(1.0, zeta) == pytest.approx(11.0, rel=0.01)  # Gyr, HPT fig. 5
    assert evolution.giant_branch_time(1.0, zeta) > evolution.main_sequence_time(1.0, zeta)
    for z in (1e-4, 0.004, 0.02, 0.04):
        times = evolution.main_sequence_time(np.geomspace(0.5, 100.0, 300), evolution.track_zeta(np.array(z)))
        assert (np.diff(times) < 0).all()


@pytest.mark.parametrize("name", sorted(imf.shape.NAMED))
def test_mass_functions_hold_one_solar_mass(name):
    m = np.geomspace(0.1, 100.0, 40001)
    number = np.asarray(density(imf.named_imf(name), jnp.asarray(m)))
    assert np.trapezoid(number * m**2, np.log(m)) == pytest.approx(1.0, rel=1e-5)


def test_universal_and_revised_kroupa_differ_in_massive_stars_by_the_published_factor():
    ratio = density(imf.kroupa(), jnp.asarray(3.0)) / density(imf.kroupa_revised(), jnp.asarray(3.0))
    assert float(ratio) == pytest.approx(1.262, abs=2e-3)


def test_bolometric_light_is_that_of_simple_populations(grid, spectrum):
    wave = np.asarray(grid.ssp_wave)
    light = {age: np.trapezoid(spectrum(age), wave) for age in (0.01, 0.1, 1.0, 10.0)}
    assert 80 < light[0.01] < 500  # Lsun/Msun between 1000 Angstrom and 2.5 micron
    assert 8 < light[0.1] < 40
    assert 0.7 < light[1.0] < 3.0
    assert 0.15 < light[10.0] < 0.5


def test_mass_to_light_ratio_grows_with_age(grid):
    light = np.asarray(v_light(grid.ssp_wave, grid.ssp_flux))
    old = np.asarray(grid.ssp_lg_age_gyr) > -1.1
    assert (np.diff(light[4:, old], axis=1) < 0).all()
    ratio = 1.37e-4 / light
    young = np.asarray(grid.ssp_lg_age_gyr) < -2.0
    assert (ratio[5:, young] > 0.004).all()
    assert (ratio[5:, young] < 0.05).all()


def test_young_populations_are_blue_and_old_ones_red(grid, spectrum):
    wave = np.asarray(grid.ssp_wave)
    slope = lambda f: np.log(np.interp(1500.0, wave, f) / np.interp(2300.0, wave, f)) / np.log(1500 / 2300)  # noqa: E731
    assert -3.2 < slope(spectrum(0.003)) < -2.0  # ultraviolet slope of unreddened starlight
    infrared = [
        np.interp(16000.0, wave, spectrum(age)) / np.interp(5500.0, wave, spectrum(age)) for age in (0.003, 10.0)
    ]
    assert infrared[1] > 5 * infrared[0]


FEATURES = [  # name, vacuum centre, half width [Angstrom], age [Gyr]
    ("H alpha", 6564.6, 12.0, 0.3),
    ("H beta", 4862.7, 12.0, 0.3),
    ("H gamma", 4341.7, 12.0, 0.3),
    ("H delta", 4102.9, 12.0, 0.3),
    ("Ca K", 3934.8, 10.0, 10.0),
    ("Ca H", 3969.6, 10.0, 10.0),
    ("G band", 4305.0, 18.0, 10.0),
    ("Mg b 1", 5168.7, 3.0, 10.0),
    ("Mg b 2", 5174.1, 3.0, 10.0),
    ("Mg b 3", 5185.0, 3.0, 10.0),
    ("Fe 5270", 5271.0, 6.0, 10.0),
    ("Fe 5335", 5329.7, 4.0, 10.0),
    ("Na D", 5894.6, 9.0, 10.0),
    ("TiO 7054", 7110.0, 50.0, 10.0),
    ("TiO 6158", 6200.0, 40.0, 10.0),
    ("Ca T 8498", 8500.4, 6.0, 10.0),
    ("Ca T 8542", 8544.4, 8.0, 10.0),
    ("Ca T 8662", 8664.5, 8.0, 10.0),
    ("CO 2.3", 23100.0, 150.0, 10.0),
]


@pytest.mark.parametrize(("name", "centre", "half", "age"), FEATURES, ids=[f[0] for f in FEATURES])
def test_absorption_feature_is_present(grid, spectrum, name, centre, half, age):
    wave, flux = np.asarray(grid.ssp_wave), spectrum(age)
    inside = np.abs(wave - centre) < half
    sides = np.abs(np.abs(wave - centre) - 1.5 * half) < 0.5 * half
    continuum = np.polyval(np.polyfit(wave[sides] - centre, flux[sides], 1), wave[inside] - centre)
    width = np.trapezoid(1 - flux[inside] / continuum, wave[inside])
    assert width > 0.1  # Angstrom


def test_balmer_break_of_a_young_and_4000_break_of_an_old_population(grid, spectrum):
    wave = jnp.asarray(grid.ssp_wave)
    mean = lambda f, lo, hi: float(f @ indices.band_weights(wave, (lo, hi)) / (hi - lo))  # noqa: E731
    jump = [mean(spectrum(age), 4000.0, 4080.0) / mean(spectrum(age), 3550.0, 3630.0) for age in (0.003, 0.3)]
    assert jump[1] > 1.6
    assert jump[1] > 1.8 * jump[0]
    old, young = (indices.break_index(wave, spectrum(age), "Dn4000") for age in (10.0, 0.3))
    assert old > 1.7
    assert young < 1.35


def test_lick_indices_move_the_right_way(grid):
    wave, flux = grid.ssp_wave, grid.ssp_flux
    lg_age, lg_met = np.asarray(grid.ssp_lg_age_gyr), np.asarray(grid.ssp_lgmet)
    old = np.flatnonzero(lg_age > 0.0)[::2]
    rich = np.flatnonzero((lg_met > np.log10(0.0039)) & (lg_met < np.log10(0.031)))
    value = {n: np.asarray(indices.line_index(wave, flux, n))[np.ix_(rich, old)] for n in ("Hbeta", "Mgb", "Fe5270")}
    assert (np.diff(value["Hbeta"], axis=1) < 0).all()
    for name in ("Mgb", "Fe5270"):
        assert (np.diff(value[name], axis=1) > 0).all()  # with age
        assert (np.diff(value[name], axis=0) > 0).all()  # with metallicity


@pytest.fixture(scope="module")
def miles_pair(data_dir):
    """Wave, MILES and analytic spectra [Lsun/Angstrom/Msun] for Z = 0.004-0.03 and 0.1-13 Gyr, same IMF."""
    with h5py.File(data_dir / "ssp" / "ssp_miles_basti_kb.h5") as file:
        wave, lg_age, lg_met = (file[f"ssp_{k}"][:].astype(float) for k in ("wave", "lg_age_gyr", "lgmet"))
        mets = np.flatnonzero((lg_met > np.log10(0.0039)) & (lg_met < np.log10(0.0301)))
        ages = np.flatnonzero((lg_age > -1.001) & (lg_age < np.log10(13.01)))
        theirs = file["ssp_flux"][:].astype(float)[np.ix_(mets, ages)] * C_A_S / wave**2
    ours = analytic.analytic_ssp(
        analytic.default_coefficients(),
        ages_gyr=10 ** lg_age[ages],
        metallicities=10 ** lg_met[mets],
        wave=wave,
        imf="kroupa_revised",
    )
    return wave, theirs, np.asarray(ours.ssp_flux)


def test_dn4000_agrees_with_miles(miles_pair):
    wave, theirs, ours = miles_pair
    gap = [indices.break_index(jnp.asarray(wave), flux, "Dn4000") for flux in (ours, theirs)]
    assert np.sqrt(np.mean((gap[0] - gap[1]) ** 2)) < 0.1


def test_colours_and_mass_to_light_ratios_agree_with_miles(miles_pair):
    filters = pytest.importorskip("speclite.filters", reason="pip install speclite for published passbands")
    wave, theirs, ours = miles_pair
    mags = []
    for flux in (ours, theirs):
        rows = []
        for band in filters.load_filters("sdss2010-g", "sdss2010-r", "bessell-V"):
            photons = np.interp(wave, band.wavelength, band.response, left=0, right=0) * wave * np.gradient(wave)
            rows.append(-2.5 * np.log10(flux @ photons / (photons / wave**2).sum()))
        mags.append(np.array(rows))
    gap = mags[0] - mags[1]
    assert np.sqrt(np.mean((gap[0] - gap[1]) ** 2)) < 0.08  # g - r
    assert np.sqrt(np.mean((0.4 * gap[2]) ** 2)) < 0.1  # log10 M/L_V


def test_line_indices_agree_with_miles_on_average(miles_pair):
    wave, theirs, ours = miles_pair
    for name, bound in (("Hbeta", 0.6), ("Mgb", 0.6), ("Fe5270", 0.5)):  # Angstrom
        gap = indices.line_index(jnp.asarray(wave), ours, name) - indices.line_index(jnp.asarray(wave), theirs, name)
        assert np.sqrt(np.mean(np.asarray(gap) ** 2)) < bound, name


def small_tables(ages, mets, wave):
    made = (tables.track_tables(ages, mets), spectra.atmosphere_tables(wave, spectra.default_fwhm(wave)))
    return jnp.asarray(mets), jax.tree.map(jnp.asarray, made)


@pytest.mark.parametrize("name", ["kroupa", "chabrier"])
def test_imf_gradients_match_central_differences(name):
    ages, mets = np.array([3.3e-3, 0.1, 10.0]), np.array([0.004, 0.02])
    mets, made = small_tables(ages, mets, np.geomspace(1500.0, 9000.0, 30))
    params, law = analytic.default_coefficients(), imf.named_imf(name)

    @jax.jit
    def summary(law):
        flux = synthesis.synthesise(params, mets, made, law)
        return jnp.sum(jnp.log(flux) * jnp.linspace(0.5, 1.5, flux.size).reshape(flux.shape))

    grads = jax.jit(jax.grad(summary))(law)
    for field in (f for f in dataclasses.fields(law) if not f.metadata.get("static")):
        value, grad = getattr(law, field.name), getattr(grads, field.name)
        for k in range(value.size):
            step = 1e-5 * jnp.zeros_like(value).reshape(-1).at[k].set(value.reshape(-1)[k]).reshape(value.shape)
            up, down = (summary(dataclasses.replace(law, **{field.name: value + s * step})) for s in (1, -1))
            central = (up - down) / (2 * step.sum())
            np.testing.assert_allclose(grad.reshape(-1)[k], central, rtol=1e-6, atol=1e-6 * 90, err_msg=field.name)
    assert float(jnp.abs(jax.tree.leaves(grads)[0]).min()) > 1e-3


def test_a_bottom_heavy_imf_dims_the_population():
    ages, wave = np.array([10.0]), np.geomspace(4000.0, 9000.0, 20)
    mets, made = small_tables(ages, np.array([0.02]), wave)
    params = analytic.default_coefficients()
    light = [synthesise(params, mets, made, imf.broken_power_law((slope,))).mean() for slope in (1.8, 2.35, 3.0)]
    assert light[1] > light[2]
    few = synthesise(params, mets, made, imf.broken_power_law((2.35,), m_lo=0.5)).mean()
    assert few > 1.5 * light[1]


def test_float32_agrees_with_float64():
    ages, mets = 10.0 ** np.linspace(-3, 1.1, 12), np.array([1e-4, 0.004, 0.02, 0.04])
    mets, made = small_tables(ages, mets, np.geomspace(1000.0, 25000.0, 60))
    double = (analytic.default_coefficients(), mets, made, imf.kroupa())
    single = jax.tree.map(lambda x: x.astype(jnp.float32), double)
    flux64, flux32 = synthesise(*double), synthesise(*single)
    assert flux32.dtype == jnp.float32
    np.testing.assert_allclose(flux32, flux64, rtol=1e-3)


def test_lines_have_their_width_in_vacuum_and_the_resolution_asked_for():
    wave = np.arange(5850.0, 5930.0, 0.02)
    for fwhm in (1.5, 3.0):
        sodium = features.profiles(wave, np.full_like(wave, fwhm))[features.NAMES.index("sodium_d")]
        assert np.trapezoid(sodium, wave) == pytest.approx(0.75 + 0.56, rel=1e-2)  # solar equivalent widths
        assert wave[sodium.argmax()] == pytest.approx(5891.58, abs=0.1)
        right = wave[(wave > 5897.55)][np.argmax(sodium[wave > 5897.55] < np.interp(5897.55, wave, sodium) / 2)]
        assert 2 * (right - 5897.55) == pytest.approx(np.hypot(fwhm, FWHM_PER_SIGMA), rel=0.1)  # own width: 1 Angstrom


def test_line_index_of_a_gaussian_line_is_its_equivalent_width():
    wave = jnp.linspace(4800.0, 4920.0, 2401)
    sigma, width = 2.0, 1.7
    line = width / sigma / np.sqrt(2 * np.pi) * jnp.exp(-0.5 * ((wave - 4863.6) / sigma) ** 2)
    flux = (2.0 + 0.01 * (wave - 4800)) * (1 - line)
    assert float(indices.line_index(wave, flux, "Hbeta")) == pytest.approx(width, rel=1e-3)


def test_breaks_of_a_flat_frequency_spectrum_are_one():
    wave = jnp.linspace(3600.0, 4400.0, 1601)
    for name in indices.BREAKS:
        assert float(indices.break_index(wave, wave**-2.0, name)) == pytest.approx(1.0, rel=1e-12)


def test_bad_requests_name_the_field_and_the_remedy():
    params = analytic.default_coefficients()
    good = {"ages_gyr": [1.0], "metallicities": [0.02], "wave": [5000.0, 5001.0]}
    for change, text in (
        ({"ages_gyr": [1.0, 0.5]}, "ages_gyr"),
        ({"ages_gyr": [30.0]}, "Gyr"),
        ({"metallicities": [0.2]}, "metallicities"),
        ({"ages_gyr": [1e-5]}, "Gyr"),
        ({"wave": [50.0, 60.0]}, "wave"),
        ({"wave": [float("nan")]}, "wave"),
        ({"imf": "kroupa99"}, "choose one of"),
    ):
        with pytest.raises(InputError, match=text):
            analytic.analytic_ssp(params, **(good | change))
    with pytest.raises(InputError, match="fewer"):
        imf.broken_power_law((1.3, 2.3))


def test_the_module_of_coefficients_is_what_a_calibration_writes():
    written: dict = {}
    exec(calibration.coefficients_text(calibration.stored()), written)
    assert (written["TRACKS"], written["LAWS"]) == (coefficients.TRACKS, coefficients.LAWS)
    assert written["__doc__"] == coefficients.__doc__


class Exponentials:
    """A calibration of two numbers, one of them free: y = a exp(b x)."""

    free, centre = np.array([1]), np.array([2.0, 0.0])

    def filled(self, free):
        return jnp.asarray(self.centre).at[self.free].set(free)

    def residuals(self, free):
        a, b = self.filled(free)
        x = jnp.linspace(0.0, 1.0, 5)
        return a * jnp.exp(b * x) - 2.0 * jnp.exp(0.7 * x)


def test_damped_least_squares_find_what_is_free_and_tell_the_cost_of_each_step():
    said = []
    found = calibration.damped_least_squares(Exponentials(), np.array([0.1]), 8, said.append)
    np.testing.assert_allclose(found, [2.0, 0.7], rtol=1e-5)
    assert said[0].startswith("1 coefficients, 5 residuals, chi2 ")
    assert len(said) == 9


def test_the_prior_of_a_calibration_is_met_at_its_centre_and_fixed_numbers_are_not_free():
    prior = {
        "tracks": {name: (value, 0.5) for name, value in coefficients.TRACKS.items()},
        "laws": {name: (law, [0.0] * 5) for name, law in coefficients.LAWS.items()},
    }
    problem = calibration.Problem([], prior)
    n_tracks = len(coefficients.TRACKS)
    np.testing.assert_array_equal(problem.free, np.arange(n_tracks))
    np.testing.assert_array_equal(problem.filled(problem.centre[problem.free]), calibration.stored())
    at = jnp.asarray(problem.centre[problem.free])
    np.testing.assert_allclose(problem.residuals(at + 1.0), 2.0)  # widths of 0.5
    made, shipped = calibration.unpack(problem.centre), analytic.default_coefficients()
    jax.tree.map(np.testing.assert_array_equal, made, shipped)


def test_smoothing_keeps_a_flat_spectrum_and_widens_a_line():
    wave = np.arange(5000.0, 5200.0, 0.5)
    target = np.arange(5060.0, 5140.0, 0.5)
    np.testing.assert_allclose(calibration.smoothed_to(wave, np.ones((1, wave.size)), target), 1.0)
    sigma = calibration.MEASURED_FWHM / 2.3548
    line = calibration.smoothed_to(wave, np.exp(-0.5 * ((wave - 5100.0) / sigma) ** 2), target)
    share = line / line.sum()
    width = np.sqrt(share @ (target - share @ target) ** 2)
    np.testing.assert_allclose(width, 5100.0 / calibration.RESOLVING_POWER / 2.3548, rtol=1e-2)
