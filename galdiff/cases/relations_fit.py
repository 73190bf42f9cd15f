"""Parameters of a baryon cycle from scaling relations of galaxies: what a run of `galdiff infer` is about."""

import csv
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from matplotlib.figure import Figure

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Outputs, Prepared, prepare
from galdiff.cases.cycle_histories import histories_of
from galdiff.core.buildable import buildable
from galdiff.core.priors import Prior
from galdiff.errors import InputError
from galdiff.inference.likelihoods.model import Likelihood
from galdiff.inference.likelihoods.relations import RelationPoints, RelationsLikelihood, points_of
from galdiff.inference.posterior import Posterior, make_posterior
from galdiff.inference.result import Result
from galdiff.observables.relations import Relation, centres_between, log10_summary
from galdiff.plotting.relations_fit_figure import plot_relations_fit
from galdiff.records import BaryonHistory, HaloHistory

MOCK = "mock"  # as data: the model's own galaxies, with errors
SHOWN = 100  # draws behind the bands of a figure
COLUMNS = ("relation", "x", "y", "error")


class CycleOfHalos(nnx.Module):
    """A baryon cycle in many halos; its parameters are below `cycle`."""

    def __init__(self, *, cycle: BaryonCycle) -> None:
        self.cycle = cycle

    def __call__(self, halos: Prepared) -> BaryonHistory:
        """Histories of all halos, axes (halo, time)."""
        return histories_of(self.cycle, halos)


@buildable(reads=True)
class RelationsFit:
    """Relations of galaxies, and the halos whose galaxies are to show them.

    Args of the constructor:
      cycle: the model; halos: whose galaxies are solved.
      redshifts: falling, at which relations are seen; the likelihood counts them from 0.
      n_steps: of the grid in time.
      mock_error: of the points of data=mock [dex]; mock_centres: their number in each relation.
    """

    def __init__(
        self,
        *,
        cycle: BaryonCycle,
        halos: HaloHistory,
        redshifts: Sequence[float],
        n_steps: int,
        mock_error: float,
        mock_centres: int,
    ) -> None:
        if not 0.0 < mock_error < 10.0 or not 3 <= mock_centres <= 1000:
            raise InputError(
                f"mock_error is {mock_error} dex, mock_centres {mock_centres}; give one above 0, and 3 or more"
            )
        self.model = CycleOfHalos(cycle=cycle)
        outputs = Outputs(redshifts=tuple(redshifts), n_steps=n_steps)
        self.tables = jax.jit(jax.vmap(lambda halo: prepare(cycle.equations(), halo, outputs)))(halos)
        self.mock_error, self.mock_centres = float(mock_error), int(mock_centres)

    def posteriors(
        self, path: str | pathlib.Path, unknowns: Sequence[str], likelihood: Likelihood, priors: Mapping[str, Prior]
    ) -> dict[str, Posterior]:
        """One posterior, by the name of the table, or of data=mock.

        Raises:
          InputError: a table or a choice that cannot be.
        """
        if not isinstance(likelihood, RelationsLikelihood):
            raise InputError(
                "likelihood of this experiment is likelihood=relations; another cannot compare populations"
            )
        mock = str(path) == MOCK
        data = self.mock(likelihood) if mock else read_points(path, likelihood)
        made = make_posterior(
            self.model,
            unknowns=unknowns,
            likelihood=likelihood,
            data=data,
            inputs={"halos": self.tables},
            priors=priors,
        )
        return {MOCK if mock else pathlib.Path(path).stem: made}

    def mock(self, likelihood: RelationsLikelihood, seed: int = 0) -> dict[str, RelationPoints]:
        """Points of the model as it is, with errors."""
        histories = jax.jit(lambda m, t: m(t))(self.model, self.tables)
        rng, made = np.random.default_rng(seed), {}
        for name, (quantity, _) in likelihood.relations.items():
            x = log10_summary(histories, quantity)[:, likelihood.times[name]]
            at = np.asarray(centres_between(x, self.mock_centres))
            error = np.full(at.size, self.mock_error)
            blank = points_of(at, np.zeros(at.size), error)
            mean = np.asarray(likelihood.one(name, histories, blank).mean)
            made[name] = points_of(at, mean + error * rng.normal(size=at.size), error)
        return made

    def files(self, name: str, posterior: Posterior, result: Result) -> dict[str, Callable[[pathlib.Path], Any]]:
        """Writers by file name, besides draws: the picture of the fit."""
        return {f"{name}_fit.png": self.figure(name, posterior, result).savefig}

    def figure(self, name: str, posterior: Posterior, result: Result) -> Figure:
        """Points and the bands of the model, a panel for each relation."""
        numbers = result.numbers.reshape(-1, len(result.each))
        some = jnp.asarray(numbers[np.linspace(0, len(numbers) - 1, min(SHOWN, len(numbers))).astype(int)])
        found = jax.device_get(_relations(posterior, some))
        means = {key: relation.mean for key, relation in found.items()}
        points = {key: jax.device_get(p) for key, p in posterior.data.items()}
        axes = posterior.likelihood.relations  # type: ignore[attr-defined]
        return plot_relations_fit(means, points, axes, name)


@jax.jit
def _relations(posterior: Posterior, numbers: Any) -> dict[str, Relation]:
    """Relations of the model at draws, leading axis draw."""
    likelihood: Any = posterior.likelihood
    return jax.lax.map(lambda u: likelihood.found(posterior.predicted(u), posterior.data), numbers)


def read_points(path: str | pathlib.Path, likelihood: RelationsLikelihood) -> dict[str, RelationPoints]:
    """Points of relations from a CSV table with the columns relation, x, y, error [all but the first in dex].

    Raises:
      InputError: no such table, a column that is missing, a relation that is not fitted, or numbers that cannot be.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".csv" or not path.is_file():
        raise InputError(f"{path}: there is no such table; give a CSV of points (docs/posteriors.md), or data={MOCK}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    if missing := [c for c in COLUMNS if not rows or c not in rows[0]]:
        raise InputError(f"{path}: has no column '{missing[0]}'; give {', '.join(COLUMNS)}")
    made: dict[str, list[tuple[float, ...]]] = {}
    for i, row in enumerate(rows):
        name = row["relation"]
        if name not in likelihood.relations:
            raise InputError(
                f"{path}: row {i + 1} is of '{name}', which is not fitted; likelihood.relations are"
                f" {', '.join(likelihood.relations)}"
            )
        try:
            made.setdefault(name, []).append(tuple(float(row[c]) for c in COLUMNS[1:]))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: row {i + 1} holds no number in {', '.join(COLUMNS[1:])}") from error
    try:
        return {name: points_of(*np.array(sorted(each)).T) for name, each in made.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
