"""Small parts of fits to spectra: what files may hold, tables at their ends, coefficients, and figures at odd input."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits
from matplotlib.figure import Figure
from scipy import stats
from test_spectra import SETTINGS, WAVE, N, library, seen

from galdiff.cases.spectrum_fit import ROUND, padded
from galdiff.errors import InputError
from galdiff.inference.likelihoods.spectrum import SpectrumLikelihood
from galdiff.inference.losses import Gaussian
from galdiff.io.spectrum_files import is_spectrum, read_spectrum
from galdiff.observing.spectrum_tables import BRIDGE, spectrum_tables
from galdiff.plotting.figures import robust_limits, typeset
from galdiff.plotting.history_figure import spread
from galdiff.plotting.sed_fit_figure import STEPS, draw_history

UNIT = "1e-20 erg / (s cm2 Angstrom)"


def written(path, **columns):
    """A CSV table of 20 pixels that fall in wavelength, with capital letters."""
    made = {"WAVE": 5020.0 - np.arange(20), "FLUX": np.arange(20.0), "ERR": np.full(20, 0.1)} | columns
    lines = [",".join(f"{x:g}" for x in row) for row in zip(*made.values(), strict=True)]
    path.write_text("\n".join([",".join(made), *lines]) + "\n")
    return path


def test_pixels_are_put_in_order_and_what_is_missing_or_masked_does_not_count(tmp_path):
    flux, mask = np.arange(20.0), np.zeros(20)
    flux[3], mask[5] = np.nan, 4
    read = read_spectrum(written(tmp_path / "a.csv", FLUX=flux, MASK=mask), unit=UNIT)
    assert (np.diff(read.wave) > 0).all()
    assert np.flatnonzero(~read.used).tolist() == [14, 16]
    np.testing.assert_allclose(read.flux[read.used], np.delete(flux, [3, 5])[::-1])
    assert read.flux[16] == 0.0
    assert (read.error[~read.used] == 1.0).all()
    assert read.redshift is None


def test_air_becomes_vacuum_and_keeps_flux_and_signal_to_noise(tmp_path):
    path = written(tmp_path / "a.csv")
    vacuum, air = (read_spectrum(path, unit=UNIT, medium=medium) for medium in (None, "air"))
    longer = air.wave / vacuum.wave
    np.testing.assert_allclose(longer, 1.00028, atol=2e-6)
    there, here = (s.flux * np.gradient(s.wave) for s in (air, vacuum))
    np.testing.assert_allclose(there, here, rtol=1e-6)
    np.testing.assert_allclose(air.flux / air.error, vacuum.flux / vacuum.error)


def test_a_width_that_a_bad_pixel_lacks_is_that_of_the_others_and_one_below_zero_is_refused(tmp_path):
    sigma, mask = np.linspace(60.0, 98.0, 20), np.zeros(20)
    sigma[4], mask[4] = np.nan, 1
    read = read_spectrum(written(tmp_path / "a.csv", SIGMA_LSF=sigma, QUAL=mask), unit=UNIT)
    assert read.sigma[15] == np.nanmedian(sigma)
    np.testing.assert_allclose(np.delete(read.sigma, 15), np.delete(sigma, 4)[::-1])
    for bad in (-1.0, np.nan):
        with pytest.raises(InputError, match="'sigma_lsf' holds widths below 0 or none"):
            read_spectrum(written(tmp_path / "b.csv", SIGMA_LSF=np.full(20, bad)), unit=UNIT)


@pytest.mark.parametrize(("card", "expected"), [("Z", 0.25), ("REDSHIFT", 0.25), (None, None)])
def test_a_redshift_is_taken_from_a_header_where_it_is_a_number(tmp_path, card, expected):
    arrays = {"wave": 5000.0 + np.arange(20), "flux": np.ones(20), "ivar": np.full(20, 4.0)}
    columns = [fits.Column(name=k, format="D", array=v, unit=UNIT if k == "flux" else None) for k, v in arrays.items()]
    first = fits.PrimaryHDU()
    first.header.update({card: 0.25} if card else {"Z": "none"})
    fits.HDUList([first, fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "a.fits")
    read = read_spectrum(tmp_path / "a.fits")
    assert read.redshift == expected
    np.testing.assert_allclose(read.error, 0.5, rtol=1e-6)


def test_a_spectrum_is_known_by_its_ending_or_its_first_line(tmp_path):
    assert is_spectrum("nowhere/a.FITS.GZ")
    assert not is_spectrum(tmp_path / "nowhere.csv")
    assert is_spectrum(written(tmp_path / "a.csv"))
    assert not is_spectrum(written(tmp_path / "a.txt"))
    (tmp_path / "b.csv").write_text('# wave,flux\n"Wavelength","flux_density"\n')
    assert is_spectrum(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("# wave,flux\n")
    assert not is_spectrum(tmp_path / "c.csv")


def test_the_four_points_of_a_pixel_give_its_wavelength_and_a_level_spectrum_stays_level():
    pixels = np.geomspace(5000.0, 5350.0, 150)
    tables = spectrum_tables(library(), pixels * 1.02, np.linspace(60.0, 120.0, 150), 0.02, 0.5)
    share, near = np.asarray(tables.share), np.asarray(tables.left)[:, None] + np.arange(4)
    np.testing.assert_allclose(share.sum(1), 1.0, rtol=1e-12)
    np.testing.assert_allclose((share * np.log(tables.wave)[near]).sum(1), np.log(pixels), rtol=1e-12)
    np.testing.assert_allclose(tables.flux[0, 0], 1.0, rtol=1e-10)
    dip = np.asarray(tables.flux)[0, 1, :-BRIDGE]
    assert 0.5 < dip.min() < 1.0  # the instrument fills what is half as deep in the library
    np.testing.assert_array_equal(tables.arrives, 0.5)
    assert (tables.line_wave.shape, tables.names) == ((0, 2), ())


def test_a_whole_number_of_rounds_is_not_padded_and_one_pixel_more_is():
    for n, expected in ((ROUND, ROUND), (ROUND + 1, 2 * ROUND)):
        wave = np.geomspace(5000.0, 6000.0, n)
        made = padded(wave, np.ones(n), np.ones(n), np.full(n, True), np.full(n, 70.0))
        assert [x.size for x in made] == [expected] * 5
        assert made[3].sum() == n


def test_without_coefficients_pixels_are_independent_and_another_unit_is_a_jacobian():
    bare = SpectrumLikelihood(noise=Gaussian(), **SETTINGS | {"order": 0, "scale": 0.0})
    predicted = {"apparent": dataclasses.replace(seen()["apparent"], lines=jnp.zeros((N, 0)))}
    flux = np.asarray(predicted["apparent"].pixels) + np.sin(np.arange(N))
    given = bare.measured(flux, np.full(N, 0.5))
    expected = stats.norm.logpdf(flux, predicted["apparent"].pixels, 0.5).sum()
    np.testing.assert_allclose(bare.log_density(predicted, given), expected, rtol=1e-10)
    assert (bare.n_smooth, bare.residuals(predicted, given).shape) == (0, (N,))
    plain = SpectrumLikelihood(noise=Gaussian(), **SETTINGS)
    one = plain.log_density(seen(2.0), plain.measured(flux, np.full(N, 0.5), wave=WAVE))
    ten = plain.log_density(seen(20.0), plain.measured(10 * flux, np.full(N, 5.0), wave=WAVE))
    np.testing.assert_allclose(ten, one - N * np.log(10.0), rtol=1e-10)
    assert plain.n_smooth == 3


def test_missing_pixels_leave_the_median_and_places_go_from_end_to_end():
    plain = SpectrumLikelihood(noise=Gaussian(), **SETTINGS)
    given = plain.measured([np.nan, -4.0, 2.0, 3.0, 1e9], [1.0, 1.0, 1.0, 1.0, np.nan])
    assert float(given.typical) == 3.0
    np.testing.assert_array_equal(given.used, [0, 1, 1, 1, 0])
    np.testing.assert_allclose(given.place, np.linspace(-1, 1, 5))
    with pytest.raises(InputError, match="0 pixels count"):
        plain.check(plain.measured(np.full(5, np.nan), np.ones(5)))
    with pytest.raises(InputError, match="give a symmetric one of 2 pixels"):
        plain.measured([1.0, 2.0], covariance=[[1.0, 0.5], [0.0, 1.0]])


def test_a_drawn_history_holds_all_mass_and_points_before_the_beginning_are_left_out():
    axes = Figure().subplots()
    age = np.array([0.5, 2.0, 5.0, 10.0, 10.0])  # Gyr; the last lies on top of the one before
    draw_history(axes, age, np.tile([1e9, 2e9, 0.0, 4e9, 5e8], (3, 1)), 10.0)
    rates = axes.lines[0].get_ydata()
    np.testing.assert_allclose(rates.sum() * 10.0 / STEPS * 1e9, 7e9, rtol=1e-9)
    assert len(rates) == STEPS
    assert (rates >= 0.0).all()
    assert axes.get_ylim()[0] == 0.0


def test_more_names_than_have_room_keep_their_distance_and_limits_of_nothing_are_some():
    heights = spread([0.5] * 20, 0.1)
    np.testing.assert_allclose(np.diff(heights), 0.1)
    assert heights[0] == 0.0
    assert robust_limits(np.array([np.nan, np.inf])) == (0.0, 1.0)
    assert robust_limits(np.array([]), symmetric=True) == (-1.0, 1.0)
    assert robust_limits(np.array([-3.0, 1.0]), cut=0.0, symmetric=True) == (-3.0, 3.0)
    assert robust_limits(np.zeros(3)) == (-1.0, 1.0)
    assert typeset("costs 5$ at 10^-2.5 Msun") == r"costs 5\$ at $10^{-2.5}\,{\rm M}_\odot$"
