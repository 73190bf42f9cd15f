"""galdiff infer experiment=sed: tables against spectra, intervals that hold mocks, limits, files and errors."""

import dataclasses
import importlib.util
import json
import pathlib

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from simulate_run import library

import galdiff
from galdiff.build import build
from galdiff.cases.sed_fit import SedFit
from galdiff.cosmology import Cosmology
from galdiff.dust.curves.modified_calzetti import ModifiedCalzetti
from galdiff.dust.galaxy import GalaxyDust
from galdiff.errors import InputError
from galdiff.igm.inoue14 import Inoue14
from galdiff.inference.likelihoods.model import measured
from galdiff.inference.many import results_of
from galdiff.inference.methods.importance import Importance
from galdiff.inference.posterior import make_posterior
from galdiff.io.photometry_catalogue import in_maggies, read_photometry
from galdiff.nebular.h_ii_regions import HIIRegions, NoGas
from galdiff.observing.galaxy_sed import galaxy_sed, sed_pipeline
from galdiff.observing.gas_in_library import line_spectrum, with_gas
from galdiff.photometry.tabled import tables_over
from galdiff.sfh.delayed_tau import DelayedTau
from galdiff.sfh.metallicity import OneMetallicity
from galdiff.sps.galaxy_light import GalaxyLight

ROOT = pathlib.Path(__file__).resolve().parent.parent
BANDS = ["sdss2010-u", "sdss2010-g", "sdss2010-r", "sdss2010-i", "sdss2010-z"]
UNKNOWNS = ["stars.law.log10_mformed", "stars.law.tau", "populations.law.mean", "apparent.dust.a_v"]
Z = 0.1


def composed(*overrides):
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("infer", overrides=["nebular@case.nebular=none", *overrides])


@pytest.fixture(scope="module")
def cfg():
    return composed("data=none")


@pytest.fixture(scope="module")
def case():
    return SedFit(
        law=DelayedTau(),
        metallicity=OneMetallicity(),
        library=library(),
        clouds=GalaxyLight(),
        dust=GalaxyDust(curve=ModifiedCalzetti(slope=-0.2), tilt=0.0),
        nebular=NoGas(),
        igm=Inoue14(strength=1.0),
        cosmology=Cosmology(),
        passbands=BANDS,
        unit="maggies",
        columns=None,
    )


@pytest.fixture(scope="module")
def mocks(case, cfg):
    """Posteriors of mock galaxies, and what they are in standard normal numbers."""
    given = case.inputs([Z])[0]
    likelihood, priors = build(cfg.likelihood, path="likelihood"), build(cfg.priors, path="priors")
    priors = {
        name: prior for name, prior in priors.items() if name.split(".")[-1] in ("log10_mformed", "tau", "mean", "a_v")
    }
    some = measured(np.full(5, 1e-8), np.full(5, 1e-9))
    first = make_posterior(
        case.pipeline, unknowns=UNKNOWNS, likelihood=likelihood, data=some, inputs=given, priors=priors
    )
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(12, 4)).clip(-2, 2)
    flux = np.asarray(jax.jit(jax.vmap(lambda u: first.predicted(u)["apparent"].maggies))(jnp.asarray(truth)))
    error = 0.04 * flux
    seen = flux * (1 + rng.normal(size=flux.shape) * np.hypot(0.04, likelihood.floor))
    made = [dataclasses.replace(first, data=measured(f, e)) for f, e in zip(seen, error, strict=True)]
    return dict(zip(map(str, range(12)), made, strict=True)), truth


METHOD = Importance(starts=4, steps=20, rounds=8, draws=300, attempts=3)


@pytest.fixture(scope="module")
def found(mocks):
    return results_of(METHOD, mocks[0], together=4)


def test_tables_give_the_magnitudes_of_whole_spectra(case):
    dust = GalaxyDust(curve=ModifiedCalzetti(slope=-0.2), tilt=-0.4, a_v=1.0)
    parts = dict(law=DelayedTau(), metallicity=OneMetallicity(), library=library())
    whole = sed_pipeline(**parts, dust=dust, passbands=case.passbands, nebular=NoGas())
    epoch = case.inputs([Z])[0]["epoch"]
    expected = galaxy_sed(whole, epoch, library()).apparent.mag
    from galdiff.cases.sed_fit import photometry_pipeline

    quick = photometry_pipeline(**parts, dust=dust, clouds=GalaxyLight())
    tables = tables_over(library(), case.passbands, [0.02, Z, 0.2])[1]
    found = quick(wanted=["apparent"], epoch=epoch, tables=tables)["apparent"].mag
    np.testing.assert_allclose(found, expected, atol=3e-3)


