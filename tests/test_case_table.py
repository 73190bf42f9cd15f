"""Training on a table of one's own: losses, files, rows, and fits that give back what the table was made with."""

import json
import runpy

import h5py
import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from astropy.table import MaskedColumn, Table
from omegaconf import OmegaConf

import galdiff
from galdiff.build import build
from galdiff.cases.table_rows import mass_today
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.inference.losses import Censored, Gaussian, StudentT
from galdiff.io.tables import read_columns
from galdiff.runtime import project_dir
from galdiff.train.beginning import completed
from galdiff.train.checkpoints import Checkpoints

TRUTH = {"log10_a": 0.3, "alpha0": -1.4}
SMALL = ["case.n_steps=16", "train.validate_every=30", "train.checkpoint_every=60", "case.settings.n_nodes=48"]


def composed(*overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("train", overrides=list(overrides))


def train(*overrides):
    return runpy.run_path(str(project_dir("experiments") / "train.py"))["main"](composed(*overrides))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """200 galaxies at two redshifts whose winds are not those of the defaults, with errors of 0.03 dex."""
    path = tmp_path_factory.mktemp("table") / "mine.csv"
    rng = np.random.default_rng(2)
    made = Table({"lgm": rng.uniform(10.5, 13.0, 200), "z": np.repeat([0.0, 1.0], 100)})
    made["lgms"], made["e"] = np.zeros(200), np.full(200, 0.03)
    made.write(path)
    cfg = composed("experiment=own_table", *of(path), *[f"model.eta_mass.{k}={v}" for k, v in TRUTH.items()])
    model = build(cfg.model)
    case = build(cfg.case)
    case.prepare(model)
    said = jax.jit(lambda samples: case.predict(model, samples))(case.samples)
    made["lgms"] = np.asarray(said)[:, 0] + 0.03 * rng.normal(size=200)
    made["lgms"][7] = np.nan
    made.write(path, overwrite=True)
    return path


def of(path):
    columns = ["case.target=lgms", "case.error=e", "case.halo={log10_mvir: lgm}", "case.redshift=z"]
    return [f"case.path={path}", *columns, *SMALL]


def test_a_table_gives_back_the_winds_that_it_was_made_with(table, tmp_path):
    train("experiment=own_table", *of(table), "train.steps=60", "optimiser.learning_rate=0.1", f"output={tmp_path}")
    found = galdiff.load(tmp_path).model.eta_mass
    np.testing.assert_allclose(found.log10_a.bounded, TRUTH["log10_a"], atol=0.03)
    np.testing.assert_allclose(found.alpha0.bounded, TRUTH["alpha0"], atol=0.1)
    result = json.loads((tmp_path / "summary.json").read_text())["result"]
    assert result["values"] == {"measured": 199, "limits": 0, "missing": 1}
    assert 0.6 < result["stages"]["main"]["held out"]["chi2"] < 1.5
    assert result["stages"]["main"]["held out"]["measurements"] in (39, 40)
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("targets.png", "pulls.png"))


@pytest.mark.parametrize("noise", [Gaussian(), StudentT(nu=3.0), Censored()], ids=lambda x: type(x).__name__)
def test_densities_integrate_to_one_and_stay_smooth_far_away(noise):
    x = np.sinh(np.linspace(-12.0, 12.0, 40001))  # wings of Student's t reach far
    np.testing.assert_allclose(np.trapezoid(np.exp(noise(0.4, x, 0.3)), x), 1.0, rtol=2e-6)
    values = jax.jit(lambda m, limit: noise(m, jnp.zeros((), m.dtype), 1.0, limit))
    slopes = jax.jit(jax.vmap(jax.grad(lambda m, limit: noise(m, jnp.zeros((), m.dtype), 1.0, limit)), (0, None)))
    for dtype in (jnp.float32, jnp.float64):
        for limit in (-1, 0, 1) if noise.limits else (0,):
            far = jnp.asarray([-40.0, 0.0, 40.0], dtype)
            slope = slopes(far, limit)
            assert np.isfinite(values(far, limit)).all()
            assert np.isfinite(slope).all()
            if limit == 0 or not isinstance(noise, StudentT):
                assert (slope[0] >= 0) & (slope[2] <= 0)
            else:  # its wings pull from any distance, towards the side of the limit
                assert (limit * slope > 0).all()


@pytest.mark.parametrize("noise", [Censored(), StudentT(nu=3.0)], ids=lambda x: type(x).__name__)
def test_a_limit_counts_with_the_probability_beyond_it(noise):
    measured = np.linspace(-4.0, 4.0, 8001)
    density = np.exp(noise(0.3, measured, 0.5))
    below = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2) * (measured[1] - measured[0])])
    upper, lower = (np.exp(noise(0.3, measured, 0.5, limit)) for limit in (-1, 1))
    np.testing.assert_allclose(upper - upper[0], below, atol=1e-6)
    assert upper[0] < 2e-3
    np.testing.assert_allclose(upper + lower, 1.0, rtol=1e-6)


