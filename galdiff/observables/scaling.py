"""The scaling relations of a population at several redshifts, as one array: model, mock data, and their distance."""

import typing

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from galdiff.observables.relations import Relation, centres_between, kernel_regression, log10_summary, log_likelihood
from galdiff.records import BaryonHistory

RELATIONS = (
    ("mvir", "mstar_over_mvir"),
    ("mstar", "mism_over_mstar"),
    ("mstar", "zism"),
    ("mstar", "zstar"),
    ("mstar", "sfr"),
)  # (x, y)


class Observed(typing.NamedTuple):
    """Scaling relations as they were observed."""

    x: Float[Array, "relation redshift centre"]  # dex
    mean: Float[Array, "relation redshift centre"]  # dex
    error: Float[Array, "relation redshift centre"]  # dex, of the mean; infinite where there is no point


def pairs(histories: BaryonHistory) -> tuple[Array, Array]:
    """What the relations relate, x and y with axes (relation, redshift, halo) [dex]."""
    made = {name: log10_summary(histories, name).T for pair in RELATIONS for name in pair}
    return jnp.stack([made[a] for a, _ in RELATIONS]), jnp.stack([made[b] for _, b in RELATIONS])


def relations_of(
    histories: BaryonHistory, x: Float[Array, "relation redshift centre"], use: Bool[Array, "halo"] | None = None
) -> Relation:
    """All relations at centres x [dex], axes (relation, redshift, centre)."""
    one = lambda x, y, at: kernel_regression(x, y, at, use=use)  # noqa: E731
    return jax.vmap(jax.vmap(one))(*pairs(histories), x)


def observed_relations(histories: BaryonHistory, centres: int, error: float, seed: int) -> Observed:
    """Scaling relations of galaxies, with Gaussian errors on their means."""
    x = jax.vmap(jax.vmap(lambda values: centres_between(values, centres)))(pairs(histories)[0])
    found = relations_of(histories, x)
    sigma = jnp.sqrt(error**2 + found.standard_error**2)
    noise = error * np.random.default_rng(seed).standard_normal(x.shape)  # the finite number of halos adds the rest
    return Observed(x=x, mean=found.mean + noise, error=sigma)


def chi2(found: Relation, data: Observed) -> Array:
    """chi2 per point of finite error [1], a scalar."""
    distance = (found.mean - data.mean) ** 2 / (data.error**2 + found.standard_error**2)
    return jnp.sum(distance) / jnp.sum(jnp.isfinite(data.error))


def mean_log_likelihood(found: Relation, data: Observed) -> Array:
    """log likelihood per point of finite error [1], a scalar; see `log_likelihood`."""
    use = jnp.isfinite(data.error)
    error = jnp.where(use, data.error, 1.0)
    each = jax.vmap(lambda *x: log_likelihood(*jax.tree.map(lambda y: y[None], x)))
    likelihood = each(*jax.tree.map(jnp.ravel, (found, data.mean, error)))
    return jnp.sum(jnp.where(use.ravel(), likelihood, 0.0)) / jnp.sum(use)
