"""The call of a user for a posterior: `infer`."""

from typing import Any

import yaml

from galdiff.build import build
from galdiff.errors import InputError
from galdiff.folders import project_dir
from galdiff.inference.methods.model import Method
from galdiff.inference.posterior import Posterior
from galdiff.inference.result import Result


def infer(posterior: Posterior, method: str | Method = "importance", *, seed: int = 0, **settings: Any) -> Result:
    """What a posterior says of its unknowns.

    Args:
      posterior: of `galdiff.make_posterior`.
      method: a preset of conf/method (optimum, laplace, importance, nuts, smc, variational), or a built method.
      seed: of all random numbers.
      settings: keys of the preset, such as draws=2000.

    Returns:
      Draws with their diagnostics; look at `usable` first.

    Raises:
      InputError: no such method, or settings that it does not take.
    """
    if isinstance(method, Method):
        if settings:
            raise InputError(f"{', '.join(settings)}: a built method has its settings; name a preset")
        return method(posterior, seed)
    folder = project_dir("conf") / "method"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if method not in known:
        raise InputError(f"method is '{method}'; choose one of {', '.join(known)}")
    node = yaml.safe_load((folder / f"{method}.yaml").read_text(encoding="utf-8"))
    return build(node | settings, path="method")(posterior, seed)
