"""Training on a table of one's own: columns that outputs of a baryon cycle, or of a network, are compared with.

`FitTable` grows the halo of every row and compares one output at the redshift of the row with a column; `FitColumns`
trains any module that maps columns to columns.
"""

import abc
import pathlib
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.baryons.evolve import Outputs, Prepared, evolve_prepared, prepare
from galdiff.cases.table_report import report
from galdiff.cases.table_rows import TableRows, halos_of, read_rows
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.history import HistorySettings
from galdiff.inference.losses import Gaussian, Noise
from galdiff.io.tables import content_hash, read_columns
from galdiff.observables.outputs import output
from galdiff.records import BaryonHistory
from galdiff.train.case import Case
from galdiff.train.data import Batch, InMemory
from galdiff.train.loop import Outcome

MOST_REDSHIFTS = 32  # that every halo is followed through


class Output(typing.Protocol):
    """An output of one's own: what a history says a measurement should be.

    A history has the times of the rows. An output that needs more has a method `redshifts`, called with those of the
    rows (z,), falling, which returns all that are wanted, falling too.
    """

    unit: str

    def __call__(self, history: BaryonHistory) -> Float[Array, "galaxy t"]:
        """Values [unit] at the times of the history."""


class _OwnTable(Case):
    """What both cases share: rows that train, rows held out, the loss and the figures."""

    names: tuple[str, ...]
    noise: Noise
    rows: TableRows

    @abc.abstractmethod
    def predict(self, model: nnx.Module, samples: Any) -> Float[Array, "row target"]:
        """What a model says to samples [units of the targets], shape (row, target)."""

    def loss(self, model: nnx.Module, batch: Batch, key: Array) -> tuple[Array, Mapping[str, Array]]:
        """Minus ln likelihood per measurement; chi2 per measurement, limits aside. Missing values do not count."""
        del key
        x, said = batch.samples["rows"], self.predict(model, batch.samples)
        there = x.weight * batch.weight[:, None]
        total = jnp.maximum(jnp.sum(there), 1e-30)
        value = -jnp.sum(there * self.noise(said, x.y, x.error, x.limit)) / total
        measured = there * (x.limit == 0)
        chi2 = jnp.sum(measured * ((said - x.y) / x.error) ** 2) / jnp.maximum(jnp.sum(measured), 1e-30)
        return value, {"chi2": chi2}

    def _split(self, samples: dict[str, Any], held_out: float, batch_size: int | None, seed: int) -> None:
        """Rows that train and rows that only validate, drawn once."""
        n = len(self.rows.y)
        if not 0 <= held_out < 1 or round(held_out * n) >= n:
            raise InputError(f"case.held_out is {held_out}; give a share of the {n} rows, 0 or more and below 1")
        order = np.random.default_rng([seed, 11]).permutation(n)
        cut = round(held_out * n)
        self.parts = {"train": np.sort(order[cut:]), "held out": np.sort(order[:cut])}
        self.samples = jax.tree.map(np.asarray, {**samples, "rows": self.rows})
        pick = lambda which: jax.tree.map(lambda x: x[which], self.samples)  # noqa: E731
        self.source = InMemory(pick(self.parts["train"]), batch_size=batch_size, seed=seed)
        self.validation = InMemory(pick(self.parts["held out"])) if cut else None

    def show(self, outcomes: Mapping[str, Outcome], folder: pathlib.Path) -> dict[str, Any]:
        """Predicted against observed and pulls; chi2 per measurement of every stage, of rows seen and held out."""
        compiled = nnx.jit(self.predict)
        said = {name: np.asarray(compiled(o.model, self.samples)) for name, o in outcomes.items()}
        return report(said, self.rows, self.parts, self.names, folder)


