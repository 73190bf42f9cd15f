"""The main job from Python: the same cube as the command line, errors that name the nearest, slopes of the pipeline."""

import functools
import importlib.util
import json
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits
from flax import nnx
from simulate_run import run
from simulation_files import write_eagle

import galdiff
from galdiff.baryons.evolve import Outputs
from galdiff.baryons.regulator import Regulator
from galdiff.core.compiled import compiled
from galdiff.dust.attenuation import DustScreen
from galdiff.dust.curves.ccm89 import CCM89
from galdiff.ifu.instrument import make_instrument

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs" / "simulate.md"
GROWTH = {"log10_mvir": 11.5, "observed_redshift": 0.1, "n_stars": 1500, "n_gas": 100}
VIEW = {"inclination": 40.0, "max_spaxels": 4, "seed": 3, "precision.rank": 8, "gauss_hermite": False}
NARROW = {"instrument.psf.kind": "gaussian", "instrument.psf.fwhm_arcsec": 0.45}  # needs narrow margins
BLUE = {"instrument": "muse_wfm", "dust": "none", "instrument.wave.end_angstrom": 4900.0, **NARROW}
ON_THE_COMMAND_LINE = (
    *("runtime.precision=float64", "halo.log10_mvir=11.5", "halo.observed_redshift=0.1", "input.n_stars=1500"),
    *("input.n_gas=100", "view.inclination=40.0", "max_spaxels=4", "seed=3"),
    *("precision.rank=8", "maps.gauss_hermite=false", "instrument.wave.end_angstrom=4900.0"),
    "instrument=muse_wfm",
    "dust=none",
    *(f"{key}={value}" for key, value in NARROW.items()),
)
EDGE = "ignore:.*lie outside the SSP library:UserWarning"  # the first stars are poorer in metals than any library


@pytest.fixture(scope="module")
def grown() -> galdiff.Target:
    """A small galaxy grown in a halo."""
    return galdiff.grow(**GROWTH)


@pytest.fixture(scope="module")
def disc() -> galdiff.Target:
    """A small disc galaxy."""
    return galdiff.draw_disc(n_stars=500, n_gas=50)


def same_files(first, second):
    for name in ("cube.fits", "maps.fits"):
        with fits.open(first / name) as one, fits.open(second / name) as other:
            assert [hdu.name for hdu in one] == [hdu.name for hdu in other]
            for a, b in zip(one[1:], other[1:], strict=True):
                np.testing.assert_array_equal(a.data, b.data)
            assert one[0].header["CONFHASH"] == other[0].header["CONFHASH"]


@pytest.mark.filterwarnings(EDGE)
def test_python_and_the_command_line_give_the_same_cube_bit_for_bit(grown, tmp_path):
    mock = galdiff.observe(grown, **VIEW, **BLUE)
    labelled = mock.to_xarray()
    np.testing.assert_array_equal(labelled.flux, mock.cube.flux)
    assert labelled.v_seen.dims == ("y", "x")
    assert labelled.attrs["redshift"] == mock.summary["redshift"]
    mock.save(tmp_path / "python")
    line = run(tmp_path / "line", *ON_THE_COMMAND_LINE)
    same_files(tmp_path / "python", line)
    assert sorted(p.name for p in line.iterdir()) == sorted(p.name for p in (tmp_path / "python").iterdir())
    kept = galdiff.read_cube(line / "cube.fits").flux  # single precision
    np.testing.assert_array_equal(kept, np.asarray(mock.cube.flux, np.float32))
    assert (np.asarray(mock.cube.variance) > 0).all()
    one, other = (json.loads((tmp_path / f / "summary.json").read_text()) for f in ("python", "line"))
    assert one.keys() == other.keys()
    assert {k: one[k] for k in one if k != "seconds"} == {k: other[k] for k in other if k != "seconds"}
    assert one["warnings"]
    assert mock.history is grown.history
    with pytest.raises(galdiff.InputError, match="exists"):
        mock.save(tmp_path / "python")


