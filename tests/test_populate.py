"""experiments/populate.py: batches of halos with random numbers of their own, the files it leaves, and its errors."""

import importlib.util
import json
import os
import pathlib
import signal
import sys
from unittest import mock

import h5py
import hydra
import jax
import numpy as np
import pytest
from omegaconf import OmegaConf
from rich.console import Console

from galdiff.baryons import population as solvers
from galdiff.baryons.batches import BatchLog, make_batch
from galdiff.baryons.population import LISTS, Report
from galdiff.build import build
from galdiff.errors import InputError
from galdiff.halo.ensemble import masses
from galdiff.io import cluster, solved_batches
from galdiff.io.catalogue import read_catalogue
from galdiff.io.progress import Steps

ROOT = pathlib.Path(__file__).resolve().parent.parent
# three batches, the last one short; the model that compiles fastest
SMALL = (
    "baryons=regulator",
    "halo.n=10",
    "n_steps=32",
    "tolerance=null",
    "batch=4",
    "redshifts=[1.0,0.0]",
)
FILES = ["catalogue.h5", "config.yaml", "metrics.json", "population.png", "report.json"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("populate", ROOT / "experiments" / "populate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(script, folder, *overrides):
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = hydra.compose("populate", overrides=[f"output={folder}", *SMALL, *overrides])
    script.main(cfg)
    return folder


def command(script, folder, *overrides):
    """Exit code of the command line in this process."""
    quiet = ("hydra/job_logging=none", "hydra/hydra_logging=none")  # logging belongs to pytest here
    argv = ["populate.py", f"output={folder}", *quiet, *SMALL, f"hydra.run.dir={folder}/hydra", *overrides]
    with mock.patch.object(sys, "argv", argv), pytest.raises(SystemExit) as leaving:
        script.main()
    return leaving.value.code


def files(folder):
    return sorted(p.name for p in folder.iterdir() if p.is_file())


def make(mass, seed):
    files = (ROOT / "conf" / name for name in ("halo/population.yaml", "cosmology/planck15.yaml"))
    preset, universe = (OmegaConf.to_container(OmegaConf.load(path)) for path in files)
    return build({**preset, "cosmology": universe, "log10_mvir": mass, "n": None, "seed": seed})


@pytest.fixture(scope="module")
def done(script, tmp_path_factory):
    """The folder of a run; halos solved two by two on two devices."""
    return run(script, tmp_path_factory.mktemp("populate"), "chunk=2")


def test_a_run_leaves_a_catalogue_a_picture_and_its_numbers(done):
    assert files(done) == FILES
    metrics = json.loads((done / "metrics.json").read_text())
    assert (metrics["n"], metrics["rows"], metrics["without_row"]) == (10, 10, 0)
    assert metrics["report"] == {"refined": 0, "stiff": 0, "failed": 0, "double": 0, "flagged": 0}
    assert json.loads((done / "report.json").read_text()) == {key: [] for key in LISTS}
    assert metrics["halos_per_second"]["solving"] > metrics["halos_per_second"]["everything"] > 0
    parts = metrics["seconds"]
    assert 0 < parts["making"] + parts["solving"] <= parts["baryon histories of 10 galaxies"] < parts["everything"]
    if pathlib.Path("/proc/self/status").is_file():
        assert 100 < metrics["peak_memory_mb"] < 1e5
    assert metrics["versions"]["jax"] == jax.__version__
    assert (done / "population.png").stat().st_size > 10_000
    assert OmegaConf.load(done / "config.yaml").halo.n == 10


def test_rows_are_the_halos_of_the_config_with_units(done, script):
    found = read_catalogue(done / "catalogue.h5")
    assert found.ids.tolist() == list(range(10))
    assert found.failed == {}
    np.testing.assert_allclose(found.histories.redshift, np.tile([1.0, 0.0], (10, 1)), atol=1e-6)
    np.testing.assert_allclose(np.log10(found.histories.m_vir[:, -1]), masses([10.0, 13.0], 10), atol=0.01)
    assert (np.diff(found.histories.m_star) > 0).all()
    with h5py.File(done / "catalogue.h5") as file:
        assert file["contents/mass/stars"].attrs["units"] == "Msun"
        assert file["time"].attrs["units"] == "Gyr"
        assert "galdiff.baryons.regulator.Regulator" in file.attrs["baryons"]
        assert (file.attrs["seed"], file.attrs["n_galaxies"], file.attrs["n_failed"]) == (0, 10, 0)


def test_results_depend_neither_on_the_chunk_nor_on_the_devices(done, script, tmp_path, monkeypatch):
    assert len(json.loads((done / "metrics.json").read_text())["devices"]) == jax.device_count()
    monkeypatch.setattr(solvers.jax, "device_count", lambda: 1)
    same = read_catalogue(run(script, tmp_path, "chunk=4") / "catalogue.h5").histories
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), same, read_catalogue(done / "catalogue.h5").histories
    )


