"""One of several processes that train the small case together, for tests/test_train_processes.py.

python process_case.py PORT PROCESSES NUMBER FOLDER STEPS SECONDS_A_STEP; PORT 0 for what Slurm says.
"""

import os
import sys
import time

from galdiff import runtime

port, n, number, folder, steps, pause = sys.argv[1:]
own = {"coordinator": f"localhost:{port}", "num_processes": int(n), "process_id": int(number), "heartbeat": 10}
runtime.configure(precision="float64", distributed="auto" if port == "0" else own)

from training_case import SETTINGS, TrainingSettings, task, train  # noqa: E402  (makes arrays)

from galdiff.errors import InputError  # noqa: E402
from galdiff.train.meshes import mesh_of  # noqa: E402


def say(what):
    """A whole line at once: the processes share a pipe, and `print` may write the end of a line apart."""
    os.write(1, f"{what}\n".encode())


def report(step, metrics):
    """A step as a line, slowly."""
    say(step)
    time.sleep(float(pause))


try:
    outcome = train(
        task(), TrainingSettings(**{**SETTINGS, "steps": int(steps)}), folder, mesh=mesh_of("data"), report=report
    )
except InputError as error:
    say(error)
    raise SystemExit(1) from error
say(f"end {outcome.end} {outcome.step}")
