"""Fit a baryon cycle to scaling relations, as points with errors."""

import pathlib
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from galdiff.baryons.evolve import Outputs, prepare
from galdiff.cases.cycle_histories import histories_of, solved_histories
from galdiff.observables.scaling import RELATIONS, Observed, chi2, mean_log_likelihood, relations_of
from galdiff.plotting.corrections import plot_relations
from galdiff.records import HaloHistory
from galdiff.train.case import Case
from galdiff.train.data import Batch, InMemory
from galdiff.train.loop import Outcome

shown_relations = jax.jit(relations_of)  # compiled once for all models


@typing.final
class FitRelations(Case):
    """Likelihood of points of scaling relations, given halos.

    Args of the constructor:
      model: any baryon cycle; it says what of the halos is needed.
      halos: whose galaxies make the relations; evenly spread masses over the range of the data.
      data: the points; redshifts: of its second axis.
      n_steps: of the grid.
    """

    def __init__(
        self, model: Any, halos: HaloHistory, data: Observed, redshifts: Sequence[float], n_steps: int = 96
    ) -> None:
        outputs = Outputs(redshifts=tuple(redshifts), n_steps=n_steps)
        self.tables = jax.jit(jax.vmap(lambda halo: prepare(model.equations(), halo, outputs)))(halos)
        self.observed, self.redshifts = data, tuple(redshifts)
        self.source = InMemory(self.tables)

    def loss(self, model: nnx.Module, batch: Batch, key: Array) -> tuple[Array, Mapping[str, Array]]:
        """Minus log likelihood per point [1], a scalar; chi2 per point [1]."""
        del key
        found = relations_of(histories_of(model, batch.samples), self.observed.x, batch.weight > 0)
        return -mean_log_likelihood(found, self.observed), {"chi2": chi2(found, self.observed)}

    def chi2(self, model: nnx.Module, data: Observed | None = None) -> float:
        """chi2 per point of these data (same x), or of those that are fitted."""
        found = shown_relations(solved_histories(model, self.tables), self.observed.x)
        return float(chi2(found, self.observed if data is None else data))

    def show(self, outcomes: Mapping[str, Outcome], folder: pathlib.Path) -> dict[str, Any]:
        """The relations of the first and the last stage, and chi2 of all."""
        models = {name: outcome.model for name, outcome in outcomes.items()}
        ends = {name: models[name] for name in (next(iter(models)), list(models)[-1])}
        found = {n: shown_relations(solved_histories(m, self.tables), self.observed.x) for n, m in ends.items()}
        plot_relations(found, self.observed, self.redshifts, RELATIONS).savefig(folder / "relations.png")
        return {"chi2": {name: self.chi2(model) for name, model in models.items()}}


def split_points(data: Observed, use: Array) -> tuple[Observed, Observed]:
    """The points that are used, and the others, in the shape of the data; the rest has an infinite error [its unit]."""
    return (
        data._replace(error=jnp.where(use, data.error, jnp.inf)),
        data._replace(error=jnp.where(use, jnp.inf, data.error)),
    )


def chosen_points(
    data: Observed, held_out: float, shares: Sequence[float], seed: int
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Points that nobody sees, and for each number of points which are seen; the fewer are among the more."""
    there = np.flatnonzero(np.isfinite(np.asarray(data.error).ravel()))
    order = np.random.default_rng([seed, 7]).permutation(there)
    n_out = max(1, round(held_out * len(order)))
    masks = {}
    for share in sorted(shares):
        n = max(1, round(share * (len(order) - n_out)))
        masks[n] = np.isin(np.arange(data.error.size), order[n_out : n_out + n]).reshape(data.error.shape)
    return np.isin(np.arange(data.error.size), order[:n_out]).reshape(data.error.shape), masks
