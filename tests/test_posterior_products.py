"""What is made of draws: quantiles, tables, files and pictures; and the parts that weighted draws are made of."""

import csv
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from galdiff.core.priors import LogNormal, Normal, StudentT2, TruncatedNormal, Uniform
from galdiff.errors import InputError
from galdiff.inference.likelihoods.model import Measured, measured
from galdiff.inference.likelihoods.photometry import PhotometryLikelihood
from galdiff.inference.losses import LOWER, MEASURED, UPPER, Gaussian
from galdiff.inference.methods.model import Around, condition
from galdiff.inference.methods.optimum import check_count, classified
from galdiff.inference.mixtures import (
    FROM_PRIOR,
    NU,
    Mixture,
    adapted,
    clipped,
    draw,
    from_maxima,
    ln_density,
)
from galdiff.inference.result import Result
from galdiff.inference.unknowns import Unknown
from galdiff.io.folder import csv_writer, write_files
from galdiff.io.photometry_catalogue import read_photometry
from galdiff.io.posterior_files import SHARES, as_markdown, as_netcdf, table_header, table_row
from galdiff.photometry.magnitudes import Magnitudes
from galdiff.plotting.posterior_figures import plot_corner, plot_trace
from galdiff.plotting.sed_fit_figure import FittedSed, plot_fit

EACH = (
    Unknown("stars.law.tau", "Gyr", LogNormal(3.0, 0.5)),
    Unknown("apparent.dust.a_v", "mag", Uniform(0.0, 3.0)),
    Unknown("stars.law.ratio[0]", "1", Normal(0.0, 0.3)),
)


@pytest.fixture(scope="module")
def result():
    """Two chains of three unknowns."""
    numbers = np.random.default_rng(1).normal(size=(2, 200, 3))
    draws = np.stack([np.asarray(one.prior.value(numbers[..., i])) for i, one in enumerate(EACH)], -1)
    return Result(
        method="nuts",
        each=EACH,
        draws=draws,
        numbers=numbers,
        log_density=-0.5 * (numbers**2).sum(-1),
        diagnostics={"ess": 400.0, "r_hat": 1.002},
        notes=("the data know less than the prior of 1.00 apparent.dust.a_v",),
    )


@pytest.fixture(scope="module")
def failed(result):
    return dataclasses.replace(
        result,
        diagnostics={"ess": 12.0, "r_hat": 1.3},
        reasons=("the chains disagree",),
    )


def test_quantiles_are_those_of_all_chains_together(result):
    expected = np.quantile(result.draws.reshape(-1, 3), [0.16, 0.5, 0.84], axis=0).T
    np.testing.assert_allclose(result.quantiles(), expected)
    assert result.flat.shape == (400, 3)
    assert result.names == ("stars.law.tau", "apparent.dust.a_v", "stars.law.ratio[0]")


def test_a_result_says_in_one_line_whether_it_is_usable(result, failed):
    assert result.said() == "usable (nuts: ess 400, r_hat 1.002)"
    assert failed.said() == "not usable: the chains disagree (nuts: ess 12, r_hat 1.3)"
    assert result.usable
    assert not failed.usable


