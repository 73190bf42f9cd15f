"""Baryon histories of many halos of a case, by any baryon cycle that it trains."""

import jax
from flax import nnx

from galdiff.baryons.evolve import Prepared, evolve_prepared
from galdiff.records import BaryonHistory


def histories_of(model: nnx.Module, tables: Prepared) -> BaryonHistory:
    """Histories of many halos, axes (halo, redshift); units as in the record.

    Args:
      model: baryon cycle.
      tables: of the halos, with a leading axis of halos.
    """
    equations = model.equations()  # type: ignore[attr-defined]
    return jax.vmap(lambda each: evolve_prepared(equations, each))(tables)


solved_histories = nnx.jit(histories_of)  # once for all models of a kind: each `nnx.jit` compiles for itself
