"""Jacobians of a population over a Latin hypercube of parameters of a baryon cycle, and their check by differences.

The global sensitivity analysis of Pandya et al. (2026, arXiv:2604.06318, figures 4, 5, 22, 23).
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import qmc

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Prepared
from galdiff.baryons.population import cut, pad
from galdiff.core.variables import Physical
from galdiff.errors import InputError
from galdiff.inference import sensitivity as s
from galdiff.records import HaloHistory

Ranges = dict[str, tuple[float, float]]
Progress = Callable[..., contextlib.AbstractContextManager[Callable[..., None]]]


class Galaxies(NamedTuple):
    """Which halo, draw (0 for the baseline) and values make each galaxy."""

    halo: np.ndarray  # (galaxy,)
    draw: np.ndarray  # (galaxy,)
    values: np.ndarray  # (galaxy, parameter), in natural units


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a population is drawn and solved.

    Attributes:
      draws: sets of values for each halo, beside the baseline; seed: of the hypercube.
      mode: forward, reverse, auto; chunk: galaxies at once.
      n_compared: galaxies that are compared with differences; step: theirs, over the range of each parameter.
    """

    draws: int = 1
    seed: int = 0
    mode: str = "auto"
    chunk: int = 256
    n_compared: int = 256
    step: float = 1e-4


@dataclasses.dataclass(frozen=True)
class Survey:
    """Derivatives over a population, and those of some of its galaxies by central differences.

    Attributes:
      galaxies: what was drawn; found: their derivatives, of log10 of the outputs.
      masses: log10 M_vir [Msun] at the end (galaxy,).
      redshifts: of the outputs.
      picks: galaxies that were compared; differences: theirs (pick, t, output, parameter).
    """

    galaxies: Galaxies
    found: s.Sensitivity
    masses: np.ndarray
    redshifts: tuple[float, ...]
    picks: np.ndarray
    differences: np.ndarray

    @property
    def jacobian(self) -> np.ndarray:
        """All derivatives [per unit of the parameter] (galaxy, t, output, parameter)."""
        return np.asarray(self.found.jacobian)

    @functools.cached_property
    def good(self) -> np.ndarray:
        """Whether a galaxy is solved and all of its derivatives are finite, bool [1] (galaxy,)."""
        return np.asarray(self.found.solved) & np.isfinite(self.jacobian).all((1, 2, 3))

    @functools.cached_property
    def kept(self) -> np.ndarray:
        """Derivatives [per unit of the parameter] of the good galaxies over the hypercube (galaxy, t, output,
        parameter).

        Raises:
          InputError: there is none.
        """
        use = self.good & (self.galaxies.draw > 0)
        if not use.any():
            raise InputError(
                f"none of {len(use)} galaxies has finite derivatives and an error within the tolerance; give more"
                " n_steps, or look at parameters and halo"
            )
        return self.jacobian[use]

    @property
    def last(self) -> int:
        """Place of the lowest redshift."""
        return int(np.argmin(self.redshifts))

    def at_end(self, output: str) -> np.ndarray:
        """Derivatives [per unit of the parameter] of one output of the good galaxies at the lowest redshift (galaxy,
        parameter).
        """
        return self.jacobian[self.good][:, self.last, self.found.outputs.index(output)]

    @property
    def v_end(self) -> np.ndarray:
        """Virial velocity [km/s] of the good galaxies at the lowest redshift (galaxy,)."""
        return np.asarray(self.found.v_vir)[self.good][:, self.last]


def check_ranges(stage: BaryonCycle, ranges: Mapping[str, Any]) -> Ranges:
    """Range of each parameter by dotted name.

    Args:
      stage: a baryon cycle.
      ranges: [low, high] by name, nested or dotted; None leaves a parameter at its value.

    Raises:
      InputError: an unknown parameter, no range, or one that leaves the bounds of the parameter.
    """
    found: dict[str, Any] = {}

    def walk(node: Any, path: str) -> None:
        for name, child in node.items():
            if isinstance(child, Mapping):
                walk(child, f"{path}{name}.")
            elif child is not None:
                found[f"{path}{name}"] = child

    walk(ranges, "")
    s.choose("parameter", found, list(s.leaves_by_name(stage.parameters())))
    for name, pair in found.items():
        numbers = isinstance(pair, list | tuple) and len(pair) == 2 and all(type(x) in (int, float) for x in pair)
        if not numbers or not pair[0] < pair[1]:
            raise InputError(f"parameters.{name} is {pair}; give a range [low, high], or null to keep its value")
        known: Any = stage
        for part in name.split("."):
            known = getattr(known, part, None)
        if isinstance(known, Physical) and known.lo is not None and not known.lo <= pair[0] < pair[1] <= known.hi:
            raise InputError(
                f"parameters.{name} is {pair} {known.unit}; it must stay within its bounds [{known.lo}, {known.hi}]"
            )
    return {name: (float(lo), float(hi)) for name, (lo, hi) in found.items()}