def test_a_table_has_a_row_a_galaxy_with_all_quantiles_and_diagnostics(result, failed, tmp_path):
    rows = [table_row("a", result), table_row("b", failed)]
    write_files(tmp_path, {"table.csv": csv_writer(table_header(result), rows)})
    with (tmp_path / "table.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [row["usable"] for row in read] == ["1", "0"]
    assert read[1]["reasons"] == "the chains disagree"
    assert float(read[0]["r_hat"]) == 1.002
    for i, one in enumerate(EACH):
        values = [float(read[0][f"{one.name}_{share}"]) for share in SHARES]
        assert values == sorted(values)
        np.testing.assert_allclose(values[2], np.median(result.flat[:, i]), rtol=1e-5)


def test_a_table_to_read_has_units_and_reasons(result, failed):
    lines = as_markdown({"a": result, "b": failed}).split("\n")
    assert lines[0] == "| id | stars.law.tau [Gyr] | apparent.dust.a_v [mag] | stars.law.ratio[0] | usable |"
    assert lines[1].count("---") == 5
    assert lines[2].startswith("| a | ")
    assert lines[2].endswith("| yes |")
    assert lines[3].endswith("| no: the chains disagree |")


def test_a_file_holds_draws_in_physical_units_and_as_normal_numbers(result, failed, tmp_path):
    import xarray as xr

    for name, one in (("a", result), ("b", failed)):
        write_files(tmp_path, {f"{name}.nc": as_netcdf(one, {"galaxy": name})})
    with xr.open_datatree(tmp_path / "a.nc", engine="h5netcdf") as tree:
        assert set(tree.children) == {"posterior", "sample_stats", "unconstrained"}
        np.testing.assert_allclose(tree["posterior"]["stars.law.tau"], result.draws[..., 0])
        np.testing.assert_allclose(tree["unconstrained"]["stars.law.tau"], result.numbers[..., 0])
        np.testing.assert_allclose(tree["sample_stats"]["lp"], result.log_density)
        assert tree["posterior"]["stars.law.tau"].attrs["units"] == "Gyr"
        assert tree["posterior"]["stars.law.tau"].attrs["prior"] == "lognormal, 3 +- 0.5 dex"
        assert tree.attrs["galaxy"] == "a"
        assert tree.attrs["usable"] == 1
        assert tree.attrs["ess"] == 400.0
    with xr.open_datatree(tmp_path / "b.nc", engine="h5netcdf") as tree:
        assert tree.attrs["usable"] == 0
        assert tree.attrs["reasons"] == "the chains disagree"


def test_a_corner_has_a_panel_for_each_pair_and_marks_the_interval(result):
    figure = plot_corner(result.flat, ["tau", "a_v", "ratio"], "galaxy a")
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == 6
    diagonal = figure.axes[0]
    at = sorted(float(line.get_xdata()[0]) for line in diagonal.lines)
    np.testing.assert_allclose(at, np.quantile(result.flat[:, 0], [0.16, 0.5, 0.84]))
    assert figure.axes[6].get_xlabel() == "tau"
    assert figure.axes[6].get_ylabel() == "ratio"
    assert figure.get_suptitle() == "galaxy a"


def test_a_trace_has_a_panel_for_each_unknown_and_a_line_for_each_chain(result):
    figure = plot_trace(result.draws, ["tau", "a_v", "ratio"], "galaxy a")
    assert [axes.get_ylabel() for axes in figure.axes] == ["tau", "a_v", "ratio"]
    assert all(len(axes.lines) == 2 for axes in figure.axes)
    np.testing.assert_allclose(figure.axes[1].lines[1].get_ydata(), result.draws[1, :, 1])


@pytest.fixture(scope="module")
def fitted():
    """Four bands, of which one is an upper limit and one missing; a constant rate of 1 Msun/yr."""
    age = np.linspace(0.005, 9.995, 1000)
    return FittedSed(
        pivot=np.array([3500.0, 22000.0, 6000.0, 9000.0]),
        flux=np.array([1.0, 3.0, 2.0, 0.0]) * 1e-9,
        error=np.full(4, 1e-10),
        limit=np.array([0.0, -1.0, 0.0, np.nan]),
        model=1e-9 * np.array([[1.1, 2.0, 2.0, 1.0]] * 20),
        age=age,
        mass=np.full((20, 1000), 1e7),
        time=10.0,
    )


def test_a_fit_is_drawn_with_residuals_in_errors_and_limits_apart(fitted):
    top, middle, bottom = plot_fit(fitted, "galaxy a").axes
    labels = [text.get_text() for text in top.get_legend().get_texts()]
    assert labels == ["model, 68 %", "data", "upper limit"]
    measured_pulls = middle.lines[1].get_ydata()
    np.testing.assert_allclose(measured_pulls, [-1.0, 0.0], atol=1e-6)  # in order of wavelength
    assert len(middle.lines[2].get_ydata()) == 1  # the limit
    assert top.get_title() == "galaxy a"
    assert bottom.get_xlim() == (10.0, 0.0)


def test_a_constant_rate_is_drawn_as_one(fitted):
    bottom = plot_fit(fitted, "galaxy a").axes[2]
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), 1.0, rtol=0.02)


def test_without_limits_there_is_none_in_the_legend(fitted):
    plain = dataclasses.replace(fitted, limit=np.zeros(4))
    labels = [text.get_text() for text in plot_fit(plain, "").axes[0].get_legend().get_texts()]
    assert labels == ["model, 68 %", "data"]


@pytest.fixture(scope="module")
def mixture():
    """Two components and the prior, in two dimensions."""
    root = np.array([[[0.5, 0.0], [0.2, 0.3]], [[0.1, 0.0], [0.0, 0.4]], [[1.0, 0.0], [0.0, 1.0]]])
    return Mixture(
        ln_share=jnp.log(jnp.asarray([0.6, 0.4 - FROM_PRIOR, FROM_PRIOR])),
        centre=jnp.asarray([[1.0, 0.0], [-1.0, 0.5], [0.0, 0.0]]),
        root=jnp.asarray(root),
    )


