"""Several processes that train together: one curve, one checkpoint, and an end when one of them dies."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from programs import Program, one_device
from sweep_case import SMALL, library
from training_case import SETTINGS, task

from galdiff.errors import InputError
from galdiff.runtime import join, project_dir
from galdiff.train.log import read_log
from galdiff.train.loop import TrainingSettings, train

HERE = pathlib.Path(__file__).parent
BOUND = 60.0  # seconds in which a run ends that lost a process


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def together(folder, steps, pause=0.0):
    """Two processes that train in a folder."""
    port = free_port()
    return [
        Program(HERE / "process_case.py", port, 2, number, folder, steps, pause, env=one_device()) for number in (0, 1)
    ]


def ended(processes) -> list[str]:
    """What they said; all of them ended well."""
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    return [out for out, _ in said]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Fourteen steps by two processes, and what these said."""
    folder = tmp_path_factory.mktemp("together")
    return folder, ended(together(folder, 14))


def test_two_processes_give_the_curve_of_one_and_one_checkpoint_that_one_goes_on_from(run, tmp_path):
    folder, said = run
    assert "end finished 14" in said[0]
    assert "end finished 14" in said[1]
    assert "\n14\n" in said[0]  # only the first one reports
    assert "\n14\n" not in said[1]
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["14", "7"]
    train(task(), TrainingSettings(**{**SETTINGS, "steps": 20}), tmp_path)
    again = train(task(), TrainingSettings(**{**SETTINGS, "steps": 20}), folder)
    assert (again.end, again.step) == ("finished", 20)
    curves = [[line["loss"] for line in read_log(f / "metrics.jsonl")] for f in (folder, tmp_path)]
    assert len(curves[0]) == 20
    np.testing.assert_allclose(*curves, rtol=1e-6)


def experiment(folder, *own, heartbeat=20):
    """The same experiment by two processes, each with overrides of its own."""
    found = f'coordinator: "localhost:{free_port()}", num_processes: 2, heartbeat: {heartbeat}'
    script, output = project_dir("experiments") / "train.py", f"output={folder / 'run'}"
    command = [script, *SMALL, library(folder), "mesh=data", output]
    return [
        Program(*command, *more, f"runtime.distributed={{{found}, process_id: {number}}}", env=one_device())
        for number, more in enumerate(own)
    ]


def refused(processes, *messages):
    """Every process says its message in one line and exits with 2."""
    for process, message in zip(processes, messages, strict=True):
        _, said = process.communicate(timeout=120)
        lines = [line for line in said.splitlines() if "[Gloo]" not in line]
        assert process.returncode == 2, said
        assert len(lines) == 1
        assert message in lines[0]


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """An experiment by two processes: its folder, and what they said."""
    folder = tmp_path_factory.mktemp("experiment")
    return folder, ended(experiment(folder, [], []))


def test_an_experiment_by_two_processes_leaves_one_folder_and_the_first_alone_speaks(launched):
    folder, said = launched
    run = folder / "run"
    assert said[0].count("network: step 4/4") == 1
    assert said[0].count(f"s: {run}") == 1
    assert [line for line in said[1].splitlines() if "[Gloo]" not in line] == []
    made = {path.name for path in run.iterdir()}
    assert made >= {"config.yaml", "metrics.jsonl", "summary.json", "spectra.png", "train.log"}
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["2", "4"]
    assert [line["step"] for line in read_log(run / "metrics.jsonl")] == [1, 2, 3, 4]
    assert yaml.safe_load((run / "config.yaml").read_text())["seed"] == 0


def test_what_one_process_refuses_ends_both_in_one_line(launched, tmp_path):
    folder, _ = launched
    refused(experiment(folder, ["seed=7"], ["seed=7"]), *["another run was begun here (case.seed, seed differ)"] * 2)
    hidden = "model.net.hidden=[0]"
    refused(experiment(tmp_path, [hidden], [hidden]), *["each width of hidden is 0"] * 2)
    refused(experiment(tmp_path, [], ["seed=7"]), *["the processes have different configs"] * 2)
    (other := tmp_path / "other").mkdir()
    absent = f"checkpoint={tmp_path / 'absent'}"
    refused(experiment(other, [absent], [absent]), *["absent: holds no checkpoint"] * 2)


