"""How well a fit with corrections found hidden winds: numbers, a formula, figures."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from galdiff.baryons.drive import halo_drivers
from galdiff.baryons.evolve import Prepared, evolve_prepared
from galdiff.core.correction import Each, LogGain
from galdiff.nn.power_law import distil
from galdiff.observables.relations import summary
from galdiff.observables.scaling import RELATIONS, chi2, relations_of
from galdiff.plotting.corrections import plot_ablation, plot_rates, plot_relations
from galdiff.records import BaryonHistory

RATES = ("eta_mass", "eta_energy")
COMPARED = ("mstar", "mism_over_mstar", "zism", "zstar", "sfr")
DRIVERS = ("lg(V/125)", "lg(1+z)", "lg(M/1e12)", "lg(growth)")
PERCENTILES = (5, 95)  # of V_vir: where the data say something


def solve(model: nnx.Module, tables: Prepared) -> BaryonHistory:
    """Histories of many halos, axes (halo, redshift)."""
    equations = model.equations()  # type: ignore[attr-defined]
    return jax.vmap(lambda each: evolve_prepared(equations, each))(tables)


def report(case, models: dict[str, nnx.Module], folder: pathlib.Path) -> dict[str, Any]:
    """Draw and measure.

    Args:
      case: a `MissingWinds`.
      models: by stage, the result last but one, the truth last.
      folder: of the run.

    Returns:
      chi2 per point of every model; errors of rates, of held-out halos and of the budgets of the result.
    """
    compiled = nnx.jit(solve)
    histories = {name: compiled(model, case.tables["fitted"]) for name, model in models.items()}
    found = {name: relations_of(h, case.observed.x) for name, h in histories.items()}
    scores = {name: float(chi2(each, case.observed)) for name, each in found.items()}
    *stages, _ = models
    result = stages[-1]
    rates = {name: np.stack([getattr(h.diagnostics, rate) for rate in RATES]) for name, h in histories.items()}
    v_vir = np.asarray(histories["truth"].v_vir)
    shown = {name: found[name] for name in (stages[0], result, "truth")}
    plot_relations(shown, case.observed, case.redshifts, RELATIONS).savefig(folder / "relations.png")
    plot_rates({name: rates[name] for name in shown}, v_vir, case.redshifts, RATES).savefig(folder / "rates.png")
    plot_ablation(scores).savefig(folder / "ablation.png")
    formula, missed = formula_of(models[result], case.tables["fitted"])
    (folder / "formula.txt").write_text(formula + "\n", encoding="utf-8")
    tests = {name: compiled(models[name], case.tables["held_out"]) for name in shown}
    return {
        "chi2": scores,
        "points": int(case.observed.x.size),
        "rates": rate_errors(rates[result] / rates["truth"], v_vir),
        "held_out_rms_dex": {name: distance(tests[name], tests["truth"]) for name in (stages[0], result)},
        "drift": drift(tests[result]),
        "formula": formula.splitlines(),
        "formula_misses": missed,
    }


def distance(histories: BaryonHistory, truth: BaryonHistory) -> dict[str, float]:
    """rms difference of the logarithms of what is observed, over halos and redshifts [dex]."""
    off = {name: summary(histories, name) - summary(truth, name) for name in COMPARED}
    return {name: float(jnp.sqrt(jnp.mean(each**2))) for name, each in off.items()}


def rate_errors(ratio: np.ndarray, v_vir: np.ndarray) -> dict[str, dict[str, float]]:
    """|fit / truth - 1| of each rate, over halos and redshifts where data constrain it.

    Args:
      ratio: of the rates, axes (rate, halo, redshift).
      v_vir: of the halos, (halo, redshift) [km/s].
    """
    low, high = np.percentile(v_vir, PERCENTILES, axis=0)
    inside = (v_vir > low) & (v_vir < high)
    off = np.abs(ratio - 1)
    return {
        name: {
            "median": float(np.median(each[inside])),
            "90 %": float(np.quantile(each[inside], 0.9)),
            "within 20 %": float(np.mean(each[inside] < 0.2)),
        }
        for name, each in zip(RATES, off, strict=True)
    }


def drift(histories) -> dict[str, float]:
    """Largest relative change of the sum of each budget, its ledgers included, between the first and last output."""
    made = {}
    for quantity, contents in histories.contents.items():
        total = sum(np.asarray(x, np.float64) for x in contents.values())
        scale = sum(np.abs(np.asarray(x, np.float64)) for x in contents.values())
        made[quantity] = float(np.max(np.abs(total[:, -1] - total[:, 0]) / scale[:, -1]))
    return made


def formula_of(model: nnx.Module, tables) -> tuple[str, dict[str, float]]:
    """Quadratic laws closest to the corrections over the drivers of many halos at all steps, and the rms they miss."""
    drivers = np.asarray(jax.jit(jax.vmap(halo_drivers))(tables.forcing))
    drivers = drivers.reshape(-1, drivers.shape[-1])
    drivers = drivers[:: max(1, len(drivers) // 20_000)]
    lines, missed = [], {}
    correction = model.correction  # type: ignore[attr-defined]
    gains = {name: getattr(correction, name) for name in correction.names} if isinstance(correction, Each) else {}
    for name, gain in gains.items():
        if isinstance(gain, LogGain):
            law, rms = distil(gain.log_gain, drivers, quadratic=True)
            lines.append(law.formula(DRIVERS, [name]).replace(f"ln {name}", f"ln(gain of {name})"))
            missed[name] = float(rms[0])
    return "\n".join(lines), missed
