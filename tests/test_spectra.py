"""Spectra in a posterior: files, tables, the linear part of the likelihood, and fits of real galaxies beside pPXF's."""

import dataclasses
import pathlib

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy import stats

from galdiff.build import build
from galdiff.cases.spectrum_fit import derived
from galdiff.errors import InputError
from galdiff.inference.likelihoods.joint import JointLikelihood
from galdiff.inference.likelihoods.model import measured
from galdiff.inference.likelihoods.photometry import PhotometryLikelihood
from galdiff.inference.likelihoods.spectrum import SpectrumLikelihood
from galdiff.inference.losses import Censored, Gaussian, StudentT
from galdiff.inference.methods.model import result_of
from galdiff.inference.methods.optimum import climb, spread
from galdiff.io.spectrum_files import is_spectrum, read_spectrum
from galdiff.nebular.lines import LINES
from galdiff.observing.spectrum_tables import BRIDGE, covered, spectrum_tables
from galdiff.observing.tabled_light import SeenLight, line_shapes, moved
from galdiff.records import SSPGrid
from galdiff.units import C_KMS, FWHM_PER_SIGMA

N = 40
WAVE = np.linspace(5000.0, 5400.0, N)
SETTINGS = dict(floor=0.0, order=2, calibration=0.1, scale=0.3, line_width=50.0)
PLAIN = SpectrumLikelihood(noise=Gaussian(), **SETTINGS)
WIDE = SpectrumLikelihood(noise=StudentT(nu=3.0), **SETTINGS)


def seen(level=2.0):
    """A continuum that rises, and one line."""
    line = stats.norm.pdf(WAVE, 5200.0, 20.0)[:, None]
    continuum = level * (1 + 0.2 * (WAVE - 5200.0) / 200.0)
    return {"apparent": SeenLight(maggies=jnp.asarray([1e-9]), pixels=jnp.asarray(continuum), lines=jnp.asarray(line))}


@pytest.fixture(scope="module")
def data():
    """A continuum with a calibration that bends, a line of a flux of 60, and errors."""
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, N)
    made = seen()["apparent"]
    flux = np.asarray(made.pixels) * (1 + 0.1 * x) + 60.0 * np.asarray(made.lines)[:, 0]
    error = rng.uniform(0.05, 0.1, N)
    return flux + error * rng.normal(size=N), error


def design_of(predicted, typical):
    """Columns of all coefficients in widths of their priors, with polynomials of numpy, in ln wavelength."""
    x = np.log(WAVE)
    x = 2 * (x - x[0]) / np.ptp(x) - 1
    shapes = np.polynomial.legendre.legvander(x, 2)
    made = predicted["apparent"]
    smooth = np.asarray(made.pixels)[:, None] * shapes * [0.3, 0.1, 0.1]
    return np.concatenate([smooth, np.asarray(made.lines) * 50.0 * typical], 1)


@pytest.mark.parametrize("correlated", [False, True])
def test_the_density_is_that_of_a_normal_one_with_the_linear_part_in_its_covariance(data, correlated):
    flux, error = data
    covariance = np.diag(error**2)
    if correlated:
        covariance += 0.05**2 * np.exp(-0.5 * ((WAVE - WAVE[:, None]) / 30.0) ** 2)
    given = PLAIN.measured(flux, covariance=covariance, wave=WAVE) if correlated else None
    given = PLAIN.measured(flux, error, wave=WAVE) if given is None else given
    design = design_of(seen(), float(given.typical))
    whole = covariance + design @ design.T
    expected = stats.multivariate_normal.logpdf(flux, np.asarray(seen()["apparent"].pixels), whole)
    np.testing.assert_allclose(PLAIN.log_density(seen(), given), expected, rtol=1e-9)


