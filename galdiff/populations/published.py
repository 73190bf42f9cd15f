"""Parameters published with diffmah, diffstar and diffsky (BSD 3-Clause; NOTICE.txt beside), by their names there."""

import functools
import json
import pathlib
from typing import Any

from galdiff.errors import InputError

CALIBRATIONS = ("smdpl_dr1_nomerging", "smdpl_dr1", "tng", "galacticus_in_situ", "galacticus_in_plus_ex_situ")


@functools.cache
def _all() -> dict[str, dict]:
    return json.loads((pathlib.Path(__file__).parent / "published.json").read_text(encoding="utf-8"))


def published(name: str) -> dict[str, float]:
    """Values of one set of parameters, such as diffstarpop_tng, diffmahpop_default, halo_mass_function.

    Raises:
      InputError: there is no such set.
    """
    if name not in _all() or name == "notice":
        raise InputError(f"published parameters '{name}' are not there; choose one of {', '.join(list(_all())[1:])}")
    return dict(_all()[name])


def published_bounds(name: str) -> dict[str, tuple[float, float]]:
    """Lower and upper bounds of the parameters of diffstarpop or diffmahpop.

    Raises:
      InputError: there are none of this name.
    """
    ends: dict[str, Any] = dict(published(f"{name}_bounds"))
    return {key: (low, high) for key, (low, high) in ends.items()}
