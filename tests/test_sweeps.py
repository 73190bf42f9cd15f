"""Sweeps of trainings: a complete folder for each job, with its own seed, by every launcher; what a search is told."""

import importlib.util
import json
import subprocess
import sys

import pytest
import yaml
from sweep_case import SMALL, Seen, library

import galdiff
from galdiff import cli
from galdiff.runtime import project_dir
from galdiff.train.log import read_log

COMPLETE = {"config.yaml", "metrics.jsonl", "summary.json", "checkpoints", "train.log", "spectra.png"}


def check(folder):
    """Two complete runs, different ones."""
    made = {}
    for job, seed in (("0", 1), ("1", 2)):
        run = folder / job
        assert {path.name for path in run.iterdir()} >= COMPLETE
        assert yaml.safe_load((run / "config.yaml").read_text())["seed"] == seed
        assert galdiff.load(run).step == 4
        made[job] = [line["loss"] for line in read_log(run / "metrics.jsonl")]
        assert len(made[job]) == 4
    assert made["0"] != made["1"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Folder of a sweep of this process, and what its jobs returned to Hydra."""
    folder = tmp_path_factory.mktemp("sweep")
    Seen.returned.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["galdiff"])
        seen = "+hydra.callbacks.seen._target_=sweep_case.Seen"
        cli.main(["train", "-m", *SMALL, library(folder), "seed=1,2", f"output={folder / 'all'}", seen])
    return folder / "all", list(Seen.returned)


def test_a_sweep_leaves_a_complete_folder_for_each_job(sweep):
    check(sweep[0])


def test_the_best_validation_loss_of_the_last_stage_reaches_hydra(sweep):
    folder, returned = sweep
    best = [json.loads((folder / job / "summary.json").read_text())["stages"]["network"]["best"] for job in "01"]
    assert returned == best
    lines = read_log(folder / "1" / "metrics.jsonl")
    assert best[1] == min(line["validation"] for line in lines if "validation" in line)


@pytest.mark.parametrize("launcher", ["joblib"])
def test_processes_of_a_launcher_do_the_same(launcher, sweep, tmp_path):
    if importlib.util.find_spec(f"hydra_plugins.hydra_{launcher}_launcher") is None:
        pytest.skip(f"no launcher {launcher}")
    command = [sys.executable, project_dir("experiments") / "train.py", "-m", *SMALL, library(tmp_path), "seed=1,2"]
    here = [f"hydra/launcher={launcher}", "hydra.launcher.n_jobs=2", f"output={tmp_path / 'all'}"]
    done = subprocess.run([*command, *here], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    check(tmp_path / "all")
    for job in "01":
        mine, other = (read_log(folder / job / "metrics.jsonl") for folder in (sweep[0], tmp_path / "all"))
        assert [line["loss"] for line in mine] == pytest.approx([line["loss"] for line in other], rel=1e-9)