def test_masked_pixels_say_nothing(data):
    flux, error = data
    used = np.arange(N) > 10
    holes = PLAIN.measured(np.where(used, flux, 1e9), error, used, wave=WAVE)
    few = SpectrumLikelihood(noise=Gaussian(), **SETTINGS | {"order": 0, "scale": 0.0})
    part = {"apparent": jax.tree.map(lambda x: x[used] if x.shape[0] == N else x, seen()["apparent"])}
    cut = few.measured(flux[used], error[used], wave=WAVE[used])
    np.testing.assert_allclose(few.log_density(seen(), holes), few.log_density(part, cut), rtol=1e-10)
    np.testing.assert_array_equal(PLAIN.residuals(seen(), holes)[:11], 0.0)
    assert PLAIN.size(holes) == N - 11


@pytest.mark.parametrize("likelihood", [PLAIN, WIDE], ids=["gaussian", "student"])
def test_the_flux_of_a_line_and_the_calibration_are_recovered(data, likelihood):
    given = likelihood.measured(*data, wave=WAVE)
    fit = likelihood.linear(seen(), given)
    keys = jax.random.split(jax.random.key(0), 200)
    fluxes = jnp.stack([likelihood.line_fluxes(fit, given, jax.random.normal(k, fit.mean.shape)) for k in keys])
    assert abs(fluxes.mean() - 60.0) < 4 * fluxes.std()
    assert 1.0 < fluxes.std() < 5.0
    continuum, lines = likelihood.model(seen(), given, fit)
    np.testing.assert_allclose(continuum + lines, data[0], atol=0.35)
    assert continuum[-1] / seen()["apparent"].pixels[-1] > 1.05


def test_an_outlier_moves_a_line_less_where_wings_are_wide(data):
    flux, error = data
    spoiled = flux.copy()
    spoiled[19] += 3.0  # beside the line
    moves = []
    for likelihood in (PLAIN, WIDE):
        fits = [likelihood.linear(seen(), likelihood.measured(f, error, wave=WAVE)) for f in (flux, spoiled)]
        moves.append(abs(float(fits[1].mean[-1] - fits[0].mean[-1])))
    assert moves[1] < 0.2 * moves[0]
    slope = jax.grad(lambda s: WIDE.log_density(seen(s), WIDE.measured(spoiled, error, wave=WAVE)))(2.0)
    assert np.isfinite(slope)


def test_residuals_fall_as_the_density_does(data):
    given = PLAIN.measured(*data, wave=WAVE)
    by_density = jax.grad(lambda s: PLAIN.log_density(seen(s), given))
    by_residuals = jax.grad(lambda s: -0.5 * (PLAIN.residuals(seen(s), given) ** 2).sum())
    near = [float(f(1.5)) for f in (by_density, by_residuals)]
    np.testing.assert_allclose(near[0], near[1], atol=3.0)  # but for the volume of the coefficients
    assert PLAIN.residuals(seen(), given).shape == (N + 4,)


def test_a_floor_is_added_in_quadrature_and_single_precision_serves(data):
    floored = SpectrumLikelihood(noise=Gaussian(), **SETTINGS | {"floor": 0.05})
    given = floored.measured(*data, wave=WAVE)
    np.testing.assert_allclose(given.error, np.hypot(data[1], 0.05 * data[0]))
    low = jax.tree.map(lambda x: x.astype(jnp.float32), (seen(), given))
    np.testing.assert_allclose(floored.log_density(*low), floored.log_density(seen(), given), rtol=1e-4)


