"""Where in a history its stars were born: fixed nodes become ages, masses and metallicities of birth.

Half of the nodes follow the mass formed and half are spread evenly in the logit of the age, so that young and old
stars are both well sampled; masses undo that choice. Everything is smooth in the history.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.correction import Correction
from galdiff.core.hermite import hermite
from galdiff.core.interpolation import monotone_slopes
from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.records import BaryonHistory

YOUNGEST, OLDEST, N_AGES = -9.5, 8.5, 361  # logit of age over the span of the history: 1e-4 to 0.9998 of it
BY_MASS = 0.5  # share of the nodes that follow the mass formed
FEWEST = 8  # times of a history


@record
class Births:
    """Stars of a history, one per node; masses are those that the whole sample would have if it were alone."""

    age: Float[Array, "n"] = quantity("Gyr", "age at the end of the history")
    mass: Float[Array, "n"] = quantity("Msun", "mass formed; they add up to all that ever formed")
    metallicity: Float[Array, "n"] = quantity("", "metal mass fraction of the ISM at birth")
    formed_before: Float[Array, "n"] = quantity("", "share of all stellar mass that formed earlier")
    ln_growth: Float[Array, "n"] = quantity("", "ln of the virial radius at birth over that at the end")


def mass_formed(history: BaryonHistory) -> Float[Array, ""]:
    """All stellar mass ever formed [Msun], shape ()."""
    return history.m_formed[-1]


def mean_age(history: BaryonHistory) -> Float[Array, ""]:
    """Mean age of all stars ever formed [Gyr], by mass formed, at the end of the history."""
    formed = jnp.diff(history.m_formed)
    born = history.time[-1] - (history.time[1:] + history.time[:-1]) / 2
    return formed @ born / formed.sum()


def check_history(history: BaryonHistory) -> None:
    """Refuse what no star formation history can be read from."""
    if jnp.ndim(history.time) != 1:
        raise InputError(f"time of the history has shape {history.time.shape}; give one galaxy, or use jax.vmap")
    if history.time.shape[0] < FEWEST:
        raise InputError(
            f"history has {history.time.shape[0]} times; stars need {FEWEST} or more: baryons.outputs.n_times=64"
        )


def births(history: BaryonHistory, nodes: Float[Array, "n"]) -> Births:
    """Stars at the end of a history.

    Args:
      history: of one galaxy, from its first stars on.
      nodes: numbers between 0 (youngest) and 1 (oldest) [1], evenly spread.

    Raises:
      InputError: fewer than 8 times, or several galaxies.
    """
    check_history(history)
    logit = np.linspace(YOUNGEST, OLDEST, N_AGES).astype(jnp.result_type(history.time))
    rates = birth_table(history, logit)
    per_logit = jnp.exp(rates[:, 0])
    middle = (per_logit[1:] + per_logit[:-1]) / 2 * jnp.diff(logit)
    older = jnp.concatenate([jnp.cumsum(middle[::-1])[::-1], jnp.zeros(1, middle.dtype)])
    total, width = older[0], OLDEST - YOUNGEST
    place = BY_MASS * (1 - older / total) + (1 - BY_MASS) * (logit - YOUNGEST) / width
    chance = BY_MASS * per_logit / total + (1 - BY_MASS) / width  # d place / d logit
    at, _ = hermite(nodes, place, logit, 1 / chance)
    curves = jnp.concatenate([rates, (older / total)[:, None]], 1)
    found, _ = hermite(at, logit, curves, monotone_slopes(curves, logit, axis=0))
    sampled = jnp.exp(found[:, 0])
    weight = sampled / (BY_MASS * sampled / total + (1 - BY_MASS) / width)
    return Births(
        age=(history.time[-1] - history.time[0]) * jax.nn.sigmoid(at),
        mass=mass_formed(history) * weight / weight.sum(),
        metallicity=jnp.exp(found[:, 1]),
        formed_before=found[:, 3],
        ln_growth=found[:, 2],
    )


def corrected(born: Births, correction: Correction) -> Births:
    """Stars with other masses and metallicities; their sums are for the caller to restore.

    The correction sees log10 age/Gyr, log10 Z and the share of the stars that formed before.
    """
    seen = (jnp.log10(born.age), jnp.log10(born.metallicity), born.formed_before)
    flows = correction({"mass": born.mass, "metallicity": born.metallicity}, jnp.stack(seen, -1))
    return dataclasses.replace(born, **flows)


def birth_table(history: BaryonHistory, logit: np.ndarray) -> Float[Array, "age 3"]:
    """ln of mass formed per logit of age [Msun], ln of the metallicity at birth, ln of R_vir over that at the end.

    The logits have the shape (age,).
    """
    share = jax.nn.sigmoid(jnp.asarray(logit))
    span = history.time[-1] - history.time[0]
    ln_t = jnp.log(history.time)
    known = jnp.stack([jnp.log(history.sfr), jnp.log(history.metallicity("ism")), jnp.log(history.r_vir)], -1)
    # Up to the end itself, where the youngest are 1 Myr old.
    values, _ = hermite(jnp.log(history.time[-1] - span * share), ln_t, known, monotone_slopes(known, ln_t, axis=0))
    ln_mass = values[:, 0] + jnp.log(span * share * (1 - share))
    return jnp.stack([ln_mass, values[:, 1], values[:, 2] - known[-1, 2]], -1)