def test_a_cluster_that_loses_a_worker_makes_the_catalogue_of_one_process(done, script, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    killed, in_order = [], solved_batches.in_order

    def in_order_but_for_one(client, *given):
        for piece in in_order(client, *given):
            if not killed:
                killed.append(min(client.run(os.getpid).values()))
                os.kill(killed[0], signal.SIGKILL)
            yield piece

    assert distributed
    monkeypatch.setattr(solved_batches, "in_order", in_order_but_for_one)
    other = read_catalogue(run(script, tmp_path, "cluster=local", "chunk=2") / "catalogue.h5")
    assert killed
    one = read_catalogue(done / "catalogue.h5")
    np.testing.assert_array_equal(one.ids, other.ids)
    jax.tree.map(np.testing.assert_array_equal, one.histories, other.histories)
    counts = [json.loads((folder / "metrics.json").read_text())["report"] for folder in (done, tmp_path)]
    assert counts[0] == counts[1]


class Client:
    """Stands in for that of a scheduler with two workers: notes what was asked for and what was handed out."""

    def __init__(self):
        self.asked, self.waiting = [], 0

    def scheduler_info(self):
        return {"workers": {"a": 0, "b": 1}}

    def submit(self, piece, number, **given):
        assert given["said"] == "config"
        self.asked.append(number)
        self.waiting += 1
        return mock.Mock(result=lambda: self.done(number))

    def done(self, number):
        self.waiting -= 1
        return 10 * number


def test_pieces_come_in_order_and_few_are_made_ahead():
    client, seen = Client(), []
    for piece in cluster.in_order(client, prepare=lambda said: None, said="config", numbers=range(9)):
        seen.append(piece)
        assert client.waiting <= 4  # two for each worker
    assert seen == [10 * number for number in range(9)]
    assert client.asked == list(range(9))


def test_batches_have_random_numbers_of_their_own_and_a_seed_repeats_them():
    mass = np.full(10, 12.0)
    whole, again, other = (make_batch(make, mass, number, 4, seed) for seed, number in ((0, 0), (0, 0), (0, 1)))
    reseeded = make_batch(make, mass, 0, 4, seed=1)
    np.testing.assert_array_equal(whole.m_vir, again.m_vir)
    for different in (other, reseeded):
        assert (np.abs(whole.m_vir[:, 64] / different.m_vir[:, 64] - 1) > 1e-6).all()
        assert (whole.spin != different.spin).all()
    short = make_batch(make, mass, 2, 4)
    full = make_batch(make, np.full(12, 12.0), 2, 4)
    assert short.t_start.shape == (2,)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:2]), short, full)


def test_the_rate_of_solving_leaves_out_chunks_in_which_a_method_compiles():
    plain, refined = Report(100, (), (), ()), Report(100, (1,), (), ())
    log = BatchLog(solving=[50.0, 1.0, 60.0, 3.0], reports=[plain, plain, refined, refined])
    assert log.rate() == 200 / 4.0
    assert BatchLog(solving=[50.0], reports=[plain]).rate() is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["halo.n=0"], r"halo\.n is 0; give 1 to 1e\+09"),
        (["halo.n=many"], "halo.n is 'many'; give a whole number or null"),
        (["halo=diffmah"], "halo has no seed: it makes no population; choose halo=population"),
        (["batch=0"], "batch is 0; give 1 or more"),
        (["chunk=0"], "chunk is 0; give 1 or more"),
        (["halo.seed=-1"], "halo.seed is -1; give a whole number from 0"),
        (["redshifts=[0.0,1.0]"], r"redshifts are \(0.0, 1.0\); give one or more falling numbers"),
        (["redshifts=[a]"], r"redshifts are \['a'\]; give a list of falling numbers"),
        (["redshifts=null"], "redshifts are None; give a list of falling numbers"),
        (["redshifts=[19.0,0.0]"], "baryons are asked for at redshift 19"),
        (["tolerance=2"], "tolerance is 2 dex"),
        (["halo.n=1000000000"], "no space: .* MB are needed"),
    ],
)
def test_wrong_settings_end_before_anything_is_solved(script, tmp_path, overrides, message):
    with (
        mock.patch.object(script, "stream_catalogue", side_effect=AssertionError),
        pytest.raises(InputError, match=message),
    ):
        run(script, tmp_path, *overrides)


def test_results_are_replaced_only_where_that_is_allowed(done, script, capsys):
    assert command(script, done) == 2
    said = capsys.readouterr().err
    assert "catalogue.h5: exists already" in said
    assert said.count("\n") == 1


def test_an_interrupt_leaves_no_catalogue_under_any_name(done, script, tmp_path, capsys, monkeypatch):
    known = read_catalogue(done / "catalogue.h5", slice(2)).histories

    def one_then_stop(_, halos, names):
        if names[0]:
            assert len([name for name in files(tmp_path) if name != ".lock"]) == 1  # under a name of its own
            raise KeyboardInterrupt
        return known, Report(2, (), (), ())

    monkeypatch.setattr(solvers.Population, "_solve_chunk", one_then_stop)
    assert command(script, tmp_path, "chunk=2") == 130
    assert files(tmp_path) == []
    assert "interrupted" in capsys.readouterr().err


def test_steps_show_their_pace_and_the_time_left(monkeypatch):
    console = Console(record=True, width=100, quiet=False, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    steps, now = Steps(console), [0.0]
    steps.progress.get_time = lambda: now[0]
    with steps("galaxies", 4000) as done:
        for now[0] in (1.0, 2.0, 3.0):
            done(1000)
        console.print(steps.progress.get_renderable())
    assert "1000/s, 0:00:01 left" in console.export_text()
    console.file.close()
