"""Settings and shared data of the tests; the only place in tests/ that touches JAX settings."""

import contextlib
import ctypes
import functools
import gc
import importlib.metadata
import os
import pathlib
import shutil
import sys
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the time of the tests is XLA's, which compiles thousands of programs that run once: tell it not to try hard.
# The numbers change by rounding only. Programs in one part, as both cores are busy: parting costs a quarter of the
# compilation. An unknown flag ends the process, and later releases do not know the last.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    " --xla_cpu_parallel_codegen_split_count=1"
    + (" --xla_cpu_use_fusion_emitters=false" if importlib.metadata.version("jaxlib") < "0.11" else ""),
)

import jax
import jaxtyping
import pytest
from jax.interpreters import mlir

jax.config.update("jax_enable_x64", True)
gc.set_threshold(100_000, 10, 10)  # tracing makes many objects, and searches for garbage among them are slow

# Workers, their children and modules after a clean-up need the same programs: keep them until all ends, in a folder
# that workers inherit. JAX_COMPILATION_CACHE_DIR=FOLDER keeps them for the next time too.
OWN = None if "JAX_COMPILATION_CACHE_DIR" in os.environ else tempfile.mkdtemp(prefix="galdiff-tests-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(OWN))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update(
    "jax_persistent_cache_min_compile_time_secs", float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"])
)
if sys.dont_write_bytecode:  # else every child reads the sources of JAX and all others anew, which takes it seconds
    sys.pycache_prefix = str(pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"], "bytecode"))
    sys.dont_write_bytecode = False
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": sys.pycache_prefix}
# A program that another process is just writing counts as absent, with this warning.
os.environ["PYTHONWARNINGS"] = ",".join(
    filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:Error reading persistent compilation cache"))
)

# JAX loads all dialects of its compiler anew for every program, a fifth of the time of the small ones: load them once
# for each file of tests. A program that is lowered within another one has dialects of its own, as ever.
CONTEXT = functools.lru_cache(1)(mlir.make_ir_context)
_alone = mlir.make_ir_context
sys.modules[mlir.make_ir_context.__module__].make_ir_context = lambda: _alone() if _within_another() else CONTEXT()


def _within_another() -> bool:
    try:
        return mlir.ir.Context.current is not None
    except ValueError:
        return False


if os.environ.get("GALDIFF_TYPECHECK") == "1":  # types and shapes of every annotated call, checked as the tests run
    jaxtyping.install_import_hook("galdiff", "beartype.beartype")


# Files that take half a minute or more, the longest first: begun last, one of them would run alone at the end.
LONG = (
    *("train_processes", "contracts", "baryons_population", "observe", "mismatch", "ifu_engine", "hooks", "simulate"),
    *("wind", "baryons_parity", "baryons_budgets", "finetune", "ssp_emulator", "baryon_laws", "hybrid", "sensitivity"),
    *("sed_fit", "grown", "nn", "case_table", "mock_catalog", "cosmology", "readme", "recover", "packaging", "sed"),
    *("point_sources", "train", "velocity_residual", "sweeps", "bad_input"),
)


def pytest_configure(config):
    """Warnings that say nothing are left out; xdist keeps the order of the files."""
    config.addinivalue_line("filterwarnings", "ignore:.*deprecated by PEP 585")  # beartype, of omegaconf's names
    config.addinivalue_line("filterwarnings", "ignore:Error .*persistent compilation cache")
    config.addinivalue_line("filterwarnings", "ignore:.*hold fewer than 10 effective stars")  # small galaxies do
    config.option.loadscopereorder = False  # by the number of tests, which are short where there are many


def pytest_collection_modifyitems(items):
    """The long files come first."""
    rank = {f"test_{name}": k for k, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))


def pytest_collection_finish():
    """What is imported stays, so no search for garbage goes through it."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    """The programs go where the folder was made: not in a worker, which has inherited it."""
    if OWN is not None:
        shutil.rmtree(OWN, ignore_errors=True)


ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """Folder of third-party test data: $GALDIFF_DATA, else ../shared/data beside the checkout."""
    path = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no test data: set GALDIFF_DATA, or put it into {path}")
    return path


def much() -> float:
    """Bytes of a test process above which compiled programs are dropped: a fifth of the memory, at least 3 GB."""
    return max(3e9, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 5)


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """Programs of thousands of tests fill the memory of a small machine; drop them between modules."""
    yield
    CONTEXT.cache_clear()  # with the constants of its programs
    status = pathlib.Path("/proc/self/statm")
    if status.exists() and int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > much():
        jax.clear_caches()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(
                0
            )  # what glibc keeps counts as memory of the process, and would be dropped again