def test_a_tilt_makes_the_screen_steeper_about_5500_angstrom():
    wave = jnp.asarray([2750.0, 5500.0, 11000.0])
    plain, tilted = (
        -2.5 * np.log10(GalaxyDust(curve=ModifiedCalzetti(), a_v=1.0, unobscured=1e-9, tilt=t).transmissions(wave)[0])
        for t in (None, -0.5)
    )
    np.testing.assert_allclose(tilted / plain, [2**0.5, 1.0, 2**-0.5], rtol=1e-6)


def test_lines_in_a_library_keep_their_power():
    wave = jnp.asarray([1.0, 2.0, 4.0, 5.0, 9.0])
    spectrum = line_spectrum(wave, jnp.asarray([1.5, 4.9, 20.0]), jnp.asarray([3.0, 7.0, 100.0]))
    np.testing.assert_allclose(np.trapezoid(spectrum, wave), 10.0)  # the third is outside


def test_gas_in_a_library_is_that_of_the_pipeline(case):
    small = dataclasses.replace(
        library(), ssp_flux=library().ssp_flux[5:7, :3], ssp_lgmet=library().ssp_lgmet[5:7],
        ssp_lg_age_gyr=library().ssp_lg_age_gyr[:3],
    )  # fmt: skip
    shining = with_gas(small, HIIRegions(log10_u=-2.5, escape=1e-3, log10_z_gas=None, n_to_o=None))
    wave, light = np.asarray(small.ssp_wave), np.asarray(shining.ssp_flux)
    alpha = (wave > 6500) & (wave < 6630)
    width = np.trapezoid((light / np.asarray(small.ssp_flux) - 1)[..., alpha], wave[alpha])
    assert (width > 300).all()  # Angstrom, of stars of a few Myr
    hidden = wave < 900
    np.testing.assert_allclose(light[..., hidden], 1e-3 * np.asarray(small.ssp_flux)[..., hidden], rtol=1e-6)
    np.testing.assert_array_equal(with_gas(small, NoGas()).ssp_flux, small.ssp_flux)


def test_intervals_of_mocks_hold_their_share(found, mocks):
    usable = [int(name) for name, result in found.items() if result.usable]
    assert len(usable) >= 10
    ranks = np.stack([(found[str(i)].numbers[0] < mocks[1][i]).mean(0) for i in usable])
    inside = ((ranks > 0.16) & (ranks < 0.84)).mean()
    assert 0.5 < inside < 0.85  # 68 % of 40 numbers and more, +- 7 %
    assert ((ranks > 0.005) & (ranks < 0.995)).mean() > 0.9


def test_an_upper_limit_below_the_flux_pulls_the_mass_down(mocks):
    base = mocks[0]["0"]
    value = np.asarray(base.data.value)
    free = dataclasses.replace(base, data=measured(np.r_[[np.nan] * 4, value[4]], 0.5 * value))
    bound = dataclasses.replace(
        base, data=measured(np.r_[[np.nan] * 3, 0.2 * value[3], value[4]], 0.5 * value * [1, 1, 1, -0.1, 1])
    )
    masses = [r.numbers[0][:, 0].mean() for r in METHOD.many([free, bound], together=4)]
    assert masses[1] < masses[0] - 0.05


