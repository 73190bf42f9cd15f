"""Arguments of the command line before Hydra reads them, and values that are only used at the end of a run."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from galdiff.errors import InputError

VALUED = (
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
    *("-i", "--info"),
)
MAX_SEED = 2**32 - 1  # what JAX and NumPy both take


def ordered(argv: Iterable[str]) -> list[str]:
    """Arguments with the keys together and the options, such as -m, behind them: argparse wants no option between."""
    keys: list[str] = []
    options: list[str] = []
    for text in argv:
        belongs = bool(options) and options[-1] in VALUED and not (options[-1] in ("-i", "--info") and "=" in text)
        (options if text.startswith("-") or belongs else keys).append(text)
    return [*keys, *options]


def quoted(override: str) -> str:
    """An override whose value is one text, as it is typed into a shell: 'input.path="runs/epoch=9/snap.hdf5"'."""
    key, _, value = override.partition("=")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    inside = value.replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'{key}="{inside}"')


def check_seeds(config: Any, path: str = "") -> None:
    """Refuse what is no seed of random numbers, wherever a plain config has a key `seed` of galdiff's.

    Raises:
      InputError: naming the key, its value and what is allowed.
    """
    if not isinstance(config, Mapping) or not str(config.get("_target_", "galdiff.")).startswith("galdiff."):
        return
    for name, child in config.items():
        key = f"{path}.{name}" if path else str(name)
        later = isinstance(child, str) and ("${" in child or child == "???")
        if name == "seed" and not later and not (type(child) is int and 0 <= child <= MAX_SEED):
            raise InputError(f"{key} is {child}; give a whole number from 0 to {MAX_SEED}")
        check_seeds(child, key)