def test_kinds_of_data_are_added(data):
    parts = {"spectrum": PLAIN, "photometry": PhotometryLikelihood(noise=Gaussian(), floor=0.0)}
    both, bands = JointLikelihood(parts=parts), measured([1.2e-9], [1e-10])
    given = {"spectrum": PLAIN.measured(*data, wave=WAVE), "photometry": bands}
    expected = PLAIN.log_density(seen(), given["spectrum"]) + parts["photometry"].log_density(seen(), bands)
    np.testing.assert_allclose(both.log_density(seen(), given), expected)
    assert both.residuals(seen(), given).shape == (N + 4 + 1,)
    assert (both.wanted, both.size(given)) == (("apparent",), N + 1)
    both.check(given)
    with pytest.raises(InputError, match="data are of spectrum; give those of spectrum, photometry"):
        both.check({"spectrum": given["spectrum"]})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SpectrumLikelihood(noise=Censored(), **SETTINGS), "pixels have no limits"),
        (lambda: SpectrumLikelihood(noise=Gaussian(), **SETTINGS | {"order": 2.5}), "order is 2.5"),
        (lambda: SpectrumLikelihood(noise=Gaussian(), **SETTINGS | {"floor": 1.0}), "floor is 1.0"),
        (lambda: SpectrumLikelihood(noise=Gaussian(), **SETTINGS | {"scale": -1.0}), "scale is -1.0"),
        (lambda: SpectrumLikelihood(noise=Gaussian(), **SETTINGS | {"line_width": 0.0}), "line_width is 0.0"),
        (lambda: PLAIN.measured(np.ones(3)), "the error of a spectrum or its covariance"),
        (lambda: PLAIN.measured(np.ones(3), np.ones(2)), "a spectrum has shape"),
        (lambda: PLAIN.measured(np.ones(3), [1.0, 0.0, 1.0]), "pixel 1 is 1 .* an error above 0"),
        (lambda: PLAIN.measured(np.ones(2), covariance=np.ones((2, 2))), "directions without noise"),
        (lambda: PLAIN.check(PLAIN.measured(np.ones(4), np.ones(4))), "4 pixels count, too few for 3 coefficients"),
        (lambda: WIDE.check(WIDE.measured(np.ones(9), covariance=np.eye(9))), "need noise=gaussian"),
        (lambda: JointLikelihood(parts={}), "parts of a joint likelihood are none"),
    ],
)
def test_what_cannot_be_is_refused_on_one_line(make, said):
    with pytest.raises(InputError, match=said) as error:
        make()
    assert "\n" not in str(error.value)


DIP, FWHM = 5175.0, 2.5  # Angstrom, of a line of stars and of the library


def library(width=4.0):
    """Two populations: one level, one with a Gaussian dip of a width [Angstrom]."""
    wave = np.arange(4800.0, 5600.0, 0.5)
    flux = np.stack([np.ones_like(wave), 1 - 0.5 * np.exp(-0.5 * ((wave - DIP) / width) ** 2)])[None]
    return SSPGrid(
        ssp_wave=wave, ssp_lg_age_gyr=np.array([0.0, 1.0]), ssp_lgmet=np.array([-1.8]), ssp_flux=flux,
        ssp_fwhm=np.full(wave.shape, FWHM),
    )  # fmt: skip


def test_a_line_of_moving_stars_is_as_wide_and_as_far_as_it_should_be():
    z, sigma_lsf, v, sigma_v = 0.02, 90.0, 120.0, 150.0
    pixels = np.exp(np.arange(np.log(5000 * (1 + z)), np.log(5350 * (1 + z)), 2.3e-4))
    tables = spectrum_tables(library(), pixels, np.full(pixels.shape, sigma_lsf), z)
    got = np.asarray(jax.jit(moved)(tables.flux[0, 1], tables, jnp.asarray(v), jnp.asarray(sigma_v)))
    km = C_KMS / DIP
    added = sigma_lsf**2 - (FWHM / FWHM_PER_SIGMA * km) ** 2
    width = np.sqrt(sigma_v**2 + added + (4.0 * km) ** 2)
    x = C_KMS * np.log(pixels / (1 + z) / DIP / (1 + v / C_KMS))
    np.testing.assert_allclose(got, 1 - 0.5 * 4.0 * km / width * np.exp(-0.5 * (x / width) ** 2), atol=2e-3)
    assert covered(library(), np.array([4801.0, 5000.0, 5599.0]), 0.0).tolist() == [False, True, False]


def test_emission_lines_hold_their_flux_with_their_partners():
    pixels = np.arange(4850.0, 5100.0, 0.8)
    tables = spectrum_tables(library(), pixels, np.full(pixels.shape, 60.0), 0.0, lines=("[OIII]5007", "Hbeta"))
    shapes = np.asarray(line_shapes(tables, jnp.asarray(0.0), jnp.asarray(300.0), jnp.asarray(80.0)))
    np.testing.assert_allclose(shapes.sum(0) * 0.8, [1 + 1 / 2.98, 1.0], rtol=1e-3)
    centre = (pixels * shapes[:, 1]).sum() / shapes[:, 1].sum()
    np.testing.assert_allclose(centre, dict(LINES)["Hbeta"] * (1 + 300.0 / C_KMS), rtol=1e-5)
    with pytest.raises(InputError, match="there is no 'Hgama'"):
        spectrum_tables(library(), pixels, np.full(pixels.shape, 60.0), 0.0, lines=("Hgama",))