@pytest.mark.parametrize("nu", [0.5, 3.0, 300.0])
def test_the_wing_of_students_t_is_that_of_scipy_at_any_distance(nu):
    x = np.concatenate([-np.geomspace(1e6, 1e-2, 60), np.geomspace(1e-2, 1e6, 60)])
    said = StudentT(nu=nu)(0.0, x, 1.0, -1)  # measured x is an upper limit of a prediction of 0: P(T < x)
    known = scipy.stats.t.logcdf(x, nu)
    there = np.isfinite(known)  # scipy's underflows
    np.testing.assert_allclose(said[there], known[there], rtol=1e-9, atol=1e-15)
    assert (jnp.diff(said) >= 0).all()
    single = StudentT(nu=nu)(0.0, jnp.asarray(x, jnp.float32), 1.0, -1)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, said, rtol=1e-3, atol=1e-6)  # JAX's beta function in float32


def test_masses_at_a_redshift_become_those_of_today():
    now = mass_today(np.array([11.0, 12.0]), np.array([0.0, 2.0]), Cosmology())
    assert now[0] == 11.0
    assert 12.2 < now[1] < 13.5


@pytest.mark.parametrize("ending", ["csv", "ecsv", "h5", "hdf5", "zarr", "parquet"])
def test_columns_come_in_the_unit_that_is_wanted(ending, tmp_path):
    path = tmp_path / f"t.{ending}"
    if ending == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("rate", data=[1.0, np.nan]).attrs["unit"] = "Msun/Gyr"
    elif ending == "zarr":
        zarr = pytest.importorskip("zarr")
        array = zarr.open_group(str(path), mode="w").create_array("rate", shape=(2,), dtype="f8")
        array[:] = [1.0, np.nan]
        array.attrs["unit"] = "Msun/Gyr"
    elif ending == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        field = pyarrow.field("rate", pyarrow.float64(), metadata={"unit": "Msun/Gyr"})
        pytest.importorskip("pyarrow.parquet").write_table(
            pyarrow.table([[1.0, None]], schema=pyarrow.schema([field])), path
        )
    else:  # .hdf5: a table as astropy writes it
        column = MaskedColumn([1.0, 0.0], mask=[False, True], unit="Msun/Gyr")
        Table({"rate": column}).write(path, **({"path": "any", "serialize_meta": True} if ending == "hdf5" else {}))
    factor = 1.0 if ending == "csv" else 1e-9  # which says no unit
    np.testing.assert_allclose(read_columns(path, {"rate": "Msun/yr"})["rate"], [factor, np.nan])
    if ending != "csv":
        with pytest.raises(InputError, match=r"column 'rate' has the unit .*give it in 'km/s'"):
            read_columns(path, {"rate": "km/s"})


@pytest.mark.parametrize(("package", "ending", "extra"), [("pyarrow", "parquet", "parquet"), ("zarr", "zarr", "zarr")])
def test_a_format_whose_library_is_missing_names_the_install(package, ending, extra, tmp_path, monkeypatch):
    (tmp_path / f"t.{ending}").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"needs {package}, which is not installed: pip install 'galdiff\[{extra}\]'"):
        read_columns(tmp_path / f"t.{ending}", {"rate": None})


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("case.target=lgmss", "has no column 'lgmss'; did you mean 'lgms'"),
        ("case.output=log10_mstr", "output is 'log10_mstr'.*did you mean 'log10_mstar'"),
        ("case.error=-0.1", "'-0.1' is -0.1 in row 1; give errors above 0"),
        ("case.halo={log10_m: lgm}", "give log10_mvir, or logm0"),
        ("case.redshift=lgm", "redshifts go from 10"),
        ("case.limit=z", "Gaussian knows no limits"),
        ("case.path=nowhere.csv", "there is no such table"),
        ("case.path=nowhere.txt", "give one that ends in .csv"),
        ("case.held_out=1.0", "case.held_out is 1.0"),
    ],
)
def test_wrong_tables_are_told_before_anything_is_solved(override, text, table):
    others = [o for o in of(table) if o.split("=")[0] != override.split("=")[0]]
    cfg = composed("experiment=own_table", *others, override, "case.n_steps=4")
    with pytest.raises(InputError, match=text):
        build(cfg.case).prepare(build(cfg.model))


@pytest.mark.parametrize("experiment", [[], ["experiment=none"], ["experiment=own_table"]], ids=str)
def test_a_table_takes_the_place_of_the_data_of_any_experiment(experiment, table):
    cfg = composed("case=table", "case/loss=student_t", *experiment, *of(table))
    case = build(cfg.case)
    assert type(case).__name__ == "FitTable"
    assert (type(case.noise).__name__, case.noise.nu, case.noise.limits) == ("StudentT", 4.0, True)
    assert "truth" not in cfg.case


class GasToStars:
    unit = "dex"

    def __call__(self, history):
        return jnp.log10(history.m_ism / history.m_star)