@pytest.mark.parametrize("victim", [0, 1])
def test_an_experiment_that_lost_a_process_says_so_and_leaves_at_once(victim, tmp_path):
    long = "stages.network.train={steps: 100000, validate_every: 50000, checkpoint_every: 50000}"
    processes = experiment(tmp_path, [long], [long], heartbeat=100)
    log, waited = tmp_path / "run" / "metrics.jsonl", time.monotonic()
    while not (log.exists() and log.stat().st_size):
        assert time.monotonic() - waited < 60, "no step"
        time.sleep(0.05)
    os.kill(processes[victim].pid, signal.SIGKILL)
    _, said = processes[1 - victim].communicate(timeout=30)
    processes[victim].communicate()
    if victim == 0 and processes[1].returncode == -signal.SIGABRT:
        assert "another task died" in said  # a thread of JAX was faster
        return
    assert processes[1 - victim].returncode == 2, said
    assert f"process {1 - victim} lost another of the 2" in said.splitlines()[-1]
    assert "start all again" in said.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_a_process_dies_the_other_ends_and_the_next_launch_goes_on(victim, tmp_path):
    processes = together(tmp_path, 400, 0.1)
    waited = time.monotonic()
    while not (tmp_path / "checkpoints" / "7").exists():
        assert time.monotonic() - waited < 60, "no checkpoint"
        time.sleep(0.05)
    os.kill(processes[victim].pid, signal.SIGKILL)
    said, _ = processes[1 - victim].communicate(timeout=BOUND)
    processes[victim].communicate()
    assert processes[1 - victim].returncode not in (0, None)
    assert "start all again" in said or "another task died" in said  # ours, or JAX's own where the first one died
    if victim == 0:
        return  # what remains in the folder is the same
    steps = int(max((p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()), key=int)) + 2
    assert "end finished" in ended(together(tmp_path, steps))[0]
    assert [line["step"] for line in read_log(tmp_path / "metrics.jsonl")] == list(range(1, steps + 1))


def test_a_signal_to_one_process_ends_all_with_a_checkpoint(tmp_path):
    processes = together(tmp_path, 400, 0.05)
    for _ in range(20):  # lines until some steps are done
        if processes[0].stdout.readline().strip() == "3":
            break
    processes[1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert all("end interrupted" in text for text in said), said
    step = int(said[0].split()[-1])
    assert (tmp_path / "checkpoints" / str(step)).is_dir()
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"] == step


ALONE = """
import sys, time
from galdiff import runtime
from galdiff.errors import InputError
port, number = sys.argv[1:]
found = {"coordinator": "localhost:" + port, "num_processes": 2, "process_id": int(number), "heartbeat": 5}
runtime.configure(distributed=found)
def refuse():
    raise InputError("no file on " + number)
for what in (lambda: runtime.first_does(refuse, "one"), lambda: runtime.first_does(lambda: 1 / 0, "bug"),
             lambda: runtime.all_do(refuse if number == "1" else lambda: 1, "two")):
    try:
        what()
    except (InputError, ZeroDivisionError) as error:
        print(error)
runtime.first_does(lambda: time.sleep(8), "three")
print(runtime.all_do(lambda: "done " + number, "four"))
"""


def test_processes_share_refusals_and_wait_for_the_first_longer_than_a_heartbeat(tmp_path):
    (script := tmp_path / "alone.py").write_text(ALONE)
    port = free_port()
    said = ended([Program(script, port, number, env=one_device()) for number in (0, 1)])
    own = [[line for line in text.splitlines() if "[Gloo]" not in line] for text in said]
    assert own[0] == ["no file on 0", "division by zero", "two: refused by another process, which says why", "done 0"]
    bug = "bug: the first process failed (ZeroDivisionError: division by zero)"
    assert own[1] == ["no file on 0", bug, "no file on 1", "done 1"]


def test_what_is_no_way_to_find_others_is_refused():
    with pytest.raises(InputError, match="give auto, or coordinator, num_processes, process_id"):
        join("slurm")
    with pytest.raises(InputError, match="give auto"):
        join({"coordinator": "localhost:1"})


def test_the_slurm_script_starts_tasks_that_find_each_other(tmp_path):
    srun, python = tmp_path / "srun", tmp_path / "python"
    srun.write_text(
        "#!/bin/bash\nshift\nexport SLURM_STEP_NODELIST=localhost SLURM_NTASKS=2 SLURM_STEP_NUM_NODES=1\n"
        'for k in 0 1; do SLURM_PROCID=$k SLURM_LOCALID=$k "$@" & one[$k]=$!; done\nwait ${one[0]} && wait ${one[1]}\n'
    )
    case = f"{sys.executable} {HERE / 'process_case.py'}"
    python.write_text(
        f'#!/bin/bash\necho "$@" > {tmp_path}/asked-$SLURM_PROCID\nexec {case} 0 2 $SLURM_PROCID {tmp_path}/run 3 0\n'
    )
    for program in (srun, python):
        program.chmod(0o755)
    environment = one_device(SLURM_JOB_ID=str(os.getpid()))
    environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": str(python), "GALDIFF_OUTPUT": "there"}
    script = HERE.parent / "docs" / "slurm" / "train.sbatch"
    done = subprocess.run(["bash", script, "seed=3"], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("end finished 3") == 2
    asked = (tmp_path / "asked-1").read_text()
    assert asked == "experiments/train.py seed=3 mesh=data runtime.distributed=auto output=there\n"