def sdss(path, n=50):
    """A file as the SDSS writes it."""
    loglam = np.log10(4000.0) + 1e-4 * np.arange(n)
    ivar = np.where(np.arange(n) == 7, 0.0, 4.0)
    columns = {"flux": np.full(n, 3.0), "loglam": loglam, "ivar": ivar, "wdisp": np.full(n, 1.1)}
    made = [fits.Column(name=k, format="E" if k != "loglam" else "D", array=v) for k, v in columns.items()]
    redshift = fits.Column(name="Z", format="E", array=[0.05])
    tables = [fits.BinTableHDU.from_columns(made), fits.BinTableHDU.from_columns([redshift])]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    return path


def test_a_spectrum_of_the_sdss_is_read_with_its_width_mask_and_redshift(tmp_path):
    read = read_spectrum(sdss(tmp_path / "a.fits"))
    np.testing.assert_allclose(read.redshift, 0.05, rtol=1e-6)
    np.testing.assert_allclose(read.flux[0], 3000.0)  # 1e-20, of 1e-17 erg/s/cm2/Angstrom
    np.testing.assert_allclose(read.error[0], 500.0)
    np.testing.assert_allclose(read.sigma, 1.1 * 1e-4 * np.log(10) * C_KMS, rtol=1e-6)
    assert read.used.tolist() == [i != 7 for i in range(50)]
    np.testing.assert_allclose(read.wave[:2], 4000.0 * 10 ** np.array([0.0, 1e-4]), rtol=1e-9)


def test_a_spectrum_of_an_archive_is_one_row_of_arrays_in_air(tmp_path):
    n, unit = 30, "10**(-19).erg.cm**(-2).s**(-1).angstrom**(-1)"
    arrays = {"WAVE": 6000.0 + np.arange(n), "FLUX": np.full(n, 2.0), "ERR": np.full(n, 0.1), "QUAL": np.zeros(n)}
    columns = [
        fits.Column(
            name=k, format=f"{n}{'D' if k != 'QUAL' else 'I'}", array=v[None], unit=unit if k == "FLUX" else None
        )
        for k, v in arrays.items()
    ]
    table = fits.BinTableHDU.from_columns(columns)
    table.header["TUCD1"] = "em.wl;obs.atmos"
    table.writeto(tmp_path / "a.fits")
    read = read_spectrum(tmp_path / "a.fits")
    assert 1.6 < read.wave[0] - 6000.0 < 1.7  # in vacuum
    np.testing.assert_allclose(read.flux, 20.0, rtol=1e-3)
    np.testing.assert_allclose(read_spectrum(tmp_path / "a.fits", medium="vacuum").wave, arrays["WAVE"])


