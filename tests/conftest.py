"""Settings and shared data of the tests; the only place in tests/ that touches JAX settings."""

import atexit
import gc
import importlib.metadata
import os
import pathlib
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the time of the tests is XLA's, which compiles thousands of programs that run once: tell it not to try hard.
# The numbers change by rounding only. An unknown flag ends the process, and later releases do not know the third.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    + (" --xla_cpu_use_fusion_emitters=false" if importlib.metadata.version("jaxlib") < "0.11" else ""),
)
# Workers, their children and modules after a clean-up need the same programs: keep them in a folder until all ends, or
# longer in one of the developer's. A file that another process is writing is read as nothing, with a warning.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="galdiff-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
HALF_WRITTEN = "ignore:Error reading persistent compilation cache"
os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), HALF_WRITTEN]))

import jax
import jaxtyping
import pytest

jax.config.update("jax_enable_x64", True)

if os.environ.get("GALDIFF_TYPECHECK") == "1":  # types and shapes of every annotated call, checked as the tests run
    jaxtyping.install_import_hook("galdiff", "beartype.beartype")


def pytest_configure(config):
    """Warnings that say nothing: the checker's of types that Python calls by an older name, such as omegaconf's."""
    config.addinivalue_line("filterwarnings", "ignore:.*deprecated by PEP 585")
    config.addinivalue_line("filterwarnings", HALF_WRITTEN)


ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """Folder of third-party test data: $GALDIFF_DATA, else ../shared/data beside the checkout."""
    path = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no test data: set GALDIFF_DATA, or put it into {path}")
    return path


MUCH = 3e9  # bytes of a test process, above which compiled programs are dropped


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """Programs of thousands of tests fill the memory of a small machine; drop them between modules."""
    yield
    status = pathlib.Path("/proc/self/statm")
    if status.exists() and int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > MUCH:
        jax.clear_caches()
        gc.collect()