class Lost(GasToStars):
    def __call__(self, history):
        return jnp.log10(history.m_ism[:, -1])


def test_an_output_of_ones_own_is_made_of_the_whole_history(table):
    cfg = composed("experiment=own_table", "baryons@model=regulator", *of(table), "which=physics", "case.n_steps=4")
    model, how = build(cfg.model), {key: value for key, value in cfg.case.items() if key != "output"}

    def said(output):
        case = build({**how, "output": output} if isinstance(output, str) else how | {"output": "sfr"})
        case.output = output
        case.prepare(model)
        return np.asarray(case.predict(model, case.samples))

    ratio = said("log10_mism") - said("log10_mstar")
    np.testing.assert_allclose(said(GasToStars()), ratio, atol=1e-12)
    assert np.ptp(ratio) > 0.01
    with pytest.raises(InputError, match=r"case.output, a Lost, makes \(1,\) of a history of .* = \(1, 2\)"):
        said(Lost())


def test_a_new_output_trains_alone_beside_those_of_a_checkpoint(tmp_path):
    rng = np.random.default_rng(1)
    made = Table({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    made["c"], made["d"] = made["a"] - made["b"], 1.0 + 0.1 * made["a"]
    made.write(tmp_path / "mine.csv")
    both = [f"case.path={tmp_path / 'mine.csv'}", "case.drivers=[a,b]", "train.steps=30", "optimiser.learning_rate=0.1"]
    one = ["experiment=own_network", "case.targets=[c]", "case.errors=[0.1]", "model.hidden=[]"]
    train(*one, *both, "model.n_in=2", "model.n_out=1", f"output={tmp_path / 'one'}")
    more = ["case.targets=[c,d]", "case.errors=[0.1,0.1]", "model.more.n_in=2", "model.more.hidden=[]"]
    more = ["experiment=new_output", f"checkpoint={tmp_path / 'one'}", *more, *both, f"output={tmp_path / 'two'}"]
    train(*more)
    before, after = galdiff.load(tmp_path / "one").model, galdiff.load(tmp_path / "two").model
    point = jnp.asarray([[0.5, -0.5], [1.0, 1.0]])
    np.testing.assert_array_equal(after(point)[:, :1], before(point))
    np.testing.assert_allclose(after(point)[:, 1], 1.0 + 0.1 * point[:, 0], atol=0.5)
    with pytest.raises(InputError, match="fills is 'traned'; name a key of the model"):
        train(*more, "fills=traned")


def test_a_checkpoint_that_fills_a_module_may_name_no_more_than_one_that_is_loaded(tmp_path):
    evil = {"_target_": "galdiff.io.drivers.read_drivers", "path": str(tmp_path / "x.npy")}
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        meta = {"config": OmegaConf.to_yaml(OmegaConf.create({"model": evil}))}
        checkpoints.save(1, {"physics": {"a": jnp.ones(2)}}, meta=meta, loss=1.0)
    cfg = composed("experiment=new_output", f"checkpoint={tmp_path}", "case.path=x.csv", "model.more.n_in=2")
    with pytest.raises(InputError, match=r"model: .*read_drivers reads files .*; a checkpoint may not call it"):
        completed(cfg)


def test_an_own_network_is_trained_resumed_loaded_and_predicts(tmp_path):
    rng = np.random.default_rng(0)
    made = Table({"a": rng.normal(size=300), "b": rng.normal(size=300)})
    made["c"] = 2 * made["a"] - made["b"] + 0.1 * rng.normal(size=300)
    made["c"][:3] = np.nan
    made.write(tmp_path / "mine.csv")
    how = ["experiment=own_network", f"case.path={tmp_path / 'mine.csv'}", "case.drivers=[a,b]", "case.targets=[c]"]
    how += ["case.errors=[0.1]", "model.n_in=2", "model.n_out=1", "model.hidden=[]", "train.steps=200"]
    how += ["optimiser.learning_rate=0.1", f"output={tmp_path / 'run'}"]
    train(*how)
    first = galdiff.load(tmp_path / "run").model
    train(*how)  # goes on from the end: nothing changes
    point = jnp.asarray([[1.0, 1.0]])
    np.testing.assert_array_equal(galdiff.load(tmp_path / "run").model(point), first(point))
    np.testing.assert_allclose(first(point)[0, 0], 1.0, atol=0.05)
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        where = [f"checkpoint={tmp_path / 'run'}", "input=drivers", f"input.path={tmp_path / 'mine.csv'}"]
        cfg = hydra.compose("predict", [*where, "input.columns=[a,b]", f"output={tmp_path / 'said'}"])
    runpy.run_path(str(project_dir("experiments") / "predict.py"))["main"](cfg)
    with h5py.File(tmp_path / "said" / "predictions.h5") as file:
        said = file["mean/prediction"][()]
    np.testing.assert_allclose(said[:, 0], 2 * made["a"] - made["b"], atol=0.2)