@pytest.mark.parametrize("ending", ["csv", "ecsv"])
def test_a_table_of_a_user_is_read_in_any_unit(tmp_path, ending):
    table = Table({"wave": 5000.0 + np.arange(20), "flux": np.full(20, 1.0), "err": np.full(20, 0.1)})
    path = tmp_path / f"a.{ending}"
    table.write(path, format=f"ascii.{ending}")
    read = read_spectrum(path, unit="1e-16 erg / (s cm2 Angstrom)")
    np.testing.assert_allclose(read.flux, 1e4)
    assert is_spectrum(path)
    assert read.sigma is None
    (tmp_path / "b.csv").write_text("id,redshift,sdss2010-r,sdss2010-r_err\n1,0.1,1e-9,1e-10\n")
    assert not is_spectrum(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"wave": [5000.0], "flux": [1.0]}, {}, "has no column for the error"),
        (
            {"wave": [5000.0] * 20, "flux": [1.0] * 20, "err": [0.1] * 20},
            {"unit": "Jy"},
            "the unit of the flux is 'Jy'",
        ),
        ({"wave": [5000.0] * 20, "flux": [1.0] * 20, "err": [0.1] * 20}, {}, "says no unit of the flux"),
        (
            {"wave": [5000.0] * 20, "flux": [1.0] * 20, "err": [0.1] * 20},
            {"unit": "W/m3"},
            "wavelengths .* that differ",
        ),
        ({"wave": np.arange(1.0, 30), "flux": [1.0] * 29, "err": [0.0] * 29}, {"unit": "W/m3"}, "0 pixels are good"),
        ({"wave": [1.0], "flux": [1.0], "err": [1.0]}, {"medium": "water"}, "medium is 'water'"),
    ],
)
def test_a_spectrum_that_cannot_be_is_refused_on_one_line(tmp_path, columns, options, said):
    Table(columns).write(tmp_path / "a.csv", format="ascii.csv")
    with pytest.raises(InputError, match=said) as error:
        read_spectrum(tmp_path / "a.csv", **options)
    assert "\n" not in str(error.value)


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "a.fits").write_text("no file")
    for name in ("a.fits", "b.fits", "b.csv"):
        with pytest.raises(InputError):
            read_spectrum(tmp_path / name)
    fits.BinTableHDU.from_columns([fits.Column(name="x", format="E", array=[1.0])]).writeto(tmp_path / "c.fits")
    with pytest.raises(InputError, match="no table has the columns of a spectrum"):
        read_spectrum(tmp_path / "c.fits")
    assert dataclasses.is_dataclass(read_spectrum(sdss(tmp_path / "d.fits")))


ROOT = pathlib.Path(__file__).resolve().parent.parent
GALAXIES = {"NGC3522": "NGC3522_SDSS_DR18.fits", "NGC3073": "NGC3073_SDSS_DR18.fits"}
RANGE = "[4780,5180]"  # Angstrom at rest: H-beta, [O III] and the lines of magnesium


@pytest.fixture(scope="module")
def real(data_dir):
    """Posteriors of the galaxies of the SDSS that come with pPXF, of one program; and the library."""
    folder = pathlib.Path(pytest.importorskip("ppxf").__file__).parent / "spectra"
    if not all((folder / file).exists() for file in GALAXIES.values()):
        pytest.skip("this release of pPXF brings no spectra of the SDSS")
    path = data_dir / "ssp/ssp_emiles_thin.h5"
    given = ["ssp@case.library=file", f"case.library.path={path}", "+case.library.fwhm=2.51", "imf=salpeter"]
    given += ["nebular@case.nebular=none", f"case.spectrum.wave_range={RANGE}", "experiment=sed", "data=none"]
    given += ["case.spectrum.lines=[Hbeta,'[OIII]5007']", "case.spectrum.likelihood.order=4"]
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = hydra.compose("infer", overrides=given)
    case, priors = build(cfg.case, path="case"), build(cfg.priors, path="priors")
    free = ["stars.law.*", "populations.law.mean", "apparent.dust.a_v"]
    chosen = {
        name: p
        for name, p in priors.items()
        if name.split(".")[-1] in ("log10_mformed", "t_start", "tau", "mean", "a_v")
    }
    made = {n: case.posteriors(folder / file, free, None, chosen)[file[:-5]] for n, file in GALAXIES.items()}
    first = made["NGC3522"]
    same = {n: dataclasses.replace(first, inputs=p.inputs, data=p.data) for n, p in made.items()}
    return same, case.bare


@pytest.fixture(scope="module")
def fitted(real):
    """Most probable values, their errors in the Gaussian approximation, and what follows from them."""
    climbed = jax.jit(lambda p, starts: climb(p, starts, 25))
    found = {}
    for name, posterior in real[0].items():
        ends = climbed(posterior, jnp.asarray(spread(posterior, 0, 2)))
        best = int(jnp.argmin(jnp.stack([(posterior.residuals(u) ** 2).sum() for u in ends.u])))
        numbers = np.asarray(ends.u[best])
        spreads = np.linalg.cholesky(np.linalg.inv(np.asarray(ends.fisher[best])))
        draws = numbers + np.random.default_rng(0).normal(size=(60, numbers.size)) @ spreads.T
        values = np.asarray(posterior.unknowns.values(jnp.asarray(draws)))
        result = result_of("gaussian", posterior, jnp.asarray(draws)[None], jnp.zeros((1, 60)), {}, ())
        found[name] = dict(zip(posterior.unknowns.names, values.T, strict=True)), derived(posterior, result)
    return found


