"""How well a fit with corrections found hidden winds: numbers, a formula, figures."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from galdiff.baryons.parameters import V_0
from galdiff.baryons.rates import halo_drivers
from galdiff.cases.cycle_histories import solved_histories
from galdiff.cases.rate_constraint import NODES, RATES, rate_constraint
from galdiff.core.correction import Each, LogGain
from galdiff.nn.power_law import distil
from galdiff.observables.relations import log10_summary
from galdiff.observables.scaling import RELATIONS, chi2, relations_of
from galdiff.plotting.corrections import plot_ablation, plot_rates, plot_relations
from galdiff.records import BaryonHistory

COMPARED = ("mstar", "mism_over_mstar", "zism", "zstar", "sfr")
DRIVERS = ("lg(V/125)", "lg(1+z)", "lg(M/1e12)", "lg(growth)")
KNOWN = 0.2  # of ln(rate): where data constrain it


def report(case: Any, models: dict[str, nnx.Module], folder: pathlib.Path) -> dict[str, Any]:
    """Draw and measure.

    Args:
      case: a `MissingWinds`.
      models: by stage, the result last but one, the truth last.
      folder: of the run.

    Returns:
      chi2 per point of every model; errors of rates, of held-out halos and of the budgets of the result.
    """
    histories = {name: solved_histories(model, case.tables["fitted"]) for name, model in models.items()}
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
    tests = {name: solved_histories(models[name], case.tables["held_out"]) for name in shown}
    return {
        "chi2": scores,
        "points": int(case.observed.x.size),
        "rates": rate_errors(rates[result] / rates["truth"], v_vir, rate_constraint(case, models["truth"])),
        "held_out_rms_dex": {name: distance(tests[name], tests["truth"]) for name in (stages[0], result)},
        "drift": drift(tests[result]),
        "formula": formula.splitlines(),
        "formula_misses": missed,
    }


def distance(histories: BaryonHistory, truth: BaryonHistory) -> dict[str, float]:
    """rms difference of the logarithms of what is observed, over halos and redshifts [dex]."""
    off = {name: log10_summary(histories, name) - log10_summary(truth, name) for name in COMPARED}
    return {name: float(jnp.sqrt(jnp.mean(each**2))) for name, each in off.items()}


def rate_errors(ratio: np.ndarray, v_vir: np.ndarray, allowed: np.ndarray) -> dict[str, dict]:
    """fit / truth - 1 of each rate at `NODES`, over all halos and redshifts near them.

    Args:
      ratio: of the rates, axes (rate, halo, redshift).
      v_vir: of the halos, (halo, redshift) [km/s].
      allowed: standard error of ln(rate) that the data allow, (rate, node).
    """
    place = np.clip(np.rint((np.log10(v_vir / V_0) - NODES[0]) / (NODES[1] - NODES[0])), 0, len(NODES) - 1)
    made = {}
    for name, each, errors in zip(RATES, ratio, allowed, strict=True):
        off = np.array([np.median(each[place == k]) - 1 if (place == k).any() else np.nan for k in range(len(NODES))])
        known = (errors < KNOWN) & np.isfinite(off)
        made[name] = {
            "v_vir": np.round(V_0 * 10 ** np.asarray(NODES), 1).tolist(),
            "off": np.round(off, 4).tolist(),
            "data allow": np.round(errors, 4).tolist(),
            "largest where data constrain": float(np.abs(off[known]).max()) if known.any() else None,
            "nodes that data constrain": int(known.sum()),
        }
    return made


def drift(histories: Any) -> dict[str, float]:
    """Largest relative change of the sum of each budget, its ledgers included, between the first and last output."""
    made = {}
    for quantity, contents in histories.contents.items():
        each = np.stack([np.asarray(x, np.float64) for x in contents.values()])
        total, scale = each.sum(0), np.abs(each).sum(0)
        made[quantity] = float(np.max(np.abs(total[:, -1] - total[:, 0]) / scale[:, -1]))
    return made


def formula_of(model: nnx.Module, tables: Any) -> tuple[str, dict[str, float]]:
    """Quadratic laws closest to the corrections over the drivers of many halos at all steps, and the rms they miss."""
    drivers = np.asarray(jax.jit(jax.vmap(halo_drivers))(tables.halo_state))
    drivers = drivers.reshape(-1, drivers.shape[-1])
    drivers = drivers[:: max(1, len(drivers) // 20_000)]
    lines, missed = [], {}
    correction = model.correction  # type: ignore[attr-defined]
    gains = {name: getattr(correction, name) for name in correction.names} if isinstance(correction, Each) else {}
    for name, gain in gains.items():
        if isinstance(gain, LogGain):
            seen = list(range(drivers.shape[1])) if gain.drivers is None else list(gain.drivers)

            def of_seen(x: np.ndarray, gain: Any = gain, seen: Any = seen) -> Any:
                return gain.log_gain(jnp.zeros((len(x), drivers.shape[1])).at[:, np.asarray(seen)].set(x))

            law, rms = distil(of_seen, drivers[:, seen], quadratic=True)
            text = law.formula([DRIVERS[i] for i in seen], [name])
            lines.append(text.replace(f"ln {name}", f"ln(gain of {name})"))
            missed[name] = float(rms[0])
    return "\n".join(lines), missed
