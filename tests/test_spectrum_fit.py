"""How one spectrum is taken: what a file does not say, pixels that are added, pictures; and densities of proposals."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats
from test_spectra import PLAIN, sdss

from galdiff.cases.spectrum_fit import ROUND, SpectrumFit, padded
from galdiff.errors import InputError
from galdiff.inference.likelihoods.relations import points_of
from galdiff.inference.methods.importance import BATCH, MANY, log_densities
from galdiff.inference.mixtures import FROM_PRIOR, Mixture, adapted, ln_density, ln_density_of_all
from galdiff.plotting.relations_fit_figure import plot_relations_fit
from galdiff.plotting.spectrum_fit_figure import FittedSpectrum, plot_spectrum_fit
from galdiff.units import C_KMS, FWHM_PER_SIGMA


def settings(**others):
    """How a spectrum is taken where the file says all."""
    plain = dict.fromkeys(("redshift", "unit", "medium", "fwhm", "wave_range", "photometry"))
    return SpectrumFit(likelihood=PLAIN, unknowns=[], priors={"*": None}, lines=["Hbeta"], **plain | others)


def table(path, n=20):
    """A spectrum that says no redshift, unit and width."""
    rows = [f"{5000 + i},1.0,0.1" for i in range(n)]
    path.write_text("\n".join(["wave,flux,err", *rows]) + "\n")
    return path


UNIT = "1e-17 erg / (s cm2 Angstrom)"


def test_what_the_settings_say_goes_before_what_the_file_says(tmp_path):
    path = sdss(tmp_path / "a.fits")
    _, redshift, sigma = settings().read(path)
    assert (round(redshift, 6), bool((sigma > 70).all())) == (0.05, True)
    seen, redshift, sigma = settings(redshift=0.3, fwhm=2.0).read(path)
    assert redshift == 0.3
    np.testing.assert_allclose(sigma, 2.0 / FWHM_PER_SIGMA / seen.wave * C_KMS)
    seen, redshift, _ = settings(redshift=0.1, fwhm=2.0, unit=UNIT, medium="air").read(table(tmp_path / "a.csv"))
    assert 1.3 < seen.wave[0] - 5000.0 < 1.5


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"fwhm": 2.0, "unit": UNIT}, "the redshift is None; give case"),
        ({"redshift": -0.1, "fwhm": 2.0, "unit": UNIT}, "the redshift is -0.1"),
        ({"redshift": 0.1, "unit": UNIT}, "says no width of the instrument"),
        ({"redshift": 0.1, "fwhm": 2.0}, "says no unit of the flux"),
    ],
)
def test_what_nobody_says_is_asked_for(tmp_path, others, said):
    with pytest.raises(InputError, match=said) as error:
        settings(**others).read(table(tmp_path / "a.csv"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"fwhm": 0.0}, "fwhm is 0.0 Angstrom"),
        ({"wave_range": [7000.0, 4000.0]}, "two wavelengths .* that increase"),
    ],
)
def test_settings_that_cannot_be_are_refused(others, said):
    with pytest.raises(InputError, match=said):
        settings(**others)


def test_pixels_that_are_added_do_not_count_and_go_on_evenly():
    wave = 5000.0 * np.exp(1e-4 * np.arange(ROUND + 10))
    flux, used = np.ones(wave.size), np.ones(wave.size, bool)
    more = padded(wave, flux, 0.1 * flux, used, 60.0 * flux)
    assert {x.size for x in more} == {2 * ROUND}
    np.testing.assert_allclose(np.diff(np.log(more[0])), 1e-4, rtol=1e-6)
    assert more[3].sum() == wave.size
    np.testing.assert_allclose(more[2][-1], 1.0)
    assert padded(*(x[:ROUND] for x in (wave, flux, flux, used, flux)))[0].size == ROUND


def shown(bands):
    """Some draws of a fit, with photometry or without."""
    rng = np.random.default_rng(0)
    wave = np.linspace(4000.0, 7000.0, 60)
    used = np.where((wave > 5000) & (wave < 5200), 0.0, 1.0)
    return FittedSpectrum(
        wave=wave,
        flux=1e3 * (1 + 0.1 * rng.normal(size=60)),
        error=np.full(60, 100.0),
        used=used,
        continuum=1e3 * np.ones((7, 60)),
        lines=1e2 * np.exp(-0.5 * ((wave - 6600) / 30) ** 2) * np.ones((7, 1)),
        pull=rng.normal(size=60),
        age=np.linspace(0.1, 10.0, 20),
        mass=rng.uniform(1e7, 1e8, (7, 20)),
        time=12.0,
        pivot=np.linspace(4000.0, 9000.0, bands),
        maggies=np.full(bands, 1e-9),
        maggies_error=np.full(bands, 1e-10),
        maggies_model=np.full((7, bands), 1.1e-9),
    )


@pytest.mark.parametrize(("bands", "panels"), [(0, 3), (4, 4)])
def test_the_picture_of_a_spectrum_shows_parts_residuals_and_history(bands, panels):
    figure = plot_spectrum_fit(shown(bands), "NGC 1")
    assert isinstance(figure, Figure)
    assert len(figure.axes) == panels
    labels = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert {"data", "stars and gas", "lines of gas"} <= labels
    assert figure.axes[0].get_title() == "NGC 1"
    assert "1e-17" in figure.axes[0].get_ylabel()


def test_the_picture_of_relations_has_a_panel_each_with_residuals():
    points = {name: points_of([10.0, 11.0, 12.0], [1.0, 2.0, 3.0], [0.1, 0.1, 0.2]) for name in ("a", "b")}
    means = {name: np.random.default_rng(0).normal([1.0, 2.0, 3.0], 0.05, (9, 3)) for name in points}
    figure = plot_relations_fit(means, points, {"a": ("mvir", "mstar"), "b": ("mstar", "sfr")}, "mock")
    assert len(figure.axes) == 4
    assert figure.axes[0].get_ylabel() == "log$_{10}$ mstar"


def mixtures():
    """Proposals of two rounds, a component and the prior each."""
    ln_share = jnp.log(jnp.asarray([[1 - FROM_PRIOR, FROM_PRIOR]] * 2))
    centre = jnp.asarray([[[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]])
    return Mixture(ln_share=ln_share, centre=centre, root=jnp.broadcast_to(jnp.eye(2), (2, 2, 2, 2)))


def test_draws_of_all_rounds_have_the_mean_density_of_their_proposals():
    u = jnp.asarray(np.random.default_rng(1).normal(size=(9, 2)))
    rounds = [jax.tree.map(lambda x, i=i: x[i], mixtures()) for i in range(2)]
    each = np.mean([np.exp(ln_density(r, u)) for r in rounds], 0)
    np.testing.assert_allclose(np.exp(ln_density_of_all(mixtures(), u)), each, rtol=1e-10)


def test_an_adapted_component_is_wider_than_its_draws_and_no_wing_is_lost():
    rng = np.random.default_rng(2)
    u = jnp.asarray(rng.multivariate_normal([0.5, 0.5], [[0.04, 0.0], [0.0, 0.09]], 4000))
    one = jax.tree.map(lambda x: x[1], mixtures())
    after = adapted(one, u, jnp.zeros(4000), jax.random.key(0), False)
    widths = np.sqrt(np.diag(np.asarray(after.root[0] @ after.root[0].T)))
    assert (widths < np.array([0.3, 0.42])).all()
    np.testing.assert_allclose(after.centre[0], [0.5, 0.5], atol=0.03)
    far = jnp.asarray([[0.5 + 4 * 0.2, 0.5 + 4 * 0.3]])
    normal = stats.multivariate_normal([0.5, 0.5], np.diag([0.04, 0.09])).logpdf(far)
    assert ln_density(after, far)[0] > normal + 2.0


def test_densities_of_many_data_are_taken_some_at_a_time():
    """The same numbers, whether draws go side by side or in batches."""
    made = [types.SimpleNamespace(data=jnp.zeros(n), log_density=lambda u: -0.5 * u @ u) for n in (3, MANY + 1)]
    u = jnp.asarray(np.random.default_rng(3).normal(size=(2 * BATCH + 3, 2)))
    few, many = (log_densities(posterior, u) for posterior in made)
    np.testing.assert_allclose(few, many)
    np.testing.assert_allclose(many, -0.5 * (np.asarray(u) ** 2).sum(-1))