def fit_by_ppxf(posterior, library):
    """What pPXF finds with the same pixels, errors, spectra of the library and lines: motions, fluxes, ages, metals."""
    ppxf = pytest.importorskip("ppxf.ppxf")
    tables, data = posterior.inputs["spectrum"], posterior.data["spectrum"]
    used = np.flatnonzero(np.asarray(data.used))
    n, step, typical = used[-1] + 1, float(tables.step), float(data.typical)
    start = np.log(float(tables.pixel[0]) / (1 + float(tables.redshift)))
    grid = np.asarray(tables.wave)[:-BRIDGE]
    nodes = np.asarray(tables.flux)[..., :-BRIDGE]
    stars = nodes.reshape(-1, grid.size).T
    widths = np.asarray(tables.line_sigma) / C_KMS * np.asarray(tables.line_wave)
    profiles = stats.norm.pdf(grid[:, None, None], np.asarray(tables.line_wave), widths)
    gas = (profiles * np.asarray(tables.line_share)).sum(-1)
    kind = np.r_[np.zeros(stars.shape[1], int), np.ones(gas.shape[1], int)]
    flux, error = (np.asarray(x)[:n] / typical for x in (data.value, data.error))
    fit = ppxf.ppxf(
        np.column_stack([stars / np.median(stars), gas]), flux, error, C_KMS * step, [[0.0, 100.0], [0.0, 80.0]],
        moments=[2, 2], degree=-1, mdegree=4, component=kind, gas_component=kind > 0, goodpixels=used, quiet=True,
        lam=np.exp(start + step * np.arange(n)), lam_temp=grid,
    )  # fmt: skip
    weight = fit.weights[: stars.shape[1]].reshape(nodes.shape[:2]) * nodes.mean(-1)
    weight = weight / weight.sum()
    fluxes = np.stack([fit.gas_flux, fit.gas_flux_error]) * typical * (1 + float(tables.redshift))
    lg_age, lg_z = (weight.sum(i) @ np.asarray(x) for i, x in ((0, library.ssp_lg_age_gyr), (1, library.ssp_lgmet)))
    return {"sigma": (fit.sol[0][1], fit.error[0][1]), "v": (fit.sol[0][0], fit.error[0][0]), "fluxes": fluxes} | {
        "lg_age": lg_age, "lg_z": lg_z,
    }  # fmt: skip


@pytest.mark.parametrize("name", GALAXIES)
def test_a_real_galaxy_is_what_ppxf_finds_with_the_same_library(real, fitted, name):
    values, more = fitted[name]
    theirs = fit_by_ppxf(real[0][name], real[1])
    print(
        name,
        theirs,
        {k: (v.mean(), v.std()) for k, v in values.items()},
        {k: np.median(v, 0) for k, v in more.items() if v.ndim < 2 or k == "fluxes"},
    )
    assert 0.2 < np.median(more["chi2"]) < 1.5
    for key, least in (("sigma", 6.0), ("v", 4.0)):
        mine = values[f"apparent.{'sigma_v' if key == 'sigma' else 'v'}"]
        assert abs(mine.mean() - theirs[key][0]) < np.hypot(least, 3 * np.hypot(mine.std(), theirs[key][1]))
    flux, error = theirs["fluxes"]
    mine = more["fluxes"]
    assert (np.abs(mine.mean(0) - flux) < 3 * np.hypot(mine.std(0), error) + 0.15 * np.abs(flux)).all()
    assert abs(np.median(more["lg_age_light"]) - theirs["lg_age"]) < 0.25
    assert abs(np.median(more["lg_z_light"]) - theirs["lg_z"]) < 0.25
