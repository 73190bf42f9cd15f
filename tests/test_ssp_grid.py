"""SSP grids: validation, cuts, lookup between the nodes, and stars outside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galdiff.errors import InputError
from galdiff.records import SSPGrid
from galdiff.sps.clip import clip_report, warn_clipped
from galdiff.sps.grid import cut_wave, fwhm_on, make_grid
from galdiff.sps.interpolate import node_table, spectrum
from galdiff.sps.library import load_ssp

WAVE = np.linspace(4000.0, 7000.0, 61)  # Angstrom
LG_AGE = np.array([-1.0, 0.0, 1.0])
LGMET = np.array([-3.0, -1.7])


def smooth_flux(wave=WAVE, lg_age=LG_AGE, lgmet=LGMET):
    """A made-up library, (met, age, wave): fades with age, redder with metallicity."""
    tilt = (wave / 5500.0) ** (lgmet[:, None, None] + 2.0)
    return 1e-4 * 10 ** (-0.8 * lg_age[:, None]) * tilt


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_lookup_at_a_node_is_the_table_bit_for_bit(data_dir, method):
    grid = cut_wave(load_ssp(data_dir / "ssp" / "ssp_miles_small.h5"), 5000.0, 5100.0)
    grid = jax.tree.map(lambda x: np.asarray(x, np.float32), grid)
    lg_age, lgmet = np.meshgrid(grid.ssp_lg_age_gyr, grid.ssp_lgmet)
    got = jax.jit(spectrum)(node_table(grid, method), lg_age, lgmet)
    np.testing.assert_array_equal(got, grid.ssp_flux)


def test_age_and_metallicity_gradients_match_differences_on_miles(data_dir):
    grid = cut_wave(load_ssp(data_dir / "ssp" / "ssp_miles_small.h5"), 5000.0, 5200.0)
    table = node_table(jax.tree.map(lambda x: np.asarray(x, np.float64), grid))
    f = jax.jit(lambda p: spectrum(table, jnp.log10(p[0]), jnp.log10(p[1])))
    point = np.array([9.4, 1.4e-3])
    autodiff = np.asarray(jax.jit(jax.jacfwd(f))(point))
    for k in range(2):
        step = 1e-3 * point[k] * np.eye(2)[k]
        differences = (8 * (f(point + step) - f(point - step)) - (f(point + 2 * step) - f(point - 2 * step))) / (
            12 * step[k]
        )
        assert np.abs(autodiff[:, k] - differences).max() < 1e-8 * np.abs(autodiff[:, k]).max()


def test_cut_keeps_the_range_and_refuses_what_is_not_there():
    grid = make_grid("mine", fwhm=2.5, medium="vacuum", **plain_fields())
    cut = cut_wave(grid, 4500.0, 5000.0)
    np.testing.assert_array_equal(cut.ssp_wave, WAVE[10:21])
    np.testing.assert_array_equal(cut.ssp_flux, smooth_flux()[..., 10:21])
    with pytest.raises(InputError, match=r"3000-5000 Angstrom are wanted, but .* covers 4000.0-7000.0"):
        cut_wave(grid, 3000.0, 5000.0)
    with pytest.raises(InputError, match="smaller"):
        cut_wave(grid, 5000.0, 4500.0)


def plain_fields(**changes):
    fields = {"ssp_wave": WAVE, "ssp_lg_age_gyr": LG_AGE, "ssp_lgmet": LGMET, "ssp_flux": smooth_flux()}
    return {**fields, "name": "mine", **changes}


def with_value(index, value):
    flux = smooth_flux()
    flux[index] = value
    return flux


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ssp_wave": WAVE[::-1]}, r"ssp_wave must increase, but goes from 7000 to 6950 at 0"),
        ({"ssp_lgmet": np.array([-3.0, np.nan])}, r"ssp_lgmet holds 1 non-finite"),
        ({"ssp_flux": smooth_flux()[:1]}, r"ssp_flux has shape \(1, 3, 61\); \(met, age, wave\) = \(2, 3, 61\)"),
        ({"ssp_flux": with_value((1, 2), 0.0)}, r"1 of 6 spectra are missing .* Z = 0.01995, age = 10 Gyr"),
        ({"ssp_flux": with_value((0, 1, 5), np.nan)}, r"1 of 6 spectra are missing .* Z = 0.001, age = 1 Gyr"),
        ({"ssp_flux": with_value((0, 1, slice(30)), -1.0)}, r"ssp_flux runs from -1 to .* nor below zero"),
        ({"ssp_wave": WAVE - 5000.0}, r"ssp_wave starts at -1000 Angstrom"),
    ],
)
def test_unusable_grids_are_refused_by_field(changes, message):
    with pytest.raises(InputError, match=message):
        make_grid("mine", fwhm=2.5, medium="vacuum", **plain_fields(**changes))


def test_unusable_resolution_and_medium_are_refused():
    for fwhm, message in (
        (0.0, "positive"),
        ([1.0, 2.0], "one for each of the 61"),
        (np.nan, "fwhm holds nan Angstrom"),
    ):
        with pytest.raises(InputError, match=message):
            fwhm_on(WAVE, fwhm)
    with pytest.raises(InputError, match="medium is 'water'"):
        make_grid("mine", fwhm=2.5, medium="water", **plain_fields())


def test_clipped_stars_are_counted_by_number_and_mass_and_warned_about_once():
    grid = SSPGrid(**plain_fields(), ssp_fwhm=np.full(61, 2.5))
    ages = np.array([0.05, 0.0, 1.0, 5.0, 12.0, 0.1, 10.0])  # grid: 0.1 to 10 Gyr
    mets = np.array([0.01, 0.01, 0.01, 0.0005, 0.05, 0.001, 10**-1.7])  # grid: 0.001 to 0.02
    report = clip_report(ages, mets, np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), grid)
    assert (report.n_stars, report.n_clipped) == (7, 4)
    assert (report.n_young, report.n_old, report.n_poor, report.n_rich) == (2, 1, 1, 1)
    assert report.mass_clipped == pytest.approx(12 / 28)
    assert report.mass_young == pytest.approx(3 / 28)
    with pytest.warns(UserWarning, match=r"4 of 7 stars, 42.86% of the mass") as caught:
        warn_clipped(report)
    assert len(caught) == 1
    assert "2 younger than 0.1 Gyr (10.71%)" in str(caught[0].message)
    warn_clipped(clip_report(ages[5:].astype(np.float32), mets[5:].astype(np.float32), np.ones(2), grid))
    masses = np.array([0.1, 1e3])
    some = clip_report(np.array([0.05, 1.0]), np.full(2, 0.01), masses, grid)  # a part in 10 000 is no news
    assert some.n_clipped == 1
    warn_clipped(some)
