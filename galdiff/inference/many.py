"""Posteriors of many galaxies: side by side in one program where the method knows how, else one after another."""

from collections.abc import Callable, Mapping

from galdiff.inference.methods.importance import Importance
from galdiff.inference.methods.model import Method
from galdiff.inference.posterior import Posterior
from galdiff.inference.result import Result


def results_of(
    method: Method,
    posteriors: Mapping[str, Posterior],
    seed: int = 0,
    together: int = 1,
    done: Callable[[int], None] = lambda n: None,
) -> dict[str, Result]:
    """Results by name.

    Args:
      method: of all; posteriors: of one model and likelihood, by name.
      seed: of the draws; the same for every galaxy, whose draws do not depend on the others then.
      together: galaxies side by side in one program, where the method knows how.
      done: told of galaxies as they are done.
    """
    if isinstance(method, Importance):
        return dict(zip(posteriors, method.many(list(posteriors.values()), seed, together, done), strict=True))
    results = {}
    for name, posterior in posteriors.items():
        results[name] = method(posterior, seed)
        done(1)
    return results
