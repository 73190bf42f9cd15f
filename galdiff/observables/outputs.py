"""One output of a baryon history by its name, differentiable; names as in `galdiff.observables.history_columns`."""

import difflib

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.observables.history_columns import PUBLIC, Z_SUN, column_name, leaves
from galdiff.records import BaryonHistory

SHORT = {"mstar": "m_stars", "mism": "m_ism", "mcgm": "m_cgm"}
_TINY = 1e-30  # keeps a logarithm of nothing finite


def known(history: BaryonHistory) -> dict[str, tuple[Array, float, str]]:
    """Every number of a history: array inside galdiff [unit of the record] in the shape of the history, factor to the
    unit of the literature, that unit.
    """
    made = {}
    for place, array, unit, _ in leaves(history):
        name, factor = PUBLIC.get(unit, (unit, 1.0))
        made[column_name(place)] = (array, factor, name)
    for name in [n.removeprefix("mz_") for n in made if n.startswith("mz_") and n.replace("mz_", "m_") in made]:
        ratio = made[f"mz_{name}"][0] / jnp.maximum(made[f"m_{name}"][0], _TINY)
        made[f"metallicity_{name}"] = (ratio, 1.0, "1")
        made[f"z_{name}"] = (ratio, 1 / Z_SUN, "1")  # log10_z_* is its logarithm
    return made


def output(history: BaryonHistory, name: str) -> tuple[Float[Array, "..."], str]:
    """An output and its unit: m_stars [Msun], sfr [Msun/yr], metallicity_ism [1], or log10_ of any [dex(unit)].

    Args:
      history: of one galaxy (t) or many (galaxy, t).
      name: as in `galdiff.observables.history_columns.columns`; mstar, mism and mcgm are short for m_stars, m_ism
        and m_cgm.

    Returns:
      Values with the axes of the history, and the unit.

    Raises:
      InputError: a name that the history does not have.
    """
    have = known(history)
    log = name.startswith("log10_") and name not in have
    bare = name.removeprefix("log10_") if log else name
    bare = SHORT.get(bare, bare)
    if bare not in have:
        close = difflib.get_close_matches(bare, [*have, *SHORT], n=1)
        hint = f"did you mean '{'log10_' if log else ''}{close[0]}'?" if close else f"choose of {', '.join(have)}"
        raise InputError(f"output is '{name}': the model has no such column; {hint}")
    array, factor, unit = have[bare]
    if not log:
        return array * factor, unit
    text = "dex" if unit == "1" else f"dex({unit})"
    return jnp.log10(jnp.maximum(array, _TINY)) + float(np.log10(factor)), text
