"""Missing physics in the baryon cycle: what a fit with the wrong winds cannot do, and what corrections find.

The truth is a baryon cycle whose mass loading saturates in small halos and whose large halos are heated by one more
channel. The fit knows neither; it sees the scaling relations of other halos at four redshifts, with errors.
"""

import dataclasses
import pathlib
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from galdiff.baryons.evolve import Outputs, prepare
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.parameters import V_0
from galdiff.cases.cycle_histories import histories_of, solved_histories
from galdiff.cases.wind_report import report
from galdiff.core.correction import Correction
from galdiff.core.signatures import Within, check_ranges
from galdiff.observables.scaling import chi2, mean_log_likelihood, observed_relations, relations_of
from galdiff.records import HaloHistory
from galdiff.train.case import Case
from galdiff.train.data import Batch, InMemory
from galdiff.train.loop import Outcome


@typing.final
class HiddenWinds(Correction):
    """Mass loading that stops rising below one V_vir, and heating above another.

    Args of the constructor:
      v_saturated: below it eta_mass stays what it is there [km/s]; slope: of eta_mass in V_vir.
      v_heated: above it winds carry `heating` times the energy [km/s], within `width` [dex].
    """

    def __init__(
        self,
        *,
        v_saturated: Annotated[float, Within(1.0, 1e4, "km/s")],
        slope: Annotated[float, Within(-100.0, 100.0)],
        v_heated: Annotated[float, Within(1.0, 1e4, "km/s")],
        heating: Annotated[float, Within(1e-3, 1e3)],
        width: Annotated[float, Within(1e-3, 10.0, "dex")] = 0.05,
    ) -> None:
        winds = {"v_saturated": v_saturated, "slope": slope, "v_heated": v_heated, "heating": heating, "width": width}
        check_ranges(HiddenWinds, winds)
        self.v_saturated, self.v_heated = v_saturated, v_heated
        self.slope, self.heating, self.width = slope, heating, width

    def __call__(self, flows: Any, drivers: Array) -> Any:
        """Rates with the hidden physics; the first driver is log10 V_vir/(125 km/s)."""
        lg_v = drivers[..., 0]
        short = self.width * jax.nn.softplus((np.log10(self.v_saturated / V_0) - lg_v) / self.width)  # dex below
        heated = jax.nn.sigmoid((lg_v - np.log10(self.v_heated / V_0)) / self.width)
        return dataclasses.replace(
            flows,
            eta_mass=flows.eta_mass * 10 ** (self.slope * short),
            eta_energy=flows.eta_energy * self.heating**heated,
        )


@typing.final
class MissingWinds(Case):
    """Fit a baryon cycle to scaling relations of halos that obey another one.

    Args of the constructor:
      truth: the baryon cycle that nature follows.
      observed, fitted, held_out: halos of the data, of the fit and of the test; different ones.
      redshifts: of the relations, falling.
      centres: of each relation.
      error: of the mean at each centre [dex], beside what the number of halos gives.
      seed: of the errors.
      n_steps: of the grid.
    """

    def __init__(
        self,
        *,
        truth: Pandya23,
        observed: HaloHistory,
        fitted: HaloHistory,
        held_out: HaloHistory,
        redshifts: Sequence[float] = (2.0, 1.0, 0.5, 0.0),
        centres: Annotated[int, Within(2, 1e4)] = 12,
        error: Annotated[float, Within(0.0, 10.0, "dex")] = 0.03,
        seed: int = 0,
        n_steps: int = 96,
    ) -> None:
        check_ranges(MissingWinds, {"centres": centres, "error": error})
        self.truth, self.redshifts = truth, tuple(redshifts)
        outputs = Outputs(redshifts=self.redshifts, n_steps=n_steps)
        make = jax.jit(jax.vmap(lambda halo: prepare(truth.equations(), halo, outputs)))
        self.tables = {"observed": make(observed), "fitted": make(fitted), "held_out": make(held_out)}
        self.observed = observed_relations(solved_histories(truth, self.tables["observed"]), centres, error, seed)
        self.source = InMemory(self.tables["fitted"])

    def loss(self, model: nnx.Module, batch: Batch, key: Array) -> tuple[Array, Mapping[str, Array]]:
        """Minus log likelihood per point of the data [1], a scalar; chi2 per point [1]."""
        del key
        found = relations_of(histories_of(model, batch.samples), self.observed.x, batch.weight > 0)
        return -mean_log_likelihood(found, self.observed), {"chi2": chi2(found, self.observed)}

    def show(self, outcomes: Mapping[str, Outcome], folder: pathlib.Path) -> dict[str, Any]:
        """Relations, rates against the truth, ablation, formula; chi2 and errors of every stage."""
        models = {name: outcome.model for name, outcome in outcomes.items()}
        return report(self, {**models, "truth": self.truth}, folder)