def test_the_density_of_a_proposal_is_that_of_students_t_and_the_prior(mixture):
    u = np.random.default_rng(2).normal(size=(20, 2))
    parts = [
        np.exp(float(mixture.ln_share[k]))
        * stats.multivariate_t.pdf(u, mixture.centre[k], mixture.root[k] @ mixture.root[k].T, df=NU)
        for k in range(2)
    ]
    whole = sum(parts) + FROM_PRIOR * stats.multivariate_normal.pdf(u, np.zeros(2), np.eye(2))
    np.testing.assert_allclose(np.exp(ln_density(mixture, jnp.asarray(u))), whole, rtol=1e-8)


def test_draws_of_a_proposal_follow_its_density(mixture):
    u = draw(mixture, jax.random.key(0), 4000)
    mean = sum(np.exp(float(s)) * np.asarray(c) for s, c in zip(mixture.ln_share, mixture.centre, strict=True))
    np.testing.assert_allclose(u.mean(0), mean, atol=0.08)
    weight = np.exp(stats.multivariate_normal.logpdf(u, [0.3, 0.2], 0.3 * np.eye(2)) - ln_density(mixture, u))
    np.testing.assert_allclose(weight.mean(), 1.0, atol=0.1)


def test_a_proposal_moves_to_where_the_weights_are(mixture):
    u = draw(mixture, jax.random.key(1), 2000)
    target = stats.multivariate_normal([0.4, 0.1], 0.2 * np.eye(2))
    weights = clipped(jnp.asarray(target.logpdf(u)) - ln_density(mixture, u))
    after = adapted(mixture, u, weights, jax.random.key(2), False)
    before = np.exp(np.asarray(ln_density(mixture, u)))
    ess = []
    for proposal, key in ((mixture, 3), (after, 3)):
        seen = draw(proposal, jax.random.key(key), 1000)
        ratio = np.exp(target.logpdf(seen) - np.asarray(ln_density(proposal, seen)))
        ess.append(ratio.sum() ** 2 / (ratio**2).sum())
    assert ess[1] > ess[0]
    assert np.isfinite(before).all()
    np.testing.assert_allclose(np.exp(np.asarray(after.ln_share)).sum(), 1.0)
    np.testing.assert_allclose(np.exp(after.ln_share[-1]), FROM_PRIOR)


def test_a_fresh_proposal_gets_components_at_draws(mixture):
    u = draw(mixture, jax.random.key(1), 500)
    after = adapted(mixture, u, jnp.zeros(500), jax.random.key(2), True)
    for centre in np.asarray(after.centre)[:-1]:
        assert (np.abs(np.asarray(u) - centre).max(1) == 0).any()
    np.testing.assert_allclose(after.centre[-1], 0.0)


def test_a_maximum_that_is_far_lower_has_nearly_no_share():
    at = jnp.asarray([[0.0, 0.0], [3.0, 3.0]])
    found = from_maxima(at, jnp.asarray([0.0, -100.0]), jnp.broadcast_to(jnp.eye(2), (2, 2, 2)))
    shares = np.exp(np.asarray(found.ln_share))
    np.testing.assert_allclose(shares.sum(), 1.0)
    assert shares[0] > 0.94
    assert shares[1] < 1e-3 * shares[0] * 2


def test_no_weight_is_far_above_the_mean():
    ln_w = jnp.asarray([0.0] * 99 + [50.0])
    weights = np.exp(np.asarray(clipped(ln_w)))
    assert weights.max() <= np.exp(50.0) / np.sqrt(100) * (1 + 1e-9)
    assert np.isfinite(clipped(jnp.asarray([0.0, jnp.nan, -jnp.inf]))).all()


def there(hessian, gradient=(0.0, 0.0), at=(0.0, 0.0)):
    arrays = (jnp.asarray(x, float) for x in (at, 0.0, gradient, hessian, np.eye(2)))
    names = ("at", "log_density", "gradient", "hessian", "fisher")
    return Around(**dict(zip(names, arrays, strict=True)))


@pytest.mark.parametrize(
    ("point", "end", "said"),
    [
        (there(np.diag([2.0, 1.0])), "minimum", "a maximum of the density"),
        (there(np.diag([2.0, -1.0])), "saddle", "along b"),
        (there(np.eye(2), gradient=(1.0, 0.0)), "unfinished", "take more steps"),
        (there(np.eye(2), at=(0.0, 4.0)), "bound", "b ended at the edge of the prior"),
        (there(np.diag([np.nan, 1.0])), "unfinished", "not finite"),
    ],
)
def test_an_end_is_classified(point, end, said):
    found = classified(point, ("a", "b"))
    assert found[0] == end
    assert said in found[1]


def test_a_covariance_is_that_of_the_peak_or_else_of_the_slopes():
    np.testing.assert_allclose(there(np.diag([2.0, 4.0])).covariance, np.diag([0.5, 0.25]))
    np.testing.assert_allclose(there(np.diag([2.0, -4.0])).covariance, np.diag([0.5, 0.5]))