@pytest.mark.filterwarnings("ignore:.*cosmology is not that of the run:UserWarning")  # that of EAGLE
def test_a_snapshot_gives_the_same_cube_as_on_the_command_line_too(tmp_path):
    write_eagle(tmp_path / "snapshot.hdf5")
    wide = {"max_spaxels": 6, "precision.rank": 8, "gauss_hermite": False, "redshift": 0.05, **BLUE}
    galaxy = galdiff.read_galaxy(tmp_path / "snapshot.hdf5", centre="median")
    mock = galdiff.observe(galaxy, **wide)
    mock.save(tmp_path / "python")
    line = ("input=file", f"input.path={tmp_path / 'snapshot.hdf5'}", "input.centre=median", "max_spaxels=6")
    line += ("placement.redshift=0.05", *ON_THE_COMMAND_LINE[8:], "runtime.precision=float64")
    same_files(tmp_path / "python", run(tmp_path / "line", *line))
    assert mock.history is None


def test_a_disc_gives_the_same_cube_as_on_the_command_line_too(disc, tmp_path):
    galdiff.observe(disc, **VIEW, **BLUE).save(tmp_path / "python")
    line = ("input=disc", "input.n_stars=500", "input.n_gas=50", *ON_THE_COMMAND_LINE[5:], "runtime.precision=float64")
    same_files(tmp_path / "python", run(tmp_path / "line", *line))


@pytest.mark.filterwarnings(EDGE)
def test_built_objects_take_the_places_of_presets(disc):
    instrument = make_instrument(
        name="mine",
        n_x=4,
        n_y=4,
        spaxel_x_arcsec=1.0,
        wave=dict(grid="linear", start_angstrom=5000.0, end_angstrom=5100.0, step_angstrom=2.0, medium="air"),
        lsf=dict(kind="constant", fwhm_angstrom=5.0),
        psf=dict(kind="none"),
    )
    few = {"instrument": instrument, "ssp": galdiff.load_ssp(None), "rank": 8, "gauss_hermite": False, "snr": None}
    clear = galdiff.observe(disc, dust="none", **few)
    dust = {"stage": DustScreen(a_v=1.0), "curve": CCM89(r_v=3.1)}
    dim = galdiff.observe(disc.galaxy, dust=dust, **few)  # a record of one's own
    assert clear.summary["instrument"] == "mine"
    assert clear.cube.flux.shape == (4, 4, 51)
    ratio = dim.cube.flux.sum() / clear.cube.flux.sum()
    np.testing.assert_allclose(ratio, 10 ** (-0.4 * 1.15), rtol=0.03)  # A_V at 4800 Angstrom at rest
    assert "DustScreen" in dim.settings.text()


def test_any_baryon_stage_grows_a_galaxy(grown):
    stage = Regulator(outputs=Outputs(n_times=64, n_steps=64))
    other = galdiff.grow(**GROWTH, baryons=stage, halo=grown.halo)
    assert "cgm" not in other.history.contents["mass"]
    np.testing.assert_array_equal(other.history.m_vir, grown.history.m_vir)
    assert not np.allclose(other.history.m_star, grown.history.m_star, rtol=0.01)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda g: galdiff.observe(g, inclinaton=30),
            "no such keyword; did you mean 'inclination'?",
        ),
        (lambda g: galdiff.observe(g, instrument="muse_wmf"), "there is no such preset; did you mean 'muse_wfm'?"),
        (lambda g: galdiff.observe(g, **{"precision.rnk": 8}), "precision.rnk: there is no such key; did you mean"),
        (lambda g: galdiff.observe(g, noise={"srn": 8}), "did you mean 'noise.snr'?"),
        (lambda g: galdiff.observe(g, h_v_kms=10), "there are precision.h_v_kms and maps.h_v_kms; say which"),
        (lambda g: galdiff.observe(g, **{"halo.spin": 0.1}), "is a setting of the galaxy, which is made already"),
        (lambda g: galdiff.observe(g, snr="loud"), "noise.snr is 'loud'; expected a number"),
        (lambda g: galdiff.observe(g, engine="fast"), "engine is 'fast'; choose one of auto"),
        (lambda g: galdiff.observe(g, inclination=1000), "view.inclination is 1000 deg"),
        (lambda g: galdiff.observe(3), "galaxy is int; give what grow"),
        (lambda g: galdiff.grow(redshift=1.0), "did you mean 'observed_redshift'?"),
        (lambda g: galdiff.grow(baryons="pandya_23"), "did you mean 'pandya23'?"),
        (lambda g: galdiff.grow(inclination=3), "inclination: there is no such keyword"),
        (lambda g: galdiff.draw_disc(**{"disc.v_flt": 200}), "did you mean 'input.disc.v_flat'?"),
        (lambda g: galdiff.read_galaxy("nowhere.hdf5"), "nowhere.hdf5: does not exist"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest(call, words, disc):
    with pytest.raises(galdiff.InputError) as caught:
        call(disc)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings(EDGE)
@pytest.mark.filterwarnings("ignore:templates are broader:UserWarning")
def test_the_documented_pipeline_has_the_slopes_that_differences_have(capsys, monkeypatch):
    small = {"engine": "compressed", **BLUE, "instrument.psf.kind": "none"}  # whose margins are most of the light
    monkeypatch.setattr(galdiff, "pipeline", functools.partial(galdiff.pipeline, **small))
    code = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[1]
    lines = [line for line in code.splitlines() if line]
    assert len(lines) <= 12
    assert sum(line.startswith(("import", "from")) for line in lines) <= 3
    names: dict = {}
    exec(compile(code, str(DOCS), "exec"), names)
    assert len(capsys.readouterr().out.split()) == 3
    params, slopes = names["params"], {"stages": names["slopes"]}
    light = lambda p: names["light"](p)[0]  # noqa: E731  (that of the page, which is compiled)
    laws = [("stages", "history", name, "log10_a") for name in ("star_formation", "eta_energy")]
    for path in (*laws, ("stages", "sky_stars", "inclination"), ("stages", "observed_stars", "a_v")):
        step = 1e-3 * (100 if "inclination" in path else 1)
        ends = [light(moved(params, path, sign * step)) for sign in (1, -1)]
        slope = at(slopes, path)[...]
        assert slope != 0
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=2e-3, err_msg=".".join(path))


