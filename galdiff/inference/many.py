"""Posteriors of many galaxies: in batches of one program where the method knows them, else one after another."""

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
      together: galaxies in one batch; the last batch is filled with its last galaxy, so that it is no new program.
      done: told of galaxies as they are done.
    """
    names, results = list(posteriors), {}
    width = together if isinstance(method, Importance) else 1
    for first in range(0, len(names), width):
        some = names[first : first + width]
        batch = [posteriors[name] for name in some]
        filled = batch + [batch[-1]] * (min(width, len(names)) - len(batch))
        found = method.many(filled, seed) if isinstance(method, Importance) else [method(batch[0], seed)]
        results |= dict(zip(some, found, strict=False))
        done(len(some))
    return results
