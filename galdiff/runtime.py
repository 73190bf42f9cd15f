"""Settings of a process, made by entry points and never at import: precision, devices, caches, folders, versions."""

import importlib.metadata
import pathlib
import platform
import subprocess

import jax
import numpy as np

from galdiff.errors import InputError

PACKAGES = ("galdiff", "jax", "jaxlib", "flax", "diffrax", "optax", "numpy", "scipy", "astropy", "h5py", "hydra-core")


def configure(
    *,
    precision: str = "float32",
    platforms: str | None = None,
    cpu_devices: int | None = None,
    cache_dir: str | pathlib.Path | None = None,
) -> None:
    """Set up JAX for this process; call it before any array exists.

    Args:
      precision: float32 or float64, the widest type in use.
      platforms: where to compute (cpu, cuda, tpu), None for the best there is.
      cpu_devices: number of devices a CPU is split into, None for one.
      cache_dir: folder that keeps compiled programs between runs, None for no cache.

    Raises:
      InputError: unknown precision, or a change that comes after JAX has started.
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
        folder = pathlib.Path(cache_dir).expanduser().resolve()
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


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


def project_dir(name: str) -> pathlib.Path:
    """Folder of the project called `name` (conf, experiments): inside the package if installed, else in the checkout.

    Raises:
      InputError: it is in neither place.
    """
    package = pathlib.Path(__file__).resolve().parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise InputError(f"no folder '{name}' in {package} or {package.parent}; reinstall galdiff, or run from a checkout")


def versions() -> dict[str, str]:
    """Provenance: versions of Python and of the packages that decide numbers, and the commit in a checkout."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    root = pathlib.Path(__file__).resolve().parent.parent
    if (root / ".git").exists():
        try:
            git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
            found["commit"] = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            found["commit"] = "unknown"
    return found