@typing.final
class FitTable(_OwnTable):
    """Fit a baryon cycle, its physics or its corrections, to a column of a table.

    Args of the constructor:
      path: of the table (`galdiff.io.tables`).
      output: of the model that the target measures (`galdiff.observables.outputs`): log10_mstar, sfr, ...; or what
        computes it from the history, (galaxy, t) -> (galaxy, t), with its `unit` as an attribute: code of one's own.
      target: column of the measurements, in the unit of the output where it says none.
      error: column of their errors, or one number for all, in that unit.
      halo: columns of the halos: {log10_mvir: NAME} [dex(Msun)] at the redshift of the row, or the diffmah parameters
        {logm0, logtc, early_index, late_index}, of which those left out take the middle of the population.
      redshift: of the rows, a number or a column with at most 32 different values.
      limit: column with -1 for upper limits, 1 for lower ones, 0 else; for `Censored` and `StudentT`.
      weight: column; 1 for all by default.
      loss: see `galdiff.inference.losses`; Gaussian by default.
      held_out: share of the rows that only validate; batch_size: rows of a batch; seed: of both draws.
      n_steps: of the grid; cosmology, settings: of the halos.
    """

    def __init__(
        self,
        *,
        path: str,
        output: str | Output,
        target: str,
        error: str | float,
        halo: Mapping[str, str],
        redshift: str | float = 0.0,
        limit: str | None = None,
        weight: str | None = None,
        loss: Noise | None = None,
        held_out: float = 0.2,
        batch_size: int | None = None,
        seed: int = 0,
        n_steps: int = 96,
        cosmology: Cosmology,
        settings: HistorySettings = HistorySettings(),  # noqa: B008 - frozen
    ):
        self.path, self.output, self.n_steps = path, output, n_steps
        self.columns = {"target": [target], "error": [error], "limit": limit, "weight": weight}
        self.names, self.noise = (target,), loss or Gaussian()
        self.how: dict[str, Any] = {"held_out": held_out, "batch_size": batch_size, "seed": seed}
        self.z, self.halos = halos_of(path, halo, redshift, cosmology, settings)
        if len(np.unique(self.z)) > MOST_REDSHIFTS:
            raise InputError(
                f"{path}: column '{redshift}' has {len(np.unique(self.z))} different redshifts; round them to at most"
                f" {MOST_REDSHIFTS}"
            )
        self.data = {pathlib.Path(path).name: content_hash(path)}

    def prepare(self, model: nnx.Module) -> nnx.Module:
        """The model as it is; it says what of the halos is needed and in which unit the output is."""
        if not callable(getattr(model, "equations", None)):
            raise InputError(
                f"model is a {type(model).__name__}; this case fits a baryon cycle such as baryons=pandya23, and"
                " galdiff.cases.table.FitColumns fits networks"
            )
        distinct = np.unique(self.z)[::-1]
        if (needed := getattr(self.output, "redshifts", None)) is not None:
            distinct = np.asarray(needed(distinct))
        outputs = Outputs(redshifts=tuple(distinct.tolist()), n_steps=self.n_steps)
        make = jax.jit(jax.vmap(lambda halo: prepare(model.equations(), halo, outputs)))  # type: ignore[attr-defined]
        one = jax.tree.map(lambda x: x[:1], self.halos)
        unit: list[str] = []

        def look(tables: Prepared) -> Array:
            values, name = self._measured(_solve(model, tables))
            unit.append(name)
            return values

        jax.eval_shape(lambda halo: look(make(halo)), one)  # an unknown output is found before anything is solved
        self.rows = read_rows(self.path, self.columns, unit[-1], self.noise)
        at = np.searchsorted(-distinct, -self.z)
        self._split({"tables": make(self.halos), "at": at}, **self.how)
        return model

    def predict(self, model: nnx.Module, samples: Any) -> Float[Array, "row target"]:
        """The output at the redshift of every row."""
        values, _ = self._measured(_solve(model, samples["tables"]))
        return jnp.take_along_axis(values, samples["at"][:, None], axis=1)

    def _measured(self, history: BaryonHistory) -> tuple[Float[Array, "galaxy t"], str]:
        """The output of a history, and its unit."""
        if isinstance(self.output, str):
            return output(history, self.output)
        values, shape = self.output(history), history.sfr.shape
        if (made := getattr(values, "shape", type(values).__name__)) != shape:
            raise InputError(
                f"case.output, a {type(self.output).__name__}, makes {made} of a history of (galaxy, t) = {shape};"
                " return an array of that shape"
            )
        return values, self.output.unit


@typing.final
class FitColumns(_OwnTable):
    """Train a module that maps columns to columns: called with (row, driver), it returns (row, target).

    Args of the constructor:
      path: of the table (`galdiff.io.tables`).
      drivers: columns that go in, in this order; targets: those that come out.
      errors: a column or a number for each target.
      limit, weight, loss, held_out, batch_size, seed: as in `FitTable`.
    """

    def __init__(
        self,
        *,
        path: str,
        drivers: Sequence[str],
        targets: Sequence[str],
        errors: Sequence[str | float],
        limit: str | None = None,
        weight: str | None = None,
        loss: Noise | None = None,
        held_out: float = 0.2,
        batch_size: int | None = None,
        seed: int = 0,
    ):
        if not drivers or not targets or len(errors) != len(targets):
            raise InputError(
                f"case has drivers {list(drivers)}, targets {list(targets)}, errors {list(errors)}; give at least one"
                " driver, and as many errors as targets"
            )
        self.names, self.noise = tuple(targets), loss or Gaussian()
        columns = {"target": list(targets), "error": list(errors), "limit": limit, "weight": weight}
        self.rows = read_rows(path, columns, None, self.noise)
        found = read_columns(path, dict.fromkeys(drivers))
        x = np.stack([found[name] for name in drivers], -1)
        known = np.isfinite(x).all(-1)
        self.rows = self.rows._replace(weight=self.rows.weight * known[:, None])
        if not self.rows.weight.any():
            raise InputError(f"{path}: no row has all of {', '.join(drivers)}; fill them, or leave a driver out")
        self._split({"drivers": np.where(known[:, None], x, 0.0)}, held_out, batch_size, seed)
        self.data = {pathlib.Path(path).name: content_hash(path)}

    def prepare(self, model: nnx.Module) -> nnx.Module:
        """The model as it is, whose shapes must fit."""
        x = self.samples["drivers"]
        try:
            shape = jax.eval_shape(lambda x: model(x), x).shape  # type: ignore[operator]
        except (ValueError, TypeError) as error:
            text = " ".join(str(error).split())[:150]
            raise InputError(f"model does not take {x.shape[1]} drivers on the last axis: {text}") from error
        if shape != self.rows.y.shape:
            raise InputError(
                f"model makes an array {shape} of {x.shape[0]} rows, and the case has {len(self.names)} targets; set"
                f" its number of outputs to {len(self.names)}"
            )
        return model

    def predict(self, model: nnx.Module, samples: Any) -> Float[Array, "row target"]:
        """What the module says to the drivers."""
        return model(samples["drivers"])  # type: ignore[operator]


def _solve(model: nnx.Module, tables: Prepared) -> BaryonHistory:
    equations = model.equations()  # type: ignore[attr-defined]
    return jax.vmap(lambda each: evolve_prepared(equations, each))(tables)
