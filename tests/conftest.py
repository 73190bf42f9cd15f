"""Settings and shared data of the tests; the only place in tests/ that touches JAX settings."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import jax
import pytest

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """Folder of third-party test data: $GALDIFF_DATA, else ../shared/data beside the checkout."""
    path = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no test data: set GALDIFF_DATA, or put it into {path}")
    return path