def table(path, rows, unit=""):
    head = ["id", "redshift", *(c for b in BANDS for c in (b, f"{b}_err"))]
    path.write_text("\n".join([",".join(head), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def test_a_catalogue_is_read_in_all_units(tmp_path):
    flux, error = np.array([[1.0, np.nan]]) * 1e-9, np.array([[1.0, 1.0]]) * 1e-10
    np.testing.assert_allclose(in_maggies(flux * 3631e6, error * 3631e6, "microjansky"), (flux, error))
    mag = -2.5 * np.log10(flux)
    np.testing.assert_allclose(in_maggies(mag, error / flux * 2.5 / np.log(10), "mag"), (flux, error * flux / flux))
    read = read_photometry(table(tmp_path / "a.csv", [[7, 0.1, *[1e-9, 1e-10] * 5]]), BANDS, "maggies")
    assert (read.ids, read.redshift.tolist(), read.flux.shape) == (("7",), [0.1], (1, 5))


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        ([[1, 0.1, *[1e-9, 1e-10] * 5]], {"unit": "jansky"}, "unit is 'jansky'; choose maggies"),
        ([[1, -0.1, *[1e-9, 1e-10] * 5]], {}, "redshift of row 1 is -0.1"),
        ([[1, 0.1, *[1e-9, 1e-10] * 5]], {"columns": {"sdss2010-u": "u"}}, "has no column 'u'"),
        ([[1, 0.1, *[1e-9, 1e-10] * 5]], {"columns": {"sdss2010-y": "y"}}, "'sdss2010-y' is no band that is fitted"),
    ],
)
def test_a_catalogue_that_cannot_be_is_refused(tmp_path, rows, more, said):
    with pytest.raises(InputError, match=said):
        read_photometry(table(tmp_path / "a.csv", rows), BANDS, **{"unit": "maggies"} | more)


@pytest.mark.parametrize(
    ("rows", "unknowns", "said"),
    [
        ([[1, 0.1, *["", ""] * 5]], UNKNOWNS, "galaxy 1: no measurement is there"),
        ([[1, 0.1, *[1e-9, 0.0] * 5]], UNKNOWNS, "galaxy 1: measurement 0 is 1e-09"),
        ([[1, 0.1, *[1e-9, 1e-10] * 5]] * 2, UNKNOWNS, "id 1 is there twice"),
        ([[1, 0.1, *[1e-9, 1e-10] * 5]], ["stars.law.age"], "'stars.law.age' matches none"),
    ],
)
def test_galaxies_that_cannot_be_fitted_are_named(case, cfg, tmp_path, rows, unknowns, said):
    with pytest.raises(InputError, match=said) as error:
        case.posteriors(table(tmp_path / "a.csv", rows), unknowns, build(cfg.likelihood, path="likelihood"), {})
    assert "\n" not in str(error.value)


def test_a_run_leaves_draws_tables_and_pictures(mocks, tmp_path):
    spec = importlib.util.spec_from_file_location("infer", ROOT / "experiments" / "infer.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    data = mocks[0]["1"].data
    row = [5, Z, *np.stack([data.value, data.error], -1).reshape(-1)]
    path, folder = table(tmp_path / "a.csv", [row]), tmp_path / "run"
    few = [
        f"method.{key}={n}" for key, n in (("starts", 2), ("steps", 8), ("rounds", 1), ("draws", 60), ("attempts", 1))
    ]
    free = [f"unknowns=[{','.join(UNKNOWNS)}]", f"data={path}", f"output={folder}", "together=1"]
    script.main(composed(*few, *free))
    names = ["5.nc", "5_corner.png", "5_fit.png", "5_trace.png", "config.yaml", "metrics.json", "table.csv", "table.md"]
    assert sorted(p.name for p in folder.iterdir() if p.is_file() and p.name[0] != ".") == names
    import xarray as xr

    with xr.open_datatree(folder / "5.nc", engine="h5netcdf") as tree:
        mass = tree["posterior"]["stars.law.log10_mformed"]
        assert mass.dims == ("chain", "draw")
        assert mass.attrs["units"] == "dex(Msun)"
        assert tree.attrs["usable"] in (0, 1)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["galaxies"] == 1
    assert metrics["usable"] == int((folder / "table.csv").read_text().split("\n")[1].split(",")[1])
    with pytest.raises(InputError, match="there is no such table"):
        script.main(composed("data=none.csv", f"output={folder}", "overwrite=true"))


def test_a_spectrum_is_known_by_its_columns_and_refused_where_nothing_says_how_it_is_taken(case, tmp_path):
    (tmp_path / "a.csv").write_text("wave,flux,err\n5000,1,0.1\n")
    with pytest.raises(InputError, match="is a spectrum, but case"):
        case.posteriors(tmp_path / "a.csv", UNKNOWNS, None, {})


def test_infer_takes_presets_and_refuses_others(mocks):
    with pytest.raises(
        InputError, match="method is 'hmc'; choose one of importance, laplace, nuts, optimum, smc, variational"
    ):
        galdiff.infer(mocks[0]["0"], "hmc")
    with pytest.raises(InputError, match="a built method has its settings"):
        galdiff.infer(mocks[0]["0"], METHOD, draws=10)
