"""Settings of a process, made by entry points and never at import: precision, devices, caches, folders, versions."""

import contextlib
import hashlib
import importlib.metadata
import pathlib
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from galdiff.errors import InputError, Lost
from galdiff.folders import project_dir as project_dir  # light, for who needs no JAX
from galdiff.program_cache import keep_programs

PACKAGES = ("galdiff", "jax", "jaxlib", "flax", "diffrax", "optax", "numpy", "scipy", "astropy", "h5py", "hydra-core")
PROCESS = frozenset({"coordinator", "num_processes", "process_id"})
PATIENCE = {"wait": 120, "heartbeat": 60}  # seconds
LOST = ("Gloo", "NCCL", "by peer", "UNAVAILABLE", "heartbeat")  # in what JAX says when another process is gone
LONGEST = 4096  # bytes of a message that goes to all processes


def configure(
    *,
    precision: str = "float32",
    platforms: str | None = None,
    cpu_devices: int | None = None,
    cache_dir: str | pathlib.Path | None = None,
    distributed: str | Mapping[str, Any] | None = None,
) -> None:
    """Set up JAX for this process; call it before any array exists.

    Args:
      precision: float32 or float64, the widest type in use.
      platforms: where to compute (cpu, cuda, tpu), None for the best there is.
      cpu_devices: number of devices a CPU is split into, None for one.
      cache_dir: folder that keeps compiled programs between runs, "auto" for one of the user, None for no cache.
      distributed: how this process finds the others that train with it, see `join`; None for a lone process.

    Raises:
      InputError: unknown precision, a change that comes after JAX has started, or others that do not come.
    """
    if precision not in ("float32", "float64"):
        raise InputError(f"precision is '{precision}'; choose float32 or float64")
    jax.config.update("jax_enable_x64", precision == "float64")
    if platforms is not None:
        jax.config.update("jax_platforms", platforms)
    if cpu_devices is not None:
        try:
            jax.config.update("jax_num_cpu_devices", int(cpu_devices))
        except RuntimeError as error:
            raise InputError(f"cpu_devices={cpu_devices} comes after JAX has started; configure it first") from error
    if cache_dir is not None:
        keep_programs(cache_dir)
    if distributed is not None:
        join(distributed)


def join(distributed: str | Mapping[str, Any]) -> None:
    """Connect the processes that train together; their devices then form one mesh.

    Args:
      distributed: "auto" where a launcher that JAX knows started them (Slurm, Open MPI, Kubernetes), else
        `coordinator` (host:port of the first), `num_processes` and `process_id` (from 0); optionally `wait`, seconds
        for all to come (120), and `heartbeat`, seconds of silence after which a process counts as dead (60).

    Raises:
      InputError: other keys, a missing one, or processes that do not come.
    """
    given = {} if distributed == "auto" else distributed
    if not isinstance(given, Mapping) or not set(given) <= {*PROCESS, *PATIENCE} or (given and not {*given} >= PROCESS):
        raise InputError(
            f"runtime.distributed is {distributed}; give auto, or {', '.join(sorted(PROCESS))} (optionally"
            f" {', '.join(sorted(PATIENCE))})"
        )
    seconds = {name: int(given.get(name, default)) for name, default in PATIENCE.items()}
    named = {"coordinator_address": given.get("coordinator")} if given else {}
    named |= {name: int(given[name]) for name in ("num_processes", "process_id") if given}
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            **named,
            initialization_timeout=seconds["wait"],
            heartbeat_timeout_seconds=seconds["heartbeat"],
            shutdown_timeout_seconds=seconds["heartbeat"],
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"runtime.distributed={distributed}: the processes do not find each other ({reason}); start all of them,"
            " with one coordinator that each can reach, before JAX is used"
        ) from error


def first_process() -> bool:
    """Whether this process is the one that shows progress and writes what is written once; a lone process is."""
    return jax.process_index() == 0


@contextlib.contextmanager
def together(what: str) -> Iterator[None]:
    """Work that takes all processes: what JAX says when one is gone becomes one line, that names the work."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if jax.process_count() == 1 or isinstance(error, InputError) or not any(word in str(error) for word in LOST):
            raise
        raise Lost(
            f"{what}: process {jax.process_index()} lost another of the {jax.process_count()}"
            f" ({' '.join(str(error).split())[:160]}); start all again, and the run goes on from its newest checkpoint"
        ) from error


def first_does(action: Callable[[], None], what: str) -> None:
    """The first process acts and the others wait for it; what it refuses, all refuse.

    Args:
      action: of the first process; its InputError is raised in all.
      what: name of the work, for an error.
    """
    failed: Exception | None = None
    if first_process():
        try:
            action()
        except Exception as error:  # also a bug must not leave the others waiting
            failed = error
    if jax.process_count() > 1:
        said = "" if failed is None else _reason(failed, what)
        with together(what):
            own = np.frombuffer(said.encode()[:LONGEST].ljust(LONGEST), np.uint8)
            said = bytes(np.asarray(multihost_utils.broadcast_one_to_all(own))).decode(errors="ignore").strip()
        if said and failed is None:
            raise InputError(said)
    if failed is not None:
        raise failed


def _reason(error: Exception, what: str) -> str:
    if isinstance(error, InputError):
        return str(error) or what
    return f"{what}: the first process failed ({type(error).__name__}: {error})"


def all_do(action: Callable[[], Any], what: str) -> Any:
    """What the action of this process returns; where that of one process is refused, all end.

    Args:
      action: of every process.
      what: name of the work, for an error.
    """
    failed: Exception | None = None
    try:
        result = action()
    except Exception as error:  # also a bug must not leave the others waiting
        failed = error
    with together(what):
        fine = agreed(failed is None)
    if not fine:
        raise failed or InputError(f"{what}: refused by another process, which says why")
    return result


def alike(text: str) -> bool:
    """Whether all processes give the same text; all of them ask at the same points of the program."""
    if jax.process_count() == 1:
        return True
    own = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    return bool((multihost_utils.process_allgather(own) == own).all())


def agreed(own: bool) -> bool:
    """Whether all processes say yes; all of them ask at the same points of the program."""
    return own if jax.process_count() == 1 else bool(multihost_utils.process_allgather(np.asarray(own)).all())


def data_mesh(n: int | None = None) -> jax.sharding.Mesh:
    """Mesh of the first n devices (all by default) along the axis "data", with a "model" axis of length 1."""
    devices = jax.devices()
    if n is not None and not 1 <= n <= len(devices):
        raise InputError(
            f"{n} devices asked for, but there are {len(devices)}; ask for 1 to {len(devices)}, or split the CPU with"
            " runtime.configure(cpu_devices=...)"
        )
    # Mesh has Auto axes; jax.make_mesh makes Explicit ones, which ODE solvers and interpolation reject.
    return jax.sharding.Mesh(np.array(devices[:n]).reshape(-1, 1), ("data", "model"))


def peak_memory() -> float | None:
    """Largest resident memory of this process until now [MB], where the system tells."""
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")), None)


def version_of(name: str) -> str:
    """Version of a package; "not installed" for one that is not, as galdiff in a checkout that is only on the path."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def versions() -> dict[str, str]:
    """Provenance: versions of Python and of the packages that decide numbers, and the commit in a checkout."""
    found = {"python": platform.python_version()}
    found |= {name: version_of(name) for name in PACKAGES}
    root = pathlib.Path(__file__).resolve().parent.parent
    if (root / ".git").exists():
        try:
            git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
            found["commit"] = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            found["commit"] = "unknown"
    return found