@pytest.mark.filterwarnings(EDGE)
def test_the_pipeline_makes_the_cube_of_the_mock_without_its_noise(grown):
    run_it, state = compiled(galdiff.pipeline(grown, **VIEW, **BLUE), ["cube"])
    flux = run_it(state, halo=grown.halo)["cube"].flux
    mock = galdiff.observe(grown, snr=None, **VIEW, **BLUE)
    np.testing.assert_allclose(flux, mock.cube.flux, rtol=2e-3)  # histories by the grid, and with steps of their own
    assert (mock.cube.variance == 0).all()


def at(state, path):
    for name in path:
        state = state[name]
    return state


def moved(params, path, step):
    """Parameters with one of them a step further."""
    flat = dict(nnx.to_flat_state(params))
    flat[path] = flat[path].replace(flat[path][...] + step)
    return nnx.from_flat_state(flat)


def test_the_pipeline_of_a_galaxy_has_slopes_in_its_stars(disc):
    moffat = BLUE | {"instrument.psf.kind": "moffat"}  # whose wings bring light of all stars into the field
    pipe = galdiff.pipeline(disc, **VIEW, **moffat, engine="compressed", orientation="none")

    @jax.jit
    def light(mass):
        stars = disc.stars.__class__(**{**vars(disc.stars), "mass": mass})
        galaxy = disc.galaxy.__class__(stars=stars, redshift=disc.redshift, name=disc.name)
        return pipe(wanted=["cube"], galaxy=galaxy)["cube"].flux.sum()

    mass = jnp.asarray(disc.stars.mass)
    slope = jax.grad(light)(mass)
    assert (slope >= 0).all()
    np.testing.assert_allclose((slope * mass).sum(), light(mass), rtol=1e-9)  # light is linear in mass


def test_every_name_of_the_package_is_there_and_importing_it_loads_nothing():
    assert 20 <= len(galdiff.__all__) <= 40
    assert set(galdiff.__all__) <= set(dir(galdiff))
    code = "import sys, galdiff; assert not {'jax', 'hydra', 'galdiff.cosmology'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in galdiff.__all__:
        assert getattr(galdiff, name).__name__.split(".")[-1] == name
        hidden = importlib.util.find_spec(f"galdiff.{name}")  # a package of that name would take its place
        assert hidden is None or hidden.name == "galdiff.cosmology"
    with pytest.raises(AttributeError, match="no attribute 'obsere'"):
        _ = galdiff.obsere
