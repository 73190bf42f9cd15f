"""A galaxy that grows in one dark-matter halo."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.population import Population
from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.halo.history import stack
from galdiff.records import BaryonHistory, Galaxy, HaloHistory


def one_halo(halos: HaloHistory) -> HaloHistory:
    """The halo of a history with or without a leading axis, without it.

    Raises:
      InputError: there are several.
    """
    if jnp.ndim(halos.t_start) == 0:
        return halos
    if len(halos.t_start) > 1:
        raise InputError(f"halo holds {len(halos.t_start)} haloes; one is observed: halo=diffmah, or halo.index=0")
    return jax.tree.map(lambda x: x[0], halos)


def grow(stage: Stage, halo: HaloHistory, baryons: BaryonCycle) -> tuple[Galaxy, BaryonHistory]:
    """The galaxy that a stage builds from the baryons of a halo, and their history.

    Args:
      stage: makes a `Galaxy` from a `history`, as `GrownGalaxy`.
      halo: of one galaxy.
      baryons: any baryon cycle, a trained one too.

    Raises:
      InputError: several haloes, or a cycle without a solution in this one.
    """
    history = history_of(halo, baryons)
    run, state = compiled(Pipeline(stages={"galaxy": stage}, inputs={"history": BaryonHistory}), ["galaxy"], quick=True)
    galaxy = run(state, history=history)["galaxy"]
    name = f"galaxy grown in a halo of 10^{np.log10(history.m_vir[-1]):.2f} Msun"
    redshift = max(float(history.redshift[-1]), 0.0)  # that of an age: round-off may pass today
    return dataclasses.replace(galaxy, redshift=redshift, name=name), history


def history_of(halo: HaloHistory, baryons: BaryonCycle) -> BaryonHistory:
    """Baryons of one halo; masses [Msun] over (time,).

    Raises:
      InputError: several haloes, or a cycle without a solution in this one.
    """
    histories, report = Population(baryons, baryons.outputs, chunk=1).solve(stack([one_halo(halo)]))
    if report.failed:
        raise InputError(f"baryons of this halo have no solution; {'; '.join(report.remedies)}")
    return jax.tree.map(lambda x: x[0], histories)


def uncorrected_history(halo: HaloHistory, baryons: BaryonCycle) -> BaryonHistory | None:
    """What the same physics does in the halo without its corrections; None where it has none, or no solution."""
    plain = baryons.uncorrected()
    if plain is None:
        return None
    histories, report = Population(plain, plain.outputs, chunk=1).solve(stack([one_halo(halo)]))
    return None if report.failed else jax.tree.map(lambda x: x[0], histories)