def design(n_halos: int, draws: int, box: np.ndarray, baseline: np.ndarray, seed: int) -> Galaxies:
    """All halos with the baseline, then each with `draws` points of one Latin hypercube.

    Args:
      box: lowest and highest values [each its own unit] (2, parameter).
      baseline: values (parameter,).
    """
    hypercube = qmc.LatinHypercube(len(baseline), seed=seed).random(n_halos * draws)
    values = np.concatenate([np.tile(baseline, (n_halos, 1)), qmc.scale(hypercube, *box)])
    halo = np.concatenate([np.arange(n_halos), np.tile(np.arange(n_halos), draws)])
    draw = np.concatenate([np.zeros(n_halos, int), np.arange(1, n_halos * draws + 1)])
    return Galaxies(halo, draw, values)


def jacobians_in_chunks(
    run: Callable, tables: Prepared, which: np.ndarray, values: np.ndarray, chunk: int, done: Callable
) -> Any:
    """Apply a compiled function to galaxies (halo `which` with `values`), a chunk at a time.

    Halos have the shape (galaxy,), values [each its own unit] (galaxy, parameter).
    """
    chunk, parts = min(chunk, len(which)), []
    for begin in range(0, len(which), chunk):
        here = which[begin : begin + chunk]
        few = jax.tree.map(lambda x, h=here: x[h], tables)
        found = run(pad(few, chunk), pad(jnp.asarray(values[begin : begin + chunk]), chunk))
        parts.append(jax.tree.map(np.asarray, cut(found, len(here))))
        done()
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def survey(
    stage: BaryonCycle,
    halos: HaloHistory | Prepared,
    log10_mvir: np.ndarray,
    outputs: Sequence[str],
    ranges: Ranges,
    sampling: Sampling | None = None,
    steps: Progress | None = None,
) -> Survey:
    """Jacobians of halos at the baseline and over a hypercube, and central differences of some.

    Args:
      stage: a baryon cycle that gives outputs at redshifts.
      halos: with a leading axis; or their tables.
      log10_mvir: [Msun] (halo,), of the pictures and tables.
      outputs: dotted names; ranges: of the parameters, as `check_ranges` returns them.
      sampling: how many, and how; the defaults of `Sampling` if None.
      steps: shows progress: (name, total) -> context with a function to call after each part.
    """
    given = sampling or Sampling()
    steps = steps or (lambda name, total=1: contextlib.nullcontext(lambda n=1: None))
    tables, names, box = s.tables(stage, halos), list(ranges), np.array(list(ranges.values())).T
    n_halos, chunk = tables.pace.shape[0], given.chunk
    baseline = np.asarray(s.named_values(stage.parameters(), names))
    galaxies = design(n_halos, given.draws, box, baseline, given.seed)
    halo, values = galaxies.halo, galaxies.values
    with steps(f"Jacobians of {len(halo)} galaxies", -(-len(halo) // chunk)) as done:
        run = s.jacobian_function(stage, outputs, names, mode=given.mode)
        found = jacobians_in_chunks(run, tables, halo, values, chunk, done)
    picks = n_halos + np.unique(np.linspace(0, n_halos * given.draws - 1, given.n_compared).astype(int))
    with steps("central differences", -(-len(picks) // chunk)) as done:
        differ = s.central_differences(stage, outputs, names, given.step * (box[1] - box[0]))
        differences = jacobians_in_chunks(differ, tables, halo[picks], values[picks], chunk, done)
    return Survey(
        galaxies, found, np.asarray(log10_mvir)[halo], tuple(stage.outputs.redshifts or ()), picks, differences
    )


def jacobians_of_one_halo(
    stage: BaryonCycle, halo: HaloHistory, outputs: Sequence[str], names: Sequence[str], main_output: str, mode: str
) -> tuple[s.Sensitivity, s.Sensitivity]:
    """Jacobians of one halo in time, and of its main output at the end with respect to all parameters of the model."""
    tables = s.tables(stage, halo)
    in_time = s.jacobian(stage, tables, outputs, names, mode=mode)
    shown, halo_state = jax.tree.map(lambda x: x[-1:], (tables.shown, tables.halo_state_shown))
    end = dataclasses.replace(tables, shown=shown, halo_state_shown=halo_state, wanted=tables.wanted[-1:])
    everything = s.jacobian(stage, end, main_output, mode=mode)
    return jax.tree.map(np.asarray, (in_time, everything))
