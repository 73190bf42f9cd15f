"""Ionising and ultraviolet light of the embedded library: published atmospheres, other libraries, energy, gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff import imf, units
from galdiff.errors import InputError
from galdiff.sps import analytic, ionising
from galdiff.sps.analytic import hot_calibration, hot_coefficients, hot_stars, spectra, synthesis, tables, tracks
from galdiff.sps.library import load_ssp

FILES = ("ssp_bc03_lr_chabrier.h5", "ssp_popstar_chabrier.h5")
METALLICITIES = (0.004, 0.02)
PROMISED = {1.0: 0.1, 2.0: 0.1, 3.0: 0.1, 5.0: 0.1, 7.0: 0.2, 10.0: 0.2}  # Myr, dex
WAVE = np.array([91.0, 150.0, 227.0, 230.0, 350.0, 503.0, 505.0, 700.0, 911.0, 950.0, 1200.0, 2000.0])
O_STARS = (  # Teff, log g, log10 q0, log10 q1: Martins, Schaerer & Hillier 2005, tables 1 and 3
    (44616.0, 3.92, 24.56, 23.96),
    (38151.0, 3.92, 24.15, 23.39),
    (35531.0, 3.92, 23.91, 22.89),
    (31524.0, 3.92, 23.34, 21.21),
    (38520.0, 3.57, 24.25, 23.45),
    (31009.0, 3.32, 23.56, 21.97),
)


@pytest.fixture(scope="module")
def grid():
    return analytic.default_grid("chabrier")


@pytest.fixture(scope="module")
def others(data_dir):
    return [load_ssp(data_dir / "ssp" / name) for name in FILES]


def at(library, values, metallicity):
    """Values (..., met, age) of a library at one Z, linear in log10 Z."""
    lgmet = np.asarray(library.ssp_lgmet)
    high = int(np.clip(np.searchsorted(lgmet, np.log10(metallicity)), 1, lgmet.size - 1))
    share = (np.log10(metallicity) - lgmet[high - 1]) / (lgmet[high] - lgmet[high - 1])
    return values[..., high - 1, :] * (1 - share) + values[..., high, :] * share


def constant_rate(library, log10_rate, metallicity):
    """log10 of what 1 Msun/yr for 100 Myr emits, from a rate per Msun formed (met, age)."""
    age = np.geomspace(1e-6, 0.1, 2001)  # Gyr
    rate = np.interp(np.log10(age), library.ssp_lg_age_gyr, 10 ** at(library, log10_rate, metallicity))
    return np.log10(np.trapezoid(rate, age * 1e9) + rate[0] * 1e3)


def band_light(library, wave):
    """log10 of the light within 3 % of a wavelength [Angstrom], (met, age)."""
    inside = np.abs(np.asarray(library.ssp_wave) / wave - 1) < 0.03
    return np.log10(np.asarray(library.ssp_flux, float)[..., inside].mean(-1))


@pytest.mark.parametrize("metallicity", METALLICITIES)
def test_hydrogen_ionising_photons_are_those_of_two_libraries(grid, others, metallicity):
    ours = at(grid, np.asarray(ionising.log10_photon_rates(grid))[0], metallicity)
    for other in others:
        theirs = at(other, np.asarray(ionising.log10_photon_rates(other))[0], metallicity)
        for age, bound in PROMISED.items():
            gap = [np.interp(np.log10(age) - 3, x.ssp_lg_age_gyr, y) for x, y in ((grid, ours), (other, theirs))]
            assert abs(gap[0] - gap[1]) < bound, (other.name, age)


@pytest.mark.parametrize("metallicity", METALLICITIES)
def test_a_constant_rate_of_star_formation_ionises_and_shines_as_in_two_libraries(grid, others, metallicity):
    photons = lambda x: constant_rate(x, np.asarray(ionising.log10_photon_rates(x))[0], metallicity)  # noqa: E731
    light = lambda x, wave: constant_rate(x, band_light(x, wave), metallicity)  # noqa: E731
    waves = np.array([1300.0, 1500.0, 1800.0, 2300.0, 2600.0])
    ours = np.array([light(grid, wave) for wave in waves])
    for other in others:
        assert photons(grid) == pytest.approx(photons(other), abs=0.06)
        theirs = np.array([light(other, wave) for wave in waves])
        assert ours[1] == pytest.approx(theirs[1], abs=0.1)  # at 1500 Angstrom
        beta = [np.polyfit(np.log10(waves), y, 1)[0] for y in (ours, theirs)]
        assert beta[0] == pytest.approx(beta[1], abs=0.2)


def test_the_light_is_as_hard_as_in_one_of_the_libraries_until_wolf_rayet_stars(grid, others):
    popstar = others[1]
    for metallicity in METALLICITIES:
        hard = []
        for x in (grid, popstar):
            rates = np.asarray(ionising.log10_photon_rates(x))
            hard.append(np.interp([-3.0, -2.8, -2.6], x.ssp_lg_age_gyr, at(x, rates[1] - rates[0], metallicity)))
        np.testing.assert_allclose(hard[0], hard[1], atol=0.2)


def test_photons_fade_with_age_and_metals(grid):
    hydrogen, helium, helium2 = np.asarray(ionising.log10_photon_rates(grid))
    late = np.asarray(grid.ssp_lg_age_gyr) > -2.4
    assert (np.diff(hydrogen[:, late & (np.asarray(grid.ssp_lg_age_gyr) < -1.0)], axis=1) < 0).all()
    young = np.asarray(grid.ssp_lg_age_gyr) < -2.9
    assert (np.diff(hydrogen[:, young], axis=0) < 0).all()  # metals cool the main sequence
    assert (hydrogen > helium).all()
    assert (helium >= helium2).all()


@pytest.mark.parametrize("star", O_STARS, ids=lambda star: f"{star[0]:.0f}")
def test_photons_of_a_star_are_those_of_published_atmospheres(star):
    teff, log_g, *published = star
    edges = np.concatenate([np.geomspace(91.0, 504.26, 400), np.geomspace(504.27, 911.75, 200)])
    x = units.HC_K_ANGSTROM / edges / teff
    planck = 2 * np.pi * 2.99792458e10 * 1e24 / edges**4 / np.expm1(x)  # photons/s/cm2/Angstrom
    bare = dataclasses.replace(
        analytic.default_coefficients().hot, **dict.fromkeys(("lyman_slope", "he_level", "he_zeta"), jnp.zeros(()))
    )
    factor = np.asarray(hot_stars.continuum_factors(bare, jnp.log10(teff), jnp.asarray(log_g), jnp.zeros(())))
    below = edges < 504.265
    helium = np.trapezoid(planck[below], edges[below]) * factor[1]
    hydrogen = helium + np.trapezoid(planck[~below], edges[~below]) * factor[0]
    assert np.log10(hydrogen) == pytest.approx(published[0], abs=0.12)
    assert np.log10(helium) == pytest.approx(published[1], abs=0.25)


def test_what_is_kept_back_below_the_lyman_edge_comes_out_above(grid):
    """The bolometric luminosity of a young population is that of its stars."""
    ages, mets = np.array([1e-4, 3e-3, 8e-3]), np.array([0.004, 0.02])
    library = analytic.analytic_ssp(
        analytic.default_coefficients(), ages_gyr=ages, metallicities=mets, wave=spectra.default_wave(), imf="chabrier"
    )
    c, made = analytic.default_coefficients(), jax.tree.map(jnp.asarray, tables.track_tables(ages, mets))
    points = jax.jit(tracks.star_points)(c.tracks, c.hot, made, imf.chabrier())
    stars = np.asarray((points.number * 10**points.log_l).sum(-1))
    light = np.trapezoid(library.ssp_flux, library.ssp_wave, axis=-1)
    np.testing.assert_allclose(light, stars, rtol=0.04)


@pytest.fixture(scope="module")
def young():
    """Function of coefficients, mass function and tables -> ln flux below the Lyman edge; and these, in double."""
    ages, mets = np.array([1e-4, 2e-3, 4.1e-3, 8e-3]), np.array([0.003, 0.02])
    made = (tables.track_tables(ages, mets), spectra.atmosphere_tables(WAVE, spectra.default_fwhm(WAVE)))
    made, mets = jax.tree.map(jnp.asarray, made), jnp.asarray(mets)

    @jax.jit
    def run(c, law, made, mets):
        return jnp.log(synthesis.synthesise(c, mets, made, law)[..., WAVE < 911])

    return run, analytic.default_coefficients(), (imf.kroupa(), made, mets)


def test_gradients_in_every_scalar_are_those_of_central_differences(young):
    run, c, rest = young
    mean = jax.jit(lambda hot: run(dataclasses.replace(c, hot=hot), *rest)[..., 4:].mean())
    slopes = jax.jit(jax.grad(mean))(c.hot)
    for name in hot_coefficients.HOT:
        value = getattr(c.hot, name)
        up, down = (mean(dataclasses.replace(c.hot, **{name: value + step})) for step in (1e-5, -1e-5))
        np.testing.assert_allclose(getattr(slopes, name), (up - down) / 2e-5, rtol=1e-5, atol=1e-7, err_msg=name)


def test_single_precision_has_the_same_ionising_light(young):
    run, c, rest = young
    single = jax.tree.map(lambda x: x.astype(jnp.float32), (c, *rest))
    flux32, flux64 = run(*single), run(c, *rest)
    assert flux32.dtype == jnp.float32
    np.testing.assert_allclose(flux32[..., 3:], flux64[..., 3:], atol=5e-3)


def test_a_part_of_the_library_is_that_of_the_whole(grid):
    part = analytic.default_grid("chabrier", wave_range=(1000.0, 25000.0))
    assert part.ssp_wave[0] == pytest.approx(1000.0)
    inside = np.asarray(grid.ssp_wave) > 999.99
    np.testing.assert_allclose(part.ssp_flux, np.asarray(grid.ssp_flux)[..., inside], rtol=1e-9)
    with pytest.raises(
        InputError, match="wave_range of the embedded library is 50 to 4000 Angstrom; give two within 91"
    ):
        analytic.default_grid(wave_range=(50.0, 4000.0))


def test_the_module_of_hot_stars_is_what_a_calibration_writes():
    written: dict = {}
    exec(hot_calibration.hot_text(np.array(list(hot_coefficients.HOT.values()))), written)
    assert written["HOT"] == hot_coefficients.HOT
    assert written["__doc__"] == hot_coefficients.__doc__


def test_a_calibration_on_the_library_itself_has_nothing_to_mend(grid):
    prior = {name: (value, 0.1) for name, value in hot_coefficients.HOT.items()}
    ages, sigma = 10.0 ** np.asarray(grid.ssp_lg_age_gyr)[[1, 6, 10]], np.full((3, len(hot_calibration.NAMES)), 0.1)
    problem = hot_calibration.HotProblem([grid], imf.chabrier(), ages, [0.004, 0.02], sigma, prior)
    residuals = np.asarray(jax.jit(problem.residuals)(jnp.asarray(problem.centre)))
    assert residuals.size == problem.free.size + 2 * sigma.size
    np.testing.assert_allclose(residuals, 0.0, atol=0.02)