def test_a_condition_is_a_ratio_of_curvatures():
    assert condition(np.diag([8.0, 2.0])) == 4.0
    assert condition(np.diag([8.0, -2.0])) == np.inf


@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_a_count_that_is_none_is_refused(value):
    with pytest.raises(InputError, match=f"draws is {value}; give a whole number"):
        check_count("draws", value)
    assert check_count("draws", 3.0) == 3


def test_measurements_know_what_is_missing_and_what_is_a_limit():
    data = measured([1.0, np.nan, 2.0, 3.0], [0.1, 0.1, -0.2, 0.3], limit=[0, 0, 0, LOWER])
    np.testing.assert_array_equal(data.used, [1, 0, 1, 1])
    np.testing.assert_array_equal(data.limit, [MEASURED, MEASURED, UPPER, LOWER])
    np.testing.assert_allclose(data.error, [0.1, 1.0, 0.2, 0.3])
    assert isinstance(data, Measured)


def test_photometry_is_compared_in_maggies():
    likelihood = PhotometryLikelihood(noise=Gaussian(), floor=0.0)
    predicted = {"apparent": Magnitudes(mag=jnp.asarray([20.0, 22.5]))}
    data = measured([1.1e-8, 1e-9], [1e-9, 1e-10])
    np.testing.assert_allclose(likelihood.residuals(predicted, data), [1.0, 0.0], atol=1e-6)
    expected = stats.norm.logpdf([1.1e-8, 1e-9], [1e-8, 1e-9], [1e-9, 1e-10]).sum()
    np.testing.assert_allclose(likelihood.log_density(predicted, data), expected)
    assert likelihood.size(data) == 2


def test_a_catalogue_without_ids_numbers_its_rows_and_takes_other_names(tmp_path):
    lines = ["z,flux,flux_err", "0.1,1.0,0.1", "0.2,2.0,-0.2", "0.3,,0.1"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    read = read_photometry(
        tmp_path / "a.csv",
        ["sdss2010-r"],
        "microjansky",
        {"redshift": "z", "sdss2010-r": "flux"},
    )
    assert read.ids == ("1", "2", "3")
    np.testing.assert_allclose(read.redshift, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(read.flux[:2, 0], np.array([1.0, 2.0]) / 3631e6)
    assert read.error[1, 0] < 0
    assert np.isnan(read.flux[2, 0])


@pytest.mark.parametrize(
    ("unit", "flux", "error"),
    [
        ("maggies", 1e-9, 1e-10),
        ("microjansky", 3.631, 0.3631),
        ("mag", 22.5, 0.10857362),
    ],
)
def test_the_same_flux_is_read_in_every_unit(tmp_path, unit, flux, error):
    (tmp_path / "a.csv").write_text(f"id,redshift,sdss2010-r,sdss2010-r_err\n3,0.1,{flux},{error}\n")
    read = read_photometry(tmp_path / "a.csv", ["sdss2010-r"], unit)
    np.testing.assert_allclose(read.flux, 1e-9, rtol=1e-6)
    np.testing.assert_allclose(read.error, 1e-10, rtol=1e-6)


def test_a_fainter_limit_in_magnitudes_is_still_a_limit(tmp_path):
    (tmp_path / "a.csv").write_text("redshift,sdss2010-r,sdss2010-r_err\n0.1,25.0,-0.2\n")
    read = read_photometry(tmp_path / "a.csv", ["sdss2010-r"], "mag")
    assert read.error[0, 0] < 0
    np.testing.assert_allclose(read.flux[0, 0], 1e-10)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TruncatedNormal(1.0, 2.0, 0.0, 2.0), "normal, 1 +- 2, from 0 to 2"),
        (lambda: Normal(1.0, 2.0), "normal, 1 +- 2"),
        (lambda: LogNormal(1.0, 2.0), "lognormal, 1 +- 2 dex"),
        (lambda: Uniform(1.0, 2.0), "uniform from 1 to 2"),
        (lambda: StudentT2(1.0, 2.0), "Student's t of 2 degrees of freedom, 1 +- 2"),
        (lambda: Normal(1.0, 2.0).within(0.0, 4.0), "normal, 1 +- 2, cut at (0.0, 4.0)"),
    ],
)
def test_a_prior_says_what_it_is(make, said):
    assert make().words() == said


def test_a_prior_whose_bounds_are_far_is_not_cut():
    prior = Normal(1.0, 0.01)
    assert prior.within(-1e3, 1e3) is prior
    assert prior.within(None, None) is prior
    np.testing.assert_allclose(Normal(0.0, 1.0).share(-1.0, 1.0), 0.6826894921)
    np.testing.assert_allclose(Normal(0.0, 1.0).share(None, 0.0), 0.5)
