"""Dust curves, one a file; conf/dust/curve has a preset for each."""

from typing import Any

from galdiff.core.buildable import buildable
from galdiff.errors import InputError


@buildable
def make_curve(name: str, **options: Any) -> Any:
    """What configs named curves with once.

    Raises:
      InputError: always, with the spelling that replaced it.
    """
    raise InputError(
        f"make_curve(name={name}) is no more; write dust/curve={name} on the command line, or name the class of"
        f" galdiff.dust.curves.{name} as conf/dust/curve/{name}.yaml does"
    )
