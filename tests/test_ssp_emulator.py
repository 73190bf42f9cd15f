"""A network in place of an SSP library: what it promises at ages it never saw, and as a library of its own."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from galdiff.cases.ssp_emulator import SSPEmulation, error_percentiles
from galdiff.errors import InputError
from galdiff.nn.mlp import MLP
from galdiff.records import SSPGrid
from galdiff.sps.analytic import default_grid
from galdiff.sps.analytic.default_library import analytic_ssp, default_coefficients
from galdiff.sps.emulator import Emulator, Held, emulated_grid, is_empty, spectra, with_components
from galdiff.sps.library import load_ssp
from galdiff.train.export import bundled, export
from galdiff.train.load import load
from galdiff.train.loop import Task, TrainingSettings, train
from galdiff.train.optimisers import adamw
from galdiff.train.trained_parts import emulated_ssp, emulator_of

CONFIG = """
seed: 0
model:
  _target_: galdiff.sps.emulator.Emulator
  size: [3, 9, 400]
  net: {_target_: galdiff.nn.mlp.MLP, _partial_: true, n_in: 2, n_out: 12, hidden: [48, 48], activation: gelu,
        offset: [-0.5, -2.0], scale: [0.3, 0.5], dtype: float32}
"""


def empty(size=(3, 9, 400), n_out=12, scale=(0.3, 0.5), hidden=(48, 48)) -> Emulator:
    net = MLP(
        **dict(n_in=2, n_out=n_out, hidden=hidden, activation="gelu", dtype="float32"),
        **dict(offset=(-0.5, -2.0), scale=scale, rngs=nnx.Rngs(0)),
    )
    return Emulator(size=size, net=net)


@pytest.fixture(scope="module")
def small() -> SSPGrid:
    """Three metallicities and nine ages of the analytic library, in the optical."""
    return analytic_ssp(
        default_coefficients(),
        ages_gyr=np.logspace(-1.5, 1.0, 9),
        metallicities=np.array([0.004, 0.0142, 0.03]),
        wave=np.linspace(3600.0, 7400.0, 400),
    )


@pytest.fixture(scope="module")
def run(small, tmp_path_factory) -> tuple[SSPEmulation, pathlib.Path, dict, Emulator]:
    """A short training, its folder, its numbers and its model."""
    folder = tmp_path_factory.mktemp("emulator")
    case = SSPEmulation(library=small, batch_size=None)
    model = case.prepare(empty())
    task = Task(
        model=model,
        objective=case.loss,
        optimiser=adamw(learning_rate=5e-3, steps=2000, warmup=50, final=0.01),
        which=["net.*"],
        source=case.source,
        validation=case.validation,
    )
    settings = TrainingSettings(steps=2000, validate_every=1000, checkpoint_every=2000)
    outcome = train(task, settings, folder, meta={"config": CONFIG, "data": case.data})
    return case, folder, case.show({"main": outcome}, folder), outcome.model


@pytest.fixture(scope="module")
def given() -> Emulator:
    return emulator_of()


def test_a_short_training_meets_the_goals_at_ages_it_never_saw(run):
    case, folder, result, _ = run
    assert not set(case.lg_age[case.held]) & set(case.lg_age[case.seen])
    assert result["goals"] == {"median": True, "percentile_99": True}, result["held_out"]
    assert all((folder / name).stat().st_size > 10_000 for name in ("spectra.png", "errors.png"))


def test_training_leaves_the_components_as_they_were(run, small):
    case, _, _, model = run
    before = case.prepare(empty())
    for name in ("basis", "mean", "wave", "fwhm", "lg_age", "lgmet"):
        np.testing.assert_array_equal(getattr(model, name)[...], getattr(before, name)[...])
    assert np.abs(model.net.layers.layers[-1].kernel[...]).max() > 0


def test_the_loss_is_the_mean_square_over_pixels_within_the_components(run):
    case, _, _, model = run
    loss, pieces = case.loss(model, case.validation.all_rows(), jax.random.key(0))
    said = np.log(spectra(model, *case._places(case.held)))
    square = np.mean((said - case._rows(case.held)) ** 2) * 1e4  # percent^2
    assert loss == pytest.approx(square, rel=0.05)  # but for what no component says
    assert pieces["rms_percent"] == pytest.approx(np.sqrt(loss))


def test_samples_of_weight_zero_do_not_count(run):
    case, _, _, model = run
    batch = case.source.all_rows()
    some = batch._replace(weight=(np.arange(len(batch.weight)) < 5).astype(float))
    first = batch._replace(samples=jax.tree.map(lambda x: x[:5], batch.samples), weight=np.ones(5))
    np.testing.assert_allclose(case.loss(model, some, None)[0], case.loss(model, first, None)[0], rtol=1e-3)


def test_a_run_comes_back_from_its_checkpoint_alone(run, tmp_path):
    _, folder, _, model = run
    here = (np.array([-0.7, 0.3]), np.array([-2.0, -1.7]))
    np.testing.assert_array_equal(spectra(load(folder).model, *here), spectra(model, *here))
    small = export(folder, tmp_path / "given")
    np.testing.assert_array_equal(spectra(emulator_of(small), *here), spectra(model, *here))
    size = lambda path: sum(p.stat().st_size for p in pathlib.Path(path).rglob("*") if p.is_file())  # noqa: E731
    assert size(small) < 0.75 * size(folder / "checkpoints")
    with pytest.raises(InputError, match="exists"):
        export(folder, small)


def test_an_untrained_emulator_is_the_mean_spectrum(small):
    rows = np.log(np.asarray(small.ssp_flux)).reshape(-1, 400)
    model = with_components(empty(), small, rows)
    np.testing.assert_allclose(model(-0.3, -1.9), np.exp(rows.mean(0)), rtol=1e-5)


def test_a_model_that_holds_components_keeps_them(run, small):
    *_, model = run
    brighter = SSPGrid(**{**vars(small), "ssp_flux": 2 * small.ssp_flux})
    kept = SSPEmulation(library=brighter).prepare(model)
    np.testing.assert_array_equal(kept.basis[...], model.basis[...])


def test_slopes_agree_with_differences(run):
    *_, model = run
    graph, state = nnx.split(model)
    double = nnx.merge(graph, jax.tree.map(lambda x: x.astype(float), state))
    double.net.dtype = "float64"
    for layer in double.net.layers.layers:
        layer.dtype = layer.param_dtype = jnp.float64
    flux = lambda x: jnp.log(double(x[0], x[1]))  # noqa: E731
    at, step = jnp.array([-0.41, -1.93]), 1e-5
    slopes = jax.jit(jax.jacfwd(flux))(at)
    for k in (0, 1):
        move = step * jnp.eye(2)[k]
        differences = (flux(at + move) - flux(at - move)) / (2 * step)
        np.testing.assert_allclose(slopes[:, k], differences, rtol=1e-5, atol=1e-7)
        assert np.abs(differences).max() > 0.05  # there is something to compare


def test_beyond_its_library_it_stays_at_the_edge(given):
    for inside, outside in (((1.15, -2.0), (3.0, -2.0)), ((0.0, -4.0), (0.0, -9.0))):
        np.testing.assert_array_equal(given(*inside), given(*outside))
    slope = jax.grad(lambda a: given(a, -2.0)[3000])
    assert slope(2.0) == 0.0
    assert slope(0.9) < 0.0


def test_the_given_emulator_meets_its_numbers(given):
    library = default_grid(wave_range=(1000.0, 25000.0))
    lgmet, lg_age = np.meshgrid(library.ssp_lgmet, library.ssp_lg_age_gyr, indexing="ij")
    at_nodes = np.abs(spectra(given, lg_age.ravel(), lgmet.ravel()) / library.ssp_flux.reshape(-1, 6277) - 1)
    assert (numbers := error_percentiles(at_nodes))["median"] < 0.002, numbers
    assert numbers["percentile_99"] < 0.03, numbers
    case = SSPEmulation(library=library, refine=(1, 4))
    held = np.abs(np.expm1(np.log(spectra(given, *case._places(case.held))) - case._rows(case.held)))
    assert (numbers := error_percentiles(held))["median"] < 0.005, numbers
    assert numbers["percentile_99"] < 0.03, numbers


def test_the_given_checkpoint_is_small_and_of_the_analytic_library():
    folder = bundled("ssp_emulator")
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 2_000_000
    grid = emulated_ssp()
    assert grid.name == "emulator of galdiff analytic"
    assert (grid.imf, grid.medium) == ("kroupa", "vacuum")
    assert load(folder).meta["data"]["library"] == "galdiff analytic"


def test_the_emulated_library_has_the_nodes_of_its_teacher(run, small):
    *_, model = run
    grid = emulated_grid(model, name="x", imf="kroupa")
    for name in ("ssp_wave", "ssp_lg_age_gyr", "ssp_lgmet", "ssp_fwhm"):
        np.testing.assert_allclose(getattr(grid, name), getattr(small, name), rtol=3e-7)
    assert grid.ssp_flux.shape == small.ssp_flux.shape
    assert np.quantile(np.abs(grid.ssp_flux / small.ssp_flux - 1), 0.99) < 0.03


def test_single_precision_gives_the_same_numbers(given):
    doubled = spectra(given, np.float64([-0.2]), np.float64([-1.9]))
    single = spectra(given, np.float32([-0.2]), np.float32([-1.9]))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, doubled, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refine": (0, 4)}, "case.refine"),
        ({"refine": (2,)}, "case.refine"),
        ({"hold": 1}, "case.hold"),
        ({"first": 0}, "inner age"),
        ({"first": 99}, "inner age"),
    ],
)
def test_wrong_choices_of_held_out_ages_are_refused(small, changes, words):
    with pytest.raises(InputError, match=words):
        SSPEmulation(library=small, **changes)


def test_wrong_models_are_refused(small, tmp_path):
    case = SSPEmulation(library=small)
    with pytest.raises(InputError, match=r"set model.size=\[3,9,400\]"):
        case.prepare(empty(size=(3, 9, 401)))
    with pytest.raises(InputError, match=r"trains a galdiff\.sps.emulator.Emulator"):
        case.prepare(empty().net)
    with pytest.raises(InputError, match="n_in: 2"):
        Emulator(size=(3, 9, 400), net=MLP(n_in=3, n_out=4, rngs=nnx.Rngs(0)))
    with pytest.raises(InputError, match="train it"):
        emulated_grid(empty(), name="", imf="")
    other = SSPGrid(**{**vars(small), "ssp_wave": small.ssp_wave + 5.0})
    with pytest.raises(InputError, match="other wavelengths"):
        SSPEmulation(library=other).prepare(case.prepare(empty()))
    with pytest.raises(InputError, match="no checkpoint"):
        emulated_ssp(tmp_path)
    with pytest.raises(InputError, match="comes with this installation"):
        bundled("no_such")


def test_data_are_held_as_numbers_that_a_checkpoint_stores():
    model = empty()
    held = {path[0] for path, node in nnx.iter_graph(model) if isinstance(node, Held)}
    assert held == {"basis", "mean", "wave", "fwhm", "lg_age", "lgmet"}
    assert is_empty(model)


def test_miles_keeps_whole_nodes_out_of_training_when_asked(data_dir):
    library = load_ssp(data_dir / "ssp" / "ssp_miles_small.h5")
    case = SSPEmulation(library=library, refine=(1, 1))
    assert len(case.held) + len(case.seen) == len(library.ssp_lg_age_gyr)
    assert 0 not in case.held
    assert len(library.ssp_lg_age_gyr) - 1 not in case.held
    np.testing.assert_allclose(case.ln_flux, np.log(library.ssp_flux), rtol=1e-5)


def test_miles_is_emulated_within_the_goals(data_dir, tmp_path):
    library = load_ssp(data_dir / "ssp" / "ssp_miles_small.h5")
    case = SSPEmulation(library=library)
    size = library.ssp_flux.shape
    model = case.prepare(empty(size=size, n_out=40, scale=(0.17, 0.65), hidden=(96, 96)))
    task = Task(
        model=model,
        objective=case.loss,
        optimiser=adamw(learning_rate=5e-3, steps=3000, warmup=100, final=0.01),
        which=["net.*"],
        source=case.source,
        validation=case.validation,
    )
    settings = TrainingSettings(steps=3000, validate_every=1500, checkpoint_every=3000)
    result = case.show({"main": train(task, settings, tmp_path)}, tmp_path)
    assert result["goals"] == {"median": True, "percentile_99": True}, result["held_out"]
